//! Intervals for authors: those of the report, so that a plugin's numbers stand beside the built-in ones.
//!
//! Where a number has scores and no interval, driftgauge makes one by itself; these are for numbers that are no mean of scores,
//! and for other methods. [`stats`] has the rest: tests of pairs, calibration, agreement, multiplicity.

pub use driftgauge_stats as stats;
use driftgauge_stats::bootstrap::{self, Options};
use driftgauge_stats::{proportion, summary};

use crate::wire::Interval;

/// Wilson's interval of a share; nothing of no trials.
#[must_use]
pub fn wilson(successes: u64, n: u64, level: f64) -> Option<Interval> {
    proportion::wilson(successes, n, level)
}

/// Student's interval of a mean; nothing of fewer than two values, of equal ones, and where one is not finite.
#[must_use]
pub fn student(values: &[f64], level: f64) -> Option<Interval> {
    summary::mean_interval(values, level)
}

/// The percentile bootstrap interval of a mean.
#[must_use]
pub fn bootstrap_mean(values: &[f64], options: Options) -> Option<Interval> {
    bootstrap::mean_interval(values, options)
}

/// The BCa bootstrap interval of a mean, for skewed values.
#[must_use]
pub fn bootstrap_mean_bca(values: &[f64], options: Options) -> Option<Interval> {
    bootstrap::mean_interval_bca(values, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `statsmodels.stats.proportion.proportion_confint(7, 20, method="wilson")` and
    /// `scipy.stats.t.interval(0.95, 4, loc=3, scale=scipy.stats.sem([1, 2, 3, 4, 5]))`.
    #[test]
    fn intervals_equal_those_of_statsmodels_and_scipy() {
        let share = wilson(7, 20, 0.95).unwrap();
        assert!(
            (share.low - 0.181_191_824_101_082_03).abs() < 1e-9,
            "{share:?}"
        );
        assert!(
            (share.high - 0.567_145_723_314_763_8).abs() < 1e-9,
            "{share:?}"
        );
        let mean = student(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95).unwrap();
        assert!(
            (mean.low - 1.036_756_838_522_442_8).abs() < 1e-9,
            "{mean:?}"
        );
        assert!((mean.high - 4.963_243_161_477_557).abs() < 1e-9, "{mean:?}");
    }

    #[test]
    fn what_was_drawn_crosses_the_boundary() {
        let options = Options {
            resamples: 2_000,
            seed: 3,
            ..Options::default()
        };
        let values: Vec<f64> = (0..30).map(f64::from).collect();
        for ci in [
            bootstrap_mean(&values, options),
            bootstrap_mean_bca(&values, options),
        ] {
            let ci = ci.unwrap();
            let draws = ci.draws.unwrap();
            assert_eq!((draws.resamples, draws.seed), (2_000, 3));
            assert!(ci.low < 14.5 && 14.5 < ci.high, "{ci:?}");
        }
    }
}
