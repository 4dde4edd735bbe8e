//! How far a model has moved from another one, token by token.

use crate::error::{Error, Result};
use crate::score::{Scorer, log_softmax};

/// How two next-token distributions differ at one position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergence {
    /// `KL(reference || model) = sum p_ref (ln p_ref - ln p_model)` over the whole vocabulary at temperature 1, in nats.
    pub kl: f64,
    /// Whether both find the same token the most likely.
    pub top1_agree: bool,
}

impl Divergence {
    /// Of two distributions given as ln p over the same vocabulary.
    #[must_use]
    pub fn of(reference: &[f64], model: &[f64]) -> Self {
        let kl: f64 = reference
            .iter()
            .zip(model)
            .filter(|(p, _)| p.is_finite())
            .map(|(p, q)| p.exp() * (p - q))
            .sum();
        Self {
            // Gibbs' inequality; rounding may leave a negative zero.
            kl: kl.max(0.0),
            top1_agree: top1(reference) == top1(model),
        }
    }
}

fn top1(row: &[f64]) -> Option<usize> {
    // The first of equals, as greedy decoding takes it.
    (0..row.len()).reduce(|best, next| if row[next] > row[best] { next } else { best })
}

/// Compares two models on the same tokens: one entry per token of `continuation`, each given the prompt and the tokens before.
///
/// # Errors
/// As [`Scorer::token_logprobs`], of either model, and when their vocabularies differ in size.
pub fn divergences(
    reference: &Scorer,
    model: &Scorer,
    prompt: &[u32],
    continuation: &[u32],
) -> Result<Vec<Divergence>> {
    if reference.vocab_size() != model.vocab_size() {
        return Err(Error::Score(format!(
            "the reference gives probabilities to {} tokens and the model to {}: their distributions cannot be compared",
            reference.vocab_size(),
            model.vocab_size()
        )));
    }
    let ours = reference.logits(prompt, continuation)?;
    let theirs = model.logits(prompt, continuation)?;
    Ok(ours
        .iter()
        .zip(&theirs)
        .map(|(p, q)| Divergence::of(&log_softmax(p), &log_softmax(q)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_is_the_published_one() {
        // scipy.stats.entropy([0.5, 0.25, 0.25], [0.25, 0.25, 0.5]) = 0.17328679513998632
        let ln = |p: [f64; 3]| p.map(f64::ln);
        let p = ln([0.5, 0.25, 0.25]);
        let q = ln([0.25, 0.25, 0.5]);
        let divergence = Divergence::of(&p, &q);
        assert!((divergence.kl - 0.173_286_795_139_986_3).abs() < 1e-15);
        assert!(!divergence.top1_agree);
        let same = Divergence::of(&p, &p);
        assert!(same.kl == 0.0 && same.top1_agree);
        // What the reference never says does not count.
        let never = [0.0, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let divergence = Divergence::of(&never, &q);
        assert!((divergence.kl - 4.0_f64.ln()).abs() < 1e-15);
    }
}
