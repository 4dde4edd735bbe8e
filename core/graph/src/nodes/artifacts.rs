//! What nodes leave in the store, and how to find it.

use std::fs;
use std::path::Path;

use driftgauge_compare::Compared;
use driftgauge_plugin_protocol::wire::MetricOutput;
use driftgauge_problem::{Context as _, Problem};
use driftgauge_store::Artifact;

use crate::context::Context;

/// Samples of a generate or score node, names left empty.
pub(crate) const COMPLETIONS: &str = "completions.parquet";
/// Verdicts of a judge node.
pub(crate) const VERDICTS: &str = "verdicts.jsonl";
/// Divergences of a model from its reference.
pub(crate) const DIVERGENCE: &str = "divergence.jsonl";
/// Output of a metric node.
pub(crate) const METRIC: &str = "metric.json";
/// Output of a compare node.
pub(crate) const COMPARISONS: &str = "comparisons.json";
/// Rows of a dataset node.
pub(crate) const ROWS: &str = "rows.jsonl";

/// Makes the files in `scratch` the node's artifact. It is provisional when `unanswered` of its own requests, or of its
/// inputs', got no answer: the next run makes it again.
pub(crate) fn keep(
    context: &Context,
    node: usize,
    scratch: &Path,
    unanswered: u64,
) -> Result<(), Problem> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    let mut inputs = planned
        .inputs
        .iter()
        .filter_map(|&input| context.plan.nodes[input].key.as_ref());
    let lacking = unanswered > 0 || inputs.any(|key| context.store.provisional(key).is_some());
    let kept = if lacking {
        context.store.commit_provisional(key, scratch, unanswered)
    } else {
        context.store.commit(key, scratch)
    };
    kept.map(drop).map_err(Problem::from)
}

/// Writes a small file of an artifact.
pub(crate) fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), Problem> {
    let text = serde_json::to_string(value)?;
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// The artifact of a node that has run.
pub(crate) fn artifact_of(context: &Context, node: usize) -> Result<Artifact, Problem> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    context
        .store
        .get(key)?
        .ok_or_else(|| format!("`{}` has no artifact", planned.id).into())
}

/// The output of a metric node.
pub(crate) fn metric_output(context: &Context, node: usize) -> Result<MetricOutput, Problem> {
    let path = artifact_of(context, node)?.path(METRIC);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(Problem::from)
}

/// The output of a compare node.
pub(crate) fn comparisons(context: &Context, node: usize) -> Result<Compared, Problem> {
    let path = artifact_of(context, node)?.path(COMPARISONS);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(Problem::from)
}
