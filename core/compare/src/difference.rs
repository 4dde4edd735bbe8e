//! One paired difference: its interval, its test, and what stands behind them.

use driftgauge_record::{
    Draws, EffectSizes, Flips, FurtherTest, Interval, PairCounts as Counts, PairedDetail,
    PairedTest,
};
use driftgauge_stats::bootstrap::{
    self, Options, cluster_mean_interval, mean_interval_bca, paired_mean_difference,
};
use driftgauge_stats::clustered::{clustered_mean_interval, clustered_standard_error};
use driftgauge_stats::effect::effect_sizes;
use driftgauge_stats::paired::{
    PairCounts, mcnemar_chi_squared, mcnemar_exact, mcnemar_mid_p, newcombe_means, newcombe_paired,
};
use driftgauge_stats::permutation::sign_flip;
use driftgauge_stats::power::{
    PairedVariance, mcnemar_mde, mcnemar_n, paired_mean_mde, paired_mean_n,
};
use driftgauge_stats::summary::{self, mean, standard_error, variance};

use super::pairing::Paired;

/// Power that the detectable difference is given for.
pub(crate) const POWER: f64 = 0.8;
/// So many prompts, or clusters of them, have a bootstrap interval: what fewer draw is narrower than what is known, and Student's t
/// knows how few they are.
const ENOUGH_TO_DRAW: usize = 10;
/// Most flips that are listed, of each kind.
const MOST_FLIPS: usize = 1000;

/// A difference over pairs, before it has a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Difference {
    pub(crate) delta: Option<f64>,
    pub(crate) ci: Option<Interval>,
    pub(crate) test: Option<PairedTest>,
    pub(crate) p: Option<f64>,
    pub(crate) n: u64,
    pub(crate) detail: PairedDetail,
}

/// How a difference is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) options: Options,
    /// The scores are 0 or 1 on both sides.
    pub(crate) binary: bool,
    /// The scores are shares or probabilities: none can be outside [0, 1].
    pub(crate) bounded: bool,
    /// List the samples that changed, and make the costlier intervals too.
    pub(crate) primary: bool,
}

/// The second column less the first.
pub(crate) fn difference(paired: &Paired, how: How) -> Difference {
    let [baseline, model] = paired.columns.as_slice() else {
        return Difference::default();
    };
    let changes: Vec<f64> = model.iter().zip(baseline).map(|(m, b)| m - b).collect();
    let se = |values: &[f64]| standard_error(values);
    let detail = PairedDetail {
        baseline_value: mean(baseline),
        model_value: mean(model),
        left_out: paired.left_out,
        se: se(&changes),
        se_unpaired: se(baseline).zip(se(model)).map(|(a, b)| a.hypot(b)),
        ..PairedDetail::default()
    };
    let start = Difference {
        delta: mean(&changes),
        n: changes.len() as u64,
        detail,
        ..Difference::default()
    };
    if how.binary {
        of_binary(start, paired, how)
    } else {
        of_real(start, &changes, how)
    }
}

/// [`difference`] of prompts that come in clusters, each given by number: clusters are drawn whole where there are enough, and the signs of their sums are
/// flipped. Tests and intervals that take prompts for independent are left out.
pub(crate) fn of_clusters(paired: &Paired, clusters: &[u32], how: How) -> Difference {
    let [baseline, model] = paired.columns.as_slice() else {
        return Difference::default();
    };
    let changes: Vec<f64> = model.iter().zip(baseline).map(|(m, b)| m - b).collect();
    let count = clusters.iter().max().map_or(0, |last| *last as usize + 1);
    let mut totals = vec![0.0; count];
    for (change, cluster) in changes.iter().zip(clusters) {
        totals[*cluster as usize] += change;
    }
    let se = |values: &[f64]| clustered_standard_error(values, clusters).filter(|_| count > 1);
    let p = sign_flip(&totals, how.options.resamples, how.options.seed);
    let pairs = how.binary.then(|| {
        let mut counts = PairCounts::default();
        for (b, m) in baseline.iter().zip(model) {
            counts.add(*b == 1.0, *m == 1.0);
        }
        Counts {
            both: counts.both,
            baseline_only: counts.baseline_only,
            model_only: counts.model_only,
            neither: counts.neither,
        }
    });
    Difference {
        delta: mean(&changes),
        ci: match count < ENOUGH_TO_DRAW {
            true => clustered_mean_interval(&changes, clusters, how.options.level),
            false => cluster_mean_interval(&changes, clusters, how.options),
        }
        .map(|ci| within_bounds(ci, how)),
        test: p.map(|_| PairedTest {
            name: "cluster-sign-flip-permutation".to_owned(),
            draws: Some(Draws {
                resamples: how.options.resamples as u64,
                seed: how.options.seed,
            }),
            ..PairedTest::default()
        }),
        p,
        n: changes.len() as u64,
        detail: PairedDetail {
            baseline_value: mean(baseline),
            model_value: mean(model),
            left_out: paired.left_out,
            se: se(&changes),
            se_unpaired: se(baseline).zip(se(model)).map(|(a, b)| a.hypot(b)),
            pairs,
            flips: (how.binary && how.primary).then(|| flips(paired)),
            ..PairedDetail::default()
        },
    }
}

