//! The measures of uncertainty, and their values for one completion.
//!
//! `l` is ln p of a token at temperature 1, over the raw logits; logarithms are natural, entropies in nats.

mod words;

use std::borrow::Cow;

/// A measure of one completion. Where it is about the likeliest tokens, it holds their number k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Measure {
    /// exp(-mean l).
    Perplexity,
    /// -mean l: what LM-Polygraph calls perplexity.
    MeanNll,
    /// mean exp(l).
    MeanTokenProbability,
    /// min exp(l).
    MinTokenProbability,
    /// sum l: the logarithm of the sequence's probability.
    SequenceLogprob,
    /// exp(sum l).
    SequenceProbability,
    /// Mean entropy over the k likeliest tokens, not renormalised (arXiv 2409.19476, with k = 10).
    TopEntropy(u32),
    /// Mean entropy over the k likeliest tokens, renormalised to 1.
    TopEntropyRenormalised(u32),
    /// Mean entropy over the k likeliest tokens and one bucket for the rest: a lower bound of the full entropy.
    EntropyLowerBound(u32),
    /// Mean entropy if the rest were spread evenly over the vocabulary: an upper bound of the full entropy.
    EntropyUpperBound(u32),
    /// Mean entropy over the whole vocabulary.
    TokenEntropy,
    /// Mean difference of the two highest probabilities.
    Margin,
    /// 1 - the share of the most frequent normalised answer among the completions of a prompt.
    SelfInconsistency,
}

/// Per-token lists of one completion, the end token already dropped where it is to be; an engine that does not report a
/// list leaves it empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens<'a> {
    /// ln p of the emitted or most likely tokens.
    pub(super) logprob: &'a [f32],
    /// Entropy over the k likeliest tokens.
    pub(super) top_entropy: Cow<'a, [f32]>,
    /// Probability of the k likeliest tokens.
    pub(super) top_mass: Cow<'a, [f32]>,
    /// Entropy over the vocabulary.
    pub(super) entropy: &'a [f32],
    /// Difference of the two highest probabilities.
    pub(super) margin: &'a [f32],
    /// Size of the vocabulary, for the upper bound.
    pub(super) vocabulary: Option<u32>,
}

/// A list of a number per token that some measures need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    TopEntropy,
    TopMass,
    Entropy,
    Margin,
}

impl List {
    /// The field of a sample that holds it.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::TopEntropy => "token_top10_entropy",
            Self::TopMass => "token_top10_mass",
            Self::Entropy => "token_entropy",
            Self::Margin => "token_margin",
        }
    }
}

impl Measure {
    /// Whether [`Self::of`] looks at a list.
    #[must_use]
    pub(super) fn reads(self, list: List) -> bool {
        match self {
            Self::TopEntropy(_) => list == List::TopEntropy,
            Self::TopEntropyRenormalised(_)
            | Self::EntropyLowerBound(_)
            | Self::EntropyUpperBound(_) => {
                matches!(list, List::TopEntropy | List::TopMass)
            }
            Self::TokenEntropy => list == List::Entropy,
            Self::Margin => list == List::Margin,
            _ => false,
        }
    }

    /// All of them with k likeliest tokens, in the order they are reported.
    #[must_use]
    pub(super) const fn all(k: u32) -> [Self; 13] {
        [
            Self::TopEntropy(k),
            Self::TokenEntropy,
            Self::Perplexity,
            Self::MeanTokenProbability,
            Self::MinTokenProbability,
            Self::SequenceLogprob,
            Self::Margin,
            Self::MeanNll,
            Self::SequenceProbability,
            Self::TopEntropyRenormalised(k),
            Self::EntropyLowerBound(k),
            Self::EntropyUpperBound(k),
            Self::SelfInconsistency,
        ]
    }

