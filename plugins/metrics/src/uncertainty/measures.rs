//! The measures of uncertainty: their formulas, and their values for one completion.
//!
//! `l` is ln p of a token at temperature 1, over the raw logits; logarithms are natural, entropies in nats.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A measure of one completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
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
    /// Mean entropy over the ten likeliest tokens, not renormalised (arXiv 2409.19476).
    #[serde(rename = "top10_entropy")]
    Top10Entropy,
    /// Mean entropy over the ten likeliest tokens, renormalised to 1.
    #[serde(rename = "top10_entropy_renormalised")]
    Top10EntropyRenormalised,
    /// Mean entropy over the ten likeliest tokens and one bucket for the rest: a lower bound of the full entropy.
    #[serde(rename = "entropy_lower_bound")]
    EntropyLowerBound,
    /// Mean entropy if the rest were spread evenly over the vocabulary: an upper bound of the full entropy.
    #[serde(rename = "entropy_upper_bound")]
    EntropyUpperBound,
    /// Mean entropy over the whole vocabulary.
    TokenEntropy,
    /// Mean difference of the two highest probabilities.
    Margin,
    /// 1 - the share of the most frequent normalised answer among the completions of a prompt.
    SelfInconsistency,
}

/// Per-token lists of one completion, the end token already dropped where it is to be; an engine that does not report a
/// list leaves it empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokens<'a> {
    /// ln p of the emitted or most likely tokens.
    pub logprob: &'a [f32],
    /// Entropy over the ten likeliest tokens.
    pub top10_entropy: &'a [f32],
    /// Probability of the ten likeliest tokens.
    pub top10_mass: &'a [f32],
    /// Entropy over the vocabulary.
    pub entropy: &'a [f32],
    /// Difference of the two highest probabilities.
    pub margin: &'a [f32],
    /// Size of the vocabulary, for the upper bound.
    pub vocabulary: Option<u32>,
}

impl Measure {
    /// All of them, in the order they are reported.
    pub const ALL: [Self; 13] = [
        Self::Top10Entropy,
        Self::TokenEntropy,
        Self::Perplexity,
        Self::MeanTokenProbability,
        Self::MinTokenProbability,
        Self::SequenceLogprob,
        Self::Margin,
        Self::MeanNll,
        Self::SequenceProbability,
        Self::Top10EntropyRenormalised,
        Self::EntropyLowerBound,
        Self::EntropyUpperBound,
        Self::SelfInconsistency,
    ];

    /// Those reported when the configuration names none; the last exists only where a prompt was answered several times.
    pub const USUAL: [Self; 8] = [
        Self::Top10Entropy,
        Self::TokenEntropy,
        Self::Perplexity,
        Self::MeanTokenProbability,
        Self::MinTokenProbability,
        Self::SequenceLogprob,
        Self::Margin,
        Self::SelfInconsistency,
    ];

