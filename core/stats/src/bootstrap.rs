//! The bootstrap of a mean over items, with one resample per replicate whatever is measured on it.

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

use crate::Interval;
use crate::summary::{mean, quantile_sorted};

/// How often and from which seed items are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Confidence level.
    pub level: f64,
    /// Replicates.
    pub resamples: usize,
    /// Seed. The same seed and number of items draw the same items, so that every score and model sees the same resamples.
    pub seed: u64,
}

/// Percentile interval of the mean of `values` (one per item, in the order of their ids). `None` of nothing; a point when
/// all values are equal.
#[must_use]
pub fn mean_interval(values: &[f64], options: Options) -> Option<Interval> {
    let centre = mean(values)?;
    let method = "bootstrap-percentile".to_owned();
    if values.iter().all(|value| value == &values[0]) {
        return Some(Interval {
            level: options.level,
            low: centre,
            high: centre,
            method,
        });
    }
    let mut means: Vec<f64> = (0..options.resamples.max(1))
        .into_par_iter()
        .map(|replicate| {
            let mut draw = draws(options.seed, replicate);
            let total: f64 = (0..values.len())
                .map(|_| values[below(&mut draw, values.len())])
                .sum();
            total / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let tail = (1.0 - options.level) / 2.0;
    Some(Interval {
        level: options.level,
        low: quantile_sorted(&means, tail)?,
        high: quantile_sorted(&means, 1.0 - tail)?,
        method,
    })
}

/// The generator of one replicate.
pub(crate) fn draws(seed: u64, replicate: usize) -> ChaCha12Rng {
    let mut generator = ChaCha12Rng::seed_from_u64(seed);
    generator.set_stream(replicate as u64);
    generator
}

/// A number below `bound` (Lemire's multiplication; the bias at 2^-32 is far below any resampling error).
pub(crate) fn below(generator: &mut ChaCha12Rng, bound: usize) -> usize {
    let product = u128::from(generator.next_u64()) * bound as u128;
    usize::try_from(product >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_about_the_normal_one() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 10)).collect();
        let options = Options {
            level: 0.95,
            resamples: 4000,
            seed: 7,
        };
        let ci = mean_interval(&values, options).unwrap();
        // mean 4.5, sd 2.872, se 0.1436
        assert!(
            (ci.low - 4.2185).abs() < 0.02 && (ci.high - 4.7815).abs() < 0.02,
            "{ci:?}"
        );
        assert_eq!(mean_interval(&values, options), Some(ci));
    }

    #[test]
    fn small_samples_are_defined() {
        let options = Options {
            level: 0.95,
            resamples: 100,
            seed: 0,
        };
        assert_eq!(mean_interval(&[], options), None);
        let one = mean_interval(&[2.0], options).unwrap();
        assert_eq!((one.low, one.high), (2.0, 2.0));
    }
}
