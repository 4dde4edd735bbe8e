//! How large a study must be, and what one of a given size can see. Two-sided tests throughout.

use crate::is_open_probability;
use crate::special::{bisect, normal_quantile};

/// The two normal quantiles of a significance level and a power, `(z_{1-α/2}, z_power)`.
fn quantiles(alpha: f64, power: f64) -> Option<(f64, f64)> {
    (is_open_probability(alpha) && is_open_probability(power))
        .then(|| (normal_quantile(1.0 - alpha / 2.0), normal_quantile(power)))
}

/// Pairs that McNemar's test needs to see a difference `delta` of paired proportions when a share `discordance` of the pairs
/// differ: `(z_{1-α/2} √ψ + z_power √(ψ - δ²))² / δ²` (Connor 1987, Biometrics 43:207), rounded up. `None` unless
/// 0 < |delta| <= discordance <= 1.
#[must_use]
pub fn mcnemar_n(delta: f64, discordance: f64, alpha: f64, power: f64) -> Option<u64> {
    let exact = mcnemar_n_exact(delta, discordance, alpha, power)?;
    Some(exact.ceil() as u64)
}

fn mcnemar_n_exact(delta: f64, discordance: f64, alpha: f64, power: f64) -> Option<f64> {
    let (z_alpha, z_power) = quantiles(alpha, power)?;
    if !(delta != 0.0 && delta.abs() <= discordance && discordance <= 1.0) {
        return None;
    }
    let root = z_alpha * discordance.sqrt() + z_power * (discordance - delta * delta).sqrt();
    Some((root / delta).powi(2))
}

/// The smallest difference of paired proportions that McNemar's test on `n` pairs sees, at the given discordance; solves
/// [`mcnemar_n`]'s formula for δ. `None` when even the largest possible difference (δ = ψ) goes unseen.
#[must_use]
pub fn mcnemar_mde(n: u64, discordance: f64, alpha: f64, power: f64) -> Option<f64> {
    let needed = |delta: f64| mcnemar_n_exact(delta, discordance, alpha, power);
    if n == 0 || needed(discordance)? > n as f64 {
        return None;
    }
    let unseen = |delta: f64| needed(delta).is_none_or(|needed| needed > n as f64);
    Some(bisect(0.0, discordance, unseen))
}

/// The smallest difference of paired proportions that McNemar's exact test on `n` pairs sees with that power when all discordant
/// pairs lie on one side, which is the easiest case: the test needs `k = ⌈log₂(2/α)⌉` of them, and `P(Bin(n, δ) ≥ k) = power` is
/// solved for δ. For data so nearly concordant that [`mcnemar_mde`] has no answer. `None` when `n` pairs never suffice.
#[must_use]
pub fn mcnemar_least(n: u64, alpha: f64, power: f64) -> Option<f64> {
    quantiles(alpha, power)?;
    let k = (2.0 / alpha).log2().ceil() as u64;
    if n < k {
        return None;
    }
    let fewer = |delta: f64| -> f64 {
        // P(Bin(n, delta) < k), term by term.
        let mut term = (1.0 - delta).powf(n as f64);
        let mut sum = term;
        for i in 1..k {
            term *= (n - i + 1) as f64 / i as f64 * delta / (1.0 - delta);
            sum += term;
        }
        sum
    };
    Some(bisect(0.0, 1.0, |delta| fewer(delta) > 1.0 - power))
}

/// Samples per arm to see proportions `baseline` and `model` apart when the items differ:
/// `(z_{1-α/2} √(2 p̄(1-p̄)) + z_power √(p₁(1-p₁) + p₂(1-p₂)))² / (p₁ - p₂)²` (Fleiss 1981), rounded up. `None` for equal rates
/// or rates outside [0, 1].
#[must_use]
pub fn unpaired_n(baseline: f64, model: f64, alpha: f64, power: f64) -> Option<u64> {
    Some(unpaired_n_exact(baseline, model, alpha, power)?.ceil() as u64)
}

fn unpaired_n_exact(baseline: f64, model: f64, alpha: f64, power: f64) -> Option<f64> {
    let (z_alpha, z_power) = quantiles(alpha, power)?;
    let rate = 0.0..=1.0;
    if baseline == model || !rate.contains(&baseline) || !rate.contains(&model) {
        return None;
    }
    let middle = f64::midpoint(baseline, model);
    let spread = |p: f64| p * (1.0 - p);
    let root = z_alpha * (2.0 * spread(middle)).sqrt()
        + z_power * (spread(baseline) + spread(model)).sqrt();
    Some((root / (model - baseline)).powi(2))
}

