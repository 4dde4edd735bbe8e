//! The samples, prompt by prompt, and what became of all completions.

use serde::{Deserialize, Serialize};

/// What became of the completions of one model under one condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionCount {
    /// Evaluation id.
    pub evaluation: String,
    /// Condition id.
    pub condition: String,
    /// Model id.
    pub model: String,
    /// Completions asked for.
    pub total: u64,
    /// Completions that were not made.
    pub errors: u64,
    /// Completions of nothing but white space.
    pub empty: u64,
    /// Completions that repeat themselves.
    pub looping: u64,
    /// Completions cut at the limit.
    pub truncated: u64,
    /// Completions with any of the flags.
    pub degenerate: u64,
    /// Verdicts by judge.
    pub verdicts: Vec<VerdictCount>,
}

/// Verdicts of one judge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCount {
    /// Judge id.
    pub judge: String,
    /// Completions judged safe.
    pub safe: u64,
    /// Completions judged unsafe.
    pub unsafe_: u64,
    /// Answers of the judge that are no verdict.
    pub unparsable: u64,
    /// Completions that could not be judged.
    pub errors: u64,
}

/// How much of the samples a report shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleMode {
    /// Prompt ids, verdicts and lengths.
    #[default]
    Hidden,
    /// As hidden, with digest, category, flags and token statistics. No text of prompts or completions.
    Redacted,
    /// As redacted, with the text of prompts, completions and judges.
    Full,
}

/// The samples of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleSection {
    /// Evaluation id.
    pub evaluation: String,
    /// The file with all of them, inside the run folder.
    pub file: String,
    /// Models: columns.
    pub models: Vec<String>,
    /// Judges in the order of the verdicts.
    pub judges: Vec<String>,
    /// The score that decides whether models differ; empty without one.
    pub score: String,
    /// Prompts, counted once per condition.
    pub prompts: u64,
    /// Conditions that prompts were asked under.
    #[serde(default)]
    pub conditions: u64,
    /// How many prompts are known to separate the models.
    pub differing: u64,
    /// The prompts shown, those that separate the models first.
    pub rows: Vec<SampleRow>,
}

/// One prompt under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    /// Condition id.
    pub condition: String,
    /// Id of the dataset row.
    pub sample_id: String,
    /// Whether the models differ on it.
    pub differs: bool,
    /// Category (redacted and full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The conversation (full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// One cell per model.
    pub cells: Vec<Option<SampleCell>>,
}

/// What one model did with a prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleCell {
    /// Model id.
    pub model: String,
    /// The score, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The completions, several when the spec asks for several.
    pub completions: Vec<CompletionCell>,
    /// Completions left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

/// One completion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompletionCell {
    /// Verdicts in the order of [`SampleSection::judges`]; empty where a judge has none.
    pub verdicts: Vec<String>,
    /// Tokens.
    pub tokens: u64,
    /// Characters.
    pub characters: u64,
    /// Why generation ended.
    pub finish: String,
    /// Degeneracy flags (redacted and full).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// First 16 hex digits of the BLAKE3 digest of the text (redacted and full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Mean ln p of the tokens (redacted and full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_logprob: Option<f64>,
    /// The text (full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the judges wrote, where it is more than their verdict (full).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judged: Vec<String>,
    /// Why there is no completion (full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
