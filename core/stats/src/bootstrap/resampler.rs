//! The drawn weights themselves, for statistics that are not functions of totals.

use rayon::prelude::*;

use super::Options;
use super::draw::{BLOCK, places, stream};
use super::items::block_shares;
use super::replicates::{Drawn, Replicates};

/// Draws of n items with replacement. The draw of a replicate depends on the seed, n and the replicate's number alone: one
/// resampler therefore serves every model, condition and score column that has the same items in the same order (sort them by
/// sample id, so that the order in which they were recorded does not show).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampler {
    n: usize,
    options: Options,
}

impl Resampler {
    /// For `n` items; `None` for none.
    #[must_use]
    pub fn new(n: usize, options: Options) -> Option<Self> {
        (n > 0).then_some(Self { n, options })
    }

    /// Number of items.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Writes how often each item is drawn in a replicate; the weights add up to n.
    pub fn weights(&self, replicate: usize, weights: &mut Vec<u32>) {
        weights.clear();
        weights.resize(self.n, 0);
        let mut drawn = Vec::new();
        let shares = block_shares(self.n as u64, self.options.seed, replicate as u64);
        for (block, (weights, share)) in weights.chunks_mut(BLOCK).zip(shares).enumerate() {
            let mut generator = stream(self.options.seed, replicate as u64, block as u64 + 1);
            places(&mut generator, weights.len(), share, &mut drawn);
            for &place in &drawn {
                weights[usize::from(place)] += 1;
            }
        }
    }

    /// What `statistic` makes of each replicate's weights, in the order of the replicates.
    pub fn map<T: Send>(&self, statistic: impl Fn(&[u32]) -> T + Sync) -> Vec<T> {
        (0..self.options.resamples.max(1))
            .into_par_iter()
            .map_init(Vec::new, |weights, replicate| {
                self.weights(replicate, weights);
                statistic(weights)
            })
            .collect()
    }

    /// The replicates of a statistic of the weights. On the data themselves, every weight is 1.
    pub fn replicates(
        &self,
        statistic: impl Fn(&[u32]) -> Option<f64> + Sync,
    ) -> Option<Replicates> {
        let estimate = statistic(&vec![1; self.n]);
        Replicates::new(
            estimate,
            self.map(statistic),
            Drawn::Items,
            self.options.seed,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_and_repeat() {
        let options = Options {
            resamples: 5,
            ..Options::default()
        };
        let resampler = Resampler::new(5000, options).unwrap();
        let first = resampler.map(<[u32]>::to_vec);
        assert!(
            first
                .iter()
                .all(|weights| weights.iter().sum::<u32>() == 5000)
        );
        assert_eq!(first, resampler.map(<[u32]>::to_vec));
        assert_ne!(first[0], first[1]);
        // The share of items that a replicate leaves out is about 1/e.
        let left_out = first[0].iter().filter(|weight| **weight == 0).count();
        assert!((1700..1980).contains(&left_out), "{left_out}");
        assert!(Resampler::new(0, options).is_none());
    }
}
