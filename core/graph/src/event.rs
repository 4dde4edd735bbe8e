//! What happens while a plan runs, for progress bars, logs and `events.jsonl`.

use driftgauge_record::files::events::EventRecord;
use driftgauge_record::files::plan::NodeStatus;
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

impl From<Outcome> for NodeStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ran => Self::Ran,
            Outcome::Reused => Self::Reused,
            Outcome::Failed => Self::Failed,
            Outcome::Skipped => Self::Skipped,
        }
    }
}

/// One event. Node ids are those of the plan.
#[derive(Debug, Clone)]
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

impl Event {
    /// The line of `events.jsonl` for it; progress has none.
    #[must_use]
    pub fn record(&self) -> Option<EventRecord> {
        Some(match self.clone() {
            Self::Started { node } => EventRecord::Started { node },
            Self::Loaded { nodes, seconds } => EventRecord::Loaded { nodes, seconds },
            Self::Progress { .. } => return None,
            Self::Note { node, text } => EventRecord::Note { node, text },
            Self::Ended {
                node,
                outcome,
                seconds,
                error,
            } => EventRecord::Ended {
                node,
                outcome: outcome.into(),
                seconds,
                error,
            },
        })
    }
}

/// Receives events, from several threads.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn observe(&self, event: &Event);
}
