//! Means and rates with their intervals.

mod keys;

use driftgauge_plugin_sdk::wire::{Interval, Scalar, Spread};
use driftgauge_stats::bootstrap::{mean_interval_bca, paired_mean_difference};
use driftgauge_stats::paired::newcombe_means;
use driftgauge_stats::proportion::{
    clopper_pearson, effective_trials, wilson, wilson_bounded, wilson_share,
};
use driftgauge_stats::special::student_t_two_sided_quantile;
use driftgauge_stats::summary::{self, Summary, summarize, summarize_binary, summarize_mean};

use crate::columns::Column;
pub use keys::{Draws, Level, Resamples};

/// The range of a share or a probability.
pub const SHARE: (f64, f64) = (0.0, 1.0);
/// The range of what is never negative.
pub const FROM_ZERO: (f64, f64) = (0.0, f64::INFINITY);
/// From this many differences on the normal interval serves: the bootstrap's is the same to four digits.
const MANY: usize = 20_000;

/// Makes estimates, all with intervals of one level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimator {
    level: f64,
    resamples: u32,
}

/// A number with its sample size and interval; undefined over nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: Option<f64>,
    /// Number of prompts behind it.
    pub n: u64,
    /// Its interval.
    pub ci: Option<Interval>,
    /// Further intervals, made in other ways.
    pub intervals: Vec<Interval>,
    /// How the scores are spread.
    pub spread: Option<Spread>,
}

impl Estimate {
    /// Puts the estimate into a scalar.
    #[must_use]
    pub fn fill(self, scalar: Scalar) -> Scalar {
        scalar
            .value(self.value, self.n)
            .ci(self.ci)
            .intervals(self.intervals)
            .spread(self.spread)
    }
}

impl Estimator {
    /// Level of the intervals.
    #[must_use]
    pub fn level(self) -> f64 {
        self.level
    }

    /// Quantile of Student's t for the level, two-sided.
    #[must_use]
    pub fn t(self, degrees_of_freedom: f64) -> f64 {
        student_t_two_sided_quantile(1.0 - self.level, degrees_of_freedom)
    }

    /// The mean of scores in [0, 1], one per prompt, with Wilson's interval. With several completions per prompt the number
    /// of prompts is replaced by the effective number of trials ([`effective_trials`]): prompts stay the unit.
    #[must_use]
    pub fn rate(self, column: &Column) -> Estimate {
        if let Some((zeros, ones)) = column.binary() {
            return self.binary_rate(zeros, ones);
        }
        let scores = column.scores();
        self.rate_of(&scores, column.total())
    }

    /// As [`Self::rate`], of so many scores of 0 and of 1.
    fn binary_rate(self, zeros: u64, ones: u64) -> Estimate {
        let n = zeros + ones;
        let Some(summary) = summarize_binary(zeros, ones) else {
            return Estimate::default();
        };
        Estimate {
            value: Some(summary.mean),
            n,
            ci: wilson_share(summary.mean, n as f64, self.level)
                .map(|ci| self.interval(ci.low, ci.high, "wilson")),
            intervals: clopper_pearson(ones, n, self.level).into_iter().collect(),
            spread: Some(spread_of(summary)),
        }
    }

    /// As [`Self::rate`], from scores and the number of completions behind them.
    #[must_use]
    pub fn rate_of(self, scores: &[f64], completions: u64) -> Estimate {
        let Some(p) = summary::mean(scores) else {
            return Estimate::default();
        };
        let ci = wilson_share(p, effective_trials(scores, completions), self.level);
        let binary = scores.iter().all(|&score| score == 0.0 || score == 1.0);
        Estimate {
            value: Some(p),
            n: scores.len() as u64,
            ci: ci.map(|ci| {
                let method = if binary { "wilson" } else { &ci.method };
                self.interval(ci.low, ci.high, method)
            }),
            intervals: self.exact(scores).into_iter().collect(),
            spread: spread(scores),
        }
    }

    /// Clopper and Pearson's interval of 0/1 scores: the one for guarantees.
    fn exact(self, scores: &[f64]) -> Option<Interval> {
        if scores.iter().any(|&score| score != 0.0 && score != 1.0) {
            return None;
        }
        let hits = scores.iter().filter(|&&score| score == 1.0).count();
        clopper_pearson(hits as u64, scores.len() as u64, self.level)
    }

