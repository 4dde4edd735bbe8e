//! The Brier score.

use serde::{Deserialize, Serialize};

use super::groups::Group;
use super::predictions::Predictions;

/// The Brier score of probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Brier {
    /// Mean squared error `mean (confidence - correct)²` (Brier 1950): 0 is perfect.
    pub score: f64,
    /// `1 - score / (ȳ (1 - ȳ))`: 0 is as good as always saying the share of correct answers. `None` when all answers are
    /// correct, or none.
    pub skill: Option<f64>,
}

impl Predictions {
    /// The Brier score; `None` when a confidence is not a probability.
    #[must_use]
    pub fn brier(&self) -> Option<Brier> {
        if !self.are_probabilities() {
            return None;
        }
        let score = brier_of(self.groups())?;
        let reference = self.accuracy() * (1.0 - self.accuracy());
        Some(Brier {
            score,
            skill: (reference > 0.0).then(|| 1.0 - score / reference),
        })
    }
}

/// The score of groups of answers; `None` of none.
pub(super) fn brier_of(groups: &[Group]) -> Option<f64> {
    let n: u64 = groups.iter().map(|group| group.n).sum();
    let error = |group: &Group| {
        let (p, right) = (group.confidence, group.correct as f64);
        right * (1.0 - p) * (1.0 - p) + (group.n as f64 - right) * p * p
    };
    (n > 0).then(|| groups.iter().map(error).sum::<f64>() / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Options;

    #[test]
    fn one_class_has_no_skill() {
        let sure = Predictions::new(&[1.0, 1.0], &[true, true])
            .unwrap()
            .brier()
            .unwrap();
        assert_eq!((sure.score, sure.skill), (0.0, None));
        let options = Options::default();
        let ci = Predictions::new(&[1.0; 6], &[true; 6])
            .unwrap()
            .brier_interval(options)
            .unwrap();
        assert!(ci.low == 0.0 && ci.high > 0.3 && ci.method == "wilson-bounded");
        let one = Predictions::new(&[0.4], &[true]).unwrap();
        assert_eq!(one.brier_interval(options), None);
        assert!(Predictions::new(&[1.5], &[true]).unwrap().brier().is_none());
    }
}
