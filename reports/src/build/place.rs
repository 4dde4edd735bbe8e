//! Where a number or a figure belongs.

use super::context::metric_id;

/// Which metric of which evaluation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) evaluation: String,
    pub(super) metric: String,
}

impl Place {
    /// Whether a number belongs here.
    pub(super) fn holds(&self, evaluation: &str, metric: &str) -> bool {
        self.evaluation == evaluation && self.metric == metric_id(metric)
    }
}
