//! Whether the surer answers are the right ones: AUROC, risk-coverage curves, prediction rejection.
//!
//! Ties are taken by expectation over their order.

use serde::{Deserialize, Serialize};

use super::curves::{Curves, curves};
use super::groups::Group;
use super::predictions::Predictions;
use crate::bootstrap::{Options, Resampler};
use crate::proportion::{wilson_bounded, wilson_bounds};
use crate::special::normal_quantile;
use crate::{Interval, is_open_probability};

/// A statistic of the order of confidences and of correctness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankStatistic {
    /// Area under the ROC curve: the chance that a correct answer is surer than an incorrect one, ties counting half
    /// (Mann-Whitney with midranks). Undefined when all answers are correct, or none.
    Auroc,
    /// Area under the risk-coverage curve (Geifman and El-Yaniv 2017): `mean_{k=1..n}` of the share of errors among the k
    /// surest answers. Lower is better.
    Aurc,
    /// AURC less that of the best possible order (Geifman and others 2019).
    EAurc,
    /// Area under the generalised risk-coverage curve (Traub and others 2024, arXiv 2407.01032): `mean_{k=1..n}` of the
    /// errors among the k surest answers over n.
    Augrc,
    /// Prediction rejection ratio (as LM-Polygraph, to full rejection): `(A - A_random) / (A_oracle - A_random)` with A the
    /// mean over k of the accuracy of the k surest, and `A_random` the accuracy itself. 1 is the best order, 0 a random
    /// one. Undefined when all answers are correct, or none.
    Prr,
}

impl RankStatistic {
    /// The statistic of groups by ascending confidence; groups of no answers are allowed.
    #[must_use]
    pub fn of(self, groups: &[Group]) -> Option<f64> {
        match self {
            Self::Auroc => auroc(groups),
            _ => self.of_curves(curves(groups)?),
        }
    }

    pub(super) fn of_curves(self, curves: Curves) -> Option<f64> {
        match self {
            // No curve of risks says it.
            Self::Auroc => None,
            Self::Aurc => Some(curves.aurc),
            Self::EAurc => Some(curves.aurc - curves.oracle),
            Self::Augrc => Some(curves.augrc),
            Self::Prr => {
                // Accuracies are one less the risks: the ones cancel.
                let best = curves.risk - curves.oracle;
                (best > 0.0).then(|| (curves.risk - curves.aurc) / best)
            }
        }
    }
}

impl RankStatistic {
    /// The interval where all of `n` answers are correct, or all wrong, and draws of them do not vary: of the AURC what the worst
    /// (or best) order gives at the Wilson limit of the share of errors. With ρ that share, the worst order has the AURC
    /// `ρ (1 - ln ρ)`, and the best `1 - (1 - ρ) (1 - ln(1 - ρ))`. `None` for other statistics, and of one answer.
    pub(super) fn of_one_class(self, correct: bool, n: u64, level: f64) -> Option<Interval> {
        if self != Self::Aurc {
            return None;
        }
        // The share of the class that was not seen.
        let unseen = wilson_bounded(0.0, n, level)?.high;
        let far = unseen * (1.0 - unseen.ln());
        let (low, high) = if correct {
            (0.0, far)
        } else {
            (1.0 - far, 1.0)
        };
        Some(Interval::new(level, low, high, "wilson-one-class"))
    }
}

pub(super) fn auroc(groups: &[Group]) -> Option<f64> {
    let correct: u64 = groups.iter().map(|group| group.correct).sum();
    let wrong: u64 = groups.iter().map(|group| group.n - group.correct).sum();
    let (mut below, mut wins) = (0, 0.0);
    for group in groups {
        let here = group.n - group.correct;
        wins += group.correct as f64 * (below as f64 + 0.5 * here as f64);
        below += here;
    }
    (correct > 0 && wrong > 0).then(|| wins / (correct as f64 * wrong as f64))
}

impl Predictions {
    /// A statistic of the order; `None` where it is undefined.
    #[must_use]
    pub fn rank(&self, statistic: RankStatistic) -> Option<f64> {
        if statistic == RankStatistic::Auroc {
            return *self.auroc.get_or_init(|| auroc(self.groups()));
        }
        let curves = self.curves.get_or_init(|| curves(self.groups()));
        statistic.of_curves((*curves)?)
    }

    /// Area under the ROC curve; `None` when all answers are correct, or none.
    #[must_use]
    pub fn auroc(&self) -> Option<f64> {
        self.rank(RankStatistic::Auroc)
    }

