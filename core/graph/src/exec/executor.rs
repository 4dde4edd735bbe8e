//! Where nodes are made that load or train a model: on this machine, or as jobs of a cluster. The scheduler knows no more than this.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use driftgauge_store::Digest;

use super::slots::Slots;
use crate::context::{Context, Finished};

/// How nodes end that were started together.
pub type Making = Pin<Box<dyn Future<Output = Finished> + Send>>;

/// The run, and the places that this machine has for heavy processes.
#[derive(Clone)]
pub struct Here {
    pub(super) context: Arc<Context>,
    pub(super) slots: Arc<Slots>,
}

/// What starting nodes takes of this machine; given back when they have ended.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Places for heavy processes.
    pub(super) slots: usize,
    /// Whether nothing else may run beside it.
    pub(super) exclusive: bool,
}

/// Makes what loads or trains a model.
pub trait Executor: Send + Sync {
    /// The ready nodes, `first` among them, that are made together: they share a load.
    fn group(&self, context: &Context, first: usize, ready: &[usize]) -> Vec<usize>;

    /// What making `first` takes; `None` while there is no room for it.
    fn place(&self, here: &Here, first: usize) -> Option<Place>;

    /// What a run claims that is about to make the artifact of a key, so that another run of the same kind waits for it.
    fn claim(&self, context: &Context, node: usize, key: &Digest) -> Digest;

    /// Whether judging waits until no completion is being made, so that a judge is loaded once.
    fn judges_last(&self) -> bool;

    /// Makes nodes of one group. `alone` where nothing else runs or waits.
    fn make(&self, here: &Here, nodes: Vec<usize>, place: Place, alone: bool) -> Making;
}
