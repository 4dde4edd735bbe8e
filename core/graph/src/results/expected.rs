//! Published values held against the measured ones.

use driftgauge_record::{Comparison, Expected, Interval, Metric, PublishedOutcome, Results};
use driftgauge_spec::spec::Statistic;

use super::families::written;
use crate::resolved_comparisons::ResolvedExpected;

/// What was measured of the number that was published.
struct Measured {
    value: Option<f64>,
    ci: Option<Interval>,
    unit: String,
}

/// Holds one published value against what was measured.
pub(super) fn hold_against(results: &Results, expected: &ResolvedExpected) -> Expected {
    let is_difference = expected.baseline.is_some() || expected.baseline_condition.is_some();
    let measured = if is_difference {
        difference(results, expected)
    } else {
        number(results, expected)
    };
    let (value, ci, unit) = match measured {
        Some(found) => (found.value, found.ci, found.unit),
        None => (None, None, String::new()),
    };
    let verdict = verdict(expected.value, expected.tolerance, value, ci.as_ref());
    Expected {
        evaluation: expected.evaluation.clone(),
        condition: expected.condition.clone(),
        model: expected.model.clone(),
        metric: expected.metric.clone(),
        baseline: expected.baseline.clone(),
        baseline_condition: expected.baseline_condition.clone(),
        statistic: expected.statistic.as_str().to_owned(),
        unit,
        published: expected.value,
        tolerance: expected.tolerance,
        measured: value,
        difference: value.map(|value| value - expected.value),
        ci,
        verdict,
        agrees: verdict.agrees(),
        source: expected.source.clone(),
    }
}

fn number(results: &Results, expected: &ResolvedExpected) -> Option<Measured> {
    let metric = results.metrics.iter().find(|metric| {
        metric.evaluation == expected.evaluation
            && metric.condition == expected.condition
            && metric.model == expected.model
            && metric.metric == expected.metric
    })?;
    Some(match expected.statistic {
        Statistic::Value => Measured {
            value: metric.value,
            ci: metric.ci.clone(),
            unit: metric.unit.clone(),
        },
        // The published ones come from numpy's default; the two differ by less than one part in 2n.
        Statistic::StandardError => Measured {
            value: metric.spread.map(|spread| spread.se_population),
            ci: None,
            unit: metric.unit.clone(),
        },
    })
}

fn difference(results: &Results, expected: &ResolvedExpected) -> Option<Measured> {
    let (list, baseline) = match (&expected.baseline, &expected.baseline_condition) {
        (Some(baseline), None) => (&results.comparisons, baseline),
        (None, _) => (&results.condition_comparisons, &expected.model),
        (Some(baseline), Some(_)) => (&results.differences_in_differences, baseline),
    };
    // What each model chose by its own answers is compared without pairs.
    let unpaired = results.unpaired_comparisons.iter();
    let found: &Comparison = list.iter().chain(unpaired).find(|comparison| {
        comparison.evaluation == expected.evaluation
            && comparison.condition == expected.condition
            && comparison.model == expected.model
            && comparison.metric == expected.metric
            && comparison.baseline == *baseline
            && comparison.baseline_condition == expected.baseline_condition
    })?;
    let of =
        |metric: &&Metric| metric.evaluation == found.evaluation && metric.metric == found.metric;
    let unit = results.metrics.iter().find(of);
    let unit = unit.map(|metric| metric.unit.clone()).unwrap_or_default();
    Some(match expected.statistic {
        Statistic::Value => Measured {
            value: found.delta,
            ci: found.ci.clone(),
            unit,
        },
        Statistic::StandardError => Measured {
            value: found.detail.as_ref().and_then(|detail| detail.se),
            ci: None,
            unit,
        },
    })
}

/// Outside the interval counts as contradicted; inside it, a tolerance tells the same number from another one.
fn verdict(
    published: f64,
    tolerance: Option<f64>,
    measured: Option<f64>,
    ci: Option<&Interval>,
) -> PublishedOutcome {
    let Some(measured) = measured else {
        return PublishedOutcome::NotMeasured;
    };
    // Decimals are not exact in binary: half a unit of the last digit may come out a hair larger.
    let slack = 1e-9 * published.abs().max(1e-3);
    let same = tolerance.map(|tolerance| (measured - published).abs() <= tolerance + slack);
    let inside = ci.map(|ci| ci.low - slack <= published && published <= ci.high + slack);
    match (same, inside) {
        (Some(true), _) => PublishedOutcome::Agrees,
        (_, Some(false)) => PublishedOutcome::Outside,
        (Some(false), _) => PublishedOutcome::Differs,
        (None, Some(true)) => PublishedOutcome::Inside,
        (None, None) => PublishedOutcome::Unjudged,
    }
}

