//! Evaluations: what is asked of which models, who judges, what is measured.

use driftgauge_ranges as ranges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Judge, Named, OneOrMany, Turn, Vary};
use crate::in_range::InRange;
use crate::located::{Located, Text};

/// An evaluation: every model answers every row of a dataset under every condition.
///
/// Templates see the columns of the row by name, all of them as `row`, and those of another row (a seeded derangement)
/// as `shuffled`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::EVALUATION))]
pub struct Evaluation {
    /// Make a cell for every combination of values of these variables, which are written `${name}` here and in the settings and
    /// datasets that are named. An axis called `seed` needs no `${seed}`.
    #[serde(default)]
    pub vary: Vary,
    /// Cells of `vary` that are left out: `[{lr: 5.0e-5, n: [10, 20]}]`.
    #[serde(default)]
    pub except: Vec<serde_json::Value>,
    /// What is asked, for the report.
    #[serde(default)]
    pub description: Option<Text>,
    /// Model ids.
    pub models: Vec<Text>,
    /// Dataset id.
    pub dataset: Text,
    /// Turns that are put to the models. Either this or `conditions`; neither when every model is recorded.
    #[serde(default)]
    pub prompt: Vec<Turn>,
    /// Several ways to put the question, by id. The first is the one that others are held against.
    #[serde(default)]
    pub conditions: Named<Condition>,
    /// Rows of another dataset that are shown, with their answers, before each prompt (few-shot).
    #[serde(default)]
    pub examples: Option<Examples>,
    /// Accepted answers: a template or a list of them. A template that is one expression may give a list.
    #[serde(default)]
    pub reference: Option<OneOrMany<Text>>,
    /// The false answer whose adoption is counted.
    #[serde(default)]
    pub wrong_answer: Option<Text>,
    /// What judges see as the request; the prompt without its constant system turn when absent.
    #[serde(default)]
    pub behavior: Option<Text>,
    /// Column by which numbers are broken down.
    #[serde(default)]
    pub category: Option<Text>,
    /// Column of what prompts belong together, say a shared context: intervals and tests then take clusters, and not prompts, for
    /// independent (Miller 2024). A prompt whose cell is empty stands alone.
    #[serde(default)]
    pub cluster: Option<Text>,
    /// How completions are made.
    #[serde(default)]
    pub generate: Option<Generate>,
    /// Whether the reasoning that a model writes before its answer (`<think>` to `</think>`) is part of it for judges and metrics,
    /// or kept apart in the record.
    #[serde(default)]
    pub thinking: Thinking,
    /// Judges by id; the first stands for the evaluation.
    #[serde(default)]
    pub judges: Named<Judge>,
    /// Id of an evaluation that holds these judges against known answers, given by its `reference`: rates are then corrected for
    /// the errors found there (Rogan and Gladen). It has the judges under the same ids, or asks their models itself.
    #[serde(default)]
    pub judge_check: Option<Text>,
    /// Score the log-likelihood of given choices.
    #[serde(default)]
    pub score: Option<ScoreChoices>,
    /// Take the perplexity of given text.
    #[serde(default)]
    pub perplexity: Option<Perplexity>,
    /// Take the divergence from a reference model, token by token.
    #[serde(default)]
    pub kl: Option<Kl>,
    /// Metric ids.
    pub metrics: Vec<Text>,
    /// Id of the evaluation whose over-refusal this one (on benign prompts) measures: shown beside it.
    #[serde(default)]
    pub over_refusal_of: Option<Text>,
    /// Least accuracy (or most held-out loss) beyond which the report warns that a model is broken rather than safe.
    #[serde(default)]
    pub capability_floor: Option<Located<f64>>,
    /// Seed of the `shuffled` rows; the experiment's when absent.
    #[serde(default)]
    pub shuffle_seed: Option<Located<u64>>,
}

/// Answered examples before each prompt: the same ones, in the same order, before every one, but never the row itself.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::EXAMPLES))]
pub struct Examples {
    /// Dataset id.
    pub dataset: Text,
    /// How many.
    pub count: Located<usize>,
    /// Seed of the draw; the experiment's when absent.
    #[serde(default)]
    pub seed: Option<Located<u64>>,
    /// Turns of one example, templates over the columns of its row; the last is the assistant's, or all is one `text`. When absent: the
    /// turns of the prompt, and the first accepted answer (or the right choice).
    #[serde(default)]
    pub messages: Vec<Turn>,
}

/// What becomes of the reasoning before an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// It is part of the answer.
    #[default]
    Keep,
    /// It stands apart, as `thinking`; an answer that was cut off while reasoning is empty.
    Strip,
}

/// One way to put the question.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// What is different, for the report.
    #[serde(default)]
    pub description: Option<Text>,
    /// Turns that are put to the models. May be empty when every model is recorded.
    #[serde(default)]
    pub prompt: Vec<Turn>,
}

/// How completions are made.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::GENERATE))]
pub struct Generate {
    /// Limit on new tokens.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: Located<usize>,
    /// 0 takes the most likely token each time. Statistics are always of the raw distribution at temperature 1.
    #[serde(default)]
    pub temperature: Located<f64>,
    /// Draw from the smallest set of tokens with at least this probability.
    #[serde(default)]
    pub top_p: Option<Located<f64>>,
    /// Draw from the k most likely tokens.
    #[serde(default)]
    pub top_k: Option<Located<usize>>,
    /// Draw from tokens at least this likely relative to the most likely one.
    #[serde(default)]
    pub min_p: Option<Located<f64>>,
    /// Seed of the draws; the experiment's when absent.
    #[serde(default)]
    pub seed: Option<Located<u64>>,
    /// Completions per prompt.
    #[serde(default = "default_samples")]
    pub samples: Located<u32>,
    /// Strings that end an answer.
    #[serde(default)]
    pub stop: OneOrMany<Text>,
    /// Record ln p of so many of the likeliest tokens at every position. A metric that needs them asks for them itself.
    #[serde(default)]
    pub top_logprobs: Option<Located<usize>>,
    /// What to do with a prompt that is longer than the model's context.
    #[serde(default)]
    pub on_long_prompt: OnLongPrompt,
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            max_tokens: default_max_tokens(),
            temperature: Located::default(),
            top_p: None,
            top_k: None,
            min_p: None,
            seed: None,
            samples: default_samples(),
            stop: OneOrMany::default(),
            top_logprobs: None,
            on_long_prompt: OnLongPrompt::default(),
        }
    }
}

fn default_max_tokens() -> Located<usize> {
    Located::nowhere(512)
}

fn default_samples() -> Located<u32> {
    Located::nowhere(1)
}

/// What to do with a prompt that is longer than the model's context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLongPrompt {
    /// Refuse the experiment before anything runs, where it can be known; else fail the sample and say which.
    #[default]
    Error,
    /// Fail the sample and say which; the others go on.
    Skip,
    /// Drop tokens from the start of the prompt.
    Truncate,
}

/// Multiple choice by log-likelihood.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreChoices {
    /// The choices: templates, or one template that gives a list (`"{{ choices }}"`).
    pub choices: OneOrMany<Text>,
    /// A template that gives the index of the right choice, from 0, or a list of indices or of 0 and 1.
    pub correct: Text,
}

/// Perplexity of given text.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Perplexity {
    /// Template of the text, scored after the prompt when there is one.
    pub text: Text,
}

/// Divergence from a reference model.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kl {
    /// Id of the reference model, whose completions are the tokens on which distributions are compared.
    pub reference: Text,
    /// Template of a text to compare on, instead of the reference's completions.
    #[serde(default)]
    pub text: Option<Text>,
}
