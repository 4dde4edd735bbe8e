//! One sample: what one model answered to one prompt under one condition, and what the judges said of it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text of the turn, before the chat template.
    pub content: String,
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model produced an end token, which is then the last entry of the token lists, or a stop string.
    Stop,
    /// The limit on new tokens was reached.
    Length,
    /// No completion was made; [`Sample::error`] says why. Never counted as a refusal, a zero or a safe answer.
    Error,
}

impl FinishReason {
    /// The word used in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Error => "error",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "stop" => Some(Self::Stop),
            "length" => Some(Self::Length),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

/// What an engine returns for one prompt.
///
/// The per-token lists have one entry per completion token, the end token included when one was produced. Statistics
/// are taken from the raw logits at temperature 1, whatever the sampling temperature was. Engines that do not report
/// a statistic (a remote endpoint, a recorded answer) leave its list empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The rendered prompt as token ids, exactly as the model saw it.
    pub prompt_token_ids: Vec<u32>,
    /// The generated token ids.
    pub completion_token_ids: Vec<u32>,
    /// The generated text without special tokens.
    pub text: String,
    /// Reasoning that was written before the answer, where the evaluation keeps it apart (`thinking: strip`) or a server does;
    /// the lists of tokens hold both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// What the answer was begun with, while it is no part of `text` yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill: Option<String>,
    /// Why generation ended.
    pub finish_reason: FinishReason,
    /// True when the last entry of the token lists is the token that ended the answer.
    pub ends_with_eos: bool,
    /// ln p of each emitted token.
    pub token_logprob: Vec<f32>,
    /// ln p of the most likely token at each position.
    pub token_top1_logprob: Vec<f32>,
    /// p(1st) - p(2nd) at each position.
    pub token_margin: Vec<f32>,
    /// -sum p ln p over the ten most likely tokens, in nats, not renormalised.
    pub token_top10_entropy: Vec<f32>,
    /// Total probability of the ten most likely tokens.
    pub token_top10_mass: Vec<f32>,
    /// -sum p ln p over the whole vocabulary, in nats.
    pub token_entropy: Vec<f32>,
    /// ln p of the likeliest tokens at each position, likeliest first: as many numbers for every token as were asked for (all
    /// of a smaller vocabulary), position after position. A probability of zero is `f32::MIN`. Empty when none were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_top_logprobs: Vec<f32>,
    /// ln p of the strings that a judge asked to watch, by string, at the position where its answer proper begins ([`crate::answer_start`]).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub first_token_logprob: IndexMap<String, f32>,
}

impl Completion {
    /// Keeps token statistics to six decimals: what follows is rounding, which another processor or a batch does otherwise.
    pub fn round_statistics(&mut self) {
        let lists = [
            &mut self.token_logprob,
            &mut self.token_top1_logprob,
            &mut self.token_margin,
            &mut self.token_top10_entropy,
            &mut self.token_top10_mass,
            &mut self.token_entropy,
            &mut self.token_top_logprobs,
        ];
        let round = |value: &mut f32| {
            // The nearest f32 of a decimal is again the same decimal when it is rounded once more.
            #[expect(clippy::cast_possible_truncation)]
            let rounded = ((f64::from(*value) * 1e6).round() / 1e6) as f32;
            *value = rounded;
        };
        lists.into_iter().flatten().for_each(round);
        self.first_token_logprob.values_mut().for_each(round);
    }

    /// What stands where there is no completion.
    #[must_use]
    pub fn none() -> Self {
        Self::of_text(String::new(), FinishReason::Error)
    }

    /// A text and why it ended, of which nothing else is known.
    #[must_use]
    pub fn of_text(text: String, finish_reason: FinishReason) -> Self {
        Self {
            prompt_token_ids: Vec::new(),
            completion_token_ids: Vec::new(),
            text,
            thinking: None,
            prefill: None,
            finish_reason,
            ends_with_eos: false,
            token_logprob: Vec::new(),
            token_top1_logprob: Vec::new(),
            token_margin: Vec::new(),
            token_top10_entropy: Vec::new(),
            token_top10_mass: Vec::new(),
            token_entropy: Vec::new(),
            token_top_logprobs: Vec::new(),
            first_token_logprob: IndexMap::new(),
        }
    }
}

impl Completion {
    /// Keeps the reasoning apart from the answer. `opened` is the tag that closes what the prompt began.
    pub fn keep_thinking_apart(&mut self, opened: Option<&str>) {
        let (thinking, answer) = crate::thinking::apart(&self.text, opened);
        if thinking.is_some() {
            self.thinking = thinking;
            self.text = answer;
        }
    }
}

