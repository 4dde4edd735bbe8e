//! Means and rates with their intervals.

use driftgauge_plugin_sdk::wire::{Interval, Scalar, Spread};
use driftgauge_stats::bootstrap::{Options, mean_interval, mean_interval_bca};
use driftgauge_stats::proportion::{clopper_pearson, effective_trials, wilson_share};
use driftgauge_stats::summary::{self, standard_error, summarize};

use crate::columns::Column;

/// Level of every interval.
pub const LEVEL: f64 = 0.95;
/// Standard normal quantile of [`LEVEL`], two-sided.
const Z: f64 = 1.959_963_984_540_054;
/// How bootstrap intervals of numbers are drawn: from [`driftgauge_stats::bootstrap::GENERATOR`] with seed 0, whatever the
/// experiment's seed, so that recorded completions give the same numbers in every experiment.
pub const BOOTSTRAP: Options = Options {
    level: LEVEL,
    resamples: 2_000,
    seed: 0,
};

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

/// The mean of scores in [0, 1], one per prompt, with Wilson's interval. With several completions per prompt the number of
/// prompts is replaced by the effective number of trials ([`effective_trials`]): prompts stay the unit.
#[must_use]
pub fn rate(column: &Column) -> Estimate {
    let scores: Vec<f64> = column.means().collect();
    rate_of(&scores, column.total())
}

/// As [`rate`], from scores and the number of completions behind them.
#[must_use]
pub fn rate_of(scores: &[f64], completions: u64) -> Estimate {
    let Some(p) = summary::mean(scores) else {
        return Estimate::default();
    };
    let ci = wilson_share(p, effective_trials(scores, completions), LEVEL);
    let binary = scores.iter().all(|&score| score == 0.0 || score == 1.0);
    Estimate {
        value: Some(p),
        n: scores.len() as u64,
        ci: ci.map(|ci| {
            let method = if binary { "wilson" } else { &ci.method };
            interval(ci.low, ci.high, method)
        }),
        intervals: exact(scores).into_iter().collect(),
        spread: spread(scores),
    }
}

/// Clopper and Pearson's interval of 0/1 scores: the one for guarantees.
fn exact(scores: &[f64]) -> Option<Interval> {
    if scores.iter().any(|&score| score != 0.0 && score != 1.0) {
        return None;
    }
    let hits = scores.iter().filter(|&&score| score == 1.0).count();
    clopper_pearson(hits as u64, scores.len() as u64, LEVEL).map(wire)
}

/// How scores are spread; nothing of nothing.
#[must_use]
pub fn spread(scores: &[f64]) -> Option<Spread> {
    let summary = summarize(scores)?;
    Some(Spread {
        sd: summary.sd,
        se: summary.se,
        sd_population: summary.sd_population,
        se_population: summary.se_population,
        median: summary.median,
        min: summary.min,
        max: summary.max,
    })
}

/// The mean of real scores, one per prompt, with the interval of its standard error; no interval below two prompts.
#[must_use]
pub fn mean(column: &Column) -> Estimate {
    let scores: Vec<f64> = column.means().collect();
    mean_of(&scores)
}

/// As [`mean`], from scores.
#[must_use]
pub fn mean_of(scores: &[f64]) -> Estimate {
    let Some(mean) = summary::mean(scores) else {
        return Estimate::default();
    };
    Estimate {
        value: Some(mean),
        n: scores.len() as u64,
        ci: standard_error(scores).map(|se| interval(mean - Z * se, mean + Z * se, "normal")),
        intervals: Vec::new(),
        spread: spread(scores),
    }
}

/// From this many differences on the normal interval serves: the bootstrap's is the same to four digits.
const MANY: usize = 20_000;

/// The mean of paired differences, one per prompt, with its percentile bootstrap interval.
#[must_use]
pub fn difference(column: &Column) -> Estimate {
    let scores: Vec<f64> = column.means().collect();
    let plain = mean_of(&scores);
    if scores.len() >= MANY {
        return plain;
    }
    let options = Options {
        resamples: 10_000,
        ..BOOTSTRAP
    };
    Estimate {
        ci: mean_interval(&scores, options).map(wire),
        ..plain
    }
}

/// The mean of skewed scores (divergences, say), one per prompt, with its BCa bootstrap interval.
#[must_use]
pub fn skewed_mean(column: &Column) -> Estimate {
    let scores: Vec<f64> = column.means().collect();
    let plain = mean_of(&scores);
    if scores.len() < 2 || scores.len() >= MANY {
        return plain;
    }
    Estimate {
        ci: mean_interval_bca(&scores, BOOTSTRAP).map(wire),
        ..plain
    }
}

/// An interval of the statistics as it crosses the plugin boundary.
#[must_use]
pub fn wire(ci: driftgauge_stats::Interval) -> Interval {
    Interval {
        level: ci.level,
        low: ci.low,
        high: ci.high,
        method: ci.method,
    }
}

/// An interval of the level all metrics use.
#[must_use]
pub fn interval(low: f64, high: f64, method: &str) -> Interval {
    Interval {
        level: LEVEL,
        low,
        high,
        method: method.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(hits: usize, n: usize) -> Vec<f64> {
        (0..n).map(|i| f64::from(u8::from(i < hits))).collect()
    }

    #[test]
    fn rates_of_the_paper() {
        // Counts and intervals of arXiv 2409.19476's recorded verdicts.
        for (hits, low, high) in [(131, 0.356_884, 0.464_016), (301, 0.909_134, 0.961_663)] {
            let estimate = rate_of(&binary(hits, 320), 320);
            assert_eq!(estimate.value, Some(hits as f64 / 320.0));
            let ci = estimate.ci.unwrap();
            assert!((ci.low - low).abs() < 1e-6 && (ci.high - high).abs() < 1e-6);
        }
    }

    #[test]
    fn zero_of_fifty_has_an_upper_bound() {
        let ci = rate_of(&binary(0, 50), 50).ci.unwrap();
        assert_eq!(ci.low, 0.0);
        assert!((ci.high - 0.071_35).abs() < 1e-4);
    }

    #[test]
    fn copies_do_not_narrow_the_interval() {
        let once = rate_of(&binary(12, 40), 40);
        let copied = rate_of(&binary(12, 40), 400);
        assert_eq!(once, copied);
        // Independent repeats do, down to one draw per completion.
        let repeated = rate_of(&vec![0.3; 40], 400).ci.unwrap();
        let independent = rate_of(&binary(120, 400), 400).ci.unwrap();
        assert!((repeated.low - independent.low).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_undefined() {
        assert_eq!(rate_of(&[], 0), Estimate::default());
        assert_eq!(mean_of(&[]), Estimate::default());
        assert_eq!(mean_of(&[2.5]).ci, None);
        let equal = mean_of(&[2.0, 2.0]).ci.unwrap();
        assert_eq!((equal.low, equal.high), (2.0, 2.0));
    }
}
