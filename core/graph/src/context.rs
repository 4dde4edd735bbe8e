//! What every node is made with, and how nodes end.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use driftgauge_cluster::Machine;
use driftgauge_engine::{MetricHooks, MetricRunner, ResolvedMetric};
use driftgauge_judge::Judge;
use driftgauge_problem::Problem;
use driftgauge_store::{Store, Writer};
use serde::Serialize;

use crate::cancel::Cancel;
use crate::event::{Event, Observer, Outcome};
use crate::plan::{EngineIdentity, Part, Plan};
use crate::resolve::Prepared;
use crate::resolved::ResolvedExperiment;

/// Everything execution needs, fixed for the whole run.
pub struct Context {
    /// What is run.
    pub experiment: ResolvedExperiment,
    /// Its plan.
    pub plan: Plan,
    /// Where artifacts live.
    pub store: Store,
    /// This run among those that write there.
    pub writer: Arc<Writer>,
    /// The binary that worker processes start.
    pub worker_exe: PathBuf,
    /// What makes completions and trains.
    pub engine: EngineIdentity,
    /// Kind of the processor: what was proven on one is proven on another of its kind.
    pub processor: String,
    /// The machine that makes what is made here, for provenance.
    pub machine: Machine,
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
    /// What was spent on nodes that share a session.
    pub spent: SpentOn,
    /// The part of all inference that is made here, where it is divided.
    pub shard: Option<Shard>,
}

/// One of several ranges of the items of every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Shard {
    /// The range of so many items that is its own.
    #[must_use]
    pub fn range(self, items: usize) -> std::ops::Range<usize> {
        let at = |index: u32| items * index as usize / self.of.max(1) as usize;
        at(self.index)..at(self.index + 1)
    }
}

/// What was spent on nodes, by their positions.
pub type SpentOn = Mutex<HashMap<usize, Spent>>;

/// A node's share of its session.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// Seconds in which its own items were worked on.
    pub seconds: f64,
    /// Its share of the seconds in which the model was loaded.
    pub loading: f64,
    /// Tokens made.
    pub tokens: u64,
    /// Items answered.
    pub items: u64,
}

impl Context {
    /// The same for a part of the experiment.
    pub(crate) fn of_part(&self, part: Prepared) -> Self {
        Self {
            experiment: part.experiment,
            plan: part.plan,
            store: self.store.clone(),
            writer: Arc::clone(&self.writer),
            worker_exe: self.worker_exe.clone(),
            engine: part.engine,
            processor: self.processor.clone(),
            machine: self.machine.clone(),
            device: self.device.clone(),
            metrics: Arc::clone(&self.metrics),
            observer: Arc::clone(&self.observer),
            cancel: Arc::clone(&self.cancel),
            jobs: self.jobs,
            cores: self.cores,
            strict: self.strict,
            spent: SpentOn::default(),
            shard: self.shard,
        }
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.is_raised()
    }

    /// What a session spent on a node; `None` of one that had no session.
    pub(crate) fn spent_on(&self, node: usize) -> Option<Spent> {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.get(&node).copied()
    }

    pub(crate) fn spend(&self, node: usize, share: Spent) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.insert(node, share);
    }

    /// What the metric of a node hears and says.
    pub(crate) fn hooks(&self, node: usize) -> MetricHooks {
        let observer = Arc::clone(&self.observer);
        let node = self.plan.nodes[node].id.clone();
        MetricHooks {
            cancelled: self.cancel.flag(),
            log: Arc::new(move |level, text| {
                let text = match level {
                    0 => format!("error: {text}"),
                    1 => format!("warning: {text}"),
                    _ => text.to_owned(),
                };
                observer.observe(&Event::Note {
                    node: node.clone(),
                    text,
                });
            }),
        }
    }

    /// The plugin that a node runs, if it runs one.
    pub(crate) fn plugin_of(&self, node: usize) -> Option<&ResolvedMetric> {
        match &self.plan.nodes[node].part {
            Part::Metric { metric, .. } => self.experiment.metrics.get(metric),
            Part::Verdicts {
                evaluation, judge, ..
            } => match &self.experiment.evaluations[evaluation].judges[judge].judge {
                Judge::Plugin(plugin) => Some(plugin),
                _ => None,
            },
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_one_shard() {
        for (items, of) in [(0, 3), (1, 4), (10, 3), (1000, 7), (5, 5)] {
            let ranges = (0..of).map(|index| Shard { index, of }.range(items));
            let all: Vec<usize> = ranges.clone().flatten().collect();
            assert!(all.into_iter().eq(0..items), "{items} in {of}");
            let lengths: Vec<usize> = ranges.map(|range| range.len()).collect();
            let (least, most) = (lengths.iter().min(), lengths.iter().max());
            assert!(
                most.zip(least)
                    .is_some_and(|(most, least)| most - least <= 1)
            );
        }
    }
}
