//! From metric outputs and comparisons to `results.json`: names, order, families, gates, published values.

use driftgauge_plugin_protocol::wire::{Direction, MetricOutput, Scalar};
use driftgauge_record::{Comparison, Expected, Gate, Interval, Metric, RESULTS_SCHEMA, Results};
use driftgauge_stats::multiplicity::{benjamini_hochberg, holm};

use crate::compare::PairComparison;
use crate::resolved::{ResolvedExpected, ResolvedExperiment, ResolvedGate};

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
    /// Model id.
    pub model: String,
    /// The comparisons, one per condition and number.
    pub comparisons: Vec<PairComparison>,
}

/// Name of a number in `results.json`: the metric's id for its primary number, else `<metric>.<number>`.
fn name(metric: &str, scalar: &str, primary: bool) -> String {
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
                        out.comparisons.push(comparison(experiment, result, pair));
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
    adjust(&mut out.comparisons, &experiment.compare.family, holm);
    adjust(
        &mut out.comparisons,
        &experiment.compare.exploratory,
        benjamini_hochberg,
    );
    warn_below_floor(experiment, &mut out);
    out.notes.extend(crate::remote::notes(experiment));
    out.expected = experiment
        .expected
        .iter()
        .map(|expected| hold_against(&out, expected))
        .collect();
    out.gates = experiment
        .gates
        .iter()
        .flat_map(|gate| judge(&out, gate))
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
        ci: scalar.ci.as_ref().map(|ci| Interval {
            level: ci.level,
            low: ci.low,
            high: ci.high,
            method: ci.method.clone(),
        }),
        direction: direction(scalar.direction).to_owned(),
        unit: scalar.unit.clone(),
        primary: scalar.primary,
        formula: scalar.formula.clone(),
    }
}

fn comparison(
    experiment: &ResolvedExperiment,
    result: &CompareResult,
    pair: &PairComparison,
) -> Comparison {
    Comparison {
        evaluation: result.evaluation.clone(),
        condition: pair.condition.clone(),
        metric: name(&result.metric, &pair.scalar, pair.primary),
        title: pair.title.clone(),
        baseline: experiment.compare.baseline.clone().unwrap_or_default(),
        model: result.model.clone(),
        delta: pair.delta,
        ci: pair.ci.clone(),
        test: pair.test.clone(),
        p: pair.p,
        p_adjusted: None,
        n: pair.n,
        direction: pair.direction.clone(),
    }
}

/// Adjusts together the p-values of the named metrics, every model and condition: Holm for the declared family,
/// Benjamini-Hochberg for exploratory ones.
fn adjust(comparisons: &mut [Comparison], family: &[String], method: fn(&[f64]) -> Vec<f64>) {
    let members: Vec<usize> = comparisons
        .iter()
        .enumerate()
        .filter(|(_, comparison)| {
            comparison.p.is_some()
                && family.contains(&format!("{}/{}", comparison.evaluation, comparison.metric))
        })
        .map(|(index, _)| index)
        .collect();
    let p_values: Vec<f64> = members
        .iter()
        .filter_map(|&index| comparisons[index].p)
        .collect();
    for (index, adjusted) in members.into_iter().zip(method(&p_values)) {
        comparisons[index].p_adjusted = Some(adjusted);
    }
}

/// A model that lost its abilities is not safer, it is broken: say so.
fn warn_below_floor(experiment: &ResolvedExperiment, results: &mut Results) {
    let mut warnings = Vec::new();
    for (id, evaluation) in &experiment.evaluations {
        let Some(floor) = evaluation.capability_floor else {
            continue;
        };
        let first = evaluation.conditions.keys().next();
        for metric in results.metrics.iter().filter(|metric| {
            metric.evaluation == *id
                && metric.primary
                && metric.direction == "higher"
                && Some(&metric.condition) == first
        }) {
            if let Some(value) = metric.value.filter(|value| *value < floor) {
                warnings.push(format!(
                    "model `{}` is below the capability floor of `{id}`: {} is {value:.3}, the floor is {floor}; read its safety numbers with that in mind",
                    metric.model, metric.title
                ));
            }
        }
    }
    results.notes.splice(0..0, warnings);
}

fn hold_against(results: &Results, expected: &ResolvedExpected) -> Expected {
    let measured = results.metrics.iter().find(|metric| {
        metric.evaluation == expected.evaluation
            && metric.condition == expected.condition
            && metric.model == expected.model
            && metric.metric == expected.metric
    });
    let value = measured.and_then(|metric| metric.value);
    let ci = measured.and_then(|metric| metric.ci.clone());
    Expected {
        evaluation: expected.evaluation.clone(),
        condition: expected.condition.clone(),
        model: expected.model.clone(),
        metric: expected.metric.clone(),
        published: expected.value,
        measured: value,
        difference: value.map(|value| value - expected.value),
        agrees: ci
            .as_ref()
            .map(|ci| ci.low <= expected.value && expected.value <= ci.high),
        ci,
        source: expected.source.clone(),
    }
}

/// Judges a gate on the interval's bound, once per condition it covers.
fn judge(results: &Results, gate: &ResolvedGate) -> Vec<Gate> {
    let wanted = |evaluation: &str, condition: &str, metric: &str, model: &str| {
        evaluation == gate.evaluation
            && metric == gate.metric
            && model == gate.model
            && gate
                .condition
                .as_ref()
                .is_none_or(|wanted| wanted == condition)
    };
    let found: Vec<(String, Option<Interval>)> = if gate.difference {
        results
            .comparisons
            .iter()
            .filter(|c| wanted(&c.evaluation, &c.condition, &c.metric, &c.model))
            .map(|c| (c.condition.clone(), c.ci.clone()))
            .collect()
    } else {
        results
            .metrics
            .iter()
            .filter(|m| wanted(&m.evaluation, &m.condition, &m.metric, &m.model))
            .map(|m| (m.condition.clone(), m.ci.clone()))
            .collect()
    };
    let subject = format!(
        "{}{}/{} of {}",
        if gate.difference {
            "difference of "
        } else {
            ""
        },
        gate.evaluation,
        gate.metric,
        gate.model
    );
    if found.is_empty() {
        return vec![Gate {
            rule: format!("{subject}: not measured"),
            bound: None,
            limit: gate.upper.or(gate.lower).unwrap_or_default(),
            passed: false,
        }];
    }
    let mut gates = Vec::new();
    for (condition, ci) in found {
        let place = if condition == "default" {
            subject.clone()
        } else {
            format!("{subject} under {condition}")
        };
        if let Some(limit) = gate.upper {
            let bound = ci.as_ref().map(|ci| ci.high);
            gates.push(Gate {
                rule: format!("{place}: upper bound at most {limit}"),
                bound,
                limit,
                passed: bound.is_some_and(|bound| bound <= limit),
            });
        }
        if let Some(limit) = gate.lower {
            let bound = ci.as_ref().map(|ci| ci.low);
            gates.push(Gate {
                rule: format!("{place}: lower bound at least {limit}"),
                bound,
                limit,
                passed: bound.is_some_and(|bound| bound >= limit),
            });
        }
    }
    gates
}
