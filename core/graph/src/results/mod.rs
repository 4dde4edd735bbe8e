//! From metric outputs and comparisons to `results.json`: names, order, families, gates, published values.

mod expected;
mod families;
mod gates;

use driftgauge_plugin_protocol::wire::{self, Direction, MetricOutput, Scalar};
use driftgauge_record::{Comparison, Interval, Metric, RESULTS_SCHEMA, Results, Spread};

use crate::compare::{Between, PairComparison};
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
    /// The comparisons, one per condition and number.
    pub comparisons: Vec<PairComparison>,
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
        schema: RESULTS_SCHEMA,
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
                        .comparisons
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
                        };
                        list.push(comparison(result, pair));
                    }
                }
            }
            for result in &of_metric {
                for note in &result.output.notes {
                    out.notes.push(format!(
                        "{evaluation_id}/{metric_id} of {}: {note}",
                        result.model
                    ));
                }
            }
        }
    }
    for list in [
        &mut out.comparisons,
        &mut out.further_comparisons,
        &mut out.condition_comparisons,
        &mut out.differences_in_differences,
    ] {
        adjust(list, &experiment.compare.families);
    }
    out.notes
        .extend(families::empty(&out, &experiment.compare.families));
    warn_below_floor(experiment, &mut out);
    out.notes.extend(crate::remote::notes(experiment));
    out.expected = experiment
        .expected
        .iter()
        .map(|expected| expected::hold_against(&out, expected))
        .collect();
    out.notes.extend(expected::unknown(&out));
    out.gates = experiment
        .gates
        .iter()
        .flat_map(|gate| gates::judge(&out, gate))
        .collect();
    out
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
        ci: scalar.ci.as_ref().map(interval),
        intervals: scalar.intervals.iter().map(interval).collect(),
        spread: scalar.spread.map(spread),
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

fn interval(ci: &wire::Interval) -> Interval {
    Interval {
        level: ci.level,
        low: ci.low,
        high: ci.high,
        method: ci.method.clone(),
    }
}

fn spread(spread: wire::Spread) -> Spread {
    Spread {
        sd: spread.sd,
        se: spread.se,
        sd_population: spread.sd_population,
        se_population: spread.se_population,
        median: spread.median,
        min: spread.min,
        max: spread.max,
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
