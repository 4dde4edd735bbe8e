//! What a plan will take: tokens, seconds, memory, disk and download of each node, from what earlier runs on this machine took
//! of the same kind, else from stated guesses.

mod rates;
mod work;

use std::collections::{BTreeSet, HashMap};

use driftgauge_store::Store;
use serde::Serialize;

use crate::plan::{Kind, Plan};
use crate::resolved::ResolvedExperiment;

pub use rates::{Foreseen, Measured, Rates, keep, keep_rates, measured};
pub use work::Machine;
pub(crate) use work::Works;

/// What an estimate rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Nodes of this kind, with this engine and as many parameters, were measured on this machine.
    Measured,
    /// Such nodes were measured with another number of parameters.
    Scaled,
    /// Nothing like it ran here.
    Guessed,
}

/// What a node will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Tokens read and made; 0 where there are none.
    pub tokens: u64,
    /// Seconds of its own: a session's time is divided among its nodes.
    pub seconds: f64,
    /// Bytes of memory while it runs.
    pub memory: u64,
    /// Bytes that it leaves in the store.
    pub disk: u64,
    /// Bytes that are fetched; `None` where only the hub knows.
    pub download: Option<u64>,
    /// What `tokens`, `seconds` and `disk` rest on; memory is measured of trainings alone.
    pub basis: Basis,
}

/// What a plan will take.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Forecast {
    /// By position in the plan; `None` of nodes that will not run.
    pub nodes: Vec<Option<Estimate>>,
    /// Positions of the nodes on the longest way through the plan, in order.
    pub critical: Vec<usize>,
}

/// The sum of some estimates.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Total {
    /// Tokens.
    pub tokens: u64,
    /// Seconds, one node after the other.
    pub seconds: f64,
    /// Memory of the node that takes the most.
    pub memory: u64,
    /// Bytes left in the store.
    pub disk: u64,
    /// Bytes fetched, where known.
    pub download: u64,
    /// Sources whose size only the hub knows.
    pub unknown_downloads: u64,
    /// Seconds that rest on measurements of nodes of the same size.
    pub measured_seconds: f64,
}

impl Forecast {
    /// Foresees the nodes at `to_run`.
    #[must_use]
    pub fn of(
        experiment: &ResolvedExperiment,
        plan: &Plan,
        machine: &Machine,
        store: &Store,
        to_run: &BTreeSet<usize>,
    ) -> Self {
        if to_run.is_empty() {
            return Self {
                nodes: vec![None; plan.nodes.len()],
                critical: Vec::new(),
            };
        }
        let rates = Rates::load(store);
        let mut works = Works::new(experiment, plan, machine);
        let nodes: Vec<Option<Estimate>> = (0..plan.nodes.len())
            .map(|node| {
                let will = to_run.contains(&node);
                will.then(|| rates.estimate(&works.of(node), machine))
            })
            .collect();
        let critical = critical(plan, &nodes);
        Self { nodes, critical }
    }

    /// Seconds of the nodes that will run, by their ids.
    #[must_use]
    pub fn seconds_by_id(&self, plan: &Plan) -> HashMap<String, f64> {
        let nodes = plan.nodes.iter().zip(&self.nodes);
        nodes
            .filter_map(|(node, estimate)| Some((node.id.clone(), estimate.as_ref()?.seconds)))
            .collect()
    }

    /// The sum over some nodes.
    #[must_use]
    pub fn total(&self, nodes: impl IntoIterator<Item = usize>) -> Total {
        let mut total = Total::default();
        for estimate in nodes
            .into_iter()
            .filter_map(|node| self.nodes[node].as_ref())
        {
            total.tokens += estimate.tokens;
            total.seconds += estimate.seconds;
            total.memory = total.memory.max(estimate.memory);
            total.disk += estimate.disk;
            total.download += estimate.download.unwrap_or(0);
            total.unknown_downloads += u64::from(estimate.download.is_none());
            if estimate.basis == Basis::Measured {
                total.measured_seconds += estimate.seconds;
            }
        }
        total
    }

    /// The sum over all nodes that will run.
    #[must_use]
    pub fn all(&self) -> Total {
        self.total(0..self.nodes.len())
    }
}

/// The way through the nodes that will run whose seconds add up to the most.
fn critical(plan: &Plan, nodes: &[Option<Estimate>]) -> Vec<usize> {
    let mut until: Vec<f64> = vec![0.0; nodes.len()];
    let mut before: Vec<Option<usize>> = vec![None; nodes.len()];
    for (index, node) in plan.nodes.iter().enumerate() {
        let latest = node.inputs.iter().copied();
        let latest = latest.max_by(|&a, &b| until[a].total_cmp(&until[b]));
        before[index] = latest;
        let own = nodes[index]
            .as_ref()
            .map_or(0.0, |estimate| estimate.seconds);
        until[index] = latest.map_or(0.0, |input| until[input]) + own;
    }
    let mut next = (0..nodes.len()).max_by(|&a, &b| until[a].total_cmp(&until[b]));
    let mut way = Vec::new();
    while let Some(node) = next {
        if nodes[node].is_some() {
            way.push(node);
        }
        next = before[node];
    }
    way.reverse();
    way
}

/// Whether nodes of a kind take what can be foreseen.
fn is_work(kind: Kind) -> bool {
    kind != Kind::Model
}
