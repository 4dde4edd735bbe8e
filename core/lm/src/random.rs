//! Counter-based randomness: every draw is a function of (seed, purpose, index), never of what was drawn before.

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

/// A stream of random numbers with a name.
pub(crate) struct Stream(ChaCha12Rng);

impl Stream {
    /// The stream of `(seed, purpose, index)`. `index` may have several parts, such as step, micro-batch and layer.
    pub(crate) fn new(seed: u64, purpose: &str, index: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("driftgauge-lm random stream");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        for part in index {
            hasher.update(&part.to_le_bytes());
        }
        Self(ChaCha12Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform on [0, 1), 24 bits: every value is exact in f32.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// Standard normal (Box-Muller, one draw in f64).
    pub(crate) fn normal(&mut self) -> f32 {
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.unit_f64()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.unit_f64()).cos()) as f32
    }

    /// A permutation of `0..n` (Fisher-Yates).
    pub(crate) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let j = self.below(i as u64 + 1) as usize;
            order.swap(i, j);
        }
        order
    }

    fn unit_f64(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform on `0..n`, without modulo bias (rejection).
    fn below(&mut self, n: u64) -> u64 {
        let zone = u64::MAX - u64::MAX % n;
        loop {
            let draw = self.0.next_u64();
            if draw < zone {
                return draw % n;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_every_part_of_their_name() {
        let draw = |seed, purpose, index: &[u64]| {
            let mut stream = Stream::new(seed, purpose, index);
            (stream.uniform(), stream.uniform())
        };
        let first = draw(1, "init", &[2, 3]);
        assert_eq!(first, draw(1, "init", &[2, 3]));
        for other in [
            draw(2, "init", &[2, 3]),
            draw(1, "order", &[2, 3]),
            draw(1, "init", &[3, 2]),
            draw(1, "init", &[2]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let mut stream = Stream::new(0, "test", &[]);
        let draws: Vec<f64> = (0..20_000).map(|_| f64::from(stream.normal())).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(7, "order", &[0]).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
