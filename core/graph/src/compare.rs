//! Paired comparison of two models: the same samples, scored by the same metric.
//!
//! Binary scores: exact McNemar and Newcombe's interval for paired proportions. Other scores: paired bootstrap interval
//! and sign-flip permutation test. The unit is the prompt, whatever the number of completions per prompt.

use std::collections::HashMap;

use driftgauge_plugin_protocol::wire::{Direction, MetricOutput, ScoreKind, Scores};
use driftgauge_record::{Interval, PairedTest};
use driftgauge_stats::bootstrap::{Options, mean_interval};
use driftgauge_stats::paired::{PairCounts, mcnemar_exact, newcombe_paired};
use driftgauge_stats::permutation::sign_flip;
use driftgauge_stats::summary::mean;
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
        let same = |scores: &&Scores| scores.id == ours.id && scores.condition == ours.condition;
        let Some(theirs) = model.scores.iter().find(same) else {
            continue;
        };
        let scalar = baseline
            .scalars
            .iter()
            .find(|scalar| scalar.id == ours.id && scalar.condition == ours.condition);
        let pairs = match pair(ours, theirs) {
            Ok(pairs) => pairs,
            Err(error) if scalar.is_some_and(|scalar| scalar.primary) => return Err(error),
            // A number over a part that differs from model to model (say, what was right at first) has no pairs.
            Err(_) => continue,
        };
        let options = Options {
            level,
            resamples,
            seed,
        };
        let binary = ours.kind == ScoreKind::Binary && theirs.kind == ScoreKind::Binary;
        let mut comparison = if binary {
            compare_binary(&pairs, level)
        } else {
            compare_real(&pairs, options)
        };
        comparison.scalar.clone_from(&ours.id);
        comparison.condition.clone_from(&ours.condition);
        comparison.title = scalar
            .map(|scalar| scalar.title.clone())
            .unwrap_or_default();
        comparison.primary = scalar.is_some_and(|scalar| scalar.primary);
        comparison.direction = match scalar.map(|scalar| scalar.direction) {
            Some(Direction::Lower) => "lower",
            Some(Direction::Higher) => "higher",
            _ => "none",
        }
        .to_owned();
        out.push(comparison);
    }
    Ok(out)
}

fn compare_binary(pairs: &[(f64, f64)], level: f64) -> PairComparison {
    let counts = PairCounts::of(pairs);
    let mut comparison = blank(pairs);
    comparison.ci = newcombe_paired(counts, level).map(interval);
    if counts.n() > 0 {
        comparison.p = Some(mcnemar_exact(counts.baseline_only, counts.model_only));
        comparison.test = Some(PairedTest {
            name: "mcnemar-exact".to_owned(),
            baseline_only: Some(counts.baseline_only),
            model_only: Some(counts.model_only),
        });
    }
    comparison
}

fn compare_real(pairs: &[(f64, f64)], options: Options) -> PairComparison {
    let differences: Vec<f64> = pairs
        .iter()
        .map(|(baseline, model)| model - baseline)
        .collect();
    let mut comparison = blank(pairs);
    comparison.ci = mean_interval(&differences, options).map(interval);
    comparison.p = sign_flip(&differences, options.resamples, options.seed);
    comparison.test = comparison.p.map(|_| PairedTest {
        name: "sign-flip-permutation".to_owned(),
        baseline_only: None,
        model_only: None,
    });
    comparison
}

fn blank(pairs: &[(f64, f64)]) -> PairComparison {
    let differences: Vec<f64> = pairs
        .iter()
        .map(|(baseline, model)| model - baseline)
        .collect();
    PairComparison {
        scalar: String::new(),
        title: String::new(),
        condition: String::new(),
        primary: false,
        direction: String::new(),
        delta: mean(&differences),
        ci: None,
        test: None,
        p: None,
        n: pairs.len() as u64,
    }
}

fn interval(interval: driftgauge_stats::Interval) -> Interval {
    Interval {
        level: interval.level,
        low: interval.low,
        high: interval.high,
        method: interval.method,
    }
}

/// Pairs scores by sample id, in the order of the ids; samples that either side has no score for are left out.
fn pair(ours: &Scores, theirs: &Scores) -> Result<Vec<(f64, f64)>, String> {
    let other: HashMap<&str, Option<f64>> = theirs
        .sample_ids
        .iter()
        .map(String::as_str)
        .zip(theirs.values.iter().copied())
        .collect();
    let missing = ours
        .sample_ids
        .iter()
        .find(|id| !other.contains_key(id.as_str()));
    if let Some(id) = missing {
        return Err(format!(
            "the two models do not have the same samples: `{id}` is missing for one of them\nhint: models are compared on the same prompts only"
        ));
    }
    if other.len() != ours.sample_ids.len() {
        return Err(format!(
            "the two models do not have the same samples: {} against {}\nhint: models are compared on the same prompts only",
            ours.sample_ids.len(),
            other.len()
        ));
    }
    let mut pairs: Vec<(&str, f64, f64)> = ours
        .sample_ids
        .iter()
        .zip(&ours.values)
        .filter_map(|(id, baseline)| Some((id.as_str(), (*baseline)?, other[id.as_str()]?)))
        .collect();
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    Ok(pairs
        .into_iter()
        .map(|(_, baseline, model)| (baseline, model))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_plugin_protocol::wire::{OUTPUT_SCHEMA, Scalar};

    fn output(kind: ScoreKind, ids: &[&str], values: &[f64]) -> MetricOutput {
        MetricOutput {
            schema: OUTPUT_SCHEMA,
            scalars: vec![Scalar {
                id: "asr".into(),
                title: "attack success rate".into(),
                condition: "default".into(),
                value: None,
                n: 0,
                ci: None,
                direction: Direction::Lower,
                unit: "ratio".into(),
                formula: String::new(),
                primary: true,
            }],
            scores: vec![Scores {
                id: "asr".into(),
                condition: "default".into(),
                kind,
                sample_ids: ids.iter().map(|&id| id.to_owned()).collect(),
                values: values.iter().map(|&value| Some(value)).collect(),
            }],
            ..MetricOutput::default()
        }
    }

    #[test]
    fn samples_are_paired_by_id_not_by_place() {
        let baseline = output(ScoreKind::Binary, &["a", "b", "c"], &[0.0, 1.0, 0.0]);
        let model = output(ScoreKind::Binary, &["c", "a", "b"], &[1.0, 1.0, 1.0]);
        let found = compare(&baseline, &model, 0.95, 100, 0).unwrap().remove(0);
        let test = found.test.unwrap();
        assert_eq!((test.baseline_only, test.model_only), (Some(0), Some(2)));
        assert!((found.delta.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.p, Some(0.5));
    }

    #[test]
    fn different_samples_are_refused() {
        let baseline = output(ScoreKind::Real, &["a", "b"], &[0.0, 1.0]);
        let model = output(ScoreKind::Real, &["a", "z"], &[0.0, 1.0]);
        let error = compare(&baseline, &model, 0.95, 100, 0).unwrap_err();
        assert!(error.contains("`b` is missing"), "{error}");
    }

    #[test]
    fn equal_scores_differ_by_nothing() {
        let same = output(ScoreKind::Real, &["a", "b"], &[0.5, 1.5]);
        let found = compare(&same, &same, 0.95, 100, 0).unwrap().remove(0);
        assert_eq!((found.delta, found.p), (Some(0.0), Some(1.0)));
        let ci = found.ci.unwrap();
        assert_eq!((ci.low, ci.high), (0.0, 0.0));
    }
}
