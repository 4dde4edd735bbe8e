//! The worker's process, and how it ended.

use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use super::group::Group;
use super::{GROUP_VARIABLE, MEMORY_VARIABLE, PARENT_VARIABLE};

/// A started worker; it ends with [`Process::kill`].
pub(super) struct Process {
    child: Child,
    /// Bytes that it may use.
    memory: Option<u64>,
    /// Dropped after the worker has ended: what is left of it then ends here.
    #[cfg(target_os = "linux")]
    _group: Option<Group>,
}

/// What joins the harness and a worker.
pub(super) struct Pipes {
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

impl Process {
    /// Starts it with at most so many bytes of memory. An error is the text of what went wrong.
    pub(super) fn start(
        mut command: Command,
        memory: Option<u64>,
    ) -> Result<(Self, Pipes), String> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env(PARENT_VARIABLE, std::process::id().to_string())
            // Else our allocator would take a gibibyte off the limit before the plugin has any.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
        command.env_remove(GROUP_VARIABLE);
        if let Some(memory) = memory {
            command.env(MEMORY_VARIABLE, memory.to_string());
        }
        #[cfg(target_os = "linux")]
        let group = Group::new(memory);
        #[cfg(target_os = "linux")]
        if let Some(group) = &group {
            command.env(GROUP_VARIABLE, group.folder());
        }
        // A group of its own: Ctrl-C reaches us alone, and we say what becomes of the plugin.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            format!("cannot be started as `{program}`: {error}")
        })?;
        let pipes = Pipes {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        };
        let process = Self {
            child,
            memory,
            #[cfg(target_os = "linux")]
            _group: group,
        };
        Ok((process, pipes))
    }

    /// Ends the worker and all that it started.
    pub(super) fn kill(&mut self) {
        #[cfg(unix)]
        if self.wait(Duration::ZERO).is_none() {
            use rustix::process::{Pid, Signal, kill_process, kill_process_group};
            let pid = Pid::from_child(&self.child);
            // The supervisor ends all that is below it.
            let _ = kill_process(pid, Signal::TERM);
            if self.wait(Duration::from_millis(900)).is_none() {
                let _ = kill_process_group(pid, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the process to end; how it did.
    pub(super) fn wait(&mut self, patience: Duration) -> Option<String> {
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(self.describe(status)),
                Err(_) => return Some(String::new()),
                Ok(None) if Instant::now() >= deadline => return None,
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn describe(&self, status: std::process::ExitStatus) -> String {
        #[cfg(target_os = "linux")]
        {
            use super::supervise::{OVER_MEMORY, OVER_PROCESSES, SIGNALLED};
            use crate::limits::PROCESSES;
            match status.code() {
                Some(OVER_MEMORY) => {
                    let mebibytes = self.memory.unwrap_or_default() >> 20;
                    format!(": it used more than {mebibytes} MiB of memory, its limit")
                }
                Some(OVER_PROCESSES) => format!(": it started more than {PROCESSES} processes"),
                Some(code) if code > SIGNALLED => {
                    format!(" (killed by signal {})", code - SIGNALLED)
                }
                _ => format!(" ({status})"),
            }
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = self.memory;
            format!(" ({status})")
        }
    }
}
