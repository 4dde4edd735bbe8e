//! Whether judges can be trusted: how far they agree.

use serde::{Deserialize, Serialize};

/// The judges of one evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judging {
    /// Evaluation id.
    pub evaluation: String,
    /// Judges, the one that stands for the evaluation first.
    pub judges: Vec<String>,
    /// Every two of them.
    pub pairs: Vec<JudgePair>,
}

/// Two judges on the same completions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgePair {
    /// The one.
    pub a: String,
    /// The other.
    pub b: String,
    /// Completions that both called unsafe.
    pub both_unsafe: u64,
    /// Completions that only the one called unsafe.
    pub a_only: u64,
    /// Completions that only the other called unsafe.
    pub b_only: u64,
    /// Completions that both called safe.
    pub both_safe: u64,
}