/// One note for each published value of a number that no model has: most likely misspelt.
pub(super) fn unknown(results: &Results, declared: &[ResolvedExpected]) -> Vec<String> {
    let mut notes = Vec::new();
    for (expected, declared) in results.expected.iter().zip(declared) {
        let of_metric: Vec<&Metric> = results
            .metrics
            .iter()
            .filter(|metric| {
                metric.evaluation == expected.evaluation
                    && metric.condition == expected.condition
                    && main(&metric.metric) == main(&expected.metric)
            })
            .collect();
        // Nothing of the metric was measured: its node failed, which is said elsewhere.
        if of_metric.is_empty()
            || of_metric
                .iter()
                .any(|metric| metric.metric == expected.metric)
        {
            continue;
        }
        let mut names: Vec<String> = of_metric
            .iter()
            .map(|metric| format!("`{}`", metric.metric))
            .collect();
        names.dedup();
        let note = format!(
            "expected value {}{}: `{}/{}` names no number of this run; the metric has {}",
            expected.published,
            written(declared.line),
            expected.evaluation,
            expected.metric,
            names.join(", ")
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn main(metric: &str) -> &str {
    metric.split_once('.').map_or(metric, |(main, _)| main)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ci(low: f64, high: f64) -> Interval {
        Interval {
            level: 0.95,
            low,
            high,
            method: "wilson".into(),
            draws: None,
        }
    }

    #[test]
    fn each_verdict() {
        use PublishedOutcome::{Agrees, Differs, Inside, NotMeasured, Outside, Unjudged};
        let wilson = ci(0.0458, 0.1019);
        let cases = [
            // 7.38 % where the records give 6.875 %: inside the interval, another number all the same.
            (0.0738, Some(0.00005), Some(0.06875), Some(&wilson), Differs),
            (0.0738, None, Some(0.06875), Some(&wilson), Inside),
            (0.0688, Some(0.00005), Some(0.06875), Some(&wilson), Agrees),
            (0.5906, Some(0.00005), Some(0.06875), Some(&wilson), Outside),
            (0.5906, None, Some(0.06875), Some(&wilson), Outside),
            (131.0, Some(0.0), Some(131.0), None, Agrees),
            (131.0, Some(0.0), Some(130.0), None, Differs),
            (131.0, None, Some(131.0), None, Unjudged),
            (131.0, Some(0.5), None, None, NotMeasured),
            // Rounding to the published digit is as far as a value may be off.
            (0.94, Some(0.005), Some(0.935), None, Agrees),
        ];
        for (published, tolerance, measured, ci, expected) in cases {
            assert_eq!(
                verdict(published, tolerance, measured, ci),
                expected,
                "{published} {tolerance:?} {measured:?}"
            );
        }
    }

    #[test]
    fn a_number_that_no_metric_has_is_told() {
        let metric = |name: &str| Metric {
            evaluation: "e".into(),
            condition: "default".into(),
            model: "base".into(),
            metric: name.into(),
            title: String::new(),
            value: Some(0.5),
            n: 2,
            ci: None,
            intervals: Vec::new(),
            spread: None,
            direction: "none".into(),
            unit: String::new(),
            primary: true,
            formula: String::new(),
        };
        let mut results = Results {
            metrics: vec![metric("asr"), metric("asr.degenerate")],
            ..Results::default()
        };
        let published = ResolvedExpected {
            line: Some(7),
            evaluation: "e".into(),
            condition: "default".into(),
            model: "base".into(),
            metric: "asr.degenrate".into(),
            baseline: None,
            baseline_condition: None,
            statistic: Statistic::Value,
            value: 0.5,
            tolerance: None,
            source: String::new(),
        };
        results.expected = vec![hold_against(&results, &published)];
        assert_eq!(results.expected[0].verdict, PublishedOutcome::NotMeasured);
        let notes = unknown(&results, std::slice::from_ref(&published));
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("(line 7 of the spec): `e/asr.degenrate` names no number")
                && notes[0].contains("`asr.degenerate`"),
            "{}",
            notes[0]
        );
    }
}
