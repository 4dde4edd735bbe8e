//! Which process on which machine, so that another can tell whether it still lives.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A process, named so that no other of any machine is taken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Name of its machine, for messages.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// Where such numbers mean the same: one boot of one machine, one namespace of processes.
    machine: String,
    /// When it was started, in ticks since the boot: numbers are given again.
    started: u64,
}

impl Process {
    /// This process.
    #[must_use]
    pub fn this() -> &'static Self {
        static THIS: OnceLock<Process> = OnceLock::new();
        THIS.get_or_init(|| {
            let pid = std::process::id();
            let line = |path: &str| {
                fs::read_to_string(path)
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            };
            let host = match line("/proc/sys/kernel/hostname") {
                name if name.is_empty() => std::env::var("HOSTNAME").unwrap_or_default(),
                name => name,
            };
            let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
            let boot = line("/proc/sys/kernel/random/boot_id");
            let machine = format!("{host} {boot} {}", namespace.display());
            Self {
                host,
                pid,
                machine: Digest::of(machine.as_bytes()).short().to_owned(),
                started: started(pid).unwrap_or_default(),
            }
        })
    }

    /// Whether it has ended; `None` where that cannot be told from this machine.
    #[must_use]
    pub fn has_ended(&self) -> Option<bool> {
        if self.machine != Self::this().machine {
            return None;
        }
        if self == Self::this() {
            return Some(false);
        }
        if cfg!(target_os = "linux") {
            return Some(started(self.pid) != Some(self.started));
        }
        None
    }

    /// Nobody in particular, of nowhere: the owner of what does not say whose it is.
    pub(crate) fn unknown() -> Self {
        Self {
            host: "an unknown machine".to_owned(),
            pid: 0,
            machine: String::new(),
            started: 0,
        }
    }

    /// A name for files: no two processes have the same.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}-{}", self.machine, self.pid, self.started)
    }

    /// Whether a file with such a name belongs to a process of this machine that has ended; `None` where that cannot be told.
    pub(crate) fn of_name_has_ended(name: &str) -> Option<bool> {
        let owner = name.split('.').next()?;
        let mut parts = owner.split('-');
        let (machine, pid, started) = (parts.next()?, parts.next()?, parts.next()?);
        let process = Self {
            host: String::new(),
            pid: pid.parse().ok()?,
            machine: machine.to_owned(),
            started: started.parse().ok()?,
        };
        let own = process.name() == Self::this().name();
        if own {
            Some(false)
        } else {
            process.has_ended()
        }
    }

    /// A name for a file that only this process writes, another each time.
    pub(crate) fn fresh(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{}.{count}", self.name())
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on `{}`", self.pid, self.host)
    }
}

/// Start of a living process, in ticks since the boot; nothing of one that has ended, a zombie included.
fn started(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; behind it come the state and, as the 22nd field of all, the start.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_dead_are_told_from_the_living() {
        assert_eq!(Process::this().has_ended(), Some(false));
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let other = Process {
            pid: child.id(),
            started: started(child.id()).unwrap(),
            ..Process::this().clone()
        };
        assert_eq!(other.has_ended(), Some(false));
        // The same number, given to a later process.
        let earlier = Process {
            started: other.started - 1,
            ..other.clone()
        };
        assert_eq!(earlier.has_ended(), Some(true));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(other.has_ended(), Some(true));
        let elsewhere = Process {
            machine: "elsewhere".to_owned(),
            ..other
        };
        assert_eq!(elsewhere.has_ended(), None);
    }
}
