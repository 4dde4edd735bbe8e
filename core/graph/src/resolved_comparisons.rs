//! What results are held against, with everything filled in: baselines and families of p-values, gates, and published values.

use driftgauge_record::Comparison;
use driftgauge_spec::spec::{Adjust, Statistic};

/// How models are compared.
#[derive(Debug, Clone)]
pub struct ResolvedCompare {
    /// Baseline model id; `None` compares nothing.
    pub baseline: Option<String>,
    /// Further pairs, the second model held against the first.
    pub pairs: Vec<(String, String)>,
    /// Families of p-values, the declared one (`family`) and the exploratory one (`exploratory`) among them.
    pub families: Vec<ResolvedFamily>,
    /// Confidence level.
    pub level: f64,
    /// Bootstrap resamples.
    pub resamples: usize,
}

impl ResolvedCompare {
    /// The level that metrics take when nothing is said.
    pub const USUAL_LEVEL: f64 = 0.95;
    /// The number of bootstrap resamples that metrics take when nothing is said.
    pub const USUAL_RESAMPLES: usize = 10_000;
}

/// P-values that are adjusted together.
#[derive(Debug, Clone)]
pub struct ResolvedFamily {
    /// Its name.
    pub id: String,
    /// `evaluation/metric` as in `results.json`; a `*` at the end stands for anything.
    pub members: Vec<String>,
    /// How they are adjusted.
    pub adjust: Adjust,
    /// Each model's among themselves.
    pub per_model: bool,
    /// Line of the spec that each member stands in.
    pub lines: Vec<Option<usize>>,
}

impl ResolvedFamily {
    /// Whether a comparison belongs to it.
    #[must_use]
    pub fn holds(&self, comparison: &Comparison) -> bool {
        self.members
            .iter()
            .any(|member| Self::names(member, comparison))
    }

    /// Whether `member` names the number of a comparison.
    #[must_use]
    pub fn names(member: &str, comparison: &Comparison) -> bool {
        let path = format!("{}/{}", comparison.evaluation, comparison.metric);
        match member.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == member,
        }
    }
}

/// A gate on the bound of an interval.
#[derive(Debug, Clone)]
pub struct ResolvedGate {
    /// Evaluation id.
    pub evaluation: String,
    /// Metric as in `results.json`.
    pub metric: String,
    /// Condition id; all conditions when absent.
    pub condition: Option<String>,
    /// Model id.
    pub model: String,
    /// Judge the difference from the baseline instead of the value.
    pub difference: bool,
    /// The interval's upper bound may be at most this.
    pub upper: Option<f64>,
    /// The interval's lower bound has to be at least this.
    pub lower: Option<f64>,
}

/// A published value.
#[derive(Debug, Clone)]
pub struct ResolvedExpected {
    /// Line of the spec that names the metric.
    pub line: Option<usize>,
    /// Evaluation id.
    pub evaluation: String,
    /// Condition id.
    pub condition: String,
    /// Model id.
    pub model: String,
    /// Metric as in `results.json`.
    pub metric: String,
    /// The value is a difference from this model.
    pub baseline: Option<String>,
    /// The value is a difference from this condition.
    pub baseline_condition: Option<String>,
    /// What was published of the number.
    pub statistic: Statistic,
    /// The value.
    pub value: f64,
    /// How far rounding may have moved it.
    pub tolerance: Option<f64>,
    /// Where it was published.
    pub source: String,
}