/// Exact McNemar and Newcombe's interval.
fn of_binary(mut found: Difference, paired: &Paired, how: How) -> Difference {
    let (baseline, model) = (&paired.columns[0], &paired.columns[1]);
    let mut counts = PairCounts::default();
    for (b, m) in baseline.iter().zip(model) {
        counts.add(*b == 1.0, *m == 1.0);
    }
    let level = how.options.level;
    found.ci = newcombe_paired(counts, level);
    if counts.n() == 0 {
        return found;
    }
    let (b, c) = (counts.baseline_only, counts.model_only);
    found.p = Some(mcnemar_exact(b, c));
    found.test = Some(PairedTest {
        name: "mcnemar-exact".to_owned(),
        baseline_only: Some(b),
        model_only: Some(c),
        ..PairedTest::default()
    });
    let detail = &mut found.detail;
    detail.pairs = Some(Counts {
        both: counts.both,
        baseline_only: b,
        model_only: c,
        neither: counts.neither,
    });
    detail.tests.push(FurtherTest {
        name: "mcnemar-mid-p".to_owned(),
        statistic: None,
        p: mcnemar_mid_p(b, c),
    });
    detail
        .tests
        .extend(mcnemar_chi_squared(b, c).map(|test| FurtherTest {
            name: test.name,
            statistic: Some(test.statistic),
            p: test.p,
        }));
    let rates = detail.baseline_value.zip(detail.model_value);
    detail.effect = rates
        .and_then(|(baseline, model)| effect_sizes(baseline, model))
        .map(|effect| EffectSizes {
            relative: effect.relative,
            risk_ratio: effect.risk_ratio,
            odds_ratio: effect.odds_ratio,
            cohens_h: effect.cohens_h,
        });
    let alpha = 1.0 - level;
    let discordance = (b + c) as f64 / counts.n() as f64;
    detail.detectable = mcnemar_mde(counts.n(), discordance, alpha, POWER);
    detail.needed = found
        .delta
        .and_then(|delta| mcnemar_n(delta, discordance, alpha, POWER));
    detail
        .intervals
        .extend(paired_mean_difference(baseline, model, how.options));
    if how.primary {
        let changes: Vec<f64> = model.iter().zip(baseline).map(|(m, b)| m - b).collect();
        detail
            .intervals
            .extend(mean_interval_bca(&changes, how.options));
        detail.flips = Some(flips(paired));
    }
    found
}

/// Paired bootstrap, or Student's t of few, and sign-flip permutation.
fn of_real(mut found: Difference, changes: &[f64], how: How) -> Difference {
    let interval = match changes.len() < ENOUGH_TO_DRAW {
        true => summary::mean_interval(changes, how.options.level),
        false => bootstrap::mean_interval(changes, how.options),
    };
    let interval = interval.map(|ci| within_bounds(ci, how));
    found.ci = interval.or_else(|| of_equal(&found, how));
    found.p = sign_flip(changes, how.options.resamples, how.options.seed);
    found.test = found.p.map(|_| PairedTest {
        name: "sign-flip-permutation".to_owned(),
        draws: Some(Draws {
            resamples: how.options.resamples as u64,
            seed: how.options.seed,
        }),
        ..PairedTest::default()
    });
    if let Some(spread) = variance(changes, 1) {
        let variance = PairedVariance {
            between_items: spread,
            within_item: (0.0, 0.0),
            samples: (1, 1),
        };
        let alpha = 1.0 - how.options.level;
        found.detail.detectable = paired_mean_mde(found.n, variance, alpha, POWER);
        found.detail.needed = found
            .delta
            .and_then(|delta| paired_mean_n(delta, variance, alpha, POWER));
    }
    if how.primary {
        found
            .detail
            .intervals
            .extend(mean_interval_bca(changes, how.options));
    }
    found
}

/// No difference of scores in [0, 1] lies beyond one.
fn within_bounds(mut ci: Interval, how: How) -> Interval {
    if how.bounded {
        (ci.low, ci.high) = (ci.low.max(-1.0), ci.high.min(1.0));
    }
    ci
}

/// The interval of differences that are all equal, where the scores have bounds; else there is none.
fn of_equal(found: &Difference, how: How) -> Option<driftgauge_stats::Interval> {
    let means = found.detail.baseline_value.zip(found.detail.model_value);
    let (baseline, model) = means.filter(|_| how.bounded)?;
    newcombe_means(baseline, model, found.n, how.options.level)
}

