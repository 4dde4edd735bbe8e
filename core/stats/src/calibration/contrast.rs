//! Differences of numbers that are no means of scores (AUROC, calibration error, kappa): computed again on the same items of
//! every side, with one draw of the items for all of them.

use serde::{Deserialize, Serialize};

use super::bins::ece_of;
use super::groups::Group;
use super::ranking::RankStatistic;
use crate::agreement::{cohen_kappa, gwet_ac1};
use crate::bootstrap::replicates::{Drawn, Replicates};
use crate::bootstrap::{Options, Resampler};
use crate::special::normal_cdf;
use crate::{Interval, Test};

/// A number of many answers, each with a value and a truth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooled {
    /// Of how sure the answers are, and whether they are correct.
    Rank(RankStatistic),
    /// Calibration error over bins of equal width, of probabilities and whether the answers are correct.
    CalibrationError {
        /// How many bins.
        bins: usize,
    },
    /// Cohen's kappa of two judges' words, 0 or 1.
    Kappa,
    /// Gwet's AC1 of two judges' words, 0 or 1.
    Ac1,
}

impl Pooled {
    fn of(self, groups: &[Group]) -> Option<f64> {
        match self {
            Self::Rank(statistic) => statistic.of(groups),
            Self::CalibrationError { bins } => ece_of(groups, bins),
            Self::Kappa => of_table(cohen_kappa, groups),
            Self::Ac1 => of_table(gwet_ac1, groups),
        }
    }
}

fn of_table(statistic: fn(usize, &[f64], f64) -> Option<f64>, groups: &[Group]) -> Option<f64> {
    let mut cells = [0.0; 4];
    for group in groups {
        let first = if group.confidence > 0.5 { 2 } else { 0 };
        cells[first] += (group.n - group.correct) as f64;
        cells[first + 1] += group.correct as f64;
    }
    statistic(2, &cells, cells.iter().sum())
}

/// The answers of one side, by ascending value, each with the item it belongs to: a prompt, or a cluster of them.
#[derive(Debug, Clone)]
pub struct Answers {
    answers: Vec<(f64, bool, u32)>,
}

impl Answers {
    /// Of columns aligned by answer; `items` numbers the item of each from 0, the same on every side. `None` for unequal lengths,
    /// or when a value is not finite.
    #[must_use]
    pub fn new(values: &[f64], truths: &[bool], items: &[u32]) -> Option<Self> {
        let n = values.len();
        if truths.len() != n || items.len() != n || !crate::all_finite(values) {
            return None;
        }
        let mut answers: Vec<(f64, bool, u32)> = (0..n)
            .map(|i| (values[i] + 0.0, truths[i], items[i]))
            .collect();
        answers.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        Some(Self { answers })
    }

    /// The answers of the drawn items, grouped by equal value; groups may be empty.
    fn groups(&self, weights: &[u32]) -> Vec<Group> {
        let weight = |answer: &(f64, bool, u32)| {
            u64::from(weights.get(answer.2 as usize).copied().unwrap_or(0))
        };
        self.answers
            .chunk_by(|a, b| a.0 == b.0)
            .map(|tie| Group {
                confidence: tie[0].0,
                n: tie.iter().map(weight).sum(),
                correct: tie.iter().filter(|answer| answer.1).map(weight).sum(),
            })
            .collect()
    }
}

/// A sum of one number over sides, each with its sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Contrast {
    /// The number of each side.
    pub sides: Vec<f64>,
    /// Their sum.
    pub estimate: f64,
    /// Its percentile interval; none where the draws do not vary.
    pub ci: Option<Interval>,
    /// Its bootstrap standard error.
    pub se: Option<f64>,
    /// Two-sided p-value from the same draws: twice the smaller share of them on either side of 0, each side counting one more
    /// than was drawn, so never 0. None where the draws do not vary.
    pub p: Option<f64>,
}

