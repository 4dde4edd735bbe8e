//! What a queue of a cluster can be asked, whichever it is.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use driftgauge_problem::Problem;
use serde::{Deserialize, Serialize};

use crate::resources::Resources;
use crate::state::{End, State};

/// The queue's own name of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One script that is run several times, each time with another number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// The numbers.
    pub tasks: Vec<u32>,
}

impl Array {
    /// The numbers as Slurm reads them: `0-3,7`.
    #[must_use]
    pub fn ranges(&self) -> String {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for &task in &self.tasks {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == task => *last = task,
                _ => ranges.push((task, task)),
            }
        }
        let written = ranges.into_iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        written.collect::<Vec<_>>().join(",")
    }
}

/// What is handed to a queue.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// Name, by which the job is found again.
    pub name: &'a str,
    /// The script, made by [`crate::script()`].
    pub script: &'a Path,
    /// Where the job's output goes.
    pub log: &'a Path,
    /// What it, or each of its tasks, may use.
    pub resources: &'a Resources,
    /// The tasks, where it is an array of them.
    pub array: Option<&'a Array>,
}

/// A job as a queue lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The queue's name of it.
    pub id: JobId,
    /// Its name, where the queue tells.
    pub name: Option<String>,
    /// Where it is.
    pub state: State,
    /// Why, in the queue's words: `Priority`, a node's name.
    pub reason: String,
}

/// Why a job was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It may be taken later: the controller is away, or a limit of jobs is reached. It may also have been taken all the same.
    Later(Problem),
    /// It never will be.
    Never(Problem),
}

impl Refusal {
    /// What was wrong.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::Later(problem) | Self::Never(problem) => problem,
        }
    }
}

/// What takes a moment to be answered.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A queue of a cluster.
pub trait Queue: Send + Sync {
    /// Whether the queue can be asked from this machine at all; that it does not answer for a while is no reason against it.
    fn check(&self) -> Answer<'_, Result<(), Problem>>;

    /// Hands a job over.
    fn submit<'a>(&'a self, job: Submission<'a>) -> Answer<'a, Result<JobId, Refusal>>;

    /// Asks whether the job would be taken, and submits nothing. The queue's own words, where it has any.
    fn test<'a>(&'a self, job: Submission<'a>) -> Answer<'a, Result<String, Problem>>;

    /// All jobs of this user that the queue still knows.
    fn list(&self) -> Answer<'_, Result<Vec<Listed>, Problem>>;

    /// How a job ended that is no longer listed, where the queue keeps that.
    fn ended<'a>(&'a self, id: &'a JobId) -> Answer<'a, Option<End>>;

    /// Takes jobs back.
    fn cancel<'a>(&'a self, ids: &'a [JobId]) -> Answer<'a, Result<(), Problem>>;
}