    /// Those reported when the configuration names none; the last exists only where a prompt was answered several times.
    #[must_use]
    pub(super) const fn usual(k: u32) -> [Self; 8] {
        [
            Self::TopEntropy(k),
            Self::TokenEntropy,
            Self::Perplexity,
            Self::MeanTokenProbability,
            Self::MinTokenProbability,
            Self::SequenceLogprob,
            Self::Margin,
            Self::SelfInconsistency,
        ]
    }

    /// Its id: in configurations, results and names of recorded values.
    #[must_use]
    pub(super) fn id(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Perplexity => "perplexity",
            Self::MeanNll => "mean_nll",
            Self::MeanTokenProbability => "mean_token_probability",
            Self::MinTokenProbability => "min_token_probability",
            Self::SequenceLogprob => "sequence_logprob",
            Self::SequenceProbability => "sequence_probability",
            Self::TopEntropy(k) => return Cow::Owned(format!("top{k}_entropy")),
            Self::TopEntropyRenormalised(k) => {
                return Cow::Owned(format!("top{k}_entropy_renormalised"));
            }
            Self::EntropyLowerBound(_) => "entropy_lower_bound",
            Self::EntropyUpperBound(_) => "entropy_upper_bound",
            Self::TokenEntropy => "token_entropy",
            Self::Margin => "margin",
            Self::SelfInconsistency => "self_inconsistency",
        })
    }

    /// The column of a recording that holds it under a name of its own: `columns: {probability: ..., entropy: ...}`.
    #[must_use]
    pub(super) fn column(self) -> Option<&'static str> {
        match self {
            Self::MeanTokenProbability => Some("probability"),
            Self::TokenEntropy => Some("entropy"),
            _ => None,
        }
    }

    /// Whether a larger value means more certainty.
    #[must_use]
    pub(super) fn is_certainty(self) -> bool {
        matches!(
            self,
            Self::MeanTokenProbability
                | Self::MinTokenProbability
                | Self::SequenceLogprob
                | Self::SequenceProbability
                | Self::Margin
        )
    }

    /// The value as a confidence in [0, 1], for measures that have a natural one.
    #[must_use]
    pub(super) fn confidence(self, value: f64) -> Option<f64> {
        match self {
            _ if self.is_confidence() => Some(value),
            Self::SelfInconsistency => Some(1.0 - value),
            Self::Perplexity if value >= 1.0 => Some(1.0 / value),
            Self::MeanNll if value >= 0.0 => Some((-value).exp()),
            Self::SequenceLogprob if value <= 0.0 => Some(value.exp()),
            _ => None,
        }
    }

    /// Whether the value is the confidence itself.
    #[must_use]
    pub(super) fn is_confidence(self) -> bool {
        matches!(
            self,
            Self::MeanTokenProbability
                | Self::MinTokenProbability
                | Self::SequenceProbability
                | Self::Margin
        )
    }

    /// The value as a score that is higher where the model is surer, for ranking.
    #[must_use]
    pub(super) fn certainty(self, value: f64) -> f64 {
        if self.is_certainty() { value } else { -value }
    }

    /// The smallest and largest value that the measure can have.
    #[must_use]
    pub(super) fn range(self) -> (f64, f64) {
        match self {
            Self::Perplexity => (1.0, f64::INFINITY),
            Self::SequenceLogprob => (f64::NEG_INFINITY, 0.0),
            Self::MeanTokenProbability
            | Self::MinTokenProbability
            | Self::SequenceProbability
            | Self::Margin
            | Self::SelfInconsistency => (0.0, 1.0),
            // k equal probabilities of sum s have the entropy s ln(k / s), which is largest at s = k/e, but s is 1 at most.
            Self::TopEntropy(k) => {
                let k = f64::from(k);
                let sum = f64::min(1.0, k / std::f64::consts::E);
                (0.0, sum * (k / sum).ln())
            }
            Self::TopEntropyRenormalised(k) => (0.0, f64::from(k).ln()),
            _ => (0.0, f64::INFINITY),
        }
    }

    /// The value of a completion; `None` when its list is empty or the value is not finite.
    #[must_use]
    pub(super) fn of(self, tokens: &Tokens<'_>) -> Option<f64> {
        let l = tokens.logprob;
        let value = match self {
            Self::Perplexity => (-mean(l, |l| l)?).exp(),
            Self::MeanNll => -mean(l, |l| l)?,
            Self::MeanTokenProbability => mean(l, f64::exp)?,
            Self::MinTokenProbability => {
                let lowest = l.iter().copied().reduce(f32::min)?;
                f64::from(lowest).exp()
            }
            Self::SequenceLogprob => mean(l, |l| l)? * l.len() as f64,
            Self::SequenceProbability => (mean(l, |l| l)? * l.len() as f64).exp(),
            Self::TopEntropy(_) => mean(&tokens.top_entropy, |h| h)?,
            Self::TopEntropyRenormalised(_) => with_mass(tokens, |h, m| h / m + m.ln())?,
            Self::EntropyLowerBound(_) => with_mass(tokens, |h, m| {
                let rest = (1.0 - m).max(0.0);
                if rest > 0.0 { h - rest * rest.ln() } else { h }
            })?,
            Self::EntropyUpperBound(k) => {
                let others = f64::from(tokens.vocabulary?.checked_sub(k)?);
                with_mass(tokens, |h, m| {
                    let rest = (1.0 - m).max(0.0);
                    if rest > 0.0 && others > 0.0 {
                        h + rest * (others / rest).ln()
                    } else {
                        h
                    }
                })?
            }
            Self::TokenEntropy => mean(tokens.entropy, |h| h)?,
            Self::Margin => mean(tokens.margin, |m| m)?,
            // Several completions say it, not one.
            Self::SelfInconsistency => return None,
        };
        value.is_finite().then_some(value)
    }
}

