//! Answers grouped by equal confidence.

use std::sync::OnceLock;

use super::curves::Curves;
use super::groups::{Group, share};
use super::sorted::tallied;

/// Answers with a confidence each, and whether they are correct.
#[derive(Debug, Clone)]
pub struct Predictions {
    groups: Vec<Group>,
    n: u64,
    correct: u64,
    /// Made when first asked for, as the area below: several statistics come from them.
    pub(super) curves: OnceLock<Option<Curves>>,
    pub(super) auroc: OnceLock<Option<f64>>,
}

impl Predictions {
    /// Of columns aligned by answer. Any score serves for ranking (negate an uncertainty); the calibration errors and the
    /// Brier score need probabilities. `None` without answers, for unequal lengths, or when a confidence is not finite.
    #[must_use]
    pub fn new(confidence: &[f64], correct: &[bool]) -> Option<Self> {
        if confidence.is_empty()
            || confidence.len() != correct.len()
            || !crate::all_finite(confidence)
        {
            return None;
        }
        // As many as answers, mostly.
        let mut groups = Vec::with_capacity(confidence.len());
        groups.extend(
            tallied(confidence, correct).map(|(confidence, n, correct)| Group {
                confidence,
                n,
                correct,
            }),
        );
        Some(Self {
            n: confidence.len() as u64,
            correct: groups.iter().map(|group| group.correct).sum(),
            groups,
            curves: OnceLock::new(),
            auroc: OnceLock::new(),
        })
    }

    /// The groups, by ascending confidence.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Number of answers.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Share of correct answers.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.n as f64
    }

    /// Mean confidence less accuracy: positive when over-confident. `None` when a confidence is not a probability.
    #[must_use]
    pub fn signed_gap(&self) -> Option<f64> {
        self.are_probabilities()
            .then(|| self.total(|group| group.confidence - share(group)) / self.n as f64)
    }

    /// Whether every confidence is in [0, 1].
    #[must_use]
    pub fn are_probabilities(&self) -> bool {
        self.groups[0].confidence >= 0.0 && self.groups[self.groups.len() - 1].confidence <= 1.0
    }

    /// Sum over answers of a value that all answers of a group share.
    pub(super) fn total(&self, value: impl Fn(&Group) -> f64) -> f64 {
        // Groups are sorted, so this sum is the same however the answers came.
        self.groups
            .iter()
            .map(|group| group.n as f64 * value(group))
            .sum()
    }
}
