//! A plugin in this process that calls `exit` must not end the run as if it had come to its end.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "a function that runs at the process's end")
)]

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many calls into plugins are under way.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// A call into a plugin; dropped when it returns.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter() -> Self {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// From now on a process that ends inside of a plugin says so, and fails. For the harness, once at its start.
pub fn guard_exit() {
    #[cfg(target_os = "linux")]
    {
        extern "C" fn at_exit() {
            if INSIDE.load(Ordering::SeqCst) > 0 {
                eprintln!(
                    "error: a plugin with `isolation: in-process` ended the whole process\nhint: leave `isolation` out: a \
                     worker of its own costs that metric alone"
                );
                // SAFETY: does not return.
                unsafe { libc::_exit(1) }
            }
        }
        // SAFETY: the function lives as long as the process.
        unsafe { libc::atexit(at_exit) };
    }
}
