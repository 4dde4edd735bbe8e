//! Execution: runs what is missing from the store, in the order the plan allows.
//!
//! Heavy nodes (those that load or train a model) run in worker processes, a few at a time; nodes that wait for the same
//! model share one load. Everything else runs in this process. A node that fails stops only what depends on it.

mod answers;
mod asks;
mod cancel;
mod judging;
mod process;
mod scheduler;
mod serve;
mod session;
mod shared;
mod slots;
mod train;
mod unchanged;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

pub(crate) use asks::{evaluated_rows, prompts};
pub use cancel::Cancel;
pub(crate) use judging::judge_by_rule;
pub use scheduler::execute;
pub(crate) use session::Answer;
pub use slots::available_memory;

use crate::event::{Event, Observer, Outcome};
use crate::plan::Plan;
use crate::resolved::ResolvedExperiment;
use driftgauge_engine::MetricRunner;
use driftgauge_store::Store;

/// Everything execution needs, fixed for the whole run.
pub struct Context {
    /// What is run.
    pub experiment: ResolvedExperiment,
    /// Its plan.
    pub plan: Plan,
    /// Where artifacts live.
    pub store: Store,
    /// The binary that worker processes start.
    pub worker_exe: PathBuf,
    /// Where models compute: `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Runs metric plugins.
    pub metrics: Arc<dyn MetricRunner>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Raised by Ctrl-C.
    pub cancel: Arc<Cancel>,
    /// Heavy processes at a time.
    pub jobs: usize,
    /// Processor cores to share among them.
    pub cores: usize,
}

impl Context {
    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.is_raised()
    }

    pub(crate) fn note(&self, node: &str, text: String) {
        self.observer.observe(&Event::Note {
            node: node.to_owned(),
            text,
        });
    }
}

/// How one node of the plan ended.
#[derive(Debug, Clone, Serialize)]
pub struct NodeOutcome {
    /// How.
    pub outcome: Outcome,
    /// Seconds it took; 0 for a reused one.
    pub seconds: f64,
    /// Why it failed or was skipped.
    pub error: Option<String>,
}
