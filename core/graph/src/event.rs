//! What happens while a plan runs, for progress bars, logs and `events.jsonl`.

use serde::{Deserialize, Serialize};

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ran.
    Ran,
    /// Its artifact was in the store.
    Reused,
    /// It failed.
    Failed,
    /// Something it depends on failed.
    Skipped,
}

/// One event. Node ids are those of the plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A node begins.
    Started {
        /// Node id.
        node: String,
    },
    /// A worker process has loaded a model and checked it.
    Loaded {
        /// Ids of the nodes that this load serves.
        nodes: Vec<String>,
        /// Seconds from the start of the process.
        seconds: f64,
    },
    /// A node goes on.
    Progress {
        /// Node id.
        node: String,
        /// Items done.
        done: u64,
        /// Items in all.
        total: u64,
        /// A word on the latest item, for example the loss.
        detail: String,
    },
    /// Something worth the log.
    Note {
        /// Node id.
        node: String,
        /// The note.
        text: String,
    },
    /// A node ended.
    Ended {
        /// Node id.
        node: String,
        /// How.
        outcome: Outcome,
        /// Seconds it took.
        seconds: f64,
        /// Why it failed or was skipped.
        error: Option<String>,
    },
}

/// Receives events, from several threads.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn observe(&self, event: &Event);
}
