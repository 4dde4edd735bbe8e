//! What holds for any data: neither the order nor the sharding of the samples shows, and small or one-sided samples give
//! defined results, never NaN.

use driftgauge_stats::Interval;
use driftgauge_stats::agreement::{Confusion, krippendorff_alpha};
use driftgauge_stats::bootstrap::{
    Items, Options, cluster_mean_interval, hierarchical_difference, mean_interval,
    mean_interval_bca, paired_mean_difference,
};
use driftgauge_stats::calibration::{Predictions, Prompted, RankStatistic, paired_rank_difference};
use driftgauge_stats::clustered::{clustered_mean_interval, clustered_standard_error};
use driftgauge_stats::did::difference_in_differences;
use driftgauge_stats::multiplicity::{benjamini_hochberg, holm};
use driftgauge_stats::paired::{PairCounts, mcnemar_exact, mcnemar_mid_p, newcombe_paired};
use driftgauge_stats::permutation::sign_flip;
use driftgauge_stats::proportion::{clopper_pearson, effective_trials, wilson, wilson_share};
use driftgauge_stats::summary::{ExactSum, mean, quantile, standard_error, summarize};
use driftgauge_stats::unpaired::welch_t;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

const OPTIONS: Options = Options {
    level: 0.95,
    resamples: 300,
    seed: 17,
};
const RANKS: [RankStatistic; 5] = [
    RankStatistic::Auroc,
    RankStatistic::Aurc,
    RankStatistic::EAurc,
    RankStatistic::Augrc,
    RankStatistic::Prr,
];

/// Samples of one study: two models under two conditions, a confidence, a cluster.
#[derive(Clone)]
struct Study {
    columns: [Vec<f64>; 4],
    confidence: Vec<f64>,
    correct: Vec<bool>,
    cluster: Vec<u32>,
}

impl Study {
    /// `kind` says what the scores look like: 0 binary, 1 a few values, 2 real ones of very different size.
    fn random(generator: &mut ChaCha8Rng, n: usize, kind: u64) -> Self {
        let mut draw = |bound: u64| generator.next_u64() % bound;
        let mut score = |_: usize| match kind {
            0 => draw(2) as f64,
            1 => draw(5) as f64 / 4.0,
            _ => (draw(2_000_001) as f64 - 1e6) * 10_f64.powi(draw(30) as i32 - 15),
        };
        let columns = [(); 4].map(|()| (0..n).map(&mut score).collect());
        Self {
            columns,
            confidence: (0..n).map(|_| draw(40) as f64 / 39.0).collect(),
            correct: (0..n).map(|_| draw(3) > 0).collect(),
            cluster: (0..n).map(|_| draw(7) as u32).collect(),
        }
    }

    fn reordered(&self, order: &[usize]) -> Self {
        fn pick<T: Copy>(order: &[usize], from: &[T]) -> Vec<T> {
            order.iter().map(|&i| from[i]).collect()
        }
        Self {
            columns: self.columns.each_ref().map(|column| pick(order, column)),
            confidence: pick(order, &self.confidence),
            correct: pick(order, &self.correct),
            cluster: pick(order, &self.cluster),
        }
    }

