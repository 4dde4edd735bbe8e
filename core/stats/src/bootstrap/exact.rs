//! The bootstrap distribution of a mean, computed instead of drawn, for scores on a small grid of whole numbers (0/1 verdicts
//! and their paired differences -1, 0, 1).
//!
//! The total of n draws with replacement has the n-fold convolution of the scores' shares as its distribution, so no Monte Carlo
//! error is left: with 320 items one step of the grid is 0.31 percentage points, and two seeds would often differ by it.

use super::replicates::corrected_tails;
use crate::{Interval, is_open_probability};

/// Largest support of the total that is worth computing; beyond it a step of the grid no longer matters.
const MOST_TOTALS: u64 = 8192;

/// The bootstrap distribution of a mean.
#[derive(Debug, Clone)]
pub(crate) struct ExactMean {
    /// Ascending means and the probability of each.
    means: Vec<f64>,
    chances: Vec<f64>,
    estimate: f64,
    /// Each score's leave-one-out mean and how many items have it.
    jackknife: Vec<(f64, u64)>,
}

impl ExactMean {
    /// Of whole scores that are not all equal and not too many; `None` for others.
    pub(crate) fn new(values: &[f64]) -> Option<Self> {
        let n = values.len() as u64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let span = high - low;
        let whole = values.iter().all(|value| value.fract() == 0.0);
        if !whole || !(1.0..=8.0).contains(&span) || n as f64 * span > MOST_TOTALS as f64 {
            return None;
        }
        let mut counts = vec![0_u64; span as usize + 1];
        for value in values {
            counts[(value - low) as usize] += 1;
        }
        let shares: Vec<f64> = counts
            .iter()
            .map(|&count| count as f64 / n as f64)
            .collect();
        let chances = convolution_power(&shares, n);
        let mean_of = |total: u64, n: u64| low + total as f64 / n as f64;
        let total: u64 = counts
            .iter()
            .zip(0..)
            .map(|(count, step)| count * step)
            .sum();
        let left_out = |step: u64| mean_of(total - step, n - 1);
        Some(Self {
            means: (0..chances.len() as u64)
                .map(|total| mean_of(total, n))
                .collect(),
            chances,
            estimate: mean_of(total, n),
            jackknife: counts
                .iter()
                .zip(0..)
                .filter(|(count, _)| **count > 0)
                .map(|(count, step)| (left_out(step), *count))
                .collect(),
        })
    }

    /// The percentile interval.
    pub(crate) fn percentile(&self, level: f64) -> Option<Interval> {
        let tail = (1.0 - level) / 2.0;
        self.between(level, tail, 1.0 - tail, "bootstrap-percentile-exact")
    }

    /// The BCa interval.
    pub(crate) fn bca(&self, level: f64) -> Option<Interval> {
        // Less than a step, so that rounding cannot move a mean across the estimate.
        let half_step = 0.5 * (self.means[1] - self.means[0]);
        let chance = |keep: &dyn Fn(f64) -> bool| -> f64 {
            let kept = self
                .means
                .iter()
                .zip(&self.chances)
                .filter(|(mean, _)| keep(**mean));
            kept.map(|(_, chance)| chance).sum()
        };
        let below = chance(&|mean| mean < self.estimate - half_step);
        let at = chance(&|mean| (mean - self.estimate).abs() <= half_step);
        match corrected_tails(level, below + at / 2.0, &self.jackknife) {
            Some((low, high)) => self.between(level, low, high, "bootstrap-bca-exact"),
            None => self.percentile(level),
        }
    }

    fn between(&self, level: f64, low: f64, high: f64, method: &str) -> Option<Interval> {
        is_open_probability(level)
            .then(|| Interval::new(level, self.quantile(low), self.quantile(high), method))
    }

    /// The smallest mean that is not exceeded with at least this probability.
    fn quantile(&self, probability: f64) -> f64 {
        let mut sum = 0.0;
        let found = self.chances.iter().position(|chance| {
            sum += chance;
            sum >= probability - 1e-12
        });
        self.means[found.unwrap_or(self.means.len() - 1)]
    }
}

/// The distribution of the sum of `n` independent draws, by repeated squaring.
fn convolution_power(one: &[f64], n: u64) -> Vec<f64> {
    let mut power = vec![1.0];
    for bit in (0..u64::BITS - n.leading_zeros()).rev() {
        power = convolution(&power, &power);
        if n >> bit & 1 == 1 {
            power = convolution(&power, one);
        }
    }
    power
}

fn convolution(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; a.len() + b.len() - 1];
    for (shift, factor) in b.iter().enumerate() {
        for (to, from) in out[shift..].iter_mut().zip(a) {
            *to += factor * from;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::ln_choose;

    #[test]
    fn a_share_has_the_binomial_distribution() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(u8::from(i < 10))).collect();
        let exact = ExactMean::new(&values).unwrap();
        for (k, chance) in exact.chances.iter().enumerate() {
            let k = k as u64;
            let ln = ln_choose(50, k) + k as f64 * 0.2_f64.ln() + (50 - k) as f64 * 0.8_f64.ln();
            assert!((chance - ln.exp()).abs() < 1e-14, "{k}");
        }
        assert!((exact.chances.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn other_scores_are_drawn() {
        assert!(ExactMean::new(&[0.5, 1.0]).is_none());
        assert!(ExactMean::new(&[1.0, 1.0]).is_none());
        assert!(ExactMean::new(&[0.0, 100.0]).is_none());
        assert!(ExactMean::new(&[]).is_none());
        assert!(ExactMean::new(&[0.0, 1.0].repeat(5000)).is_none());
    }
}
