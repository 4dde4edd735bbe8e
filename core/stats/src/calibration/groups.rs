//! Answers of equal confidence.

/// Answers with the same confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Their confidence: larger is surer.
    pub confidence: f64,
    /// How many answers.
    pub n: u64,
    /// How many of them are correct.
    pub correct: u64,
}

/// Share of correct answers of a group.
pub(super) fn share(group: &Group) -> f64 {
    group.correct as f64 / group.n as f64
}
