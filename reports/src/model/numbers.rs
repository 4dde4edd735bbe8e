//! Numbers with what stands behind them, and the table of the primary ones.

use driftgauge_record::Interval;
use serde::{Deserialize, Serialize};

use super::figure::Figure;

/// The table of primary numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// Level of the intervals, for example `95 %`; empty where they have several levels, or none is there.
    pub level: String,
    /// Columns: evaluated models.
    pub models: Vec<String>,
    /// The model the others are compared with.
    pub baseline: Option<String>,
    /// Models that have a difference from it.
    pub compared: Vec<String>,
    /// Models that share no evaluation with the baseline, a judge that is checked, say: nothing of theirs stands beside the others.
    pub alone: Vec<String>,
    /// Rows.
    pub rows: Vec<HeadlineRow>,
    /// All differences from the baseline in one picture, one for each unit.
    pub forests: Vec<Figure>,
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
    pub p_is_bound: bool,
    /// The pairs, where the difference rests on fewer prompts than the values beside it.
    pub shared: Option<Shared>,
    /// The smallest difference that a study of this size sees with a power of 0.8.
    pub detectable: Option<f64>,
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
