//! Paired binary scores: the same samples answered by two models.

use crate::Interval;
use crate::proportion::wilson_bounds;

/// Counts of pairs, by what the baseline and the model scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// Both 1.
    pub both: u64,
    /// Baseline 1, model 0.
    pub baseline_only: u64,
    /// Baseline 0, model 1.
    pub model_only: u64,
    /// Both 0.
    pub neither: u64,
}

impl PairCounts {
    /// Counts pairs `(baseline, model)`; scores above 0.5 count as 1.
    #[must_use]
    pub fn of(pairs: &[(f64, f64)]) -> Self {
        let mut counts = Self::default();
        for &(baseline, model) in pairs {
            match (baseline > 0.5, model > 0.5) {
                (true, true) => counts.both += 1,
                (true, false) => counts.baseline_only += 1,
                (false, true) => counts.model_only += 1,
                (false, false) => counts.neither += 1,
            }
        }
        counts
    }

    /// Number of pairs.
    #[must_use]
    pub fn n(self) -> u64 {
        self.both + self.baseline_only + self.model_only + self.neither
    }
}

/// McNemar's exact test: the two-sided binomial p-value of the discordant pairs, `2 sum_{i<=min(b,c)} C(b+c, i) / 2^(b+c)`,
/// at most 1, summed in log space so that p-values down to 1e-300 are told apart. 1 without discordant pairs.
#[must_use]
pub fn mcnemar_exact(b: u64, c: u64) -> f64 {
    let n = b + c;
    let k = b.min(c);
    if n == 0 || 2 * k == n {
        return 1.0;
    }
    // ln C(n, i) by its recurrence, from the largest term down, each scaled by the largest.
    let ln_half_n = n as f64 * std::f64::consts::LN_2;
    let mut ln_terms = Vec::with_capacity(usize::try_from(k).unwrap_or(0) + 1);
    let mut ln_choose = 0.0;
    ln_terms.push(ln_choose);
    for i in 1..=k {
        ln_choose += ((n - i + 1) as f64).ln() - (i as f64).ln();
        ln_terms.push(ln_choose);
    }
    let largest = ln_choose;
    let sum: f64 = ln_terms.iter().map(|term| (term - largest).exp()).sum();
    (std::f64::consts::LN_2 + largest + sum.ln() - ln_half_n)
        .exp()
        .min(1.0)
}

/// Newcombe's interval for the difference of paired proportions, `model - baseline` (Newcombe 1998, method 10: Wilson's
/// limits of both, with the correlation of the pairs); `None` without pairs.
#[must_use]
pub fn newcombe_paired(counts: PairCounts, level: f64) -> Option<Interval> {
    let n = counts.n() as f64;
    let [both, b, c, neither] = [
        counts.both,
        counts.baseline_only,
        counts.model_only,
        counts.neither,
    ]
    .map(|count| count as f64);
    let (model, baseline) = ((both + c) / n, (both + b) / n);
    let (l1, u1) = wilson_bounds(both + c, n, level)?;
    let (l2, u2) = wilson_bounds(both + b, n, level)?;
    let product = (both + b) * (c + neither) * (both + c) * (b + neither);
    let excess = both * neither - b * c;
    // The correction for continuity applies to positive correlation only.
    let numerator = if excess > n / 2.0 {
        excess - n / 2.0
    } else if excess >= 0.0 {
        0.0
    } else {
        excess
    };
    let phi = if product > 0.0 {
        numerator / product.sqrt()
    } else {
        0.0
    };
    let spread = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let delta = model - baseline;
    Some(Interval {
        level,
        low: (delta - spread(model - l1, u2 - baseline)).max(-1.0),
        high: (delta + spread(u1 - model, baseline - l2)).min(1.0),
        method: "newcombe-paired".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_is_the_papers() {
        // Recomputed from the paper's records: 9 against 179, 109 against 0, 1 against 280.
        for (b, c, p) in [(9, 179, 3.6e-42), (109, 0, 3.1e-33), (1, 280, 1.5e-82)] {
            assert!((mcnemar_exact(b, c) / p - 1.0).abs() < 0.05, "{b} {c}");
        }
        assert_eq!(mcnemar_exact(0, 0), 1.0);
        assert_eq!(mcnemar_exact(5, 5), 1.0);
        assert!((mcnemar_exact(1, 2) - 1.0).abs() < 1e-12);
        assert!((mcnemar_exact(1, 5) - 0.21875).abs() < 1e-12);
        assert!(mcnemar_exact(0, 900) > 0.0);
    }

    #[test]
    fn newcombe_covers_the_papers_difference() {
        // Base 131 of 320, harmful 301 of 320, 9 against 179: +53.125 points, 46.7 to 58.8.
        let counts = PairCounts {
            both: 122,
            baseline_only: 9,
            model_only: 179,
            neither: 10,
        };
        let ci = newcombe_paired(counts, 0.95).unwrap();
        assert!(
            (ci.low - 0.467).abs() < 2e-3 && (ci.high - 0.588).abs() < 2e-3,
            "{ci:?}"
        );
        assert_eq!(newcombe_paired(PairCounts::default(), 0.95), None);
    }
}