    /// Every statistic of the study, by name.
    fn everything(&self) -> Vec<(&'static str, Vec<f64>)> {
        let [a, b, c, d] = &self.columns;
        let bounds = |ci: Option<Interval>| ci.map_or(vec![], |ci| vec![ci.low, ci.high]);
        let number = |value: Option<f64>| value.into_iter().collect::<Vec<f64>>();
        let mut all = vec![
            ("mean", number(mean(a))),
            ("standard error", number(standard_error(a))),
            ("quantile", number(quantile(a, 0.3))),
            (
                "summary",
                summarize(a).map_or(vec![], |s| {
                    vec![s.mean, s.median, s.sd_population, s.min, s.max]
                }),
            ),
            (
                "effective trials",
                vec![effective_trials(&self.confidence, 999)],
            ),
            ("bootstrap", bounds(mean_interval(a, OPTIONS))),
            ("bca", bounds(mean_interval_bca(a, OPTIONS))),
            (
                "paired bootstrap",
                bounds(paired_mean_difference(a, b, OPTIONS)),
            ),
            (
                "cluster bootstrap",
                bounds(cluster_mean_interval(a, &self.cluster, OPTIONS)),
            ),
            (
                "clustered error",
                number(clustered_standard_error(a, &self.cluster)),
            ),
            (
                "clustered interval",
                bounds(clustered_mean_interval(a, &self.cluster, 0.95)),
            ),
            (
                "hierarchical",
                bounds(hierarchical_difference(&[a, b], &[c, d], OPTIONS)),
            ),
            ("sign flips", number(sign_flip(a, 300, 5))),
            (
                "welch",
                welch_t(a, b, 0.95)
                    .map_or(vec![], |(t, ci)| vec![t.statistic, t.p, ci.low, ci.high]),
            ),
            (
                "difference in differences",
                difference_in_differences((a, b), (c, d), OPTIONS).map_or(vec![], |did| {
                    [vec![did.estimate, did.p.unwrap_or(-1.0)], bounds(did.ci)].concat()
                }),
            ),
        ];
        let pairs: Vec<(f64, f64)> = a.iter().copied().zip(b.iter().copied()).collect();
        let counts = PairCounts::of(&pairs);
        all.push((
            "mcnemar",
            vec![
                mcnemar_exact(counts.baseline_only, counts.model_only),
                mcnemar_mid_p(counts.baseline_only, counts.model_only),
            ],
        ));
        all.push(("newcombe", bounds(newcombe_paired(counts, 0.95))));
        if let Some(items) = Items::new(&[a, b, c, d]) {
            let totals = items.resample(OPTIONS);
            all.push((
                "shared resamples",
                bounds(totals.percentile(|t, n| Some((t[3] - t[2] - t[1] + t[0]) / n))),
            ));
        }
        if let Some(predictions) = Predictions::new(&self.confidence, &self.correct) {
            all.push(("ece", number(predictions.equal_width(10).map(|b| b.ece))));
            all.push((
                "equal mass",
                number(predictions.equal_mass(5).map(|b| b.ece)),
            ));
            all.push((
                "ece interval",
                bounds(predictions.equal_width_interval(10, OPTIONS)),
            ));
            all.push(("brier", number(predictions.brier().map(|b| b.score))));
            all.push(("delong", bounds(predictions.auroc_interval(0.95))));
            for statistic in RANKS {
                all.push(("rank", number(predictions.rank(statistic))));
                all.push((
                    "rank interval",
                    bounds(predictions.rank_interval(statistic, OPTIONS)),
                ));
            }
        }
        if let Some(prompted) = Prompted::new(&self.confidence, &self.correct, &self.cluster) {
            all.push((
                "ece over prompts",
                bounds(prompted.equal_width_interval(10, OPTIONS)),
            ));
            all.push((
                "auroc over prompts",
                bounds(prompted.rank_interval(RankStatistic::Auroc, OPTIONS)),
            ));
        }
        let swapped: Vec<bool> = self.correct.iter().map(|correct| !correct).collect();
        let model = (self.confidence.as_slice(), swapped.as_slice());
        let ranks = paired_rank_difference(
            (&self.confidence, &self.correct),
            model,
            RankStatistic::Auroc,
            OPTIONS,
        );
        all.push((
            "paired ranks",
            ranks.map_or(vec![], |(delta, ci)| [vec![delta], bounds(ci)].concat()),
        ));
        let labels = |column: &[f64]| {
            column
                .iter()
                .map(|&x| usize::from(x > 0.5))
                .collect::<Vec<_>>()
        };
        if let Some(table) = Confusion::of(&labels(a), &labels(b), 2) {
            all.push(("kappa", number(table.cohen_kappa())));
            all.push((
                "kappa interval",
                bounds(table.cohen_kappa_interval(OPTIONS)),
            ));
            all.push(("ac1", number(table.gwet_ac1())));
        }
        let samples: Vec<[usize; 2]> = labels(a)
            .into_iter()
            .zip(labels(b))
            .map(|(a, b)| [a, b])
            .collect();
        all.push(("alpha", number(krippendorff_alpha(&samples))));
        all
    }
}

fn shuffled(generator: &mut ChaCha8Rng, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, (generator.next_u64() % (last as u64 + 1)) as usize);
    }
    order
}

#[test]
fn the_order_of_the_samples_does_not_show() {
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    for round in 0..24 {
        let n = [2, 3, 17, 60, 250][round % 5];
        let study = Study::random(&mut generator, n, round as u64 % 3);
        let order = shuffled(&mut generator, n);
        let (here, there) = (study.everything(), study.reordered(&order).everything());
        for ((name, ours), (_, theirs)) in here.iter().zip(&there) {
            assert_eq!(ours, theirs, "{name}, round {round}");
        }
    }
}

