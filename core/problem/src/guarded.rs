//! Calls into libraries that panic on files of other people: the panic is an error here, and says nothing of its own.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What a call gives; `None` where it panicked. What it had borrowed is not to be used again then.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let before = GUARDED.replace(true);
    let given = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    given.ok()
}

/// Whether a panic on this thread becomes an error, so that a program's hook has nothing to print.
#[must_use]
pub fn is_guarded() -> bool {
    GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_nothing_and_ends_with_its_call() {
        assert_eq!(guarded(is_guarded), Some(true));
        assert_eq!(guarded(|| [0][usize::from(is_guarded())]), None);
        assert!(!is_guarded());
    }
}