fn mean(list: &[f32], of: impl Fn(f64) -> f64) -> Option<f64> {
    let sum: f64 = list.iter().map(|&value| of(f64::from(value))).sum();
    (!list.is_empty()).then(|| sum / list.len() as f64)
}

fn with_mass(tokens: &Tokens<'_>, of: impl Fn(f64, f64) -> f64) -> Option<f64> {
    let (entropy, mass) = (&tokens.top_entropy, &tokens.top_mass);
    if entropy.is_empty() || entropy.len() != mass.len() {
        return None;
    }
    let terms = entropy.iter().zip(mass.iter());
    let sum: f64 = terms.map(|(&h, &m)| of(f64::from(h), f64::from(m))).sum();
    Some(sum / entropy.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(value: Option<f64>, expected: f64) {
        let value = value.unwrap();
        assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
    }

    #[test]
    fn by_hand() {
        let l: Vec<f32> = [0.5f32, 0.25].map(f32::ln).to_vec();
        let tokens = Tokens {
            logprob: &l,
            margin: &[0.2, 0.4],
            entropy: &[1.0, 2.0],
            ..Tokens::default()
        };
        close(Measure::Perplexity.of(&tokens), 8f64.sqrt());
        close(Measure::MeanNll.of(&tokens), 8f64.ln() / 2.0);
        close(Measure::MeanTokenProbability.of(&tokens), 0.375);
        close(Measure::MinTokenProbability.of(&tokens), 0.25);
        close(Measure::SequenceLogprob.of(&tokens), 0.125f64.ln());
        close(Measure::SequenceProbability.of(&tokens), 0.125);
        close(Measure::Margin.of(&tokens), 0.3);
        close(Measure::TokenEntropy.of(&tokens), 1.5);
        assert_eq!(Measure::TopEntropy(10).of(&tokens), None);
    }

    /// Probabilities as they are, 1 / perplexity, and e to the power of logarithms; nothing of what cannot be.
    #[test]
    fn confidences_are_probabilities() {
        close(Measure::MeanNll.confidence(2_f64.ln()), 0.5);
        close(Measure::MeanNll.confidence(0.0), 1.0);
        assert_eq!(Measure::MeanNll.confidence(-0.1), None);
        close(Measure::SequenceLogprob.confidence(-(4_f64.ln())), 0.25);
        close(Measure::SequenceLogprob.confidence(0.0), 1.0);
        assert_eq!(Measure::SequenceLogprob.confidence(0.1), None);
        close(Measure::Perplexity.confidence(1.0), 1.0);
        close(Measure::Perplexity.confidence(4.0), 0.25);
        assert_eq!(Measure::Perplexity.confidence(0.9), None);
        close(Measure::SelfInconsistency.confidence(0.3), 0.7);
        for measure in [Measure::Margin, Measure::MinTokenProbability] {
            close(measure.confidence(0.3), 0.3);
        }
        assert_eq!(Measure::TokenEntropy.confidence(0.3), None);
    }

    #[test]
    fn bounds_hold_the_full_entropy() {
        // Twelve tokens: ten of 0.09 and two of 0.05. The two are spread evenly, so the upper bound is exact.
        let top = -10.0 * 0.09 * f64::ln(0.09);
        let full = top - 2.0 * 0.05 * f64::ln(0.05);
        let tokens = Tokens {
            top_entropy: vec![top as f32].into(),
            top_mass: vec![0.9].into(),
            vocabulary: Some(12),
            ..Tokens::default()
        };
        close(Measure::EntropyUpperBound(10).of(&tokens), full);
        let lower = Measure::EntropyLowerBound(10).of(&tokens).unwrap();
        assert!(top < lower && lower < full);
        close(Measure::TopEntropyRenormalised(10).of(&tokens), 10f64.ln());
    }

    /// The lower bound gives the rest r to one token, -r ln r; the upper bound spreads it over V - k. Nothing is left of a mass of one, nor
    /// where all tokens are listed.
    #[test]
    fn bounds_by_hand() {
        let tokens = |mass: f32, vocabulary: u32| Tokens {
            top_entropy: vec![0.5].into(),
            top_mass: vec![mass].into(),
            vocabulary: Some(vocabulary),
            ..Tokens::default()
        };
        let (lower, upper) = (Measure::EntropyLowerBound(4), Measure::EntropyUpperBound(4));
        close(lower.of(&tokens(0.75, 12)), 0.5 + 0.25 * 4_f64.ln());
        close(upper.of(&tokens(0.75, 12)), 0.5 + 0.25 * 32_f64.ln());
        close(lower.of(&tokens(1.0, 12)), 0.5);
        close(upper.of(&tokens(1.0, 12)), 0.5);
        close(upper.of(&tokens(0.75, 4)), 0.5);
    }

    #[test]
    fn an_entropy_over_k_tokens_has_a_largest_value() {
        close(Some(Measure::TopEntropy(10).range().1), 10f64.ln());
        close(Some(Measure::TopEntropy(1).range().1), (-1f64).exp());
        // Two tokens of 1/e each.
        let largest = Measure::TopEntropy(2).range().1;
        let of = |p: f64| -2.0 * p * p.ln();
        assert!((largest - of((-1f64).exp())).abs() < 1e-12);
        assert!(of(0.36) < largest && of(0.38) < largest);
        close(
            Some(Measure::TopEntropyRenormalised(2).range().1),
            2f64.ln(),
        );
    }

    #[test]
    fn nothing_and_the_impossible_are_undefined() {
        for measure in Measure::all(10) {
            assert_eq!(measure.of(&Tokens::default()), None, "{}", measure.id());
        }
        let impossible = Tokens {
            logprob: &[f32::NEG_INFINITY],
            ..Tokens::default()
        };
        assert_eq!(Measure::Perplexity.of(&impossible), None);
        close(Measure::MeanTokenProbability.of(&impossible), 0.0);
    }
}