#[test]
fn the_sharding_of_the_samples_does_not_show() {
    let mut generator = ChaCha8Rng::seed_from_u64(2);
    for round in 0..40 {
        let n = 1 + (generator.next_u64() % 400) as usize;
        let [values, ..] = Study::random(&mut generator, n, 2).columns;
        let whole: ExactSum = values.iter().copied().collect();
        // Shards of any size, some of them empty, merged in any order.
        let mut shards: Vec<ExactSum> = Vec::new();
        let mut rest = values.as_slice();
        while !rest.is_empty() {
            let (shard, left) = rest.split_at((generator.next_u64() as usize % 50).min(rest.len()));
            shards.push(shard.iter().copied().collect());
            rest = left;
        }
        let mut merged = ExactSum::default();
        for place in shuffled(&mut generator, shards.len()) {
            merged.merge(&shards[place]);
        }
        assert_eq!(merged.value(), whole.value(), "round {round}");
        assert_eq!(
            (merged.count(), merged.mean()),
            (whole.count(), mean(&values))
        );
    }
}

#[test]
fn small_and_one_sided_samples_are_defined() {
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    for n in [0, 1, 2, 50] {
        for (score, correct) in [(0.0, false), (1.0, true), (0.25, true)] {
            let mut study = Study::random(&mut generator, n, 0);
            study
                .columns
                .iter_mut()
                .for_each(|column| column.fill(score));
            study.confidence.fill(0.5);
            study.correct.fill(correct);
            for (name, values) in study.everything() {
                assert!(
                    values.iter().all(|value| value.is_finite()),
                    "{name} of {n} times {score}: {values:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_finite_gives_nothing() {
    for broken in [f64::NAN, f64::INFINITY] {
        let values = [1.0, broken, 2.0];
        assert_eq!(mean(&values), None);
        assert_eq!(summarize(&values), None);
        assert_eq!(mean_interval(&values, OPTIONS), None);
        assert_eq!(paired_mean_difference(&values, &[0.0; 3], OPTIONS), None);
        assert_eq!(sign_flip(&values, 100, 0), None);
        assert!(Predictions::new(&values, &[true; 3]).is_none());
        assert!(welch_t(&values, &[1.0, 2.0], 0.95).is_none());
    }
}

#[test]
fn intervals_hold_their_estimate_and_grow_with_the_level() {
    for n in [1_u64, 2, 7, 42, 320, 1000] {
        for k in [0, 1, n / 3, n / 2, n - 1, n] {
            for interval in [wilson, clopper_pearson] {
                let narrow = interval(k, n, 0.9).expect("defined");
                let wide = interval(k, n, 0.99).expect("defined");
                assert!(narrow.contains(k as f64 / n as f64), "{k} of {n}");
                assert!(
                    wide.low <= narrow.low && narrow.high <= wide.high,
                    "{k} of {n}"
                );
                assert!(0.0 <= wide.low && wide.high <= 1.0);
            }
            // A share of whole trials is the count itself.
            let share = wilson_share(k as f64 / n as f64, n as f64, 0.9).expect("defined");
            let count = wilson(k, n, 0.9).expect("defined");
            assert!(
                (share.low - count.low).abs() < 1e-12 && (share.high - count.high).abs() < 1e-12
            );
        }
    }
}

#[test]
fn adjusted_p_values_are_never_smaller_and_keep_their_order() {
    let mut generator = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..50 {
        let m = 1 + (generator.next_u64() % 12) as usize;
        let p: Vec<f64> = (0..m)
            .map(|_| (generator.next_u64() % 1001) as f64 / 1000.0)
            .collect();
        let (holm, bh) = (holm(&p), benjamini_hochberg(&p));
        for i in 0..m {
            assert!(p[i] <= bh[i] && bh[i] <= holm[i] && holm[i] <= 1.0, "{p:?}");
            for j in 0..m {
                assert!(
                    p[i] > p[j] || (holm[i] <= holm[j] && bh[i] <= bh[j]),
                    "{p:?}"
                );
            }
        }
    }
}

#[test]
fn swapping_the_arms_turns_a_comparison_round() {
    let mut generator = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..20 {
        let [both, b, c, neither] = [(); 4].map(|()| generator.next_u64() % 90);
        let counts = |b, c| PairCounts {
            both,
            baseline_only: b,
            model_only: c,
            neither,
        };
        let Some(there) = newcombe_paired(counts(b, c), 0.95) else {
            continue;
        };
        let back = newcombe_paired(counts(c, b), 0.95).expect("defined");
        assert!((there.low + back.high).abs() < 1e-12 && (there.high + back.low).abs() < 1e-12);
        assert_eq!(mcnemar_exact(b, c), mcnemar_exact(c, b));
    }
}
