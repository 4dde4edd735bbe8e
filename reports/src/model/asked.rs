//! What was asked: models, datasets, evaluations.

use serde::{Deserialize, Serialize};

/// What the experiment asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Models of the spec.
    pub models: Vec<ModelInfo>,
    /// Datasets of the spec.
    pub datasets: Vec<DatasetInfo>,
    /// Evaluations of the spec.
    pub evaluations: Vec<EvaluationInfo>,
    /// Seed of everything that draws.
    pub seed: Option<u64>,
}

/// A model in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Model id.
    pub id: String,
    /// Its source in words.
    pub description: String,
    /// The model it was fine-tuned from.
    pub base: Option<String>,
    /// Whether the others are compared with it.
    pub baseline: bool,
    /// Whether it was evaluated itself (a judge is not).
    pub evaluated: bool,
}

/// A dataset in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Dataset id.
    pub id: String,
    /// Its source in words.
    pub description: String,
    /// Rows used.
    pub rows: Option<u64>,
    /// Digest of its bytes.
    pub digest: Option<String>,
}

/// An evaluation in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationInfo {
    /// Evaluation id.
    pub id: String,
    /// What is asked, in the spec's words.
    pub description: String,
    /// How it is asked under each condition.
    pub prompts: Vec<PromptInfo>,
    /// One prompt as a model saw it, where the samples may be shown.
    pub example: Option<String>,
    /// Whether numbers of it stand in a section of their own.
    pub measured: bool,
    /// Models asked.
    pub models: Vec<String>,
    /// Dataset of the prompts.
    pub dataset: String,
    /// Conditions.
    pub conditions: Vec<String>,
    /// Judges.
    pub judges: Vec<String>,
    /// Metrics.
    pub metrics: Vec<String>,
    /// How completions were made, in words.
    pub generation: String,
}

/// How a question is put under a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptInfo {
    /// Condition id; empty when the evaluation has only one.
    pub condition: String,
    /// What is different, in the spec's words.
    pub description: String,
    /// The templates of the turns: `user: {{ question }}`.
    pub turns: Vec<String>,
}
