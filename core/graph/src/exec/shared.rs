//! What the workers of a session have in common: the items that nobody has begun, the journals, and who is at work.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use driftgauge_engine::Loaded;
use driftgauge_engine::worker::Answer;
use driftgauge_problem::Problem;
use driftgauge_store::Journal;
use serde::Serialize;

use crate::context::Spent;

/// The state of a session.
pub(super) struct Shared {
    pub(super) queue: VecDeque<(usize, u64)>,
    pub(super) journals: Vec<Journal<Answer>>,
    /// Per task: why items got no answer in this run. They stay out of the journal.
    pub(super) unanswered: Vec<BTreeMap<u64, Problem>>,
    /// Workers that load the model or are at work.
    pub(super) active: usize,
    /// Those that are loading it.
    pub(super) loading: usize,
    /// Whether one could not load it: then no further one is tried.
    pub(super) unloadable: bool,
    /// Items answered since the first worker was ready.
    pub(super) answered: u32,
    /// Per task: why it cannot be finished now.
    pub(super) failures: Vec<Option<Problem>>,
    pub(super) loaded: Option<Loaded>,
    /// When the first worker was ready.
    pub(super) ready: Option<Instant>,
    /// Completions made since then, and their tokens.
    pub(super) completions: usize,
    pub(super) tokens: usize,
    /// Per task: what was spent on it.
    pub(super) spent: Vec<Spent>,
    /// Until when the session's time is shared out.
    pub(super) shared_out: Option<Instant>,
}

impl Shared {
    /// An item of a task is answered: the time since the one before it was the task's.
    pub(super) fn spend(&mut self, task: usize, tokens: usize) {
        let now = Instant::now();
        let since = self.shared_out.or(self.ready).unwrap_or(now);
        let spent = &mut self.spent[task];
        spent.seconds += now.saturating_duration_since(since).as_secs_f64();
        spent.tokens += tokens as u64;
        spent.items += 1;
        self.shared_out = Some(now);
    }

    /// What was spent on each task: the load is divided among those that asked something.
    pub(super) fn shares(&self, began: Instant) -> Vec<Spent> {
        let asked = self.spent.iter().filter(|spent| spent.items > 0).count();
        let loading = self
            .ready
            .map_or(0.0, |ready| (ready - began).as_secs_f64());
        let share = |spent: &Spent| Spent {
            loading: if spent.items > 0 {
                loading / asked as f64
            } else {
                0.0
            },
            ..*spent
        };
        self.spent.iter().map(share).collect()
    }

    /// Takes back what a lost worker had, and gives up the tasks that it died of. Says whether another process should
    /// go on in its place.
    pub(super) fn lose(&mut self, lost: Lost) -> bool {
        if !lost.has_left {
            self.active -= 1;
        }
        if !lost.was_ready {
            self.loading -= 1;
            self.unloadable = true;
            if self.active == 0 {
                for failure in &mut self.failures {
                    failure.get_or_insert_with(|| lost.error.clone());
                }
            }
            return false;
        }
        for &(task, _) in &lost.working_on {
            self.failures[task].get_or_insert_with(|| lost.error.clone());
        }
        for item in lost.waiting.into_iter().rev() {
            self.queue.push_front(item);
        }
        let failures = &self.failures;
        self.queue.retain(|&(task, _)| failures[task].is_none());
        let goes_on = !self.queue.is_empty();
        if goes_on {
            self.enter();
        }
        goes_on
    }

    /// A worker begins to load the model.
    pub(super) fn enter(&mut self) {
        self.active += 1;
        self.loading += 1;
    }

    /// Lets a worker go when another one stays. Says whether it may.
    pub(super) fn leave(&mut self) -> bool {
        let may = self.active > 1;
        self.active -= usize::from(may);
        may
    }

    /// Whether what is left takes so long that loading the model once more pays.
    pub(super) fn wants_help(&self, began: Instant) -> bool {
        let may = self.loading == 0 && self.answered > 0 && !self.unloadable;
        let Some(ready) = self.ready.filter(|_| may) else {
            return false;
        };
        pays(
            ready - began,
            ready.elapsed(),
            self.answered,
            self.queue.len(),
        )
    }

    pub(super) fn speed(&self, workers: usize, began: Instant) -> Option<Speed> {
        let ready = self.ready.filter(|_| self.completions > 0)?;
        let seconds = ready.elapsed().as_secs_f64();
        Some(Speed {
            workers,
            loading_seconds: (ready - began).as_secs_f64(),
            seconds,
            completions: self.completions,
            tokens: self.tokens,
            tokens_per_second: self.tokens as f64 / seconds,
        })
    }
}

