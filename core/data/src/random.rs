//! Seeded randomness: ChaCha12 keyed by (seed, purpose), never global state.

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

/// A stream of random numbers that depends on the seed and the purpose alone.
pub struct Random(ChaCha12Rng);

impl Random {
    /// The stream for `purpose` under `seed`.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(purpose.as_bytes());
        Self(ChaCha12Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// A number in `0..bound`, without modulo bias.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.0.next_u64();
            if draw < limit {
                return usize::try_from(draw % bound).unwrap_or(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_bound_comes_up() {
        let mut random = Random::new(7, "test");
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[random.below(5)] += 1;
        }
        // 200 each are expected, with a standard deviation of 12.6.
        assert!(
            seen.iter().all(|count| (140..260).contains(count)),
            "{seen:?}"
        );
        assert_eq!(random.below(1), 0);
    }
}
