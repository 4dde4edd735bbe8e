//! Paired comparisons: the same samples, scored by the same metric, of two models or under two conditions.
//!
//! Binary scores: exact McNemar and Newcombe's interval for paired proportions. Other scores: paired bootstrap interval
//! and sign-flip permutation test. The unit is the prompt, whatever the number of completions per prompt.

mod alike;
mod clusters;
mod conditions;
mod difference;
mod pairing;
mod pooled;
mod selections;
mod statistic;
mod trainings;

use driftgauge_plugin_protocol::wire::{Direction, MetricOutput, Scalar, ScoreKind, Scores};
use driftgauge_problem::Problem;
use driftgauge_record::{Interval, PairedDetail, PairedTest};
use driftgauge_stats::bootstrap::Options;
use serde::{Deserialize, Serialize};

pub use alike::Compared;
pub use alike::measured_otherwise;
pub use clusters::Clusters;
pub use conditions::{between_conditions, differences_in_differences};
use difference::{How, difference};
use pairing::pair;
use selections::between_selections;
pub use trainings::between_trainings;

/// What is held against what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Between {
    /// A model and the baseline, under the same condition.
    #[default]
    Models,
    /// A condition and the evaluation's first one, of the same model.
    Conditions,
    /// How far a condition moved a model, and how far it moved the baseline.
    DifferenceInDifferences,
    /// Prompts that a model chose by its own answers and those that the baseline chose.
    Selections,
    /// All trainings of a model and all those of the baseline.
    Trainings,
}

/// One paired comparison, free of names but those of the metric itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PairComparison {
    /// What is held against what.
    pub between: Between,
    /// Id of the number.
    pub scalar: String,
    /// Title of the number.
    pub title: String,
    /// Condition.
    pub condition: String,
    /// Condition it is held against, unless that is the same.
    pub baseline_condition: Option<String>,
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
    /// What stands behind it.
    pub detail: PairedDetail,
}

/// Compares every number that both outputs have scores for, in the order of the baseline's, and those over prompts that each
/// model chose itself.
///
/// # Errors
/// When the two outputs score different samples.
pub fn between_models(
    baseline: &MetricOutput,
    model: &MetricOutput,
    how: (Options, &Clusters),
) -> Result<Vec<PairComparison>, Problem> {
    let mut out = Vec::new();
    for ours in &baseline.scores {
        let Some(theirs) = scores(model, &ours.id, &ours.condition) else {
            continue;
        };
        let scalar = scalar(baseline, &ours.id, &ours.condition);
        // What each model chose by its own answers need not be the same.
        let primary = scalar.is_some_and(|scalar| scalar.primary && !scalar.selected);
        match compare(ours, theirs, scalar, how) {
            Ok(found) => out.push(named(found, scalar, ours, Between::Models)),
            Err(error) if primary => return Err(error),
            // A number over a part that differs from model to model (say, what was right at first) has no pairs.
            Err(_) => {}
        }
    }
    out.extend(pooled::between_models(baseline, model, how));
    // Prompts that each model chose itself are held to be independent, which those of a cluster are not.
    if how.1.is_empty() {
        out.extend(between_selections(baseline, model, how.0.level, &out));
    }
    Ok(out)
}

/// The difference of two columns of scores.
fn compare(
    baseline: &Scores,
    model: &Scores,
    scalar: Option<&Scalar>,
    (options, clusters): (Options, &Clusters),
) -> Result<difference::Difference, Problem> {
    let paired = pair(&[baseline], &[model])?;
    // Differences of shares have the same unit; that none is negative tells them apart only where they vary.
    let shares = |column: &Vec<f64>| column.iter().all(|score| (0.0..=1.0).contains(score));
    let how = How {
        options,
        binary: baseline.kind == ScoreKind::Binary && model.kind == ScoreKind::Binary,
        bounded: scalar.is_some_and(|scalar| scalar.unit == "ratio")
            && paired.columns.iter().all(shares),
        primary: scalar.is_some_and(|scalar| scalar.primary),
    };
    Ok(match clusters.is_empty() {
        true => difference(&paired, how),
        false => difference::of_clusters(&paired, &clusters.numbers(&paired.ids), how),
    })
}

