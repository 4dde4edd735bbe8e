//! What a condition does to a model, and whether it does more to one model than to another.

use driftgauge_plugin_protocol::wire::{MetricOutput, Scores};
use driftgauge_record::{PairedDetail, PairedTest};
use driftgauge_stats::bootstrap::Options;
use driftgauge_stats::did::{clustered_difference_in_differences, difference_in_differences};
use driftgauge_stats::power::{PairedVariance, paired_mean_mde, paired_mean_n};

use super::difference::{Difference, POWER};
use super::pairing::pair;
use super::{Between, Clusters, PairComparison, compare, named, pooled, scalar, scores};

/// Every number of a model under every condition but `first`, less the same number under `first`. Numbers whose samples differ
/// between the two conditions are left out.
#[must_use]
pub fn between_conditions(
    output: &MetricOutput,
    first: &str,
    how: (Options, &Clusters),
) -> Vec<PairComparison> {
    let mut out = Vec::new();
    for (before, after) in pairs_of_conditions(output, first) {
        let scalar = scalar(output, &after.id, &after.condition);
        let Ok(found) = compare(before, after, scalar, how) else {
            continue;
        };
        let mut comparison = named(found, scalar, after, Between::Conditions);
        comparison.baseline_condition = Some(first.to_owned());
        out.push(comparison);
    }
    out.extend(pooled::between_conditions(output, first, how));
    out
}

/// `(model's condition - model's first) - (baseline's condition - baseline's first)` for every number that all four sides have,
/// sample by sample: whether a condition moves the model further than the baseline.
#[must_use]
pub fn differences_in_differences(
    baseline: &MetricOutput,
    model: &MetricOutput,
    first: &str,
    how: (Options, &Clusters),
) -> Vec<PairComparison> {
    let (options, clusters) = how;
    let mut out = Vec::new();
    for (before, after) in pairs_of_conditions(model, first) {
        let sides =
            scores(baseline, &before.id, first).zip(scores(baseline, &after.id, &after.condition));
        let Some((base_before, base_after)) = sides else {
            continue;
        };
        let Ok(paired) = pair(&[base_before, base_after], &[before, after]) else {
            continue;
        };
        let [base_before, base_after, before, moved] = paired.columns.as_slice() else {
            continue;
        };
        let sides = ((&**base_before, &**base_after), (&**before, &**moved));
        let found = if clusters.is_empty() {
            difference_in_differences(sides.0, sides.1, options)
        } else {
            let clusters = clusters.numbers(&paired.ids);
            clustered_difference_in_differences(sides.0, sides.1, &clusters, options)
        };
        let Some(found) = found else {
            continue;
        };
        let alpha = 1.0 - options.level;
        let variance = found.se.map(|se| PairedVariance {
            between_items: se * se * found.n as f64,
            within_item: (0.0, 0.0),
            samples: (1, 1),
        });
        let mean_move = |from: &[f64], to: &[f64]| {
            let moves: Vec<f64> = to.iter().zip(from).map(|(to, from)| to - from).collect();
            driftgauge_stats::summary::mean(&moves)
        };
        let difference = Difference {
            delta: Some(found.estimate),
            ci: found.ci,
            test: found.z.map(|z| PairedTest {
                name: "normal".to_owned(),
                statistic: Some(z),
                ..PairedTest::default()
            }),
            p: found.p,
            n: found.n,
            detail: PairedDetail {
                baseline_value: mean_move(base_before, base_after),
                model_value: mean_move(before, moved),
                left_out: paired.left_out,
                se: found.se,
                detectable: variance
                    .and_then(|variance| paired_mean_mde(found.n, variance, alpha, POWER)),
                needed: variance
                    .and_then(|variance| paired_mean_n(found.estimate, variance, alpha, POWER)),
                ..PairedDetail::default()
            },
        };
        let mut comparison = named(
            difference,
            scalar(model, &after.id, &after.condition),
            after,
            Between::DifferenceInDifferences,
        );
        comparison.baseline_condition = Some(first.to_owned());
        out.push(comparison);
    }
    out.extend(pooled::differences_in_differences(
        baseline, model, first, how,
    ));
    out
}

/// The scores of each number under `first`, with those of the same number under every other condition.
fn pairs_of_conditions<'a>(
    output: &'a MetricOutput,
    first: &'a str,
) -> impl Iterator<Item = (&'a Scores, &'a Scores)> {
    output
        .scores
        .iter()
        .filter(move |after| after.condition != first)
        .filter_map(move |after| Some((scores(output, &after.id, first)?, after)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::output;
    use super::*;
    use driftgauge_plugin_protocol::wire::ScoreKind;

    const IDS: [&str; 4] = ["a", "b", "c", "d"];

    fn options() -> Options {
        Options {
            resamples: 200,
            ..Options::default()
        }
    }

    #[test]
    fn a_condition_is_held_against_the_first() {
        let model = output(
            ScoreKind::Binary,
            &[
                ("plain", &IDS, &[1.0, 1.0, 1.0, 0.0]),
                ("false", &IDS, &[0.0, 0.0, 1.0, 0.0]),
            ],
        );
        let found = between_conditions(&model, "plain", (options(), &Clusters::default()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].condition, "false");
        assert_eq!(found[0].baseline_condition.as_deref(), Some("plain"));
        assert_eq!(found[0].delta, Some(-0.5));
        let counts = found[0].detail.pairs.unwrap();
        assert_eq!((counts.baseline_only, counts.model_only), (2, 0));
        assert!(
            between_conditions(&model, "nothing", (options(), &Clusters::default())).is_empty()
        );
    }

    #[test]
    fn moves_are_compared_between_models() {
        let base = output(
            ScoreKind::Binary,
            &[
                ("plain", &IDS, &[1.0, 1.0, 1.0, 0.0]),
                ("false", &IDS, &[0.0, 1.0, 1.0, 0.0]),
            ],
        );
        let model = output(
            ScoreKind::Binary,
            &[
                ("plain", &IDS, &[1.0, 1.0, 1.0, 0.0]),
                ("false", &IDS, &[0.0, 0.0, 0.0, 0.0]),
            ],
        );
        let found =
            differences_in_differences(&base, &model, "plain", (options(), &Clusters::default()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].delta, Some(-0.5));
        assert_eq!(found[0].detail.baseline_value, Some(-0.25));
        assert_eq!(found[0].detail.model_value, Some(-0.75));
        // Changes 0, -1, -1, 0: standard deviation 0.577, standard error 0.289.
        assert!((found[0].detail.se.unwrap() - 0.288_675).abs() < 1e-6);
    }
}
