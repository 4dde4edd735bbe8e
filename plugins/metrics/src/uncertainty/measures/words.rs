//! What is said of measures: their titles, units and formulas.

use std::borrow::Cow;

use super::Measure;

impl Measure {
    /// Its title.
    #[must_use]
    pub(in crate::uncertainty) fn title(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Perplexity => "Perplexity",
            Self::MeanNll => "Mean negative log-likelihood",
            Self::MeanTokenProbability => "Mean token probability",
            Self::MinTokenProbability => "Minimum token probability",
            Self::SequenceLogprob => "Sequence log-probability",
            Self::SequenceProbability => "Sequence probability",
            Self::TopEntropy(k) => return Cow::Owned(format!("Top-{k} entropy")),
            Self::TopEntropyRenormalised(k) => {
                return Cow::Owned(format!("Top-{k} entropy, renormalised"));
            }
            Self::EntropyLowerBound(_) => "Entropy, lower bound",
            Self::EntropyUpperBound(_) => "Entropy, upper bound",
            Self::TokenEntropy => "Token entropy",
            Self::Margin => "Margin",
            Self::SelfInconsistency => "Disagreement among samples",
        })
    }

    /// Its unit.
    #[must_use]
    pub(in crate::uncertainty) fn unit(self) -> &'static str {
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
    pub(in crate::uncertainty) fn formula(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Perplexity => "exp(-(1/T) sum_t ln p_t)",
            Self::MeanNll => "-(1/T) sum_t ln p_t",
            Self::MeanTokenProbability => "(1/T) sum_t p_t",
            Self::MinTokenProbability => "min_t p_t",
            Self::SequenceLogprob => "sum_t ln p_t",
            Self::SequenceProbability => "prod_t p_t",
            Self::TopEntropy(k) => {
                return Cow::Owned(format!(
                    "(1/T) sum_t H_t, H_t = -sum over the {k} likeliest v of p_t(v) ln p_t(v)"
                ));
            }
            Self::TopEntropyRenormalised(k) => {
                return Cow::Owned(format!(
                    "(1/T) sum_t (H_t / m_t + ln m_t), m_t the probability of the {k} likeliest tokens"
                ));
            }
            Self::EntropyLowerBound(_) => "(1/T) sum_t (H_t - r_t ln r_t), r_t = 1 - m_t",
            Self::EntropyUpperBound(k) => {
                return Cow::Owned(format!(
                    "(1/T) sum_t (H_t + r_t ln((V - {k}) / r_t)), r_t = 1 - m_t"
                ));
            }
            Self::TokenEntropy => "(1/T) sum_t -sum over all v of p_t(v) ln p_t(v)",
            Self::Margin => "(1/T) sum_t (p_t(1st) - p_t(2nd))",
            Self::SelfInconsistency => {
                "1 - (share of the most frequent answer, after TriviaQA normalisation, among a prompt's completions)"
            }
        })
    }

    /// Whether its formula is about p_t, the probability of one token at each position.
    #[must_use]
    pub(in crate::uncertainty) fn is_of_token(self) -> bool {
        matches!(
            self,
            Self::Perplexity
                | Self::MeanNll
                | Self::MeanTokenProbability
                | Self::MinTokenProbability
                | Self::SequenceLogprob
                | Self::SequenceProbability
        )
    }

    /// How the confidence is taken from the value, for formulas; empty when it is the value itself.
    #[must_use]
    pub(in crate::uncertainty) fn confidence_formula(self) -> &'static str {
        match self {
            Self::Perplexity => "confidence = 1/perplexity; ",
            Self::MeanNll => "confidence = exp(-mean NLL); ",
            Self::SequenceLogprob => "confidence = exp(sum ln p); ",
            Self::SelfInconsistency => "confidence = 1 - inconsistency; ",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each measure: its unit, whether it is about p_t, and how its confidence is taken, as docs/numbers.md has them.
    #[test]
    fn what_each_measure_is() {
        let table = [
            (Measure::Perplexity, "perplexity", true, "1/perplexity"),
            (Measure::MeanNll, "nats", true, "exp(-mean NLL)"),
            (Measure::MeanTokenProbability, "ratio", true, ""),
            (Measure::MinTokenProbability, "ratio", true, ""),
            (Measure::SequenceLogprob, "nats", true, "exp(sum ln p)"),
            (Measure::SequenceProbability, "ratio", true, ""),
            (Measure::TopEntropy(5), "nats", false, ""),
            (Measure::TopEntropyRenormalised(5), "nats", false, ""),
            (Measure::EntropyLowerBound(5), "nats", false, ""),
            (Measure::EntropyUpperBound(5), "nats", false, ""),
            (Measure::TokenEntropy, "nats", false, ""),
            (Measure::Margin, "ratio", false, ""),
            (
                Measure::SelfInconsistency,
                "ratio",
                false,
                "1 - inconsistency",
            ),
        ];
        assert_eq!(table.len(), Measure::all(5).len());
        for (measure, unit, of_token, confidence) in table {
            let id = measure.id();
            assert_eq!(
                (measure.unit(), measure.is_of_token()),
                (unit, of_token),
                "{id}"
            );
            let said = measure.confidence_formula();
            match confidence {
                "" => assert_eq!(said, "", "{id}"),
                how => assert_eq!(said, format!("confidence = {how}; "), "{id}"),
            }
        }
    }
}