    /// DeLong, DeLong and Clarke-Pearson's interval (1988) of the AUROC, held to [0, 1]; O(n log n), so it serves millions of
    /// answers. When the classes are so few or so well separated that its variance is 0, the Wilson interval on the smaller
    /// class, which is wider. `None` when the AUROC is undefined.
    #[must_use]
    pub fn auroc_interval(&self, level: f64) -> Option<Interval> {
        let area = self.auroc()?;
        if !is_open_probability(level) {
            return None;
        }
        let correct: u64 = self.groups().iter().map(|group| group.correct).sum();
        let wrong = self.n() - correct;
        let (correct, wrong) = (correct as f64, wrong as f64);
        let (mut wrong_below, mut correct_above) = (0.0, correct);
        let (mut of_correct, mut of_wrong) = (0.0, 0.0);
        for group in self.groups() {
            let right = group.correct as f64;
            let false_ones = (group.n - group.correct) as f64;
            correct_above -= right;
            let placed = (wrong_below + 0.5 * false_ones) / wrong;
            let passed = (correct_above + 0.5 * right) / correct;
            of_correct += right * (placed - area).powi(2);
            of_wrong += false_ones * (passed - area).powi(2);
            wrong_below += false_ones;
        }
        let mean_variance = |squares: f64, n: f64| {
            if n > 1.0 {
                squares / (n - 1.0) / n
            } else {
                0.0
            }
        };
        let se = (mean_variance(of_correct, correct) + mean_variance(of_wrong, wrong)).sqrt();
        if se == 0.0 || correct < 2.0 || wrong < 2.0 {
            let n = correct.min(wrong);
            let (low, high) = wilson_bounds(area * n, n, level)?;
            return Some(Interval::new(level, low, high, "wilson-smaller-class"));
        }
        let half = normal_quantile(0.5 + level / 2.0) * se;
        Some(Interval::new(
            level,
            (area - half).max(0.0),
            (area + half).min(1.0),
            "delong",
        ))
    }
}

/// The statistic of `model` less that of `baseline` on the same items, and its paired bootstrap interval: each replicate draws
/// items once for both. Each argument is (confidence, correct), aligned by item. No interval where the replicates do not vary;
/// `None` where either statistic is undefined, or for unequal lengths.
#[must_use]
pub fn paired_rank_difference(
    baseline: (&[f64], &[bool]),
    model: (&[f64], &[bool]),
    statistic: RankStatistic,
    options: Options,
) -> Option<(f64, Option<Interval>)> {
    let n = baseline.0.len();
    let aligned = [baseline.1.len(), model.0.len(), model.1.len()] == [n; 3];
    if !aligned || !crate::all_finite(baseline.0) || !crate::all_finite(model.0) {
        return None;
    }
    // Items in an order of their own, so that the order in which they came does not show.
    let mut items: Vec<usize> = (0..n).collect();
    items.sort_by(|&a, &b| {
        let by =
            |arm: (&[f64], &[bool])| arm.0[a].total_cmp(&arm.0[b]).then(arm.1[a].cmp(&arm.1[b]));
        by(baseline).then(by(model))
    });
    let arms = [Arm::new(baseline, &items), Arm::new(model, &items)];
    let difference = |weights: &[u32]| {
        let [baseline, model] = &arms;
        Some(statistic.of(&model.groups(weights))? - statistic.of(&baseline.groups(weights))?)
    };
    let replicates = Resampler::new(n, options)?.replicates(difference)?;
    Some((replicates.estimate, replicates.percentile(options.level)))
}

/// The answers of one model by ascending confidence, each with the place of its item.
struct Arm {
    answers: Vec<(f64, bool, usize)>,
}

impl Arm {
    fn new((confidence, correct): (&[f64], &[bool]), items: &[usize]) -> Self {
        let mut answers: Vec<(f64, bool, usize)> = items
            .iter()
            .enumerate()
            .map(|(place, &item)| (confidence[item] + 0.0, correct[item], place))
            .collect();
        answers.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { answers }
    }