/// Whether a number in the place of ln p of a token is none: tools write -9999, or the lowest number of their type, for minus infinity
/// and for what they do not know. Such a probability is 0 as a number.
#[must_use]
pub fn is_no_logprob(number: f64) -> bool {
    number.exp() == 0.0
}

/// A judge's word on a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictLabel {
    /// The completion does no harm: a refusal, or a harmless answer.
    Safe,
    /// The completion complies with a harmful request.
    Unsafe,
    /// The judge answered something that is no verdict.
    Unparsable,
    /// The judge could not be asked.
    Error,
    /// The judge gave a score that is no verdict.
    Scored,
}

impl VerdictLabel {
    /// The word used in files and by plugins.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unsafe => "unsafe",
            Self::Unparsable => "unparsable",
            Self::Error => "error",
            Self::Scored => "scored",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "safe" => Some(Self::Safe),
            "unsafe" => Some(Self::Unsafe),
            "unparsable" => Some(Self::Unparsable),
            "error" => Some(Self::Error),
            "scored" => Some(Self::Scored),
            _ => None,
        }
    }
}

/// A judge's verdict with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The verdict itself.
    pub label: VerdictLabel,
    /// Hazard categories named by the judge, for example `S2`.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Probability of `unsafe` against `safe` at the token where the judge's verdict stands, when the judge gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_unsafe: Option<f64>,
    /// A graded score in [0, 1], when the judge gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The same on the judge's own scale, where it has one: 4 of 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<f64>,
    /// What the judge wrote, or the error.
    #[serde(default)]
    pub output: String,
}

/// Flags set by rule on completions that a judge cannot be trusted with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degeneracy {
    /// Nothing but white space.
    pub empty: bool,
    /// The same phrase over and over.
    pub looping: bool,
    /// Cut at the limit on new tokens.
    pub truncated: bool,
}

impl Degeneracy {
    /// Whether any flag that makes a completion unjudgeable is set.
    #[must_use]
    pub fn any(self) -> bool {
        self.empty || self.looping || self.truncated
    }
}

/// One completion of one prompt, with everything that metrics and reports need of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Evaluation id of the spec.
    pub evaluation: String,
    /// Condition id of the spec; `default` for an evaluation with a single prompt.
    pub condition: String,
    /// Model id of the spec.
    pub model: String,
    /// Id of the dataset row, which pairs samples over models and conditions.
    pub sample_id: String,
    /// Which of the several completions of the same prompt, from 0.
    pub sample_index: u32,
    /// The conversation before the chat template.
    pub messages: Vec<Message>,
    /// What the engine returned.
    pub completion: Completion,
    /// Why there is no completion, for [`FinishReason::Error`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Flags by rule.
    #[serde(default)]
    pub degenerate: Degeneracy,
    /// Accepted answers, when the evaluation declares a reference.
    #[serde(default)]
    pub references: Vec<String>,
    /// The false answer that a false context suggests, when declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong_answer: Option<String>,
    /// The value of the evaluation's category column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The dataset row.
    #[serde(default)]
    pub row: IndexMap<String, Value>,
    /// Verdicts by judge id, in the order of the spec.
    #[serde(default)]
    pub verdicts: IndexMap<String, Verdict>,
    /// Named numbers of the sample: log-likelihoods of choices, divergences, recorded statistics.
    #[serde(default)]
    pub values: IndexMap<String, Vec<f64>>,
}
impl Verdict {
    /// What stands where a judge could not be asked.
    #[must_use]
    pub fn error(problem: &str) -> Self {
        Self {
            label: VerdictLabel::Error,
            categories: Vec::new(),
            p_unsafe: None,
            score: None,
            points: None,
            output: problem.to_owned(),
        }
    }
}

impl Sample {
    /// A sample before there is anything to say of it. Names of evaluation, condition and model stay empty.
    #[must_use]
    pub fn unanswered(sample_id: String, sample_index: u32, messages: Vec<Message>) -> Self {
        Self {
            evaluation: String::new(),
            condition: String::new(),
            model: String::new(),
            sample_id,
            sample_index,
            messages,
            completion: Completion::none(),
            error: None,
            degenerate: Degeneracy::default(),
            references: Vec::new(),
            wrong_answer: None,
            category: None,
            row: IndexMap::new(),
            verdicts: IndexMap::new(),
            values: IndexMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flag_is_enough() {
        let flags = |empty, looping, truncated| Degeneracy {
            empty,
            looping,
            truncated,
        };
        assert!(!flags(false, false, false).any());
        assert!(flags(true, false, false).any());
        assert!(flags(false, true, false).any());
        assert!(flags(false, false, true).any());
    }
}
