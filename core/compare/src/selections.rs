//! Numbers over prompts that each model chose by its own answers (its incorrect ones, say): two samples without pairs.

use driftgauge_plugin_protocol::wire::{MetricOutput, Scalar};
use driftgauge_record::{Interval, PairedDetail, PairedTest, Sides};
use driftgauge_stats::unpaired::{Moments, newcombe_unpaired, welch_of};

use super::difference::Difference;
use super::{Between, PairComparison, described, scalar};

/// Compares every such number that `paired` does not hold already, from its mean, spread and number of prompts: Welch's t test
/// with its interval, or Newcombe's hybrid score interval where every score is 0 or 1. Prompts that both models chose are
/// treated as independent, which is careful rather than exact.
pub(crate) fn between_selections(
    baseline: &MetricOutput,
    model: &MetricOutput,
    level: f64,
    paired: &[PairComparison],
) -> Vec<PairComparison> {
    let mut out = Vec::new();
    for ours in baseline.scalars.iter().filter(|scalar| scalar.selected) {
        let known = paired
            .iter()
            .any(|found| found.scalar == ours.id && found.condition == ours.condition);
        let Some(theirs) = scalar(model, &ours.id, &ours.condition).filter(|_| !known) else {
            continue;
        };
        if let Some(found) = difference(ours, theirs, level) {
            out.push(described(
                found,
                Some(ours),
                (&ours.id, &ours.condition),
                Between::Selections,
            ));
        }
    }
    out
}

fn difference(baseline: &Scalar, model: &Scalar, level: f64) -> Option<Difference> {
    let (before, after) = (baseline.value?, model.value?);
    let moments = |scalar: &Scalar, mean: f64| {
        let sd = scalar.spread?.sd?;
        Some(Moments {
            n: scalar.n,
            mean,
            sd,
        })
    };
    let welch = moments(baseline, before)
        .zip(moments(model, after))
        .and_then(|(baseline, model)| welch_of(baseline, model, level));
    let score = counts(baseline)
        .zip(counts(model))
        .and_then(|(baseline, model)| newcombe_unpaired(baseline, model, level));
    let ci: Option<Interval> = score.or_else(|| welch.as_ref().map(|(_, ci)| ci.clone()));
    let test = welch.as_ref().map(|(test, _)| test);
    let se = |scalar: &Scalar| scalar.spread.and_then(|spread| spread.se);
    Some(Difference {
        delta: Some(after - before),
        ci,
        test: test.map(|test| PairedTest {
            name: test.name.clone(),
            statistic: Some(test.statistic),
            ..PairedTest::default()
        }),
        p: test.map(|test| test.p),
        n: 0,
        detail: PairedDetail {
            baseline_value: Some(before),
            model_value: Some(after),
            se_unpaired: se(baseline).zip(se(model)).map(|(a, b)| a.hypot(b)),
            sides: Some(Sides {
                baseline: baseline.n,
                model: model.n,
            }),
            ..PairedDetail::default()
        },
    })
}

/// (Ones, prompts) of a share whose scores are all 0 or 1, which its spread tells.
fn counts(scalar: &Scalar) -> Option<(u64, u64)> {
    let (value, spread) = (scalar.value?, scalar.spread?);
    let ends = |score: f64| score == 0.0 || score == 1.0;
    let binomial = (value * (1.0 - value)).sqrt();
    let binary = scalar.unit == "ratio"
        && ends(spread.min)
        && ends(spread.max)
        && (spread.sd_population - binomial).abs() < 1e-9;
    binary.then(|| ((value * scalar.n as f64).round() as u64, scalar.n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_plugin_protocol::wire::Spread;

    fn output(id: &str, unit: &str, scores: &[f64], selected: bool) -> MetricOutput {
        let summary = driftgauge_stats::summary::summarize(scores).unwrap();
        let scalar = Scalar::new(id, "", "default")
            .value(summary.mean, summary.n)
            .unit(unit)
            .spread(Some(Spread {
                sd: summary.sd,
                se: summary.se,
                sd_population: summary.sd_population,
                se_population: summary.se_population,
                median: summary.median,
                min: summary.min,
                max: summary.max,
            }));
        let mut output = MetricOutput::new();
        output
            .scalars
            .push(if selected { scalar.selected() } else { scalar });
        output
    }

    #[test]
    fn means_are_compared_as_welch_does() {
        let (a, b) = ([1.0, 2.0, 4.0, 4.5], [2.0, 5.0, 6.0]);
        let found = between_selections(
            &output("x", "nats", &a, true),
            &output("x", "nats", &b, true),
            0.95,
            &[],
        );
        let (test, ci) = driftgauge_stats::unpaired::welch_t(&a, &b, 0.95).unwrap();
        assert!((found[0].p.unwrap() - test.p).abs() < 1e-12);
        assert!((found[0].ci.as_ref().unwrap().low - ci.low).abs() < 1e-12);
        let sides = found[0].detail.sides.unwrap();
        assert_eq!((sides.baseline, sides.model), (4, 3));
        assert_eq!(found[0].n, 0, "nothing is paired");
        // A number over the same prompts is none of these, nor one that was paired.
        let plain = output("x", "nats", &a, false);
        assert!(between_selections(&plain, &plain, 0.95, &[]).is_empty());
        let chosen = output("x", "nats", &a, true);
        assert!(between_selections(&chosen, &chosen, 0.95, &found).is_empty());
    }

    #[test]
    fn shares_have_a_score_interval() {
        let found = between_selections(
            &output("x", "ratio", &[1.0, 0.0, 0.0, 0.0, 1.0], true),
            &output("x", "ratio", &[0.0; 4], true),
            0.9,
            &[],
        );
        let ci = found[0].ci.as_ref().unwrap();
        let expected = newcombe_unpaired((2, 5), (0, 4), 0.9).unwrap();
        assert_eq!(
            (ci.low, ci.high, ci.method.as_str()),
            (expected.low, expected.high, "newcombe-unpaired")
        );
        let graded = output("x", "ratio", &[1.0, 0.5, 0.0], true);
        let found = between_selections(&graded, &graded, 0.9, &[]);
        assert_eq!(found[0].ci.as_ref().unwrap().method, "welch-t");
    }

    #[test]
    fn one_prompt_has_a_difference_and_no_test() {
        let one = output("x", "nats", &[1.0], true);
        let found = between_selections(&one, &one, 0.95, &[]);
        assert_eq!((found[0].delta, found[0].p), (Some(0.0), None));
    }
}