/// Whether loading a model once more is worth it: what is left takes more than twice as long as the load did.
fn pays(loading: Duration, working: Duration, answered: u32, left: usize) -> bool {
    let left = u32::try_from(left).unwrap_or(u32::MAX);
    (working / answered).saturating_mul(left) > 2 * loading
}

/// A worker that stopped before the queue was empty.
pub(super) struct Lost {
    pub(super) error: Problem,
    /// Whether it had loaded the model.
    pub(super) was_ready: bool,
    /// Whether it was about to leave its place to others.
    pub(super) has_left: bool,
    /// The items it died of, or may have died of: task and item.
    pub(super) working_on: Vec<(usize, u64)>,
    /// Items it had not begun.
    pub(super) waiting: Vec<(usize, u64)>,
}

/// How fast a session was. A fact for provenance: it is part of no artifact.
#[derive(Debug, Serialize)]
pub(super) struct Speed {
    /// Worker processes that shared the prompts.
    pub(super) workers: usize,
    /// Seconds until the first of them was ready: start, weights, self-check.
    pub(super) loading_seconds: f64,
    /// Seconds from then to the last answer.
    pub(super) seconds: f64,
    /// Completions made; those of an earlier, interrupted run not counted.
    pub(super) completions: usize,
    /// Their tokens, prompts not counted.
    pub(super) tokens: usize,
    /// `tokens / seconds`.
    pub(super) tokens_per_second: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(workers: usize, items: u64) -> Shared {
        Shared {
            queue: (0..items).map(|item| (0, item)).collect(),
            journals: Vec::new(),
            unanswered: vec![BTreeMap::new(); 2],
            active: workers,
            loading: 0,
            unloadable: false,
            answered: 0,
            failures: vec![None; 2],
            loaded: None,
            ready: None,
            completions: 0,
            tokens: 0,
            spent: vec![Spent::default(); 2],
            shared_out: None,
        }
    }

    fn lost(was_ready: bool) -> Lost {
        Lost {
            error: "gone".into(),
            was_ready,
            has_left: false,
            working_on: Vec::new(),
            waiting: Vec::new(),
        }
    }

    #[test]
    fn the_time_of_a_session_is_divided_among_its_tasks() {
        let mut session = session(1, 3);
        let began = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        session.ready = Some(Instant::now());
        for (task, milliseconds) in [(0, 10), (0, 10), (1, 60)] {
            std::thread::sleep(Duration::from_millis(milliseconds));
            session.spend(task, 5);
        }
        let whole = began.elapsed().as_secs_f64();
        let shares = session.shares(began);
        assert_eq!((shares[0].items, shares[0].tokens), (2, 10));
        assert!(shares[0].loading >= 0.01 && shares[0].loading == shares[1].loading);
        assert!(shares[1].seconds >= 0.06 && shares[0].seconds >= 0.02);
        let sum: f64 = shares
            .iter()
            .map(|share| share.seconds + share.loading)
            .sum();
        assert!(sum <= whole && sum > 0.1, "{shares:?} of {whole}");
    }

    #[test]
    fn the_last_worker_never_leaves() {
        let mut session = session(2, 5);
        assert!(session.leave());
        assert!(!session.leave());
        assert_eq!(session.active, 1);
    }

    #[test]
    fn a_lost_worker_takes_its_task_along_and_gives_the_rest_back() {
        let mut session = session(1, 0);
        let died = Lost {
            working_on: vec![(0, 7)],
            waiting: vec![(0, 8), (1, 3)],
            ..lost(true)
        };
        assert!(session.lose(died), "the other task goes on");
        assert_eq!(session.failures, [Some("gone".into()), None]);
        assert_eq!(session.queue, [(1, 3)]);
        assert_eq!((session.active, session.loading), (1, 1));
    }

    #[test]
    fn a_model_that_no_worker_loads_fails_every_task() {
        let mut session = session(2, 5);
        session.loading = 2;
        assert!(!session.lose(lost(false)));
        assert_eq!(session.failures, [None, None], "another one may load it");
        assert!(!session.lose(lost(false)));
        assert!(session.failures.iter().all(Option::is_some));
    }

    #[test]
    fn help_is_wanted_while_it_pays_and_the_model_can_be_loaded() {
        let second = Duration::from_secs(1);
        assert!(pays(second, 10 * second, 10, 3));
        assert!(!pays(second, 10 * second, 10, 2));
        let mut session = session(1, 1_000_000);
        let began = Instant::now();
        assert!(!session.wants_help(began), "nothing is known of its speed");
        (session.ready, session.answered) = (Some(began), 1);
        while began.elapsed().is_zero() {}
        assert!(session.wants_help(began));
        session.enter();
        assert!(!session.wants_help(began), "one is coming");
        session.lose(lost(false));
        assert!(!session.wants_help(began), "it could not load the model");
    }
}
