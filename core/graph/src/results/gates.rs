//! Gates: the bound of an interval has to keep a limit, not the value itself.

use driftgauge_record::{Gate, Interval, Results};

use crate::resolved::ResolvedGate;

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
