//! Numbers with what stands behind them, and the table of the primary ones.

use driftgauge_record::Interval;
use serde::{Deserialize, Serialize};

/// The table of primary numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// Level of the intervals, for example `95 %`; empty where they have several levels, or none is there.
    #[serde(default)]
    pub level: String,
    /// Columns: evaluated models.
    pub models: Vec<String>,
    /// The model the others are compared with.
    pub baseline: Option<String>,
    /// Rows.
    pub rows: Vec<HeadlineRow>,
}

/// One primary number under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadlineRow {
    /// Evaluation id.
    pub evaluation: String,
    /// Condition id; empty when the evaluation has only one.
    pub condition: String,
    /// Metric, as in `results.json`.
    pub metric: String,
    /// Element id of the section with the details.
    pub section: String,
    /// What the number is.
    pub title: String,
    /// Unit.
    pub unit: String,
    /// `lower`, `higher` or `none`: which direction is better.
    pub direction: String,
    /// One cell per column; `None` where the model was not asked.
    pub cells: Vec<Option<Cell>>,
}

/// A number with what stands behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Model id.
    pub model: String,
    /// The value; `None` when undefined.
    pub value: Option<f64>,
    /// Samples behind it.
    pub n: u64,
    /// Interval.
    pub ci: Option<Interval>,
    /// Difference from the baseline.
    pub delta: Option<Delta>,
}

/// A paired difference from the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// `model - baseline`.
    pub value: Option<f64>,
    /// Its interval.
    pub ci: Option<Interval>,
    /// Two-sided p-value.
    pub p: Option<f64>,
    /// p-value after Holm within the declared family.
    pub p_adjusted: Option<f64>,
    /// Whether the p-values are upper bounds: no sign pattern that was drawn gives as large a difference.
    #[serde(default)]
    pub p_is_bound: bool,
    /// The pairs, where the difference rests on fewer prompts than the values beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
    /// What the difference amounts to.
    pub effect: Effect,
}

/// The prompts that both sides have a score for, where others lack one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// How many they are.
    pub prompts: u64,
    /// How many both sides were asked.
    pub asked: u64,
    /// The baseline's value on them.
    pub baseline: Option<f64>,
    /// The model's value on them.
    pub model: Option<f64>,
}

/// What a difference amounts to at the level of the intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Clearly different, in the better direction.
    Better,
    /// Clearly different, in the worse direction.
    Worse,
    /// Clearly higher, where no direction is better.
    Higher,
    /// Clearly lower, where no direction is better.
    Lower,
    /// Not clearly different.
    Unclear,
}
