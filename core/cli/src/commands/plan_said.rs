//! What is said of a plan, in whatever form.

use std::collections::BTreeSet;

use driftgauge_graph::forecast::{Forecast, Rates};
use driftgauge_graph::why::{Standing, Status};
use indexmap::IndexMap;

use super::load;
use super::planned_jobs::{self, Tested};
use crate::exit::Exit;

/// A plan with everything that is said of it.
pub(super) struct Said<'a> {
    pub(super) prepared: &'a load::Prepared,
    /// Of every node of the plan.
    pub(super) verdicts: Vec<Standing>,
    /// Positions of the nodes that are told.
    pub(super) meant: BTreeSet<usize>,
    pub(super) forecast: Forecast,
    pub(super) rates: Rates,
    /// What a queue says of the jobs, where one is named.
    pub(super) tested: Option<Vec<Tested>>,
}

/// Positions of the nodes that would run.
pub(super) fn to_run(verdicts: &[Standing]) -> BTreeSet<usize> {
    let all = verdicts.iter().enumerate();
    all.filter(|(_, verdict)| verdict.status != Status::Ready)
        .map(|(node, _)| node)
        .collect()
}

impl Said<'_> {
    pub(super) fn outcome(&self) -> Exit {
        match self.tested.as_deref().is_some_and(planned_jobs::refused) {
            true => Exit::Usage,
            false => Exit::Done,
        }
    }

    /// Nodes by kind in the order of the plan: all of them, and those that are not there yet.
    pub(super) fn totals(&self) -> IndexMap<&'static str, [u64; 2]> {
        let mut totals: IndexMap<&'static str, [u64; 2]> = IndexMap::new();
        for &node in &self.meant {
            let kind = self.prepared.planned.plan.nodes[node].kind;
            let [nodes, run] = totals.entry(kind.as_str()).or_default();
            *nodes += 1;
            *run += u64::from(self.verdicts[node].status != Status::Ready);
        }
        totals
    }
}
