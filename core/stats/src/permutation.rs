//! The sign-flip permutation test of paired differences.

use rand_core::RngCore;
use rayon::prelude::*;

use crate::bootstrap::draw::{binomial, stream};
use crate::bootstrap::expansion::flipped_tail;

/// Flips of one sign pattern are drawn from their own section of the stream, apart from the bootstrap's.
const FLIP_SECTION: u64 = 1 << 37;
/// Sizes of differences up to which their flips are counted instead of drawn one by one.
const FEW_SIZES: usize = 64;

/// Two-sided p-value of the mean of `differences` when each sign is a coin flip:
/// `(1 + #{|mean*| >= |mean|}) / (1 + flips)` (Phipson and Smyth 2010), so never 0. `None` of nothing or when a value is not
/// finite; 1 when all differences are 0. From 20,000 differences of many sizes on, unless a few of them decide, the share of flips
/// that are as large is that of the normal distribution instead of counted: `(1 + flips share) / (1 + flips)`.
#[must_use]
pub fn sign_flip(differences: &[f64], flips: usize, seed: u64) -> Option<f64> {
    if differences.is_empty() || !crate::all_finite(differences) {
        return None;
    }
    // A flipped sign makes x of -x: only sizes matter, and zeros do not.
    let mut sizes: Vec<f64> = differences
        .iter()
        .map(|value| value.abs())
        .filter(|size| *size > 0.0)
        .collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let observed = crate::summary::sum(differences)?.abs();
    let largest = crate::summary::sum(&sizes)?;
    // Sums of the same numbers in another order differ in the last bits; those count as equal.
    let threshold = observed - 1e-12 * largest;
    let groups: Vec<(f64, u64)> = sizes
        .chunk_by(|a, b| a == b)
        .map(|group| (group[0], group.len() as u64))
        .collect();
    if groups.len() > FEW_SIZES
        && let Some(share) = flipped_tail(&sizes, observed)
    {
        return Some((1.0 + flips as f64 * share) / (1 + flips) as f64);
    }
    let extreme = (0..flips)
        .into_par_iter()
        .filter(|&flip| {
            let mut generator = stream(seed, flip as u64, FLIP_SECTION);
            let flipped: f64 = if groups.len() <= FEW_SIZES {
                // Of m equal sizes, a binomial number keeps its sign: the same distribution at a fraction of the cost.
                groups
                    .iter()
                    .map(|&(size, m)| {
                        size * (2.0 * binomial(&mut generator, m, 0.5) as f64 - m as f64)
                    })
                    .sum()
            } else {
                let chunks = sizes.chunks(64);
                chunks
                    .map(|chunk| flip_each(chunk, generator.next_u64()))
                    .sum()
            };
            flipped.abs() >= threshold
        })
        .count();
    Some((1 + extreme) as f64 / (1 + flips) as f64)
}

/// The sum with the sign of value i taken from bit i.
fn flip_each(values: &[f64], bits: u64) -> f64 {
    let signed =
        |(index, value): (usize, &f64)| f64::from_bits(value.to_bits() ^ (bits >> index & 1) << 63);
    values.iter().enumerate().map(signed).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_difference_is_clear_and_none_is_none() {
        assert_eq!(sign_flip(&[], 100, 0), None);
        assert_eq!(sign_flip(&[f64::NAN], 100, 0), None);
        assert_eq!(sign_flip(&[0.0; 5], 100, 0), Some(1.0));
        assert_eq!(sign_flip(&[3.0], 100, 0), Some(1.0));
        assert!(sign_flip(&[1.0; 40], 9999, 0).unwrap() < 2e-4);
        // Two values: the four sign patterns give |sum| 3, 1, 1, 3, so p is one half.
        let p = sign_flip(&[1.0, 2.0], 20_000, 1).unwrap();
        assert!((p - 0.5).abs() < 0.02, "{p}");
    }

    #[test]
    fn counted_and_single_flips_agree_with_the_exact_test() {
        // 10 against 25 discordant pairs: the sign-flip test of ±1 is McNemar's.
        let few: Vec<f64> = (0..35).map(|i| if i < 10 { -1.0 } else { 1.0 }).collect();
        let exact = crate::paired::mcnemar_exact(10, 25);
        let counted = sign_flip(&few, 100_000, 3).unwrap();
        assert!((counted - exact).abs() < 2e-3, "{counted} for {exact}");
        // A hundred sizes that differ in the last bits take the other way.
        let many: Vec<f64> = (0..105)
            .map(|i| (1.0 + f64::from(i) * f64::EPSILON) * if i < 40 { -1.0 } else { 1.0 })
            .collect();
        let exact = crate::paired::mcnemar_exact(40, 65);
        let flipped = sign_flip(&many, 100_000, 3).unwrap();
        assert!((flipped - exact).abs() < 2e-3, "{flipped} for {exact}");
    }

    #[test]
    fn the_share_of_very_many_flips_is_computed() {
        let n = crate::bootstrap::expansion::MANY;
        // Two values fewer than that are flipped one by one; the two p-values differ by the draws alone.
        let values: Vec<f64> = (0..n).map(|i| (i as f64).sin() + 0.01).collect();
        let computed = sign_flip(&values, 2_000, 4).unwrap();
        let counted = sign_flip(&values[..n - 2], 2_000, 4).unwrap();
        assert!(computed > 0.01 && computed < 0.2, "{computed}");
        assert!(
            (computed - counted).abs() < 0.03,
            "{computed} for {counted}"
        );
        let clear: Vec<f64> = values.iter().map(|value| value + 1.0).collect();
        assert!((sign_flip(&clear, 9_999, 4).unwrap() - 1e-4).abs() < 1e-9);
    }

    #[test]
    fn order_does_not_matter() {
        let values: Vec<f64> = (0..300).map(|i| f64::from(i).sin() + 0.05).collect();
        let mut reversed = values.clone();
        reversed.reverse();
        assert_eq!(sign_flip(&values, 500, 9), sign_flip(&reversed, 500, 9));
    }
}
