//! What every node is made with, and how nodes end.

use std::path::PathBuf;
use std::sync::Arc;

use driftgauge_engine::MetricRunner;
use driftgauge_problem::Problem;
use driftgauge_store::Store;
use serde::Serialize;

use crate::cancel::Cancel;
use crate::event::{Event, Observer, Outcome};
use crate::plan::Plan;
use crate::resolved::ResolvedExperiment;

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
    /// Whether a model of which the self-check proves less than everything is refused.
    pub strict: bool,
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
    pub error: Option<Problem>,
}

/// What a spawned job reports when it ends: each node it carried, and how that went.
pub(crate) type Finished = Vec<(usize, Result<(), Problem>)>;