    /// A share of `n` things, each counted or not, with Wilson's interval.
    #[must_use]
    pub fn share(self, count: u64, n: u64) -> Estimate {
        Estimate {
            value: (n > 0).then(|| count as f64 / n as f64),
            n,
            ci: wilson(count, n, self.level),
            ..Estimate::default()
        }
    }

    /// The mean of real scores between `range.0` and `range.1`, one per prompt, with Student's interval cut to the range. Scores in
    /// [0, 1] that are all equal have Wilson's interval of a mean ([`wilson_bounded`]); others that are equal, or a single one, have
    /// none.
    #[must_use]
    pub fn mean(self, column: &Column, range: (f64, f64)) -> Estimate {
        let scores = column.scores();
        self.mean_of(&scores, range)
    }

    /// As [`Self::mean`], from scores.
    #[must_use]
    pub fn mean_of(self, scores: &[f64], (least, most): (f64, f64)) -> Estimate {
        let n = scores.len() as u64;
        let Some((summary, ci)) = summarize_mean(scores, self.level) else {
            // Numbers whose squares are beyond all others have a mean still.
            let value = summary::mean(scores);
            let n = if value.is_some() { n } else { 0 };
            return Estimate {
                value,
                n,
                ..Estimate::default()
            };
        };
        let mean = summary.mean;
        let ci = ci.or_else(|| {
            let bounded = (least, most) == SHARE;
            bounded
                .then(|| wilson_bounded(mean, n, self.level))
                .flatten()
        });
        Estimate {
            value: Some(mean),
            n,
            ci: ci.map(|ci| self.interval(ci.low.max(least), ci.high.min(most), &ci.method)),
            intervals: Vec::new(),
            spread: Some(spread_of(summary)),
        }
    }

    /// The mean of `before - after`, scores in [0, 1] of the same prompts, with its percentile bootstrap interval; of differences
    /// that are all equal, Newcombe's.
    #[must_use]
    pub fn drop(self, before: &Column, after: &Column) -> Estimate {
        let (before, after): (Vec<f64>, Vec<f64>) = after
            .rows()
            .filter_map(|row| before.mean(row).zip(after.mean(row)))
            .unzip();
        let changes: Vec<f64> = before.iter().zip(&after).map(|(b, a)| b - a).collect();
        let plain = self.mean_of(&changes, (-1.0, 1.0));
        if changes.len() >= MANY {
            return plain;
        }
        let drawn = paired_mean_difference(&after, &before, self.bootstrap(changes.len()));
        let ci = drawn.or_else(|| {
            let (before, after) = (summary::mean(&before)?, summary::mean(&after)?);
            newcombe_means(after, before, changes.len() as u64, self.level)
        });
        Estimate { ci, ..plain }
    }

    /// The mean of skewed scores from 0 on (divergences, say), one per prompt, with its BCa bootstrap interval.
    #[must_use]
    pub fn skewed_mean(self, column: &Column) -> Estimate {
        let scores = column.scores();
        let plain = self.mean_of(&scores, FROM_ZERO);
        if scores.len() >= MANY {
            return plain;
        }
        Estimate {
            ci: mean_interval_bca(&scores, self.bootstrap(scores.len())),
            ..plain
        }
    }

    /// An interval of this level.
    #[must_use]
    pub fn interval(self, low: f64, high: f64, method: &str) -> Interval {
        Interval {
            level: self.level,
            low,
            high,
            method: method.to_owned(),
            draws: None,
        }
    }
}

/// How scores are spread; nothing of nothing.
#[must_use]
pub fn spread(scores: &[f64]) -> Option<Spread> {
    summarize(scores).map(spread_of)
}

