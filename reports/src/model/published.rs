//! Published values held against measured ones.

use driftgauge_record::Interval;
use serde::{Deserialize, Serialize};

/// A published value held against the measured one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedRow {
    /// What the number is.
    pub measure: String,
    /// Evaluation and condition.
    pub place: String,
    /// Model, or both sides of a difference.
    pub model: String,
    /// Unit of the number.
    pub unit: String,
    /// Whether the value is a difference of two models or conditions.
    pub difference_of_sides: bool,
    /// The published value.
    pub published: f64,
    /// The measured one.
    pub measured: Option<f64>,
    /// `measured - published`.
    pub difference: Option<f64>,
    /// Interval of the measured value.
    pub ci: Option<Interval>,
    /// Whether the records contradict the published value.
    pub contradicted: bool,
    /// What came out, in words.
    pub verdict: String,
    /// Where it was published.
    pub source: String,
}
