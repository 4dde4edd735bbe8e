//! How far a model has moved from another one, token by token.

use crate::error::{Error, Result as Outcome};
use crate::logits::{Both, NotFinite, largest};
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
    /// Of two rows of logits over the same vocabulary.
    ///
    /// # Errors
    /// When one of them holds a number that is no logit.
    pub(crate) fn between(reference: &[f32], model: &[f32]) -> Result<Self, NotFinite> {
        let (ours, theirs) = (largest(reference, 1)?[0], largest(model, 1)?[0]);
        let sums = Both::of((reference, ours.1), (model, theirs.1));
        let kl = sums.difference / sums.sum - sums.sum.ln() + sums.other_sum.ln();
        Ok(Self {
            // Gibbs' inequality; rounding may leave less than zero.
            kl: kl.max(0.0),
            top1_agree: ours.0 == theirs.0,
        })
    }

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
) -> Outcome<Vec<Divergence>> {
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

    #[test]
    fn two_rows_of_logits_diverge_as_their_distributions_do() {
        let row = |seed: u64| -> Vec<f32> {
            let at = |i: u64| ((i * 7919 * seed + 13) % 1009) as f32 / 90.0 - 5.0;
            (0..1000).map(at).collect()
        };
        for (p, q) in [(row(1), row(2)), (row(3), row(3)), (row(5), row(7))] {
            let expected = Divergence::of(&log_softmax(&p), &log_softmax(&q));
            let found = Divergence::between(&p, &q).unwrap();
            assert!(
                (found.kl - expected.kl).abs() < 1e-12,
                "{found:?} {expected:?}"
            );
            assert_eq!(found.top1_agree, expected.top1_agree);
        }
        let never = [0.0, f32::NEG_INFINITY];
        let found = Divergence::between(&never, &[0.0, 0.0]).unwrap();
        assert!((found.kl - 2.0_f64.ln()).abs() < 1e-15);
        assert!(Divergence::between(&[f32::NAN, 0.0], &[0.0, 0.0]).is_err());
    }
}
