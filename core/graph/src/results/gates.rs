//! Gates: the bound of an interval has to keep a limit, not the value itself.

use driftgauge_record::{Gate, Interval, Results};

use crate::resolved_comparisons::ResolvedGate;

/// A number, where it is defined, and how many prompts are behind it.
type Measured = (Option<f64>, u64);

/// Judges a gate on the interval's bound, once per condition it covers.
pub(super) fn judge(results: &Results, gate: &ResolvedGate) -> Vec<Gate> {
    let wanted = |evaluation: &str, condition: &str, metric: &str, model: &str| {
        evaluation == gate.evaluation
            && metric == gate.metric
            && model == gate.model
            && gate
                .condition
                .as_ref()
                .is_none_or(|wanted| wanted == condition)
    };
    let found: Vec<(String, Measured, Option<Interval>)> = if gate.difference {
        results
            .comparisons
            .iter()
            .filter(|c| wanted(&c.evaluation, &c.condition, &c.metric, &c.model))
            .map(|c| (c.condition.clone(), (c.delta, c.n), c.ci.clone()))
            .collect()
    } else {
        results
            .metrics
            .iter()
            .filter(|m| wanted(&m.evaluation, &m.condition, &m.metric, &m.model))
            .map(|m| (m.condition.clone(), (m.value, m.n), m.ci.clone()))
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
    for (condition, measured, ci) in found {
        let place = if condition == "default" {
            subject.clone()
        } else {
            format!("{subject} under {condition}")
        };
        let unjudged = match &ci {
            Some(_) => "",
            None => &without_interval(measured),
        };
        if let Some(limit) = gate.upper {
            let bound = ci.as_ref().map(|ci| ci.high);
            gates.push(Gate {
                rule: format!("{place}: upper bound at most {limit}{unjudged}"),
                bound,
                limit,
                passed: bound.is_some_and(|bound| bound <= limit),
            });
        }
        if let Some(limit) = gate.lower {
            let bound = ci.as_ref().map(|ci| ci.low);
            gates.push(Gate {
                rule: format!("{place}: lower bound at least {limit}{unjudged}"),
                bound,
                limit,
                passed: bound.is_some_and(|bound| bound >= limit),
            });
        }
    }
    gates
}

/// Why a number without an interval fails its gate, and what to do.
fn without_interval((value, n): Measured) -> String {
    let why = match (value, n) {
        (_, 0) => "nothing was measured",
        (None, _) => {
            "the number is undefined here, as with answers that are all correct or all wrong"
        }
        (_, 1) => "one prompt says nothing about the spread",
        _ => {
            "either the prompts are all alike and say nothing about the spread, or this number never has one"
        }
    };
    format!(" (no interval to judge, n = {n}: {why}; measure more prompts)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn judged(ci: &Value, n: u64) -> Gate {
        let metric = json!({"evaluation": "e", "condition": "default", "model": "m", "metric": "u.brier", "title": "Brier", "value": 0.1,
            "n": n, "ci": ci, "direction": "lower", "unit": "ratio", "primary": false});
        let results = Results {
            metrics: vec![serde_json::from_value(metric).unwrap()],
            ..Results::default()
        };
        let gate = ResolvedGate {
            evaluation: "e".to_owned(),
            metric: "u.brier".to_owned(),
            condition: None,
            model: "m".to_owned(),
            difference: false,
            upper: Some(0.2),
            lower: None,
        };
        judge(&results, &gate).remove(0)
    }

    #[test]
    fn the_bound_decides_and_not_the_value() {
        let ci = |high: f64| json!({"level": 0.95, "low": 0.05, "high": high, "method": "x"});
        assert!(judged(&ci(0.15), 40).passed);
        assert!(!judged(&ci(0.25), 40).passed);
    }

    #[test]
    fn a_number_without_an_interval_fails_and_says_why() {
        for (n, why) in [(1, "one prompt says nothing"), (6, "all alike")] {
            let gate = judged(&Value::Null, n);
            assert!(!gate.passed && gate.bound.is_none());
            assert!(gate.rule.contains(why), "{}", gate.rule);
            assert!(gate.rule.contains("measure more prompts"), "{}", gate.rule);
        }
    }
}
