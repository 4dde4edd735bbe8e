//! The fields of a sample that a plugin may read, by name.

use std::borrow::Cow;

/// A field name, parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// A text field: `sample_id`, `evaluation`, `condition`, `model`, `completion`, `finish_reason`, `category`,
    /// `wrong_answer`, `error`.
    Text(Text),
    /// `references`: accepted answers.
    References,
    /// `judges`: ids in the order of the spec; the first is the primary judge.
    Judges,
    /// `verdict.<judge>`: `safe`, `unsafe`, `unparsable` or `error`.
    Verdict(&'a str),
    /// `judge_output.<judge>`: what the judge wrote.
    JudgeOutput(&'a str),
    /// `categories.<judge>`: hazard categories named by the judge.
    Categories(&'a str),
    /// `p_unsafe.<judge>`: probability of `unsafe` at the judge's first token.
    PUnsafe(&'a str),
    /// `score.<judge>`: graded score in [0, 1].
    Score(&'a str),
    /// `points.<judge>`: the same on the judge's own scale, where it has one.
    Points(&'a str),
    /// `scorers`: ids of the judges that give scores, in the order of the spec.
    Scorers,
    /// `row.<column>`: a column of the dataset row; text as it is, other values as JSON text, numbers as f64 too.
    Row(&'a str),
    /// `value.<name>`: named numbers; the first as f64, all as f32s or f64s.
    Value(&'a str),
    /// A list with one number per completion token; the likeliest tokens' ln p are several.
    Tokens(Tokens),
    /// A whole number or a flag.
    Integer(Integer),
    /// `prompt`: the number of the sample's id, in the order in which ids are first shown.
    Prompt,
}

/// Text fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Id of the dataset row.
    SampleId,
    /// Evaluation id.
    Evaluation,
    /// Condition id.
    Condition,
    /// Model id.
    Model,
    /// Generated text.
    Completion,
    /// `stop`, `length` or `error`.
    FinishReason,
    /// Category of the row.
    Category,
    /// The false answer a false context suggests.
    WrongAnswer,
    /// Why there is no completion.
    Error,
}

/// Per-token lists; natural logarithms and nats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// ln p of each emitted token.
    Logprob,
    /// ln p of the most likely token.
    Top1Logprob,
    /// p(1st) - p(2nd).
    Margin,
    /// Entropy over the ten most likely tokens, not renormalised.
    Top10Entropy,
    /// Probability of the ten most likely tokens.
    Top10Mass,
    /// Entropy over the vocabulary.
    Entropy,
    /// ln p of the likeliest tokens, likeliest first: the same number of them for every token, token after token.
    TopLogprobs,
}

/// Whole numbers and flags (0 or 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer {
    /// Which of several completions of the same prompt, from 0.
    SampleIndex,
    /// Whether the last token ended the answer.
    EndsWithEos,
    /// Nothing but white space.
    Empty,
    /// The same phrase over and over.
    Looping,
    /// Cut at the limit on new tokens.
    Truncated,
}

impl<'a> Field<'a> {
    /// Reads a name; `None` when there is no such field.
    #[must_use]
    pub fn parse(name: &'a str) -> Option<Self> {
        if let Some((kind, rest)) = name.split_once('.') {
            if rest.is_empty() {
                return None;
            }
            return match kind {
                "verdict" => Some(Self::Verdict(rest)),
                "judge_output" => Some(Self::JudgeOutput(rest)),
                "categories" => Some(Self::Categories(rest)),
                "p_unsafe" => Some(Self::PUnsafe(rest)),
                "score" => Some(Self::Score(rest)),
                "points" => Some(Self::Points(rest)),
                "row" => Some(Self::Row(rest)),
                "value" => Some(Self::Value(rest)),
                _ => None,
            };
        }
        Some(match name {
            "sample_id" => Self::Text(Text::SampleId),
            "evaluation" => Self::Text(Text::Evaluation),
            "condition" => Self::Text(Text::Condition),
            "model" => Self::Text(Text::Model),
            "completion" => Self::Text(Text::Completion),
            "finish_reason" => Self::Text(Text::FinishReason),
            "category" => Self::Text(Text::Category),
            "wrong_answer" => Self::Text(Text::WrongAnswer),
            "error" => Self::Text(Text::Error),
            "references" => Self::References,
            "judges" => Self::Judges,
            "scorers" => Self::Scorers,
            "token_logprob" => Self::Tokens(Tokens::Logprob),
            "token_top1_logprob" => Self::Tokens(Tokens::Top1Logprob),
            "token_margin" => Self::Tokens(Tokens::Margin),
            "token_top10_entropy" => Self::Tokens(Tokens::Top10Entropy),
            "token_top10_mass" => Self::Tokens(Tokens::Top10Mass),
            "token_entropy" => Self::Tokens(Tokens::Entropy),
            "token_top_logprobs" => Self::Tokens(Tokens::TopLogprobs),
            "prompt" => Self::Prompt,
            "sample_index" => Self::Integer(Integer::SampleIndex),
            "ends_with_eos" => Self::Integer(Integer::EndsWithEos),
            "empty" => Self::Integer(Integer::Empty),
            "looping" => Self::Integer(Integer::Looping),
            "truncated" => Self::Integer(Integer::Truncated),
            _ => return None,
        })
    }

    /// Whether a metric may have it shown beside each completion: what a report does not show anyway.
    #[must_use]
    pub fn can_be_shown(&self) -> bool {
        matches!(
            self,
            Self::Row(_)
                | Self::Value(_)
                | Self::Score(_)
                | Self::PUnsafe(_)
                | Self::Categories(_)
                | Self::Tokens(_)
        )
    }

    /// The name that [`Self::parse`] reads as this field.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Verdict(id) => return Cow::Owned(format!("verdict.{id}")),
            Self::JudgeOutput(id) => return Cow::Owned(format!("judge_output.{id}")),
            Self::Categories(id) => return Cow::Owned(format!("categories.{id}")),
            Self::PUnsafe(id) => return Cow::Owned(format!("p_unsafe.{id}")),
            Self::Score(id) => return Cow::Owned(format!("score.{id}")),
            Self::Points(id) => return Cow::Owned(format!("points.{id}")),
            Self::Row(id) => return Cow::Owned(format!("row.{id}")),
            Self::Value(id) => return Cow::Owned(format!("value.{id}")),
            Self::Text(Text::SampleId) => "sample_id",
            Self::Text(Text::Evaluation) => "evaluation",
            Self::Text(Text::Condition) => "condition",
            Self::Text(Text::Model) => "model",
            Self::Text(Text::Completion) => "completion",
            Self::Text(Text::FinishReason) => "finish_reason",
            Self::Text(Text::Category) => "category",
            Self::Text(Text::WrongAnswer) => "wrong_answer",
            Self::Text(Text::Error) => "error",
            Self::References => "references",
            Self::Judges => "judges",
            Self::Scorers => "scorers",
            Self::Tokens(Tokens::Logprob) => "token_logprob",
            Self::Tokens(Tokens::Top1Logprob) => "token_top1_logprob",
            Self::Tokens(Tokens::Margin) => "token_margin",
            Self::Tokens(Tokens::Top10Entropy) => "token_top10_entropy",
            Self::Tokens(Tokens::Top10Mass) => "token_top10_mass",
            Self::Tokens(Tokens::Entropy) => "token_entropy",
            Self::Tokens(Tokens::TopLogprobs) => "token_top_logprobs",
            Self::Prompt => "prompt",
            Self::Integer(Integer::SampleIndex) => "sample_index",
            Self::Integer(Integer::EndsWithEos) => "ends_with_eos",
            Self::Integer(Integer::Empty) => "empty",
            Self::Integer(Integer::Looping) => "looping",
            Self::Integer(Integer::Truncated) => "truncated",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_its_field() {
        for name in [
            "sample_id",
            "evaluation",
            "condition",
            "model",
            "completion",
            "finish_reason",
            "category",
            "wrong_answer",
            "error",
            "references",
            "judges",
            "scorers",
            "token_logprob",
            "token_top1_logprob",
            "token_margin",
            "token_top10_entropy",
            "token_top10_mass",
            "token_entropy",
            "token_top_logprobs",
            "prompt",
            "sample_index",
            "ends_with_eos",
            "empty",
            "looping",
            "truncated",
            "verdict.a.b",
            "judge_output.a",
            "categories.a",
            "p_unsafe.a",
            "score.a",
            "points.a",
            "row.a",
            "value.a",
        ] {
            assert_eq!(Field::parse(name).unwrap().name(), name);
        }
    }

    #[test]
    fn names_with_a_dot_carry_an_id() {
        assert_eq!(
            Field::parse("verdict.guard.v2"),
            Some(Field::Verdict("guard.v2"))
        );
        assert_eq!(Field::parse("row."), None);
        assert_eq!(Field::parse("verdict"), None);
        assert_eq!(Field::parse("token_logprobs"), None);
        assert_eq!(Field::parse("empty"), Some(Field::Integer(Integer::Empty)));
    }
}
