//! Scores of single prompts, metric by metric.

use std::collections::HashMap;

use driftgauge_plugin_protocol::wire::ScoreKind;

use super::super::context::Context;
use super::{Key, columns, pattern_of};
use crate::model::{FlipCount, ScoredMetric};

/// Metrics of single prompts that a section shows at most.
const METRICS: usize = 8;

/// The binary scores of an evaluation.
#[derive(Default)]
pub(super) struct Scores {
    pub(super) metrics: Vec<ScoredMetric>,
    /// For each prompt `metric * models + model`.
    values: HashMap<Key, Vec<Option<f64>>>,
    models: usize,
}

impl Scores {
    pub(super) fn of(context: &Context<'_>, evaluation: &str, models: &[String]) -> Self {
        let outputs = context.index.outputs_of(evaluation);
        let columns = columns(models);
        // Primary numbers first, each in the order of the spec.
        let mut found: Vec<ScoredMetric> = Vec::new();
        for output in outputs {
            for scores in &output.output.scores {
                let scalar =
                    output.output.scalars.iter().find(|scalar| {
                        scalar.id == scores.id && scalar.condition == scores.condition
                    });
                let (Some(scalar), ScoreKind::Binary) = (scalar, scores.kind) else {
                    continue;
                };
                let metric = name(&output.metric, &scores.id, scalar.primary);
                if found.iter().all(|known| known.metric != metric) {
                    found.push(ScoredMetric {
                        metric,
                        title: scalar.title.clone(),
                        primary: scalar.primary,
                    });
                }
            }
        }
        found.sort_by_key(|metric| !metric.primary);
        found.truncate(METRICS);
        let mut scores = Self {
            metrics: found,
            values: HashMap::new(),
            models: models.len(),
        };
        for output in outputs {
            let Some(&column) = columns.get(output.model.as_str()) else {
                continue;
            };
            for found in &output.output.scores {
                let primary = output
                    .output
                    .scalars
                    .iter()
                    .any(|scalar| scalar.id == found.id && scalar.primary);
                let metric = name(&output.metric, &found.id, primary);
                let known = scores
                    .metrics
                    .iter()
                    .position(|entry| entry.metric == metric);
                if let (Some(metric), ScoreKind::Binary) = (known, found.kind) {
                    let ids = found.sample_ids.iter().zip(found.values.iter());
                    scores.add(metric, column, &found.condition, ids);
                }
            }
        }
        scores
    }

    fn add<'a>(
        &mut self,
        metric: usize,
        column: usize,
        condition: &str,
        ids: impl Iterator<Item = (&'a str, Option<f64>)>,
    ) {
        let cells = self.metrics.len() * self.models;
        for (id, value) in ids {
            let key = (condition.to_owned(), id.to_owned());
            let row = self.values.entry(key).or_insert_with(|| vec![None; cells]);
            row[metric * self.models + column] = value;
        }
    }

    /// How the models differ on a prompt: 0 where they do not by any metric. `None` without metrics.
    pub(super) fn pattern(&self, key: &Key) -> Option<u64> {
        if self.metrics.is_empty() {
            return None;
        }
        let Some(row) = self.values.get(key) else {
            return Some(0);
        };
        let metrics = row.chunks(self.models.max(1));
        Some(metrics.fold(0, |all: u64, values| {
            all.wrapping_mul(1_000_003).wrapping_add(pattern_of(values))
        }))
    }

    /// One model's scores on a prompt.
    pub(super) fn of_cell(&self, key: &Key, column: usize) -> Vec<Option<f64>> {
        let row = self.values.get(key);
        (0..self.metrics.len())
            .map(|metric| row.and_then(|row| row[metric * self.models + column]))
            .collect()
    }

    /// On how many prompts each model differs from the baseline, metric by metric and condition by condition.
    pub(super) fn flips(
        &self,
        models: &[String],
        conditions: &[String],
        baseline: Option<&str>,
    ) -> Vec<FlipCount> {
        let Some(base) = models
            .iter()
            .position(|model| Some(model.as_str()) == baseline)
        else {
            return Vec::new();
        };
        let mut counts = Vec::new();
        for metric in 0..self.metrics.len() {
            for condition in conditions {
                for (column, model) in models.iter().enumerate().filter(|(at, _)| *at != base) {
                    let mut count = FlipCount {
                        metric,
                        condition: condition.clone(),
                        baseline: models[base].clone(),
                        model: model.clone(),
                        pairs: 0,
                        baseline_only: 0,
                        model_only: 0,
                    };
                    for (key, row) in &self.values {
                        let value = |column: usize| row[metric * self.models + column];
                        let (true, Some(ours), Some(theirs)) =
                            (key.0 == *condition, value(base), value(column))
                        else {
                            continue;
                        };
                        count.pairs += 1;
                        count.baseline_only += u64::from(ours > theirs);
                        count.model_only += u64::from(theirs > ours);
                    }
                    if count.pairs > 0 {
                        counts.push(count);
                    }
                }
            }
        }
        counts
    }
}

/// The metric's own name for its primary number, as in `results.json`.
fn name(metric: &str, scalar: &str, primary: bool) -> String {
    if primary {
        metric.to_owned()
    } else {
        format!("{metric}.{scalar}")
    }
}
