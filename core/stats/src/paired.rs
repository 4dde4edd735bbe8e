//! Paired binary scores: the same samples answered by two models.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

use crate::proportion::{wilson_bounded, wilson_bounds};
use crate::special::{ln_choose, normal_two_sided};
use crate::{Interval, Test};

/// Counts of pairs, by what the baseline and the model scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
            counts.add(baseline > 0.5, model > 0.5);
        }
        counts
    }

    /// Counts one more pair.
    pub fn add(&mut self, baseline: bool, model: bool) {
        match (baseline, model) {
            (true, true) => self.both += 1,
            (true, false) => self.baseline_only += 1,
            (false, true) => self.model_only += 1,
            (false, false) => self.neither += 1,
        }
    }

    /// Number of pairs.
    #[must_use]
    pub fn n(self) -> u64 {
        self.both + self.baseline_only + self.model_only + self.neither
    }

    /// `model - baseline`; `None` without pairs.
    #[must_use]
    pub fn difference(self) -> Option<f64> {
        (self.n() > 0)
            .then(|| (self.model_only as f64 - self.baseline_only as f64) / self.n() as f64)
    }

    /// Standard error of the paired difference, `sqrt((ψ - δ²) / (n - 1))` with ψ the share of discordant pairs and δ the
    /// difference: that of the mean of the pairs' differences. `None` for fewer than two pairs.
    #[must_use]
    pub fn standard_error(self) -> Option<f64> {
        let difference = self.difference()?;
        let n = self.n() as f64;
        let discordant = (self.baseline_only + self.model_only) as f64 / n;
        let variance = (discordant - difference * difference).max(0.0);
        (n > 1.0).then(|| (variance / (n - 1.0)).sqrt())
    }
}

/// McNemar's exact test: the two-sided binomial p-value of the discordant pairs, `2 Σ_{i<=min(b,c)} C(b+c, i) / 2^(b+c)`, at
/// most 1, in log space so that p-values down to 1e-300 are told apart. 1 without discordant pairs; never 0: what is smaller
/// than f64 can hold comes out as its smallest positive number, and [`mcnemar_exact_ln`] tells it.
#[must_use]
pub fn mcnemar_exact(b: u64, c: u64) -> f64 {
    mcnemar_exact_ln(b, c).exp().max(f64::MIN_POSITIVE)
}

/// Natural logarithm of [`mcnemar_exact`]'s p-value, however small that is.
#[must_use]
pub fn mcnemar_exact_ln(b: u64, c: u64) -> f64 {
    if b.abs_diff(c) <= 1 {
        return 0.0;
    }
    lower_tail(b, c).0.min(0.0)
}

/// McNemar's mid-p test (Lancaster 1961; Fagerland and others 2013): the exact p-value less half of the probability, on both
/// sides, of what was observed. Less conservative than the exact test. 1 without discordant pairs, and when they balance.
#[must_use]
pub fn mcnemar_mid_p(b: u64, c: u64) -> f64 {
    if b == c {
        return 1.0;
    }
    let (ln_tail, ln_observed) = lower_tail(b, c);
    let p = ln_tail.exp() * -(ln_observed - ln_tail).exp_m1();
    p.clamp(f64::MIN_POSITIVE, 1.0)
}

/// ln of twice the binomial tail up to min(b, c), and of the probability of min(b, c) itself.
fn lower_tail(b: u64, c: u64) -> (f64, f64) {
    let (n, k) = (b + c, b.min(c));
    // The terms fall from C(n, k) down by i/(n-i+1): summed relative to the largest.
    let mut term = 1.0;
    let mut sum = 1.0;
    for i in (1..=k).rev() {
        term *= i as f64 / (n - i + 1) as f64;
        sum += term;
        if term < 1e-18 * sum {
            break;
        }
    }
    let ln_observed = ln_choose(n, k) - n as f64 * LN_2;
    (LN_2 + ln_observed + sum.ln(), ln_observed)
}

