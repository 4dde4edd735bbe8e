//! What flipped: by the metrics that stand for their plugins, or by all where none of those flipped.

use serde::Serialize;

use crate::Report;
use crate::model::{FlipCount, SampleSection};

/// Rows that stand in the order of the spec; of more, the largest come first.
const IN_ORDER: usize = 200;

/// The prompts on which one model scores otherwise than the baseline.
#[derive(Debug, Serialize)]
pub(super) struct FlipRow<'a> {
    evaluation: &'a str,
    metric: &'a str,
    title: &'a str,
    condition: &'a str,
    model: &'a str,
    baseline_only: u64,
    model_only: u64,
    pairs: u64,
}

pub(super) fn of(report: &Report) -> Vec<FlipRow<'_>> {
    let mut rows: Vec<FlipRow<'_>> = report.samples.iter().flat_map(of_section).collect();
    if rows.len() > IN_ORDER {
        rows.sort_by_key(|row| std::cmp::Reverse(row.baseline_only + row.model_only));
    }
    rows
}

fn of_section(section: &SampleSection) -> Vec<FlipRow<'_>> {
    let flipped: Vec<&FlipCount> = section
        .flips
        .iter()
        .filter(|flip| flip.baseline_only + flip.model_only > 0)
        .collect();
    let is_primary = |flip: &FlipCount| section.metrics[flip.metric].primary;
    let some = flipped.iter().any(|flip| is_primary(flip));
    let own = flipped.into_iter().filter(|flip| is_primary(flip) || !some);
    own.map(|flip| FlipRow {
        evaluation: &section.evaluation,
        metric: &section.metrics[flip.metric].metric,
        title: &section.metrics[flip.metric].title,
        condition: &flip.condition,
        model: &flip.model,
        baseline_only: flip.baseline_only,
        model_only: flip.model_only,
        pairs: flip.pairs,
    })
    .collect()
}
