//! What the raw logits of one step say: probabilities, entropies and the most likely tokens, at temperature 1.
//!
//! Engines report such numbers in their own ways (mistral.rs 0.8.1: log10 instead of ln, unnormalised values when greedy,
//! probabilities cut by top-p), so everything is computed here, from the logits that they sample from.

use crate::logits::{NotFinite, Softmax, largest};

/// How many of the most likely tokens the truncated entropy and mass are taken over.
const TOP: usize = 10;

/// The distribution over the vocabulary at one position.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Largest logit.
    max: f32,
    /// ln of the sum of exp(logit - max).
    ln_sum: f64,
    /// -sum p ln p over the vocabulary, in nats.
    entropy: f64,
    /// The [`TOP`] most likely tokens with their logits, most likely first; of equals the lower id first.
    top: Vec<(u32, f32)>,
}

impl Distribution {
    /// Reads one step's logits in two passes. Minus infinity is a token of probability zero.
    ///
    /// # Errors
    /// When a logit is NaN or plus infinity, or none is finite.
    pub fn of(logits: &[f32]) -> Result<Self, NotFinite> {
        let top = largest(logits, TOP)?;
        let max = top[0].1;
        let Softmax { sum, weighted } = Softmax::of(logits, max);
        // -sum p ln p with p = e^d / sum and ln p = d - ln sum, for d = x - max.
        let ln_sum = sum.ln();
        Ok(Self {
            max,
            ln_sum,
            entropy: ln_sum - weighted / sum,
            top,
        })
    }

    /// ln p of a token, given its logit.
    #[must_use]
    pub fn ln_p(&self, logit: f32) -> f64 {
        f64::from(logit - self.max) - self.ln_sum
    }

    /// The most likely token.
    #[must_use]
    pub fn argmax(&self) -> u32 {
        self.top[0].0
    }

    /// Largest logit.
    #[must_use]
    pub fn max(&self) -> f32 {
        self.max
    }

    /// ln p of the most likely token.
    #[must_use]
    pub fn top1_ln_p(&self) -> f64 {
        -self.ln_sum
    }

    /// p of the most likely token minus p of the second.
    #[must_use]
    pub fn margin(&self) -> f64 {
        let p = |rank: usize| self.top.get(rank).map_or(0.0, |t| self.ln_p(t.1).exp());
        p(0) - p(1)
    }

    /// -sum p ln p over the ten most likely tokens, in nats, not renormalised.
    #[must_use]
    pub fn top_entropy(&self) -> f64 {
        let terms = self.top.iter().map(|&(_, x)| self.ln_p(x));
        terms
            .filter(|l| l.is_finite())
            .map(|l| -l * l.exp())
            .sum::<f64>()
    }

    /// Total probability of the ten most likely tokens.
    #[must_use]
    pub fn top_mass(&self) -> f64 {
        self.top.iter().map(|&(_, x)| self.ln_p(x).exp()).sum()
    }

    /// ln p of the `n` most likely tokens of the same logits, most likely first; of a smaller vocabulary all of them. A
    /// probability of zero is the lowest finite number, which JSON can hold.
    #[must_use]
    pub fn likeliest(&self, logits: &[f32], n: usize) -> Vec<f32> {
        // The logits were found finite or minus infinity when they were read.
        let top = if n <= self.top.len() {
            self.top[..n].to_vec()
        } else {
            largest(logits, n).unwrap_or_default()
        };
        let ln_p = |(_, logit): (u32, f32)| (self.ln_p(logit) as f32).max(f32::MIN);
        top.into_iter().map(ln_p).collect()
    }

    /// -sum p ln p over the vocabulary, in nats.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        self.entropy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn uniform_distribution_has_the_entropy_of_its_size() {
        let d = Distribution::of(&[3.5; 20]).unwrap();
        close(d.entropy(), 20_f64.ln());
        close(d.top_mass(), 0.5);
        close(d.top_entropy(), 0.5 * 20_f64.ln());
        close(d.margin(), 0.0);
        close(d.top1_ln_p(), -(20_f64.ln()));
        assert_eq!(d.argmax(), 0, "of equals the lowest id");
    }

    #[test]
    fn values_follow_from_the_definition() {
        let p = [0.5_f64, 0.2, 0.15, 0.1, 0.05];
        let logits: Vec<f32> = p.iter().map(|p| (p.ln() + 7.0) as f32).collect();
        let d = Distribution::of(&logits).unwrap();
        let entropy: f64 = p.iter().map(|p| -p * p.ln()).sum();
        assert!((d.entropy() - entropy).abs() < 1e-6);
        assert!((d.top_entropy() - entropy).abs() < 1e-6);
        assert!((d.margin() - 0.3).abs() < 1e-6);
        assert!((d.ln_p(logits[3]) - 0.1_f64.ln()).abs() < 1e-6);
        assert!((d.top_mass() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_forbidden_token_has_probability_zero_and_adds_no_entropy() {
        let d = Distribution::of(&[0.0, f32::NEG_INFINITY, 0.0]).unwrap();
        close(d.entropy(), 2_f64.ln());
        close(d.top_entropy(), 2_f64.ln());
        assert_eq!(d.ln_p(f32::NEG_INFINITY), f64::NEG_INFINITY);
    }

    #[test]
    fn logits_that_are_no_numbers_are_counted() {
        let e = Distribution::of(&[0.0, f32::NAN, f32::INFINITY]).unwrap_err();
        assert_eq!((e.count, e.of), (2, 3));
        assert!(Distribution::of(&[f32::NEG_INFINITY; 3]).is_err());
        assert!(Distribution::of(&[]).is_err());
    }
}