/// Each number's contrast over the sides: `(answers, sign)`. Every replicate draws `items` items once, for all sides and numbers.
/// `None` where a number is undefined on some side.
#[must_use]
pub fn contrasts(
    numbers: &[Pooled],
    sides: &[(&Answers, f64)],
    items: usize,
    options: Options,
) -> Vec<Option<Contrast>> {
    let of_sides = |weights: &[u32]| -> Vec<Option<Vec<f64>>> {
        let groups: Vec<Vec<Group>> = sides.iter().map(|side| side.0.groups(weights)).collect();
        let every = |number: &Pooled| groups.iter().map(|groups| number.of(groups)).collect();
        numbers.iter().map(every).collect()
    };
    let sum = |values: &[f64]| -> f64 {
        values
            .iter()
            .zip(sides)
            .map(|(value, side)| value * side.1)
            .sum()
    };
    let Some(resampler) = Resampler::new(items, options) else {
        return vec![None; numbers.len()];
    };
    let found = of_sides(&vec![1; items]);
    let drawn = resampler.map(|weights| -> Vec<Option<f64>> {
        let values = of_sides(weights).into_iter();
        values
            .map(|values| values.map(|values| sum(&values)))
            .collect()
    });
    found
        .into_iter()
        .enumerate()
        .map(|(place, values)| {
            let values = values?;
            let draws = drawn.iter().map(|draw| draw[place]).collect();
            let estimate = sum(&values);
            let replicates = Replicates::new(Some(estimate), draws, Drawn::Items, options.seed);
            let ci = replicates
                .as_ref()
                .and_then(|draws| draws.percentile(options.level));
            let varied = replicates.filter(|_| ci.is_some());
            Some(Contrast {
                estimate,
                sides: values,
                se: varied.as_ref().and_then(Replicates::standard_error),
                p: varied.as_ref().map(two_sided),
                ci,
            })
        })
        .collect()
}

fn two_sided(replicates: &Replicates) -> f64 {
    let sorted = replicates.sorted();
    let not_above = sorted.partition_point(|value| *value <= 0.0);
    let not_below = sorted.len() - sorted.partition_point(|value| *value < 0.0);
    let smaller = not_above.min(not_below);
    (2.0 * (smaller + 1) as f64 / (sorted.len() + 1) as f64).min(1.0)
}

/// DeLong, DeLong and Clarke-Pearson's test (1988) of two AUROCs on the same items, one answer of each side to an item. Their
/// structural components are taken on each side's own classes, so that an item may be right on one side and wrong on the other.
/// `None` where an AUROC is undefined or their difference has no variance.
#[must_use]
pub fn delong_test(baseline: &Answers, model: &Answers, items: usize) -> Option<Test> {
    let (first, second) = (components(baseline, items)?, components(model, items)?);
    let difference = second.area - first.area;
    // The influence of an item on the difference, whose variances of both classes add up.
    let change: Vec<f64> = second
        .influence
        .iter()
        .zip(&first.influence)
        .map(|(second, first)| second - first)
        .collect();
    let variance: f64 = change.iter().map(|change| change * change).sum();
    if variance <= f64::EPSILON * f64::EPSILON {
        return None;
    }
    let z = difference / variance.sqrt();
    Some(Test {
        name: "delong".to_owned(),
        statistic: z,
        degrees_of_freedom: None,
        p: (2.0 * normal_cdf(-z.abs())).min(1.0),
    })
}

/// An AUROC, and how much each item moves it.
struct Components {
    area: f64,
    influence: Vec<f64>,
}

