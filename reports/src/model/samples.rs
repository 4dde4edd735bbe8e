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

/// The samples of one evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleSection {
    /// Evaluation id.
    pub evaluation: String,
    /// The file with all of them, inside the run folder.
    pub file: String,
    /// Models: columns.
    pub models: Vec<String>,
    /// Judges in the order of the verdicts.
    pub judges: Vec<String>,
    /// Further fields that metrics have shown beside each completion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Metrics that score single prompts with 0 or 1, primary ones first.
    pub metrics: Vec<ScoredMetric>,
    /// Conditions that prompts were asked under, as in the spec.
    pub conditions: Vec<String>,
    /// Prompts, counted once per condition.
    pub prompts: u64,
    /// How many of them separate the models by any metric (or, without metrics, by the first verdict).
    pub differing: u64,
    /// On how many prompts each model's score is another than the baseline's.
    pub flips: Vec<FlipCount>,
    /// Prompts that separate the models and found no room here.
    pub differing_left_out: u64,
    /// Other prompts that found no room here.
    pub alike_left_out: u64,
    /// Characters after which a text is cut, the same for every model; `None` where no text was cut.
    pub cut_at: Option<u64>,
    /// The prompts shown, those that separate the models first.
    pub rows: Vec<SampleRow>,
}

/// A metric that scores single prompts with 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoredMetric {
    /// Metric, as in `results.json`.
    pub metric: String,
    /// What a score of 1 stands for.
    pub title: String,
    /// Whether it stands for its metric.
    pub primary: bool,
}

/// How many scores differ between a model and the baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlipCount {
    /// Place of the metric in [`SampleSection::metrics`].
    pub metric: usize,
    /// Condition id.
    pub condition: String,
    /// The baseline.
    pub baseline: String,
    /// The model.
    pub model: String,
    /// Prompts on which both have a score.
    pub pairs: u64,
    /// Prompts that only the baseline scored 1 on.
    pub baseline_only: u64,
    /// Prompts that only the model scored 1 on.
    pub model_only: u64,
}

/// One prompt under one condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    /// Condition id.
    pub condition: String,
    /// Id of the dataset row.
    pub sample_id: String,
    /// Whether the models differ on it.
    pub differs: bool,
    /// Category (redacted and full).
    pub category: Option<String>,
    /// The conversation (full).
    pub prompt: Option<String>,
    /// Accepted answers (full).
    pub references: Vec<String>,
    /// The false answer (full).
    pub wrong_answer: Option<String>,
    /// One cell per model.
    pub cells: Vec<Option<SampleCell>>,
}

/// What one model did with a prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleCell {
    /// Scores in the order of [`SampleSection::metrics`].
    pub scores: Vec<Option<f64>>,
    /// The completions, several when the spec asks for several.
    pub completions: Vec<CompletionCell>,
    /// Completions left out.
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
    pub flags: Vec<String>,
    /// First 16 hex digits of the BLAKE3 digest of the text (redacted and full): who holds the text can check it.
    pub digest: Option<String>,
    /// Mean ln p of the tokens (redacted and full).
    pub mean_logprob: Option<f64>,
    /// Mean entropy of the tokens in nats (redacted and full).
    pub mean_entropy: Option<f64>,
    /// How sure the model was of each token, a digit each: 9 for a probability of 0.9 and more, 0 for one below 0.1
    /// (redacted and full).
    pub certainty: Option<String>,
    /// The text: in full always, in redacted where no judge called it unsafe.
    pub text: Option<String>,
    /// What the judges wrote, where it is more than their verdict (full).
    pub judged: Vec<String>,
    /// Why there is no completion (redacted and full).
    pub error: Option<String>,
    /// What [`SampleSection::fields`] say of it, in their order: numbers in redacted and full, texts in full; empty where none says anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Option<String>>,
}