fn spread_of(summary: Summary) -> Spread {
    Spread {
        sd: summary.sd,
        se: summary.se,
        sd_population: summary.sd_population,
        se_population: summary.se_population,
        median: summary.median,
        min: summary.min,
        max: summary.max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Estimator {
        Level::default().estimator().unwrap()
    }

    fn binary(hits: usize, n: usize) -> Vec<f64> {
        (0..n).map(|i| f64::from(u8::from(i < hits))).collect()
    }

    #[test]
    fn rates_of_the_paper() {
        // Counts and intervals of arXiv 2409.19476's recorded verdicts.
        for (hits, low, high) in [(131, 0.356_884, 0.464_016), (301, 0.909_134, 0.961_663)] {
            let estimate = usual().rate_of(&binary(hits, 320), 320);
            assert_eq!(estimate.value, Some(hits as f64 / 320.0));
            let ci = estimate.ci.unwrap();
            assert!((ci.low - low).abs() < 1e-6 && (ci.high - high).abs() < 1e-6);
        }
    }

    #[test]
    fn zero_of_fifty_has_an_upper_bound() {
        let ci = usual().rate_of(&binary(0, 50), 50).ci.unwrap();
        assert_eq!(ci.low, 0.0);
        assert!((ci.high - 0.071_35).abs() < 1e-4);
    }

    #[test]
    fn copies_do_not_narrow_the_interval() {
        let once = usual().rate_of(&binary(12, 40), 40);
        let copied = usual().rate_of(&binary(12, 40), 400);
        assert_eq!(once, copied);
        // Independent repeats do, down to one draw per completion.
        let repeated = usual().rate_of(&vec![0.3; 40], 400).ci.unwrap();
        let independent = usual().rate_of(&binary(120, 400), 400).ci.unwrap();
        assert!((repeated.low - independent.low).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_undefined() {
        assert_eq!(usual().mean_of(&[], SHARE), Estimate::default());
        assert_eq!(usual().mean_of(&[2.5], FROM_ZERO).ci, None);
        assert_eq!(usual().mean_of(&[0.5], SHARE).ci, None);
        assert_eq!(usual().rate_of(&[], 0), Estimate::default());
    }

    #[test]
    fn equal_scores_are_not_certain() {
        assert_eq!(usual().mean_of(&[2.0, 2.0], FROM_ZERO).ci, None);
        let bounded = usual().mean_of(&[0.5; 6], SHARE).ci.unwrap();
        let share = wilson(3, 6, 0.95).unwrap();
        assert_eq!((bounded.low, bounded.high), (share.low, share.high));
        let mut same = Column::default();
        (0..30).for_each(|row| same.add(row, Some(1.0)));
        let drop = usual().drop(&same, &same).ci.unwrap();
        assert!(drop.low < -0.05 && drop.high > 0.05 && drop.method == "newcombe-paired");
        let mut half = Column::default();
        (0..30).for_each(|row| half.add(row, Some(0.5)));
        let drop = usual().drop(&same, &half).ci.unwrap();
        assert!(drop.low < 0.4 && drop.high > 0.6 && drop.method == "newcombe-means");
        assert_eq!(usual().skewed_mean(&half).ci, None);
    }

    #[test]
    fn few_scores_have_wide_intervals_within_their_range() {
        // Two of them: t is 12.7 there, and no probability is above 1.
        let ci = usual().mean_of(&[0.5, 0.9], SHARE).ci.unwrap();
        assert_eq!(
            (ci.low, ci.high, ci.method.as_str()),
            (0.0, 1.0, "student-t")
        );
        let wide = usual()
            .mean_of(&[0.5, 0.9], (f64::NEG_INFINITY, f64::INFINITY))
            .ci
            .unwrap();
        assert!((wide.high - (0.7 + 12.706_204_736 * 0.2)).abs() < 1e-8);
    }

    /// `t.ppf(0.975, 19_999)` of scipy 1.17 is 1.960082611.
    #[test]
    fn very_many_scores_are_not_drawn() {
        let (mut before, mut after) = (Column::default(), Column::default());
        for row in 0..MANY {
            before.add(row, Some((row % 8) as f64 / 7.0));
            after.add(row, Some((row % 5) as f64 / 4.0));
        }
        let drop = usual().drop(&before, &after).ci.unwrap();
        let mean = usual().skewed_mean(&before).ci.unwrap();
        for ci in [&drop, &mean] {
            assert_eq!((ci.method.as_str(), &ci.draws), ("student-t", &None));
        }
        // Both columns have the mean 1/2. Variances: (64 - 1) / (12 · 49) and (25 - 1) / (12 · 16), which add up over a common
        // period of 40 rows; all but n / (n - 1) of it.
        let half = |variance: f64| 1.960_082_611 * (variance / (MANY as f64 - 1.0)).sqrt();
        let (first, second) = (63.0 / 588.0, 24.0 / 192.0);
        assert!((drop.high - half(first + second)).abs() < 1e-6, "{drop:?}");
        assert!((drop.low + half(first + second)).abs() < 1e-6, "{drop:?}");
        assert!((mean.high - 0.5 - half(first)).abs() < 1e-6, "{mean:?}");
    }

    #[test]
    fn a_drop_is_of_prompts_that_both_have() {
        let (mut before, mut after) = (Column::default(), Column::default());
        for (row, was, is) in [
            (0, Some(1.0), Some(0.25)),
            (1, Some(0.5), None),
            (2, None, Some(1.0)),
            (3, Some(0.0), Some(0.5)),
        ] {
            before.add(row, was);
            after.add(row, is);
        }
        let found = usual().drop(&before, &after);
        assert_eq!((found.value, found.n), (Some(0.125), 2));
        let spread = found.spread.unwrap();
        assert_eq!((spread.min, spread.max, spread.median), (-0.5, 0.75, 0.125));
        assert_eq!(
            usual().drop(&Column::default(), &after),
            Estimate::default()
        );
    }

    #[test]
    fn shares_and_quantiles() {
        // statsmodels 0.14: proportion_confint(3, 7, alpha=0.2, method="wilson"); scipy 1.17: t.ppf(0.9, [1, 6, 40]).
        let eighty = Level(0.8).estimator().unwrap();
        let share = eighty.share(3, 7);
        assert_eq!((share.value, share.n), (Some(3.0 / 7.0), 7));
        let ci = share.ci.unwrap();
        let (low, high) = (0.225_988_111_614_525_78, 0.658_302_946_379_093_4);
        assert!(
            (ci.low - low).abs() < 1e-9 && (ci.high - high).abs() < 1e-9,
            "{ci:?}"
        );
        assert_eq!(eighty.share(0, 0), Estimate::default());
        for (df, t) in [
            (1.0, 3.077_683_537_175_253_4),
            (6.0, 1.439_755_747_265_148_3),
            (40.0, 1.303_077_052_607_194_9),
        ] {
            assert!((eighty.t(df) - t).abs() < 1e-9, "{df}");
        }
        // The ends of what a level may be.
        assert!(Level(0.5).estimator().is_ok() && Level(0.499).estimator().is_err());
        // A score between 0 and 1 has no exact interval; 0/1 scores have Clopper and Pearson's: scipy's beta.ppf.
        assert!(usual().rate_of(&[0.0, 0.5, 1.0], 3).intervals.is_empty());
        let exact = usual().rate_of(&[0.0, 1.0, 1.0, 0.0, 1.0], 5).intervals;
        assert!(
            (exact[0].low - 0.146_632_799_634_673_13).abs() < 1e-9,
            "{exact:?}"
        );
        assert!(
            (exact[0].high - 0.947_255_049_473_683_1).abs() < 1e-9,
            "{exact:?}"
        );
    }

    #[test]
    fn one_level_for_every_interval() {
        let wide = Level(0.99).estimator().unwrap();
        let mut column = Column::default();
        let mut none = Column::default();
        for (row, score) in binary(12, 40).into_iter().enumerate() {
            column.add(row, Some(score));
            none.add(row, Some(0.0));
        }
        for estimate in [
            wide.rate(&column),
            wide.share(12, 40),
            wide.mean(&column, SHARE),
            wide.drop(&column, &none),
            wide.skewed_mean(&column),
        ] {
            let ci = estimate.ci.unwrap();
            assert!(ci.level == 0.99 && estimate.intervals.iter().all(|ci| ci.level == 0.99));
            // Wilson's at 95 % is 0.181 to 0.454; each of these is wider.
            assert!(ci.low < 0.16 && ci.high > 0.48, "{ci:?}");
        }
        for level in [0.4, 1.0, 95.0] {
            assert!(Level(level).estimator().is_err(), "{level}");
        }
    }
}