    /// Its id: in configurations, results and names of recorded values.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Perplexity => "perplexity",
            Self::MeanNll => "mean_nll",
            Self::MeanTokenProbability => "mean_token_probability",
            Self::MinTokenProbability => "min_token_probability",
            Self::SequenceLogprob => "sequence_logprob",
            Self::SequenceProbability => "sequence_probability",
            Self::Top10Entropy => "top10_entropy",
            Self::Top10EntropyRenormalised => "top10_entropy_renormalised",
            Self::EntropyLowerBound => "entropy_lower_bound",
            Self::EntropyUpperBound => "entropy_upper_bound",
            Self::TokenEntropy => "token_entropy",
            Self::Margin => "margin",
            Self::SelfInconsistency => "self_inconsistency",
        }
    }

    /// Its title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Perplexity => "Perplexity",
            Self::MeanNll => "Mean negative log-likelihood",
            Self::MeanTokenProbability => "Mean token probability",
            Self::MinTokenProbability => "Minimum token probability",
            Self::SequenceLogprob => "Sequence log-probability",
            Self::SequenceProbability => "Sequence probability",
            Self::Top10Entropy => "Top-10 entropy",
            Self::Top10EntropyRenormalised => "Top-10 entropy, renormalised",
            Self::EntropyLowerBound => "Entropy, lower bound",
            Self::EntropyUpperBound => "Entropy, upper bound",
            Self::TokenEntropy => "Token entropy",
            Self::Margin => "Margin",
            Self::SelfInconsistency => "Disagreement among samples",
        }
    }

    /// Its unit.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Perplexity => "perplexity",
            Self::MeanTokenProbability
            | Self::MinTokenProbability
            | Self::SequenceProbability
            | Self::Margin
            | Self::SelfInconsistency => "ratio",
            _ => "nats",
        }
    }

    /// Its formula for one completion of T tokens.
    #[must_use]
    pub fn formula(self) -> &'static str {
        match self {
            Self::Perplexity => "exp(-(1/T) sum_t ln p_t)",
            Self::MeanNll => "-(1/T) sum_t ln p_t",
            Self::MeanTokenProbability => "(1/T) sum_t p_t",
            Self::MinTokenProbability => "min_t p_t",
            Self::SequenceLogprob => "sum_t ln p_t",
            Self::SequenceProbability => "prod_t p_t",
            Self::Top10Entropy => {
                "(1/T) sum_t H_t, H_t = -sum over the 10 likeliest v of p_t(v) ln p_t(v)"
            }
            Self::Top10EntropyRenormalised => {
                "(1/T) sum_t (H_t / m_t + ln m_t), m_t the probability of the 10 likeliest tokens"
            }
            Self::EntropyLowerBound => "(1/T) sum_t (H_t - r_t ln r_t), r_t = 1 - m_t",
            Self::EntropyUpperBound => "(1/T) sum_t (H_t + r_t ln((V - 10) / r_t)), r_t = 1 - m_t",
            Self::TokenEntropy => "(1/T) sum_t -sum over all v of p_t(v) ln p_t(v)",
            Self::Margin => "(1/T) sum_t (p_t(1st) - p_t(2nd))",
            Self::SelfInconsistency => {
                "1 - (share of the most frequent answer, after TriviaQA normalisation, among a prompt's completions)"
            }
        }
    }

    /// Whether a larger value means more certainty.
    #[must_use]
    pub fn is_certainty(self) -> bool {
        matches!(
            self,
            Self::MeanTokenProbability
                | Self::MinTokenProbability
                | Self::SequenceLogprob
                | Self::SequenceProbability
                | Self::Margin
        )
    }

    /// Whether [`Self::confidence`] is defined.
    #[must_use]
    pub fn has_confidence(self) -> bool {
        self.is_certainty()
            || matches!(
                self,
                Self::Perplexity | Self::MeanNll | Self::SelfInconsistency
            )
    }

    /// The value as a confidence in [0, 1], for measures that have a natural one.
    #[must_use]
    pub fn confidence(self, value: f64) -> Option<f64> {
        match self {
            Self::MeanTokenProbability
            | Self::MinTokenProbability
            | Self::SequenceProbability
            | Self::Margin => Some(value),
            Self::SelfInconsistency => Some(1.0 - value),
            Self::Perplexity if value >= 1.0 => Some(1.0 / value),
            Self::MeanNll if value >= 0.0 => Some((-value).exp()),
            Self::SequenceLogprob if value <= 0.0 => Some(value.exp()),
            _ => None,
        }
    }

    /// How the confidence is taken from the value, for formulas; empty when it is the value itself.
    #[must_use]
    pub fn confidence_formula(self) -> &'static str {
        match self {
            Self::Perplexity => "confidence = 1/perplexity; ",
            Self::MeanNll => "confidence = exp(-mean NLL); ",
            Self::SequenceLogprob => "confidence = exp(sum ln p); ",
            Self::SelfInconsistency => "confidence = 1 - inconsistency; ",
            _ => "",
        }
    }

    /// The value as a score that is higher where the model is surer, for ranking.
    #[must_use]
    pub fn certainty(self, value: f64) -> f64 {
        if self.is_certainty() { value } else { -value }
    }

    /// The smallest and largest value that the measure can have.
    #[must_use]
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::Perplexity => (1.0, f64::INFINITY),
            Self::SequenceLogprob => (f64::NEG_INFINITY, 0.0),
            Self::MeanTokenProbability
            | Self::MinTokenProbability
            | Self::SequenceProbability
            | Self::Margin
            | Self::SelfInconsistency => (0.0, 1.0),
            _ => (0.0, f64::INFINITY),
        }
    }

    /// The value of a completion; `None` when its list is empty or the value is not finite.
    #[must_use]
    pub fn of(self, tokens: &Tokens<'_>) -> Option<f64> {
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
            Self::Top10Entropy => mean(tokens.top10_entropy, |h| h)?,
            Self::Top10EntropyRenormalised => with_mass(tokens, |h, m| h / m + m.ln())?,
            Self::EntropyLowerBound => with_mass(tokens, |h, m| {
                let rest = (1.0 - m).max(0.0);
                if rest > 0.0 { h - rest * rest.ln() } else { h }
            })?,
            Self::EntropyUpperBound => {
                let others = f64::from(tokens.vocabulary?.checked_sub(10)?);
                with_mass(tokens, |h, m| {
                    let rest = (1.0 - m).max(0.0);
                    if rest > 0.0 {
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
    let (entropy, mass) = (tokens.top10_entropy, tokens.top10_mass);
    if entropy.is_empty() || entropy.len() != mass.len() {
        return None;
    }
    let terms = entropy.iter().zip(mass);
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
        assert_eq!(Measure::Top10Entropy.of(&tokens), None);
    }

    #[test]
    fn bounds_hold_the_full_entropy() {
        // Twelve tokens: ten of 0.09 and two of 0.05. The two are spread evenly, so the upper bound is exact.
        let top = -10.0 * 0.09 * f64::ln(0.09);
        let full = top - 2.0 * 0.05 * f64::ln(0.05);
        let tokens = Tokens {
            top10_entropy: &[top as f32],
            top10_mass: &[0.9],
            vocabulary: Some(12),
            ..Tokens::default()
        };
        close(Measure::EntropyUpperBound.of(&tokens), full);
        let lower = Measure::EntropyLowerBound.of(&tokens).unwrap();
        assert!(top < lower && lower < full);
        close(Measure::Top10EntropyRenormalised.of(&tokens), 10f64.ln());
    }

    #[test]
    fn nothing_and_the_impossible_are_undefined() {
        for measure in Measure::ALL {
            assert_eq!(measure.of(&Tokens::default()), None, "{}", measure.id());
        }
        let impossible = Tokens {
            logprob: &[f32::NEG_INFINITY],
            ..Tokens::default()
        };
        assert_eq!(Measure::Perplexity.of(&impossible), None);
        close(Measure::MeanTokenProbability.of(&impossible), 0.0);
    }

    #[test]
    fn ids_are_those_of_configurations() {
        for measure in Measure::ALL {
            let json = serde_json::to_value(measure).unwrap();
            assert_eq!(json, measure.id());
        }
    }
}
