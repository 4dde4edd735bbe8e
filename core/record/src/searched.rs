//! What a search among the cells of a sweep came to, in `results.json`.

use serde::{Deserialize, Serialize};

/// A search: every candidate, from the best on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// Id in the spec.
    pub search: String,
    /// `evaluation/metric` that was searched by.
    pub goal: String,
    /// Condition id.
    pub condition: String,
    /// Whether more of it is better.
    pub maximise: bool,
    /// Limits, in words.
    pub bounds: Vec<String>,
    /// The axis of successive halving.
    #[serde(default)]
    pub halving: Option<String>,
    /// The best candidate; `None` when none keeps every limit, or not everything was measured.
    pub best: Option<String>,
    /// The candidates, from the best on; empty when not everything was measured.
    pub tried: Vec<Tried>,
}

/// A candidate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Name of its cells, without seed and axis of halving.
    pub candidate: String,
    /// The models whose mean counts: those of the last rung that it came to.
    pub models: Vec<String>,
    /// That rung, `step=25`.
    #[serde(default)]
    pub rung: Option<String>,
    /// The number that was searched by.
    pub value: Option<f64>,
    /// One for each limit.
    pub bounds: Vec<Bounded>,
}

/// A limited number of a candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounded {
    /// The value, or the difference from the baseline.
    pub value: Option<f64>,
    /// Whether it keeps the limit; what is undefined does not.
    pub kept: bool,
}
