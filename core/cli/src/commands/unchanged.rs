//! A run that would make what its folder holds already: nothing is written, and the folder tells of the run that made it.

use driftgauge_graph::context::NodeOutcome;
use driftgauge_graph::event::Outcome;
use driftgauge_graph::plan::{Kind, Node};
use driftgauge_graph::run::{RunRecord, RunSummary};
use driftgauge_graph::{same, sealing};
use driftgauge_problem::Result;
use driftgauge_record::{Results, RunDir};
use driftgauge_report::Report;
use driftgauge_store::{Digest, Store};

use super::load::Prepared;

/// What this run would make; `None` where only the run itself shows it.
pub(super) fn fingerprint(
    prepared: &Prepared,
    record: &RunRecord,
    store: &Store,
) -> Option<Digest> {
    let build = store.digests().of(&std::env::current_exe().ok()?).ok()?;
    same::fingerprint(&build, &prepared.planned, record)
}

/// The summary and the report of a folder that is as a run would leave it, with everything behind it in the store; `None` where anything
/// is missing, damaged or otherwise.
pub(super) fn unchanged(
    prepared: &Prepared,
    fingerprint: &Digest,
    record: &RunRecord,
    out: &RunDir,
    store: &Store,
) -> Result<Option<(RunSummary, Report)>> {
    let clock = std::time::Instant::now();
    if !sealing::is_of(out, fingerprint, &store.digests())
        || !same::tells_of(out, &prepared.planned, record, store)
    {
        return Ok(None);
    }
    let nodes = &prepared.planned.plan.nodes;
    // A model that was there already is no artifact: its digest is in the keys of what it made.
    let is_there = |node: &Node| {
        let is_whole = |key| matches!(store.get(key), Ok(Some(_))) && store.is_finished(key);
        node.kind == Kind::Model || node.key.as_ref().is_some_and(is_whole)
    };
    if !nodes.iter().all(is_there) {
        return Ok(None);
    }
    let results: Results = out.read()?;
    let report = std::fs::read_to_string(out.report_json()).ok();
    let Some(report) = report.and_then(|text| serde_json::from_str::<Report>(&text).ok()) else {
        return Ok(None);
    };
    let reused = NodeOutcome {
        outcome: Outcome::Reused,
        seconds: 0.0,
        error: None,
    };
    let summary = RunSummary {
        results,
        outcomes: vec![Some(reused); nodes.len()],
        seconds: clock.elapsed().as_secs_f64(),
        interrupted: false,
        unanswered: 0,
    };
    Ok(Some((summary, report)))
}
