//! Numbers along an axis that the spec varies.

use serde::{Deserialize, Serialize};

use super::Figure;

/// A number of an evaluation along one axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AxisSection {
    /// Evaluation, metric, condition and axis, in words.
    pub title: String,
    /// The axis.
    pub axis: String,
    /// What else varies and is averaged over, as the spec asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub averaged: Vec<String>,
    /// Whether its logarithm to base 10 is drawn, and is what the slope is taken over.
    pub logarithmic: bool,
    /// Unit of the number.
    pub unit: String,
    /// The lines.
    pub figure: Figure,
    /// One line for each combination of the other axes.
    pub lines: Vec<AxisLine>,
    /// Lines that found no room.
    pub omitted: usize,
}

/// A number along an axis, everything else held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AxisLine {
    /// What is held.
    pub name: String,
    /// The values along the axis.
    pub points: Vec<AxisPoint>,
    /// How much the number changes for one more of the axis, or ten times as much of it.
    pub slope: Option<f64>,
    /// Its interval.
    pub slope_ci: Option<[f64; 2]>,
}

/// A number at one value of an axis, pooled over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AxisPoint {
    /// The value of the axis, as the spec says it.
    pub at: String,
    /// The same as a number.
    pub x: f64,
    /// The number; the mean over seeds.
    pub value: f64,
    /// Student's interval over several seeds, else the number's own.
    pub ci: Option<[f64; 2]>,
    /// Trainings, draws or averaged cells behind it.
    pub seeds: usize,
}
