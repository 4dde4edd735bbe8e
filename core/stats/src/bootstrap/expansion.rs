//! The bootstrap distribution of the mean of very many scores, from its moments instead of from draws.
//!
//! The mean of n draws with replacement has the cumulants of the scores themselves, so its quantiles are known without Monte
//! Carlo error: the normal ones, moved by the skewness and the kurtosis that are left after averaging (Cornish and Fisher 1938;
//! Hall 1992, The Bootstrap and Edgeworth Expansion, section 2.5). What is left out is of the order of the skewness of the mean
//! cubed: below a thousandth of the standard error here.

use super::replicates::bias_corrected_tails;
use crate::special::{normal_cdf, normal_quantile};
use crate::summary::{ExactSum, mean};
use crate::{Interval, is_open_probability};

/// From this many scores on; fewer are drawn.
pub(crate) const MANY: usize = 20_000;
/// Largest share that one score may have in the sum of squares; where a few scores decide, they are drawn.
const LARGEST_SHARE: f64 = 0.01;

/// Moments of the bootstrap distribution of a mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LargeMean {
    mean: f64,
    se: f64,
    skewness: f64,
    kurtosis: f64,
}

impl LargeMean {
    /// Of very many scores, none of which decides alone; `None` for others.
    pub(crate) fn new(values: &[f64]) -> Option<Self> {
        if values.len() < MANY {
            return None;
        }
        let centre = mean(values)?;
        let power = |exponent: i32| -> Option<f64> {
            let powers = values.iter().map(|value| (value - centre).powi(exponent));
            powers.collect::<ExactSum>().value()
        };
        let (squares, cubes, fourths) = (power(2)?, power(3)?, power(4)?);
        let largest = values
            .iter()
            .map(|value| (value - centre).powi(2))
            .fold(0.0, f64::max);
        let n = values.len() as f64;
        (squares > 0.0 && largest <= LARGEST_SHARE * squares).then(|| Self {
            mean: centre,
            se: squares.sqrt() / n,
            skewness: cubes / squares.powf(1.5),
            kurtosis: fourths / (squares * squares) - 3.0 / n,
        })
    }

    /// The percentile interval.
    pub(crate) fn percentile(&self, level: f64) -> Option<Interval> {
        let tail = (1.0 - level) / 2.0;
        self.between(level, tail, 1.0 - tail, "bootstrap-percentile-expansion")
    }

    /// The BCa interval.
    pub(crate) fn bca(&self, level: f64) -> Option<Interval> {
        // Edgeworth's distribution function at the mean itself.
        let below = 0.5 + self.skewness / (6.0 * std::f64::consts::TAU.sqrt());
        let (low, high) = bias_corrected_tails(level, below, self.skewness / 6.0)?;
        self.between(level, low, high, "bootstrap-bca-expansion")
    }

    fn between(&self, level: f64, low: f64, high: f64, method: &str) -> Option<Interval> {
        is_open_probability(level)
            .then(|| Interval::new(level, self.quantile(low), self.quantile(high), method))
    }

    fn quantile(&self, probability: f64) -> f64 {
        let z = normal_quantile(probability);
        let (g, k) = (self.skewness, self.kurtosis);
        let moved = z + (z * z - 1.0) * g / 6.0 + (z.powi(3) - 3.0 * z) * k / 24.0
            - (2.0 * z.powi(3) - 5.0 * z) * g * g / 36.0;
        self.mean + self.se * moved
    }
}

/// Two-sided p-value of a sum whose every term may change its sign, by the normal distribution: for very many terms, none of
/// which decides alone. `None` for others.
pub(crate) fn flipped_tail(sizes: &[f64], sum: f64) -> Option<f64> {
    if sizes.len() < MANY {
        return None;
    }
    let squares = sizes.iter().map(|size| size * size);
    let total = squares.clone().collect::<ExactSum>().value()?;
    let largest = squares.fold(0.0, f64::max);
    (total > 0.0 && largest <= LARGEST_SHARE * total)
        .then(|| 2.0 * normal_cdf(-sum.abs() / total.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::super::{Items, Options};
    use super::*;

    /// Exponential scores: a skewness of 2.
    fn skewed(n: usize) -> Vec<f64> {
        (0..n)
            .map(|i| -((i as f64 + 0.5) / n as f64).ln())
            .collect()
    }

    #[test]
    fn the_expansion_is_what_draws_approach() {
        // Few enough scores that the skewness of their mean shows: 0.14. The moments are the same, averaged over fewer of them.
        let few = skewed(200);
        let large = LargeMean::new(&skewed(MANY)).unwrap();
        let ratio = MANY as f64 / 200.0;
        let ours = LargeMean {
            mean: mean(&few).unwrap(),
            se: (crate::summary::variance(&few, 0).unwrap() / 200.0).sqrt(),
            skewness: large.skewness * ratio.sqrt(),
            kurtosis: large.kurtosis * ratio,
        };
        let options = Options {
            resamples: 200_000,
            ..Options::default()
        };
        let drawn = Items::new(&[&few]).unwrap().resample(options);
        let mean_of = |totals: &[f64], n: f64| Some(totals[0] / n);
        let percentile = (
            ours.percentile(0.95).unwrap(),
            drawn.percentile(mean_of).unwrap(),
        );
        let bca = (ours.bca(0.95).unwrap(), drawn.bca(mean_of).unwrap());
        for (ours, drawn) in [percentile, bca] {
            for (one, other) in [(ours.low, drawn.low), (ours.high, drawn.high)] {
                // Two hundred thousand draws tell a bound to about a hundredth of its standard error.
                assert!(
                    (one - other).abs() < 0.02 / 200_f64.sqrt(),
                    "{ours:?} {drawn:?}"
                );
            }
        }
    }

    #[test]
    fn few_scores_and_deciding_ones_are_drawn() {
        assert!(LargeMean::new(&skewed(MANY - 1)).is_none());
        let mut decided = vec![0.0; MANY];
        decided[7] = 1.0;
        assert!(LargeMean::new(&decided).is_none());
        assert!(LargeMean::new(&vec![2.0; MANY]).is_none());
        assert_eq!(flipped_tail(&decided, 1.0), None);
        assert_eq!(flipped_tail(&[1.0; 5], 1.0), None);
    }

    #[test]
    fn flipped_signs_have_the_normal_tail() {
        let sizes = vec![2.0; MANY];
        let root = 2.0 * (MANY as f64).sqrt();
        let p = flipped_tail(&sizes, -1.959_963_984_540_054 * root).unwrap();
        assert!((p - 0.05).abs() < 1e-9, "{p}");
    }
}