    fn groups(&self, weights: &[u32]) -> Vec<Group> {
        self.answers
            .chunk_by(|a, b| a.0 == b.0)
            .map(|tie| {
                let weight = |answer: &(f64, bool, usize)| u64::from(weights[answer.2]);
                Group {
                    confidence: tie[0].0,
                    n: tie.iter().map(weight).sum(),
                    correct: tie.iter().filter(|answer| answer.1).map(weight).sum(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::curves::{Harmonics, curves_by};
    use super::*;
    use RankStatistic::{Augrc, Aurc, Auroc, EAurc, Prr};

    #[test]
    fn one_class_is_defined() {
        let right = Predictions::new(&[0.2, 0.9], &[true, true]).unwrap();
        let values = [Auroc, Aurc, EAurc, Augrc, Prr].map(|statistic| right.rank(statistic));
        assert_eq!(values, [None, Some(0.0), Some(0.0), Some(0.0), None]);
        let wrong = Predictions::new(&[0.2, 0.9], &[false, false]).unwrap();
        assert_eq!(
            (wrong.rank(Auroc), wrong.rank(Aurc), wrong.rank(Prr)),
            (None, Some(1.0), None)
        );
        assert_eq!(wrong.auroc_interval(0.95), None);
        let options = Options {
            resamples: 50,
            ..Options::default()
        };
        for (correct, low, high) in [(true, 0.0, 0.757), (false, 0.243, 1.0)] {
            // Wilson's limit of 0 of 6 is 0.3903, the worst order's AURC there 0.3903 (1 - ln 0.3903) = 0.7574.
            let six = Predictions::new(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], &[correct; 6]).unwrap();
            let ci = six.rank_interval(Aurc, options).unwrap();
            assert!(
                (ci.low - low).abs() < 1e-3 && (ci.high - high).abs() < 1e-3,
                "{ci:?}"
            );
            assert_eq!(six.rank_interval(Prr, options), None);
        }
        let one = Predictions::new(&[0.2], &[true]).unwrap();
        assert_eq!(one.rank_interval(Aurc, options), None);
    }

    /// Pairs of numpy: the area, and DeLong's variance of its structural components, 0.04625; limits by scipy's quantiles.
    #[test]
    fn delongs_interval_is_that_of_the_pairwise_components() {
        let confidences = [0.9, 0.8, 0.8, 0.6, 0.55, 0.4, 0.7, 0.3, 0.2];
        let correct = [true, true, false, true, false, false, true, false, true];
        let found = Predictions::new(&confidences, &correct).unwrap();
        assert!((found.auroc().unwrap() - 0.675).abs() < 1e-12);
        let ci = found.auroc_interval(0.8).unwrap();
        let (low, high) = (0.399_391_914_667_441, 0.950_608_085_332_559);
        assert!(
            (ci.low - low).abs() < 1e-9 && (ci.high - high).abs() < 1e-9,
            "{ci:?}"
        );
        let wide = found.auroc_interval(0.95).unwrap();
        assert!(
            (wide.low - 0.253_493_807_332_439).abs() < 1e-9 && wide.high == 1.0,
            "{wide:?}"
        );
        // One of a class is enough for the area: it is above one of three, and level with another.
        let one = Predictions::new(&[0.5, 0.1, 0.6, 0.5], &[true, false, false, false]);
        assert_eq!(one.unwrap().auroc(), Some(0.5));
        let one = Predictions::new(&[0.5, 0.1, 0.6, 0.5], &[false, true, true, true]);
        assert_eq!(one.unwrap().auroc(), Some(0.5));
    }

    #[test]
    fn ties_are_taken_by_expectation() {
        let tied = Predictions::new(&[0.5; 4], &[true, false, true, false]).unwrap();
        assert_eq!(tied.rank(Auroc), Some(0.5));
        assert_eq!(tied.rank(Aurc), Some(0.5));
        assert_eq!(tied.rank(Prr), Some(0.0));
    }

    #[test]
    fn perfect_order_has_an_interval_below_one() {
        let confidence: Vec<f64> = (0..20).map(f64::from).collect();
        let correct: Vec<bool> = (0..20).map(|i| i >= 8).collect();
        let perfect = Predictions::new(&confidence, &correct).unwrap();
        assert_eq!(perfect.rank(Prr), Some(1.0));
        assert!(perfect.rank(EAurc).unwrap().abs() < 1e-12);
        let ci = perfect.auroc_interval(0.95).unwrap();
        assert!(ci.low < 0.9 && ci.high == 1.0 && ci.method == "wilson-smaller-class");
        assert_eq!(perfect.rank_interval(Prr, Options::default()), None);
    }

    #[test]
    fn one_step_for_a_tie_is_a_step_for_each_answer() {
        let groups: Vec<Group> = (0..60_u64)
            .map(|i| Group {
                confidence: i as f64,
                n: i * 5 % 7,
                correct: (i * 5 % 7) * (i % 4) / 4,
            })
            .collect();
        let harmonics = Harmonics::up_to(420);
        let (ours, slow) = (curves_by(&groups, &harmonics), curves(&groups));
        let parts = |curves: Curves| [curves.aurc, curves.oracle, curves.augrc, curves.risk];
        for (one, other) in parts(ours.unwrap()).into_iter().zip(parts(slow.unwrap())) {
            assert!((one - other).abs() < 1e-12, "{one} {other}");
        }
        assert!(curves_by(&[], &harmonics).is_none());
    }

    #[test]
    fn one_confidence_for_all_is_no_order() {
        let correct: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
        let flat = Predictions::new(&[0.7; 40], &correct).unwrap();
        assert!(flat.rank(Prr).unwrap().abs() < 1e-12);
        assert_eq!(flat.rank_interval(Prr, Options::default()), None);
    }

    #[test]
    fn a_model_against_itself_differs_by_nothing() {
        let confidence: Vec<f64> = (0..60).map(|i| f64::from(i * 7 % 13)).collect();
        let correct: Vec<bool> = (0..60).map(|i| i % 3 == 0).collect();
        let arm = (confidence.as_slice(), correct.as_slice());
        let options = Options {
            resamples: 200,
            ..Options::default()
        };
        let same = paired_rank_difference(arm, arm, Auroc, options).unwrap();
        assert_eq!(same, (0.0, None));
        assert!(paired_rank_difference((&[], &[]), (&[], &[]), Auroc, options).is_none());
    }
}
