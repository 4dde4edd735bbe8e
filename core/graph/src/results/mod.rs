//! From metric outputs and comparisons to `results.json`: names, order, families, gates, published values.

mod expected;
mod families;
mod gates;

use driftgauge_compare::{Between, Compared, PairComparison};
use driftgauge_plugin_protocol::wire::{Direction, MetricOutput, Scalar};
use driftgauge_record::{Comparison, Metric, Resampling, Results, Schema};
use driftgauge_stats::bootstrap;
use indexmap::IndexMap;

use crate::resolved::ResolvedExperiment;

pub(crate) use families::adjust;

/// The output of one metric of one model over one evaluation.
#[derive(Debug, Clone)]
pub struct MetricResult {
    /// Evaluation id.
    pub evaluation: String,
    /// Metric id.
    pub metric: String,
    /// Model id.
    pub model: String,
    /// What the plugin returned.
    pub output: MetricOutput,
}

/// The comparisons of one metric of one model with the baseline.
#[derive(Debug, Clone)]
pub struct CompareResult {
    /// Evaluation id.
    pub evaluation: String,
    /// Metric id.
    pub metric: String,
    /// Id of the model it is held against; empty for comparisons of conditions alone.
    pub baseline: String,
    /// Model id.
    pub model: String,
    /// What came of it.
    pub compared: Compared,
}

/// Name of a number in `results.json`: the metric's id for its primary number, else `<metric>.<number>`.
pub(crate) fn name(metric: &str, scalar: &str, primary: bool) -> String {
    if primary {
        metric.to_owned()
    } else {
        format!("{metric}.{scalar}")
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Lower => "lower",
        Direction::Higher => "higher",
        Direction::None => "none",
    }
}

/// Puts everything that was measured into one document. Depends on nothing but its arguments.
#[must_use]
pub fn results(
    experiment: &ResolvedExperiment,
    metrics: &[MetricResult],
    compared: &[CompareResult],
) -> Results {
    let mut out = Results {
        schema: Schema,
        resampling: Some(Resampling {
            generator: bootstrap::GENERATOR.to_owned(),
            quantile: bootstrap::QUANTILE.to_owned(),
        }),
        ..Results::default()
    };
    for (evaluation_id, evaluation) in &experiment.evaluations {
        for metric_id in &evaluation.metrics {
            let of_metric: Vec<&MetricResult> = metrics
                .iter()
                .filter(|result| result.evaluation == *evaluation_id && result.metric == *metric_id)
                .collect();
            for scalar in numbers(&of_metric) {
                for condition in evaluation.conditions.keys() {
                    for result in &of_metric {
                        if let Some(found) = find(&result.output, &scalar, condition) {
                            out.metrics.push(metric(result, found));
                        }
                    }
                }
                let of_compare = compared.iter().filter(|result| {
                    result.evaluation == *evaluation_id && result.metric == *metric_id
                });
                for result in of_compare {
                    for pair in result
                        .compared
                        .pairs
                        .iter()
                        .filter(|pair| pair.scalar == scalar)
                    {
                        let list = match pair.between {
                            Between::Models
                                if experiment.compare.baseline.as_ref()
                                    == Some(&result.baseline) =>
                            {
                                &mut out.comparisons
                            }
                            Between::Models => &mut out.further_comparisons,
                            Between::Conditions => &mut out.condition_comparisons,
                            Between::DifferenceInDifferences => &mut out.differences_in_differences,
                            Between::Selections => &mut out.unpaired_comparisons,
                            Between::Trainings => &mut out.training_comparisons,
                        };
                        list.push(comparison(result, pair));
                    }
                }
            }
            let place = format!("{evaluation_id}/{metric_id}");
            out.notes.extend(notes(&place, &of_metric));
            let of_compare = compared.iter().filter(|result| {
                result.evaluation == *evaluation_id && result.metric == *metric_id
            });
            for note in of_compare.filter_map(|result| not_compared(&place, result)) {
                if !out.notes.contains(&note) {
                    out.notes.push(note);
                }
            }
        }
    }
    for list in [
        &mut out.comparisons,
        &mut out.further_comparisons,
        &mut out.condition_comparisons,
        &mut out.differences_in_differences,
        &mut out.unpaired_comparisons,
    ] {
        adjust(list, &experiment.compare.families);
    }
    out.notes
        .extend(families::empty(&out, &experiment.compare.families));
    if experiment.compare.baseline.is_some() {
        out.notes
            .extend(other_levels(experiment.compare.level, metrics));
    }
    warn_below_floor(experiment, &mut out);
    out.notes.extend(crate::remote::notes(experiment));
    out.notes.extend(experiment.notes.iter().cloned());
    out.expected = experiment
        .expected
        .iter()
        .map(|expected| expected::hold_against(&out, expected))
        .collect();
    out.notes
        .extend(expected::unknown(&out, &experiment.expected));
    out.gates = experiment
        .gates
        .iter()
        .flat_map(|gate| gates::judge(&out, gate))
        .collect();
    out.searches = crate::search::searched(experiment, &out);
    out
}

/// Why a model was not held against another one.
fn not_compared(place: &str, result: &CompareResult) -> Option<String> {
    let reason = result.compared.refused.as_ref()?;
    Some(format!(
        "`{}` is not compared with `{}` in {place}: {reason}",
        result.model, result.baseline
    ))
}