fn named(
    found: difference::Difference,
    scalar: Option<&Scalar>,
    scores: &Scores,
    between: Between,
) -> PairComparison {
    described(found, scalar, (&scores.id, &scores.condition), between)
}

fn described(
    found: difference::Difference,
    scalar: Option<&Scalar>,
    (id, condition): (&str, &str),
    between: Between,
) -> PairComparison {
    let direction = match scalar.map(|scalar| scalar.direction) {
        Some(Direction::Lower) => "lower",
        Some(Direction::Higher) => "higher",
        _ => "none",
    };
    PairComparison {
        between,
        scalar: id.to_owned(),
        title: scalar
            .map(|scalar| scalar.title.clone())
            .unwrap_or_default(),
        condition: condition.to_owned(),
        baseline_condition: None,
        primary: scalar.is_some_and(|scalar| scalar.primary),
        direction: direction.to_owned(),
        delta: found.delta,
        ci: found.ci,
        test: found.test,
        p: found.p,
        n: found.n,
        detail: found.detail,
    }
}

fn scores<'a>(output: &'a MetricOutput, id: &str, condition: &str) -> Option<&'a Scores> {
    output
        .scores
        .iter()
        .find(|scores| scores.id == id && scores.condition == condition)
}

fn scalar<'a>(output: &'a MetricOutput, id: &str, condition: &str) -> Option<&'a Scalar> {
    output
        .scalars
        .iter()
        .find(|scalar| scalar.id == id && scalar.condition == condition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_plugin_protocol::wire::OUTPUT_SCHEMA;

    /// An output with one primary number under each of some conditions.
    pub(super) fn output(kind: ScoreKind, conditions: &[(&str, &[&str], &[f64])]) -> MetricOutput {
        let mut output = MetricOutput {
            schema: OUTPUT_SCHEMA,
            ..MetricOutput::default()
        };
        for (condition, ids, values) in conditions {
            let scalar = Scalar::new("asr", "attack success rate", condition);
            output.scalars.push(scalar.lower_is_better().primary());
            output.scores.push(Scores {
                id: "asr".into(),
                condition: (*condition).to_owned(),
                kind,
                sample_ids: ids.iter().copied().collect(),
                values: values.iter().map(|&value| Some(value)).collect(),
            });
        }
        output
    }

    fn options() -> Options {
        Options {
            resamples: 100,
            ..Options::default()
        }
    }

    #[test]
    fn samples_are_paired_by_id_not_by_place() {
        let ids: [&str; 3] = ["a", "b", "c"];
        let baseline = output(ScoreKind::Binary, &[("default", &ids, &[0.0, 1.0, 0.0])]);
        let model = output(
            ScoreKind::Binary,
            &[("default", &["c", "a", "b"], &[1.0, 1.0, 1.0])],
        );
        let found = between_models(&baseline, &model, (options(), &Clusters::default()))
            .unwrap()
            .remove(0);
        let test = found.test.unwrap();
        assert_eq!((test.baseline_only, test.model_only), (Some(0), Some(2)));
        assert!((found.delta.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.p, Some(0.5));
    }

    #[test]
    fn different_samples_are_refused() {
        let baseline = output(ScoreKind::Real, &[("default", &["a", "b"], &[0.0, 1.0])]);
        let model = output(ScoreKind::Real, &[("default", &["a", "z"], &[0.0, 1.0])]);
        let how = (options(), &Clusters::default());
        let error = between_models(&baseline, &model, how).unwrap_err();
        assert!(error.message.contains("`b` is missing"), "{error}");
    }
}
