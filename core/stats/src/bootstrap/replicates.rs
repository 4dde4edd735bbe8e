//! The replicates of one statistic, and the intervals they give.

use crate::special::{normal_cdf, normal_quantile};
use crate::summary::{quantile_sorted, variance};
use crate::{Draws, Interval, is_open_probability};

/// Bounds that differ by less than this share of themselves differ by the rounding of sums.
const ROUNDING: f64 = 1e-12;

/// How the items of a replicate were drawn. Both are the same distribution exactly; they differ in cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// Item by item.
    Items,
    /// How often each of a few distinct rows comes, as one multinomial draw.
    Multinomial,
}

/// The values that one statistic took over the replicates.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicates {
    /// The statistic of the data themselves.
    pub estimate: f64,
    sorted: Vec<f64>,
    drawn: Drawn,
    seed: u64,
    /// Replicates for which the statistic is undefined (a class or category was not drawn); they are left out.
    pub undefined: usize,
}

impl Replicates {
    /// Of the statistic's value on the data and on each replicate; `None` where it is undefined. `None` when it is undefined
    /// on the data or on every replicate. `seed`: what the draws came from.
    #[must_use]
    pub fn new(
        estimate: Option<f64>,
        values: Vec<Option<f64>>,
        drawn: Drawn,
        seed: u64,
    ) -> Option<Self> {
        let estimate = estimate.filter(|value| value.is_finite())?;
        let all = values.len();
        let mut sorted: Vec<f64> = values
            .into_iter()
            .flatten()
            .filter(|value| value.is_finite())
            .collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_unstable_by(f64::total_cmp);
        Some(Self {
            estimate,
            undefined: all - sorted.len(),
            sorted,
            drawn,
            seed,
        })
    }

    /// The values, ascending.
    #[must_use]
    pub fn sorted(&self) -> &[f64] {
        &self.sorted
    }

    /// Bootstrap standard error: the replicates' standard deviation; `None` of one replicate.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        Some(variance(&self.sorted, 1)?.sqrt())
    }

    /// Percentile interval: quantiles (type 7) of the replicates. `None` for a level outside (0, 1), and when the quantiles are the
    /// same (but for rounding): one item, or items that do not vary, say nothing about their spread.
    #[must_use]
    pub fn percentile(&self, level: f64) -> Option<Interval> {
        let tail = (1.0 - level) / 2.0;
        self.between(level, tail, 1.0 - tail, "bootstrap-percentile")
    }

    /// Bias-corrected and accelerated interval (Efron 1987): the percentiles at
    /// `Φ(z0 + (z0 ± z) / (1 - a (z0 ± z)))`, where z0 is the normal quantile of the share of replicates below the estimate
    /// (ties count half) and a the skewness `Σ(θ̄ - θ_i)³ / 6 (Σ(θ̄ - θ_i)²)^1.5` of the leave-one-out values.
    /// `jackknife`: (leave-one-out value, how many items give it). Falls back to [`Self::percentile`], and says so by its
    /// method, when the correction is undefined.
    #[must_use]
    pub fn bca(&self, level: f64, jackknife: &[(f64, u64)]) -> Option<Interval> {
        let all = self.sorted.len() as f64;
        let less = self.sorted.partition_point(|value| *value < self.estimate) as f64;
        let up_to = self.sorted.partition_point(|value| *value <= self.estimate) as f64;
        let below = ((less + up_to) / (2.0 * all)).clamp(0.5 / all, 1.0 - 0.5 / all);
        match corrected_tails(level, below, jackknife) {
            Some((low, high)) => self.between(level, low, high, "bootstrap-bca"),
            None => self.percentile(level),
        }
    }

    fn between(&self, level: f64, low: f64, high: f64, method: &str) -> Option<Interval> {
        if !is_open_probability(level) {
            return None;
        }
        let low = quantile_sorted(&self.sorted, low)?;
        let high = quantile_sorted(&self.sorted, high)?;
        if high - low <= ROUNDING * low.abs().max(high.abs()) {
            return None;
        }
        let method = match self.drawn {
            Drawn::Items => method.to_owned(),
            Drawn::Multinomial => format!("{method}-multinomial"),
        };
        Some(Interval {
            draws: Some(Draws {
                resamples: (self.sorted.len() + self.undefined) as u64,
                seed: self.seed,
            }),
            ..Interval::new(level, low, high, &method)
        })
    }
}

/// Where the BCa interval cuts the bootstrap distribution. `below`: the probability below the estimate, ties counting half.
pub(super) fn corrected_tails(
    level: f64,
    below: f64,
    jackknife: &[(f64, u64)],
) -> Option<(f64, f64)> {
    let n: u64 = jackknife.iter().map(|(_, count)| count).sum();
    if n < 2 || jackknife.iter().any(|(value, _)| !value.is_finite()) {
        return None;
    }
    let total = |value: &dyn Fn(f64) -> f64| -> f64 {
        jackknife
            .iter()
            .map(|(left_out, count)| *count as f64 * value(*left_out))
            .sum()
    };
    let centre = total(&|value| value) / n as f64;
    let squares = total(&|value| (centre - value).powi(2));
    let acceleration = if squares > 0.0 {
        total(&|value| (centre - value).powi(3)) / (6.0 * squares.powf(1.5))
    } else {
        0.0
    };
    bias_corrected_tails(level, below, acceleration)
}

/// [`corrected_tails`] with the acceleration at hand.
pub(super) fn bias_corrected_tails(
    level: f64,
    below: f64,
    acceleration: f64,
) -> Option<(f64, f64)> {
    if !is_open_probability(level) {
        return None;
    }
    let bias = normal_quantile(below);
    let z = normal_quantile(0.5 + level / 2.0);
    let corrected = |z: f64| {
        let moved = bias + z;
        let divisor = 1.0 - acceleration * moved;
        (divisor > 0.0).then(|| normal_cdf(bias + moved / divisor))
    };
    Some((corrected(-z)?, corrected(z)?))
}