fn flips(paired: &Paired) -> Flips {
    let mut flips = Flips::default();
    let rows = paired.columns[0].iter().zip(&paired.columns[1]);
    for (id, (baseline, model)) in paired.ids.iter().zip(rows) {
        let list = match (*baseline == 1.0, *model == 1.0) {
            (true, false) => &mut flips.baseline_only,
            (false, true) => &mut flips.model_only,
            _ => continue,
        };
        if list.len() < MOST_FLIPS {
            list.push(id.clone());
        }
    }
    flips
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(baseline: &[f64], model: &[f64]) -> Paired {
        Paired {
            ids: (0..baseline.len()).map(|i| format!("s{i:03}")).collect(),
            columns: vec![baseline.to_vec(), model.to_vec()],
            left_out: None,
        }
    }

    fn how(binary: bool) -> How {
        How {
            options: Options {
                resamples: 500,
                ..Options::default()
            },
            binary,
            bounded: true,
            primary: true,
        }
    }

    #[test]
    fn what_few_draw_is_no_interval() {
        // Two clusters, of +30 and +50 points: Student's t with one degree of freedom reaches beyond both.
        let model: Vec<f64> = (0..40)
            .map(|i| f64::from(u8::from(i < 6 || (20..30).contains(&i))))
            .collect();
        let clusters: Vec<u32> = (0..40).map(|i| i / 20).collect();
        let found = of_clusters(&paired(&[0.0; 40], &model), &clusters, how(true));
        let ci = found.ci.unwrap();
        assert_eq!((ci.method.as_str(), ci.high), ("clustered-t", 1.0));
        assert!((ci.low + 0.498_464_353_209_376).abs() < 1e-12, "{ci:?}");
        let found = difference(&paired(&[0.0; 3], &[0.1, 0.2, 0.3]), how(false));
        let ci = found.ci.unwrap();
        assert_eq!(ci.method, "student-t");
        assert!((ci.low + 0.048_413_771_175_032_86).abs() < 1e-12, "{ci:?}");
        let many: Vec<f64> = (0..10).map(|i| f64::from(i) / 10.0).collect();
        let found = difference(&paired(&[0.0; 10], &many), how(false));
        assert_eq!(found.ci.unwrap().method, "bootstrap-percentile");
        let clusters: Vec<u32> = (0..40).map(|i| i / 4).collect();
        let found = of_clusters(&paired(&[0.0; 40], &model), &clusters, how(true));
        assert_eq!(found.ci.unwrap().method, "cluster-bootstrap-percentile");
    }

    #[test]
    fn binary_scores_are_told_with_everything_behind_them() {
        let found = difference(
            &paired(&[0.0, 1.0, 0.0, 0.0], &[1.0, 1.0, 1.0, 0.0]),
            how(true),
        );
        assert_eq!((found.delta, found.p), (Some(0.5), Some(0.5)));
        let detail = found.detail;
        let counts = detail.pairs.unwrap();
        assert_eq!(
            (
                counts.both,
                counts.baseline_only,
                counts.model_only,
                counts.neither
            ),
            (1, 0, 2, 1)
        );
        assert_eq!(detail.flips.unwrap().model_only, ["s000", "s002"]);
        assert_eq!(detail.effect.unwrap().risk_ratio, Some(3.0));
        let methods: Vec<_> = detail.tests.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(methods, ["mcnemar-mid-p", "mcnemar-chi-squared"]);
        assert_eq!(detail.intervals.len(), 2);
    }

    #[test]
    fn the_detectable_difference_shrinks_with_the_pairs() {
        let few = difference(
            &paired(&[0.0, 1.0].repeat(20), &[1.0, 0.0].repeat(20)),
            how(true),
        );
        let many = difference(
            &paired(&[0.0, 1.0].repeat(200), &[1.0, 0.0].repeat(200)),
            how(true),
        );
        let (few, many) = (
            few.detail.detectable.unwrap(),
            many.detail.detectable.unwrap(),
        );
        assert!(many < few / 2.5, "{many} against {few}");
        // Every pair is discordant: sqrt(1) * (1.96 + 0.84 sqrt(1 - d^2)) / sqrt(n).
        assert!((many - 0.14).abs() < 0.01, "{many}");
    }

    #[test]
    fn nothing_and_equal_scores_are_defined() {
        for binary in [true, false] {
            let none = difference(&paired(&[], &[]), how(binary));
            assert_eq!((none.delta, none.p, none.n), (None, None, 0));
        }
        let same = difference(&paired(&[0.5, 1.75], &[0.5, 1.75]), how(false));
        assert_eq!((same.delta, same.p), (Some(0.0), Some(1.0)));
        assert_eq!(same.ci, None, "a mean above 1 is no share");
        let shares = difference(&paired(&[0.5, 0.75], &[0.5, 0.75]), how(false));
        let ci = shares.ci.unwrap();
        assert!(ci.low < -0.3 && ci.high > 0.3 && ci.method == "newcombe-means");
        let one = difference(&paired(&[0.5], &[1.0]), how(false));
        assert_eq!((one.delta, one.ci), (Some(0.5), None));
        let unbounded = How {
            bounded: false,
            ..how(false)
        };
        let same_loss = difference(&paired(&[0.5; 9], &[0.25; 9]), unbounded);
        assert_eq!((same_loss.delta, same_loss.ci), (Some(-0.25), None));
        assert_eq!(same.detail.needed, None);
    }
}
