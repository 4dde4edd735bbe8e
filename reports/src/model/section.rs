//! One metric of one evaluation: its numbers, comparisons, charts and tables.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::figure::Figure;
use super::numbers::{Cell, Delta};

/// One metric of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSection {
    /// Element id.
    pub id: String,
    /// Evaluation id.
    pub evaluation: String,
    /// Metric id of the spec.
    pub metric: String,
    /// Title of its primary number.
    pub title: String,
    /// The plugin behind it, with the version of its behaviour: `asr 0.1.0`.
    pub plugin: String,
    /// Formula of the primary number.
    pub formula: String,
    /// `lower`, `higher` or `none`: which direction of the primary number is better.
    pub direction: String,
    /// Columns of [`Self::numbers`].
    pub models: Vec<String>,
    /// Chart of the primary number, and of the differences from the baseline.
    pub figures: Vec<Figure>,
    /// All numbers, primary ones first.
    pub numbers: Vec<NumberRow>,
    /// Comparisons with the baseline, and of further pairs.
    pub comparisons: Vec<ComparisonRow>,
    /// Why prompts are in no pair, one sentence for each comparison that lacks some.
    pub unpaired_prompts: Vec<String>,
    /// Each condition against the first one, model by model.
    pub condition_comparisons: Vec<ComparisonRow>,
    /// How much further a condition moved each model than the baseline.
    pub differences_in_differences: Vec<ComparisonRow>,
    /// Models that were trained several times against the baseline, all trainings together.
    pub training_comparisons: Vec<ComparisonRow>,
    /// Numbers over prompts that each model chose by its own answers, without pairs.
    pub unpaired_comparisons: Vec<ComparisonRow>,
    /// Charts of the plugin.
    pub groups: Vec<FigureGroup>,
    /// Tables of the plugin.
    pub tables: Vec<TableData>,
    /// Notes of the plugin.
    pub notes: Vec<String>,
}

/// One number of a metric under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberRow {
    /// Metric, as in `results.json`.
    pub metric: String,
    /// What the number is.
    pub title: String,
    /// Condition id; empty when the evaluation has only one.
    pub condition: String,
    /// Unit.
    pub unit: String,
    /// Which direction is better.
    pub direction: String,
    /// Formula.
    pub formula: String,
    /// Whether it stands for the metric.
    pub primary: bool,
    /// One cell per model of the section.
    pub cells: Vec<Option<Cell>>,
}

/// One comparison with the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonRow {
    /// What is compared.
    pub title: String,
    /// Condition id; empty when the evaluation has only one.
    pub condition: String,
    /// Unit of the difference.
    pub unit: String,
    /// Baseline model id.
    pub baseline: String,
    /// Model id.
    pub model: String,
    /// The difference.
    pub delta: Delta,
    /// Name of the test.
    pub test: String,
    /// Pairs in which only the baseline scored.
    pub baseline_only: Option<u64>,
    /// Pairs in which only the model scored.
    pub model_only: Option<u64>,
    /// Pairs.
    pub n: u64,
    /// Prompts that both sides were asked.
    pub asked: u64,
    /// Whether it compares the primary number.
    pub primary: bool,
    /// Condition that the row's is held against; empty when both sides were asked under the same one.
    pub baseline_condition: String,
    /// The smallest difference that a study of this size sees with a power of 0.8.
    pub detectable: Option<f64>,
    /// What the p-value was adjusted with: `holm over 6`.
    pub adjustment: String,
    /// Prompts of the baseline and of the model, where they were not paired.
    pub sides: Option<[u64; 2]>,
    /// Trainings of the baseline and of the model, where each side is all of them.
    pub trainings: Option<[u64; 2]>,
}

/// Charts of the same kind side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FigureGroup {
    /// Title.
    pub title: String,
    /// Charts, one per model or one for all.
    pub figures: Vec<Figure>,
}

/// A table of a plugin, with a column for the model when several models have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableData {
    /// Caption.
    pub title: String,
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows of strings, numbers, booleans or null.
    pub rows: Vec<Vec<Value>>,
    /// Rows left out to keep the page small.
    pub omitted: usize,
}
