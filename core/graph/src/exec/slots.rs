//! How heavy processes share the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A number of places for heavy processes, shared by the scheduler and by sessions that could use more workers.
#[derive(Debug)]
pub(super) struct Slots {
    all: usize,
    taken: AtomicUsize,
    /// Whether a node waits for a place.
    wanted: AtomicBool,
    given: Notify,
}

impl Slots {
    pub(super) fn new(all: usize) -> Self {
        Self {
            all,
            taken: AtomicUsize::new(0),
            wanted: AtomicBool::new(false),
            given: Notify::new(),
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    pub(super) fn take(&self, n: usize) {
        self.taken.fetch_add(n, Ordering::SeqCst);
    }

    /// Takes one when one is free and no node waits for it.
    pub(super) fn try_take(&self) -> bool {
        if self.are_wanted() {
            return false;
        }
        let free = |taken: usize| (taken < self.all).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, free)
            .is_ok()
    }

    pub(super) fn give(&self, n: usize) {
        self.taken.fetch_sub(n, Ordering::SeqCst);
        if n > 0 {
            self.given.notify_one();
        }
    }

    /// Returns when one was given back.
    pub(super) async fn given(&self) {
        self.given.notified().await;
    }

    /// Says whether a node waits for a place: then further workers of a session leave theirs.
    pub(super) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::SeqCst);
    }

    pub(super) fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }
}

/// What a session may use of the machine.
pub(super) struct Share {
    /// Threads of its first worker.
    pub(super) threads: usize,
    /// Where further workers take their places from. The first has one already.
    pub(super) slots: Arc<Slots>,
    /// Whether nothing else runs or waits: then its workers divide the threads among them from the start. Else it begins
    /// with one worker, and others join while there are places that nobody wants.
    pub(super) alone: bool,
}

/// Bytes of memory that new processes can have, where the system tells.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_slots_are_given_than_there_are() {
        let slots = Slots::new(2);
        slots.take(1);
        assert!(slots.try_take());
        assert!(!slots.try_take());
        slots.give(1);
        slots.want(true);
        assert!(!slots.try_take(), "a node waits for it");
        slots.want(false);
        assert!(slots.try_take());
        assert_eq!(slots.taken(), 2);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_its_memory() {
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
