//! The sign-flip permutation test of paired differences.

use rand_core::RngCore;
use rayon::prelude::*;

use crate::bootstrap::draws;

/// Two-sided p-value of the mean of `differences` when each sign is a coin flip: `(1 + #{|mean*| >= |mean|}) / (1 + flips)`,
/// so never 0. `None` of nothing; 1 when all differences are 0.
#[must_use]
pub fn sign_flip(differences: &[f64], flips: usize, seed: u64) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let observed = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order differ in the last bits; those count as equal.
    let threshold = observed - 1e-12 * differences.iter().map(|value| value.abs()).sum::<f64>();
    let extreme = (0..flips)
        .into_par_iter()
        .filter(|&flip| {
            let mut generator = draws(seed ^ 0x5167_4e46_4c49_5021, flip);
            let mut bits = 0;
            let mut sum = 0.0;
            for (index, difference) in differences.iter().enumerate() {
                if index % 64 == 0 {
                    bits = generator.next_u64();
                }
                sum += if bits >> (index % 64) & 1 == 1 {
                    *difference
                } else {
                    -difference
                };
            }
            sum.abs() >= threshold
        })
        .count();
    Some((1 + extreme) as f64 / (1 + flips) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_difference_is_clear_and_none_is_none() {
        assert_eq!(sign_flip(&[], 100, 0), None);
        assert_eq!(sign_flip(&[0.0; 5], 100, 0), Some(1.0));
        assert!(sign_flip(&[1.0; 40], 9999, 0).unwrap() < 2e-4);
        // Two values: the four sign patterns give |sum| 3, 1, 1, 3, so p is one half.
        let p = sign_flip(&[1.0, 2.0], 20_000, 1).unwrap();
        assert!((p - 0.5).abs() < 0.02, "{p}");
    }
}