/// McNemar's chi-squared test with Edwards' continuity correction, `(|b - c| - 1)² / (b + c)` on one degree of freedom, for
/// comparison with papers that print it; `None` without discordant pairs.
#[must_use]
pub fn mcnemar_chi_squared(b: u64, c: u64) -> Option<Test> {
    let discordant = (b + c) as f64;
    if b + c == 0 {
        return None;
    }
    let excess = (b.abs_diff(c) as f64 - 1.0).max(0.0);
    let statistic = excess * excess / discordant;
    Some(Test {
        name: "mcnemar-chi-squared".to_owned(),
        statistic,
        degrees_of_freedom: Some(1.0),
        p: normal_two_sided(statistic.sqrt()),
    })
}

/// Newcombe's interval for the difference of paired proportions, `model - baseline` (Newcombe 1998, Statistics in Medicine
/// 17:2635, method 10: Wilson's limits of both, with the correlation of the pairs); `None` without pairs.
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
    let (l1, u1) = wilson_bounds(both + c, n, level)?;
    let (l2, u2) = wilson_bounds(both + b, n, level)?;
    let (model, baseline) = ((both + c) / n, (both + b) / n);
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
    Some(Interval::new(
        level,
        (delta - spread(model - l1, u2 - baseline)).max(-1.0),
        (delta + spread(u1 - model, baseline - l2)).min(1.0),
        "newcombe-paired",
    ))
}

/// Interval for `model - baseline` of two mean scores in [0, 1] over the same `n` items, when the items' differences are all equal
/// and so say nothing about their spread: Newcombe's squares and sums (as [`newcombe_paired`]) of the distances to Wilson's limits
/// of both means ([`crate::proportion::wilson_bounded`]), without a correlation, which could only narrow it. `None` for fewer than
/// two items, or a mean outside [0, 1].
#[must_use]
pub fn newcombe_means(baseline: f64, model: f64, n: u64, level: f64) -> Option<Interval> {
    let (theirs, ours) = (
        wilson_bounded(baseline, n, level)?,
        wilson_bounded(model, n, level)?,
    );
    let delta = model - baseline;
    Some(Interval::new(
        level,
        (delta - (model - ours.low).hypot(theirs.high - baseline)).max(-1.0),
        (delta + (ours.high - model).hypot(baseline - theirs.low)).min(1.0),
        "newcombe-means",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_discordant_pairs_nothing_is_shown() {
        assert_eq!(mcnemar_exact(0, 0), 1.0);
        assert_eq!(mcnemar_mid_p(0, 0), 1.0);
        assert_eq!(mcnemar_chi_squared(0, 0), None);
        assert_eq!(mcnemar_exact(5, 5), 1.0);
        assert_eq!(mcnemar_mid_p(5, 5), 1.0);
        assert_eq!(newcombe_paired(PairCounts::default(), 0.95), None);
        assert_eq!(PairCounts::default().standard_error(), None);
    }

    #[test]
    fn tiny_p_values_are_told_apart() {
        assert!((mcnemar_exact(1, 5) - 0.21875).abs() < 1e-12);
        assert!(mcnemar_exact(0, 990) > mcnemar_exact(0, 995) && mcnemar_exact(0, 995) > 1e-300);
        // 2^-4999 is below what f64 holds, and still no certainty.
        assert!(mcnemar_exact(0, 5000) > 0.0 && mcnemar_mid_p(0, 5000) > 0.0);
        let ln = mcnemar_exact_ln(0, 5000);
        assert!((ln + 4999.0 * LN_2).abs() < 1e-9, "{ln}");
    }

    #[test]
    fn equal_models_have_an_interval_about_zero() {
        let counts = PairCounts {
            both: 40,
            neither: 60,
            ..PairCounts::default()
        };
        let ci = newcombe_paired(counts, 0.95).unwrap();
        assert!(ci.low < 0.0 && ci.high > 0.0 && (ci.low + ci.high).abs() < 1e-12);
        assert_eq!(counts.standard_error(), Some(0.0));
    }

    #[test]
    fn equal_differences_of_bounded_scores_are_not_certain() {
        let ci = newcombe_means(0.5, 0.75, 12, 0.95).unwrap();
        let shares = crate::unpaired::newcombe_unpaired((6, 12), (9, 12), 0.95).unwrap();
        assert_eq!((ci.low, ci.high), (shares.low, shares.high));
        for (baseline, n) in [(0.5, 1), (0.5, 0), (1.2, 12)] {
            assert_eq!(newcombe_means(baseline, 0.75, n, 0.95), None);
        }
    }
}