fn components(answers: &Answers, items: usize) -> Option<Components> {
    let right = answers.answers.iter().filter(|answer| answer.1).count() as f64;
    let wrong = answers.answers.len() as f64 - right;
    if right < 2.0 || wrong < 2.0 {
        return None;
    }
    let area = RankStatistic::Auroc.of(&answers.groups(&vec![1; items]))?;
    let mut influence = vec![0.0; items];
    let (mut wrong_below, mut right_above) = (0.0, right);
    for tie in answers.answers.chunk_by(|a, b| a.0 == b.0) {
        let right_here = tie.iter().filter(|answer| answer.1).count() as f64;
        let wrong_here = tie.len() as f64 - right_here;
        right_above -= right_here;
        for answer in tie {
            let at = influence.get_mut(answer.2 as usize)?;
            // Divisors of n - 1 in the variance of each class, as DeLong's.
            *at += if answer.1 {
                ((wrong_below + 0.5 * wrong_here) / wrong - area) / (right * (right - 1.0)).sqrt()
            } else {
                ((right_above + 0.5 * right_here) / right - area) / (wrong * (wrong - 1.0)).sqrt()
            };
        }
        wrong_below += wrong_here;
    }
    Some(Components { area, influence })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options {
        level: 0.95,
        resamples: 2000,
        seed: 5,
    };

    fn side(shift: usize) -> Answers {
        let values: Vec<f64> = (0..200)
            .map(|i| ((i * 37 + shift) % 101) as f64 / 101.0)
            .collect();
        let truths: Vec<bool> = (0..200)
            .map(|i| i * 37 % 101 > (i * 61 + shift) % 83)
            .collect();
        let items: Vec<u32> = (0..200).collect();
        Answers::new(&values, &truths, &items).unwrap()
    }

    /// The share of draws on the other side of zero, counted from one so that it is never nothing, and doubled.
    #[test]
    fn the_p_value_counts_draws_beyond_zero() {
        let p = |draws: &[f64]| {
            let draws = Replicates::new(
                Some(1.0),
                draws.iter().copied().map(Some).collect(),
                Drawn::Items,
                1,
            )
            .unwrap();
            two_sided(&draws)
        };
        let mut draws: Vec<f64> = (1..=19).map(f64::from).collect();
        draws.push(-1.0);
        assert!((p(&draws) - 4.0 / 21.0).abs() < 1e-12);
        draws[19] = 20.0;
        assert!((p(&draws) - 2.0 / 21.0).abs() < 1e-12);
        // Zero stands on either side.
        draws[19] = 0.0;
        assert!((p(&draws) - 4.0 / 21.0).abs() < 1e-12);
        assert_eq!(p(&[-1.0, 1.0, -2.0, 2.0]), 1.0);
    }

    #[test]
    fn ranks_are_those_of_the_paired_rank_difference() {
        let (a, b) = (side(0), side(17));
        let plain = |answers: &Answers| -> (Vec<f64>, Vec<bool>) {
            let mut by_item = answers.answers.clone();
            by_item.sort_by_key(|answer| answer.2);
            by_item.iter().map(|answer| (answer.0, answer.1)).unzip()
        };
        let (first, second) = (plain(&a), plain(&b));
        for statistic in [
            RankStatistic::Auroc,
            RankStatistic::Aurc,
            RankStatistic::Prr,
        ] {
            let ours = contrasts(
                &[Pooled::Rank(statistic)],
                &[(&a, -1.0), (&b, 1.0)],
                200,
                OPTIONS,
            );
            let ours = ours[0].clone().unwrap();
            let (delta, ci) = crate::calibration::paired_rank_difference(
                (&first.0, &first.1),
                (&second.0, &second.1),
                statistic,
                OPTIONS,
            )
            .unwrap();
            assert!((ours.estimate - delta).abs() < 1e-12);
            let (ours, theirs) = (ours.ci.unwrap(), ci.unwrap());
            assert!((ours.low - theirs.low).abs() < 0.02 && (ours.high - theirs.high).abs() < 0.02);
        }
    }

    #[test]
    fn a_side_does_not_differ_from_itself() {
        let a = side(0);
        let found = contrasts(
            &[
                Pooled::CalibrationError { bins: 10 },
                Pooled::Rank(RankStatistic::Auroc),
            ],
            &[(&a, -1.0), (&a, 1.0)],
            200,
            OPTIONS,
        );
        for found in found {
            let found = found.unwrap();
            assert_eq!((found.estimate, found.ci, found.p), (0.0, None, None));
        }
        assert_eq!(delong_test(&a, &a, 200), None);
    }

    #[test]
    fn nothing_and_one_class_are_defined() {
        let none = Answers::new(&[], &[], &[]).unwrap();
        let auroc = [Pooled::Rank(RankStatistic::Auroc)];
        assert_eq!(contrasts(&auroc, &[(&none, 1.0)], 0, OPTIONS), [None]);
        assert_eq!(contrasts(&auroc, &[(&none, 1.0)], 3, OPTIONS), [None]);
        let right = Answers::new(&[0.1, 0.2], &[true, true], &[0, 1]).unwrap();
        assert_eq!(contrasts(&auroc, &[(&right, 1.0)], 2, OPTIONS), [None]);
        assert!(Answers::new(&[f64::NAN], &[true], &[0]).is_none());
        assert!(Answers::new(&[0.1], &[true], &[]).is_none());
    }
}