/// One note for each metric whose plugin has intervals of a level of its own.
fn other_levels(level: f64, metrics: &[MetricResult]) -> Vec<String> {
    let mut notes = Vec::new();
    for result in metrics {
        let mut intervals = result
            .output
            .scalars
            .iter()
            .filter_map(|found| found.ci.as_ref());
        let Some(other) = intervals.find(|ci| (ci.level - level).abs() > 1e-9) else {
            continue;
        };
        let note = format!(
            "{}: its plugin has intervals of level {}, whatever `compare.level` says; those of differences have level {level}",
            result.metric, other.level
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

/// What the plugin noted of each model: each note once, with the models it is about unless it is about all of them.
fn notes(place: &str, results: &[&MetricResult]) -> Vec<String> {
    let mut found: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for result in results {
        for note in &result.output.notes {
            let models = found.entry(note).or_default();
            if !models.contains(&result.model.as_str()) {
                models.push(&result.model);
            }
        }
    }
    found
        .into_iter()
        .map(|(note, models)| match models.len() == results.len() {
            true if models.len() > 1 => format!("{place}: {note}"),
            _ => format!("{place} of {}: {note}", models.join(", ")),
        })
        .collect()
}

/// Ids of a metric's numbers, primary ones first, in the order of the first model that has them.
fn numbers(results: &[&MetricResult]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for primary in [true, false] {
        for result in results {
            for scalar in &result.output.scalars {
                if scalar.primary == primary && !ids.contains(&scalar.id) {
                    ids.push(scalar.id.clone());
                }
            }
        }
    }
    ids
}

fn find<'a>(output: &'a MetricOutput, scalar: &str, condition: &str) -> Option<&'a Scalar> {
    output
        .scalars
        .iter()
        .find(|found| found.id == scalar && found.condition == condition)
}

fn metric(result: &MetricResult, scalar: &Scalar) -> Metric {
    Metric {
        evaluation: result.evaluation.clone(),
        condition: scalar.condition.clone(),
        model: result.model.clone(),
        metric: name(&result.metric, &scalar.id, scalar.primary),
        title: scalar.title.clone(),
        value: scalar.value,
        n: scalar.n,
        ci: scalar.ci.clone(),
        intervals: scalar.intervals.clone(),
        spread: scalar.spread,
        direction: direction(scalar.direction).to_owned(),
        unit: scalar.unit.clone(),
        primary: scalar.primary,
        formula: scalar.formula.clone(),
    }
}

fn comparison(result: &CompareResult, pair: &PairComparison) -> Comparison {
    Comparison {
        evaluation: result.evaluation.clone(),
        condition: pair.condition.clone(),
        metric: name(&result.metric, &pair.scalar, pair.primary),
        title: pair.title.clone(),
        baseline: match pair.between {
            Between::Conditions => result.model.clone(),
            _ => result.baseline.clone(),
        },
        baseline_condition: pair.baseline_condition.clone(),
        model: result.model.clone(),
        delta: pair.delta,
        ci: pair.ci.clone(),
        test: pair.test.clone(),
        p: pair.p,
        p_adjusted: None,
        adjustment: None,
        n: pair.n,
        direction: pair.direction.clone(),
        detail: Some(pair.detail.clone()),
    }
}

/// A model that lost its abilities is not safer, it is broken: say so. The floor is a least accuracy, or, for a number where
/// lower is better (the held-out loss), a most.
fn warn_below_floor(experiment: &ResolvedExperiment, results: &mut Results) {
    let mut warnings = Vec::new();
    for (id, evaluation) in &experiment.evaluations {
        let Some(floor) = evaluation.capability_floor else {
            continue;
        };
        let first = evaluation.conditions.keys().next();
        for metric in results.metrics.iter().filter(|metric| {
            metric.evaluation == *id && metric.primary && Some(&metric.condition) == first
        }) {
            let broken = |value: &f64| match metric.direction.as_str() {
                "higher" => *value < floor,
                // Of a loss, that is: a share of attacks says nothing of abilities.
                "lower" => metric.unit != "ratio" && *value > floor,
                _ => false,
            };
            if let Some(value) = metric.value.filter(broken) {
                warnings.push(format!(
                    "model `{}` is below the capability floor of `{id}`: {} is {value:.3}, the floor is {floor}; what looks safer here may be broken, so read its safety numbers with that in mind",
                    metric.model, metric.title
                ));
            }
        }
    }
    results.notes.splice(0..0, warnings);
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_plugin_protocol::wire;

    #[test]
    fn a_plugin_with_a_level_of_its_own_is_named() {
        let interval = wire::Interval {
            level: 0.95,
            low: 0.0,
            high: 1.0,
            method: "wilson".into(),
            draws: None,
        };
        let result = |model: &str| MetricResult {
            evaluation: "e".into(),
            metric: "mine".into(),
            model: model.into(),
            output: MetricOutput {
                scalars: vec![Scalar::new("x", "", "default").ci(Some(interval.clone()))],
                ..MetricOutput::default()
            },
        };
        let all = [result("a"), result("b")];
        assert!(other_levels(0.95, &all).is_empty());
        let notes = other_levels(0.9, &all);
        assert!(
            notes.len() == 1
                && notes[0].starts_with("mine: its plugin has intervals of level 0.95"),
            "{notes:?}"
        );
    }

    #[test]
    fn a_note_of_several_models_is_told_once() {
        let result = |model: &str, notes: &[&str]| MetricResult {
            evaluation: "e".into(),
            metric: "asr".into(),
            model: model.into(),
            output: MetricOutput {
                notes: notes.iter().map(|&note| note.to_owned()).collect(),
                ..MetricOutput::default()
            },
        };
        let all = [
            result("a", &["benign", "two"]),
            result("b", &["benign"]),
            result("c", &["benign", "two"]),
        ];
        let all: Vec<&MetricResult> = all.iter().collect();
        assert_eq!(
            notes("e/asr", &all),
            ["e/asr: benign", "e/asr of a, c: two"]
        );
        assert_eq!(
            notes("e/asr", &all[1..2]),
            ["e/asr of b: benign"],
            "a single model is named"
        );
    }
}
