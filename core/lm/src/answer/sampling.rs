//! Which token is emitted: the most likely one, or one drawn with counter-based randomness.
//!
//! The draw at position `i` of an answer depends on the request's seed and on `i` alone: not on what else runs, in
//! which order, or on how many numbers were drawn before.

use driftgauge_engine::Sampling;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::statistics::Distribution;

/// Chooses the token of one position.
///
/// Filters apply in the order that `transformers` uses: temperature, top-k, top-p, min-p. Among tokens of equal
/// probability the lower id is kept first.
#[must_use]
pub fn choose(
    logits: &[f32],
    distribution: &Distribution,
    sampling: &Sampling,
    position: usize,
) -> u32 {
    if sampling.temperature <= 0.0 {
        return distribution.argmax();
    }
    let max = distribution.max();
    let weigh = |x: f32| (f64::from(x - max) / sampling.temperature).exp();
    let mut candidates: Vec<(u32, f64)> = (0_u32..)
        .zip(logits.iter().map(|&x| weigh(x)))
        .filter(|&(_, w)| w > 0.0)
        .collect();
    if let Some(k) = sampling.top_k.filter(|&k| k > 0) {
        keep_most_likely(&mut candidates, k);
    }
    if let Some(p) = sampling.top_p.filter(|&p| p < 1.0) {
        keep_nucleus(&mut candidates, p);
    }
    if let Some(share) = sampling.min_p.filter(|&share| share > 0.0) {
        // The most likely token has weight 1.
        candidates.retain(|&(_, w)| w >= share);
    }
    candidates.sort_unstable_by_key(|&(id, _)| id);
    draw(&candidates, uniform(sampling.seed, position)).unwrap_or_else(|| distribution.argmax())
}

/// A number in [0, 1) that belongs to the seed and the position.
fn uniform(seed: u64, position: usize) -> f64 {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..24].copy_from_slice(b"driftgauge.draw\0");
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(position as u64);
    // 53 random bits are all that an f64 in [0, 1) can hold.
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Inverse of the cumulative distribution, in the order of the token ids.
fn draw(candidates: &[(u32, f64)], u: f64) -> Option<u32> {
    let total: f64 = candidates.iter().map(|c| c.1).sum();
    let mut left = u * total;
    for &(id, w) in candidates {
        if left < w {
            return Some(id);
        }
        left -= w;
    }
    // Rounding can leave a rest after the last one.
    candidates.last().map(|c| c.0)
}

/// More likely first; of equals the lower id.
fn by_likelihood(a: &(u32, f64), b: &(u32, f64)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn keep_most_likely(candidates: &mut Vec<(u32, f64)>, k: usize) {
    if k < candidates.len() {
        candidates.select_nth_unstable_by(k - 1, by_likelihood);
        candidates.truncate(k);
    }
}

/// Keeps the smallest set of the most likely tokens with at least the share `p` of the weight.
fn keep_nucleus(candidates: &mut Vec<(u32, f64)>, p: f64) {
    let enough = p * candidates.iter().map(|c| c.1).sum::<f64>();
    // The nucleus is small as a rule: order a growing head instead of the whole vocabulary.
    let mut head = 64;
    loop {
        let n = head.min(candidates.len());
        if n < candidates.len() {
            candidates.select_nth_unstable_by(n - 1, by_likelihood);
        }
        candidates[..n].sort_unstable_by(by_likelihood);
        let mut mass = 0.0;
        for i in 0..n {
            mass += candidates[i].1;
            if mass >= enough {
                candidates.truncate(i + 1);
                return;
            }
        }
        if n == candidates.len() {
            return;
        }
        head *= 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64) -> Sampling {
        Sampling {
            temperature,
            ..Sampling::greedy()
        }
    }

    fn pick(logits: &[f32], s: &Sampling, position: usize) -> u32 {
        choose(logits, &Distribution::of(logits).unwrap(), s, position)
    }

    /// Shares of the tokens over many positions.
    fn shares(logits: &[f32], s: &Sampling, n: usize) -> Vec<f64> {
        let mut count = vec![0.0; logits.len()];
        for position in 0..n {
            count[pick(logits, s, position) as usize] += 1.0 / n as f64;
        }
        count
    }

    fn logits_of(p: &[f64]) -> Vec<f32> {
        p.iter().map(|p| p.ln() as f32).collect()
    }

    #[test]
    fn temperature_zero_is_the_most_likely_token() {
        assert_eq!(pick(&[0.0, 2.0, 1.0], &sampling(0.0), 5), 1);
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let p = [0.5, 0.3, 0.15, 0.05];
        // Standard error of a share is at most 0.0036 for 20,000 draws.
        for (share, p) in shares(&logits_of(&p), &sampling(1.0), 20_000).iter().zip(p) {
            assert!((share - p).abs() < 0.015, "{share} {p}");
        }
    }

    #[test]
    fn temperature_sharpens() {
        let p = [0.5_f64, 0.3, 0.2];
        let squared: f64 = p.iter().map(|p| p * p).sum();
        for (share, p) in shares(&logits_of(&p), &sampling(0.5), 20_000).iter().zip(p) {
            assert!((share - p * p / squared).abs() < 0.015, "{share} {p}");
        }
    }

    #[test]
    fn filters_keep_what_they_say() {
        let logits = logits_of(&[0.05, 0.4, 0.3, 0.2, 0.05]);
        let kept = |s: Sampling| -> Vec<usize> {
            let shares = shares(&logits, &s, 4_000);
            (0..5).filter(|&i| shares[i] > 0.0).collect()
        };
        let base = sampling(1.0);
        assert_eq!(
            kept(Sampling {
                top_k: Some(2),
                ..base.clone()
            }),
            [1, 2]
        );
        assert_eq!(
            kept(Sampling {
                top_p: Some(0.6),
                ..base.clone()
            }),
            [1, 2]
        );
        assert_eq!(
            kept(Sampling {
                top_p: Some(0.75),
                ..base.clone()
            }),
            [1, 2, 3]
        );
        assert_eq!(
            kept(Sampling {
                min_p: Some(0.45),
                ..base.clone()
            }),
            [1, 2, 3]
        );
        assert_eq!(
            kept(Sampling {
                top_k: Some(4),
                ..base
            }),
            [0, 1, 2, 3]
        );
    }

    #[test]
    fn the_nucleus_of_a_wide_distribution_is_the_sorted_prefix() {
        let mut candidates: Vec<(u32, f64)> = (0..3000_u32)
            .map(|i| (i, f64::from(i.wrapping_mul(2_654_435_761) >> 20) + 1.0))
            .collect();
        let mut sorted = candidates.clone();
        sorted.sort_by(by_likelihood);
        let enough = 0.9 * sorted.iter().map(|c| c.1).sum::<f64>();
        let mut mass = 0.0;
        let n = 1 + sorted
            .iter()
            .position(|c| {
                mass += c.1;
                mass >= enough
            })
            .unwrap();
        keep_nucleus(&mut candidates, 0.9);
        assert_eq!(candidates, sorted[..n]);
    }

    #[test]
    fn a_draw_belongs_to_its_seed_and_position() {
        let logits = vec![0.0; 1000];
        let s = |seed| Sampling {
            seed,
            ..sampling(1.0)
        };
        let forwards: Vec<u32> = (0..20).map(|i| pick(&logits, &s(7), i)).collect();
        let backwards: Vec<u32> = (0..20).rev().map(|i| pick(&logits, &s(7), i)).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        let other: Vec<u32> = (0..20).map(|i| pick(&logits, &s(8), i)).collect();
        assert_ne!(forwards, other);
    }
}