/// The smallest rise above `baseline` that two arms of `n` different items each can see; `None` when not even a rise to 1 is
/// seen.
#[must_use]
pub fn unpaired_mde(n: u64, baseline: f64, alpha: f64, power: f64) -> Option<f64> {
    let needed = |rise: f64| unpaired_n_exact(baseline, baseline + rise, alpha, power);
    let most = 1.0 - baseline;
    if n == 0 || unpaired_n_exact(baseline, 1.0, alpha, power)? > n as f64 {
        return None;
    }
    let unseen = |rise: f64| needed(rise).is_none_or(|needed| needed > n as f64);
    Some(bisect(0.0, most, unseen))
}

/// What varies in a paired comparison of means, for [`paired_mean_n`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedVariance {
    /// Variance over items of the difference of the two models' expected scores, ω².
    pub between_items: f64,
    /// Mean variance of one sample's score within an item, for each model, σ².
    pub within_item: (f64, f64),
    /// Samples per item, for each model, K.
    pub samples: (u64, u64),
}

/// Items that a paired comparison of means needs to see a difference `delta`:
/// `(z_{1-α/2} + z_power)² (ω² + σ_A²/K_A + σ_B²/K_B) / δ²` (Miller 2024, arXiv 2411.00640), rounded up. `None` for δ = 0,
/// no samples, or a negative variance.
#[must_use]
pub fn paired_mean_n(delta: f64, variance: PairedVariance, alpha: f64, power: f64) -> Option<u64> {
    let total = total_variance(variance)?;
    let (z_alpha, z_power) = quantiles(alpha, power)?;
    let n = (z_alpha + z_power).powi(2) * total / (delta * delta);
    n.is_finite().then(|| n.ceil() as u64)
}

/// The smallest mean difference that a paired comparison of `n` items sees; [`paired_mean_n`] solved for δ.
#[must_use]
pub fn paired_mean_mde(n: u64, variance: PairedVariance, alpha: f64, power: f64) -> Option<f64> {
    let total = total_variance(variance)?;
    let (z_alpha, z_power) = quantiles(alpha, power)?;
    (n > 0).then(|| (z_alpha + z_power).max(0.0) * (total / n as f64).sqrt())
}

fn total_variance(variance: PairedVariance) -> Option<f64> {
    let (a, b) = variance.within_item;
    let (k_a, k_b) = variance.samples;
    let usable = a >= 0.0 && b >= 0.0 && variance.between_items >= 0.0;
    // Infinite, or not a number, where a model has no samples.
    let total = variance.between_items + a / k_a as f64 + b / k_b as f64;
    (usable && total.is_finite()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_questions_have_no_answer() {
        assert_eq!(mcnemar_n(0.0, 0.2, 0.05, 0.8), None);
        assert_eq!(mcnemar_n(0.3, 0.2, 0.05, 0.8), None);
        assert_eq!(mcnemar_mde(0, 0.2, 0.05, 0.8), None);
        assert_eq!(mcnemar_mde(5, 0.01, 0.05, 0.8), None);
        assert_eq!(mcnemar_least(5, 0.05, 0.8), None);
        assert_eq!(unpaired_n(0.2, 0.2, 0.05, 0.8), None);
        assert_eq!(unpaired_mde(2, 0.9, 0.05, 0.8), None);
        assert_eq!(unpaired_mde(100, 1.0, 0.05, 0.8), None);
        let variance = PairedVariance {
            between_items: 1.0 / 9.0,
            within_item: (0.0, 0.0),
            samples: (1, 1),
        };
        assert_eq!(paired_mean_n(0.0, variance, 0.05, 0.8), None);
        assert_eq!(paired_mean_n(0.03, variance, 1.5, 0.8), None);
        assert_eq!(paired_mean_n(0.03, variance, 0.05, 0.8), Some(969));
    }

    #[test]
    fn the_least_difference_of_concordant_pairs() {
        // scipy 1.17: brentq(lambda d: binom.sf(5, n, d) - 0.8, 1e-6, 0.999)
        for (n, least) in [
            (6, 0.963_492_484),
            (10, 0.673_171_821),
            (60, 0.128_574_479),
            (150, 0.052_196_054),
            (5000, 0.001_580_739),
        ] {
            let found = mcnemar_least(n, 0.05, 0.8).expect("enough pairs");
            assert!((found - least).abs() < 1e-6, "{n}: {found}");
        }
    }
}
