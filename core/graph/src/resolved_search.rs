//! A search among the cells of a sweep, ready to be made.

use driftgauge_spec::spec::Limit;

/// A search with everything filled in.
#[derive(Debug, Clone)]
pub struct ResolvedSearch {
    /// Its name.
    pub id: String,
    /// The number that is searched by.
    pub goal: Measure,
    /// Whether more of it is better.
    pub maximise: bool,
    /// Limits that the best one has to keep.
    pub bounds: Vec<ResolvedBound>,
    /// What there is to choose from.
    pub candidates: Vec<Candidate>,
    /// The axis of halving with its values in order, and the share that goes on.
    pub halving: Option<(String, Vec<String>, f64)>,
}

/// A number under one condition.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Evaluation id.
    pub evaluation: String,
    /// Metric as in `results.json`.
    pub metric: String,
    /// Condition id.
    pub condition: String,
}

/// A limit.
#[derive(Debug, Clone)]
pub struct ResolvedBound {
    /// What is limited.
    pub measure: Measure,
    /// From which side, and whether the difference from the baseline is.
    pub limit: Limit,
    /// The limit.
    pub at: f64,
}

/// One choice: the cells that differ in their seed alone, at each rung.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The cells' name without seed and axis.
    pub name: String,
    /// Model ids, rung by rung; a single rung without halving.
    pub rungs: Vec<Vec<String>>,
}

impl ResolvedSearch {
    /// How many times the candidates are looked at.
    pub(crate) fn rungs(&self) -> usize {
        self.halving
            .as_ref()
            .map_or(1, |(_, values, _)| values.len())
    }
}

impl Measure {
    /// Whether a number of the results is this one.
    pub(crate) fn is(&self, evaluation: &str, metric: &str, condition: &str) -> bool {
        self.evaluation == evaluation && self.metric == metric && self.condition == condition
    }

    /// `evaluation/metric`.
    pub(crate) fn named(&self) -> String {
        format!("{}/{}", self.evaluation, self.metric)
    }
}

impl ResolvedBound {
    /// How far a value, or a difference, lies beyond the limit; 0 where it keeps it.
    pub(crate) fn missed_by(&self, value: f64) -> f64 {
        let beyond = match self.limit {
            Limit::Upper | Limit::Rise => value - self.at,
            Limit::Lower => self.at - value,
            Limit::Drop => -self.at - value,
        };
        // Shares of a few prompts are often at the limit, but for their rounding.
        if beyond <= 1e-9 { 0.0 } else { beyond }
    }

    /// The limit in words.
    pub(crate) fn rule(&self) -> String {
        let what = self.measure.named();
        match self.limit {
            Limit::Upper => format!("{what} at most {}", self.at),
            Limit::Lower => format!("{what} at least {}", self.at),
            Limit::Drop => format!("{what} at most {} below the baseline", self.at),
            Limit::Rise => format!("{what} at most {} above the baseline", self.at),
        }
    }
}
