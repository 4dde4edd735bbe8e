//! Intervals of calibration errors, the Brier score and statistics of the order: drawn answer by answer, or by [`large`] where
//! those are very many.

use super::bins::{Closed, bin_of, ece_of};
use super::brier::brier_of;
use super::curves::{Harmonics, curves_by};
use super::groups::Group;
use super::large;
use super::predictions::Predictions;
use super::ranking::{RankStatistic, auroc};
use crate::Interval;
use crate::bootstrap::replicates::{Drawn, Replicates};
use crate::bootstrap::{Items, Options, Resampler};
use crate::proportion::wilson_bounded;

impl Predictions {
    /// Bootstrap interval over answers of the error over bins of equal width. It sits above the truth as the error itself
    /// does. From 20,000 answers on, a bin's answers are drawn together (`bootstrap-percentile-by-bin`). When every answer is off by
    /// the same, the error is the mean of scores that do not vary: [`wilson_bounded`]. `None` of one answer, without bins or when a
    /// confidence is not a probability.
    #[must_use]
    pub fn equal_width_interval(&self, bins: usize, options: Options) -> Option<Interval> {
        if bins == 0 || !self.are_probabilities() {
            return None;
        }
        self.drawn_equal_width_interval(bins, options).or_else(|| {
            let error = ece_of(self.groups(), bins)?;
            wilson_bounded(error, self.n(), options.level)
        })
    }

    fn drawn_equal_width_interval(&self, bins: usize, options: Options) -> Option<Interval> {
        if self.n() >= large::MANY {
            return large::equal_width_interval(self, bins, options);
        }
        let mut confidence = Vec::new();
        let mut correct = Vec::new();
        for group in self.groups() {
            confidence.extend((0..group.n).map(|_| group.confidence));
            correct.extend((0..group.n).map(|i| f64::from(u8::from(i < group.correct))));
        }
        Items::new(&[&confidence, &correct])?
            .resample_features(
                bins,
                |row, gaps| gaps[bin_of(row[0], bins, Closed::Upper)] = row[1] - row[0],
                options,
            )
            .percentile(|gaps, n| Some(gaps.iter().map(|gap| gap.abs()).sum::<f64>() / n))
    }

    /// Bootstrap interval over answers of the Brier score; from 20,000 answers on, where drawing them would cost seconds and
    /// change nothing, the normal interval of their squared errors. When all errors are equal, [`wilson_bounded`]; `None` of one
    /// answer, or when a confidence is not a probability.
    #[must_use]
    pub fn brier_interval(&self, options: Options) -> Option<Interval> {
        if !self.are_probabilities() {
            return None;
        }
        self.drawn_brier_interval(options).or_else(|| {
            let score = brier_of(self.groups())?;
            wilson_bounded(score, self.n(), options.level)
        })
    }

    fn drawn_brier_interval(&self, options: Options) -> Option<Interval> {
        if self.n() >= large::MANY {
            return large::brier_interval(self, options.level);
        }
        let mut errors = Vec::new();
        for group in self.groups() {
            let (wrong, right) = (group.confidence, 1.0 - group.confidence);
            errors.extend((0..group.correct).map(|_| right * right));
            errors.extend((group.correct..group.n).map(|_| wrong * wrong));
        }
        Items::new(&[&errors])?
            .resample(options)
            .percentile(|total, n| Some(total[0] / n))
    }

    /// Bootstrap interval over answers of a statistic of the order. From 20,000 answers on, where drawing them would cost
    /// seconds and change nothing, the normal interval from each answer's influence (`infinitesimal-jackknife`, or `delong` for
    /// the AUROC). `None` where the order does not vary, as of a perfect one: draws then say nothing about the spread. For the AURC
    /// of answers that are all correct or all wrong, bounds on the share of errors (`wilson-one-class`).
    #[must_use]
    pub fn rank_interval(&self, statistic: RankStatistic, options: Options) -> Option<Interval> {
        self.rank_intervals([statistic], options)[0].take()
    }

    /// [`Self::rank_interval`] of several statistics, which the same draws serve.
    #[must_use]
    pub fn rank_intervals<const S: usize>(
        &self,
        statistics: [RankStatistic; S],
        options: Options,
    ) -> [Option<Interval>; S] {
        let drawn = if self.n() >= large::MANY {
            statistics.map(|statistic| large::rank_interval(self, statistic, options.level))
        } else {
            let n = self.n() as usize;
            intervals_of(statistics, (n, n), options, |weights| {
                let mut weights = weights.iter().map(|&weight| u64::from(weight));
                let mut drawn = |count: u64| weights.by_ref().take(count as usize).sum::<u64>();
                let redrawn = |group: &Group| {
                    let correct = drawn(group.correct);
                    Group {
                        confidence: group.confidence,
                        n: correct + drawn(group.n - group.correct),
                        correct,
                    }
                };
                self.groups().iter().map(redrawn).collect()
            })
        };
        let correct = self.accuracy() == 1.0;
        let one_class = correct || self.accuracy() == 0.0;
        or_one_class(
            statistics,
            drawn,
            one_class.then_some(correct),
            self.n(),
            options.level,
        )
    }
}

/// Statistics of the order vary by more than this, or by the rounding of their sums only.
const ROUNDING: f64 = 1e-9;

/// Percentile intervals of statistics of the groups that each draw of `items` makes; `most` answers come of a draw at most.
pub(super) fn intervals_of<const S: usize>(
    statistics: [RankStatistic; S],
    (items, most): (usize, usize),
    options: Options,
    groups: impl Fn(&[u32]) -> Vec<Group> + Sync,
) -> [Option<Interval>; S] {
    let harmonics = Harmonics::up_to(most);
    let all = |weights: &[u32]| -> [Option<f64>; S] {
        let groups = groups(weights);
        let curves = curves_by(&groups, &harmonics);
        statistics.map(|statistic| match statistic {
            RankStatistic::Auroc => auroc(&groups),
            _ => statistic.of_curves(curves?),
        })
    };
    let Some(resampler) = Resampler::new(items, options) else {
        return [const { None }; S];
    };
    let estimates = all(&vec![1; items]);
    let drawn = resampler.map(all);
    std::array::from_fn(|place| {
        let values = drawn.iter().map(|values| values[place]).collect();
        Replicates::new(estimates[place], values, Drawn::Items, options.seed)?
            .percentile(options.level)
            .filter(|ci| ci.high - ci.low > ROUNDING)
    })
}

/// The intervals, with [`RankStatistic::of_one_class`] where there is none. `one_class`: whether all answers are correct, or all
/// wrong; `None` when they are neither.
pub(super) fn or_one_class<const S: usize>(
    statistics: [RankStatistic; S],
    mut intervals: [Option<Interval>; S],
    one_class: Option<bool>,
    n: u64,
    level: f64,
) -> [Option<Interval>; S] {
    if let Some(correct) = one_class {
        for (interval, statistic) in intervals.iter_mut().zip(statistics) {
            let other = || statistic.of_one_class(correct, n, level);
            *interval = interval.take().or_else(other);
        }
    }
    intervals
}
