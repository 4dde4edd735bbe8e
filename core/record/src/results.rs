//! `results.json`: every number of a run, in a form other programs rely on.

use serde::{Deserialize, Serialize};

/// Version of the `results.json` format written by this build.
pub const RESULTS_SCHEMA: u32 = 1;

/// A confidence interval and how it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Confidence level, for example 0.95.
    pub level: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Method, for example `wilson` or `bootstrap-percentile`.
    pub method: String,
}

/// One aggregate number of one model under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Evaluation id.
    pub evaluation: String,
    /// Condition id.
    pub condition: String,
    /// Model id.
    pub model: String,
    /// Metric id of the spec for its primary number, else `<metric id>.<number>`.
    pub metric: String,
    /// What the number is, for people.
    pub title: String,
    /// The value; `None` when it is undefined (no samples, one class).
    pub value: Option<f64>,
    /// Number of samples behind the value.
    pub n: u64,
    /// Interval, when one is defined.
    pub ci: Option<Interval>,
    /// `lower`, `higher` or `none`: which direction is better.
    pub direction: String,
    /// `ratio`, `nats`, `perplexity`, `count` and so on.
    pub unit: String,
    /// True for the number that tables and families show first.
    pub primary: bool,
    /// The formula, printed beside the number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub formula: String,
}

/// A test behind a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedTest {
    /// For example `mcnemar-exact` or `sign-flip-permutation`.
    pub name: String,
    /// Pairs in which only the baseline scored, for binary scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_only: Option<u64>,
    /// Pairs in which only the model scored, for binary scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_only: Option<u64>,
}

/// A paired comparison of a model with its baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Evaluation id.
    pub evaluation: String,
    /// Condition id.
    pub condition: String,
    /// Metric, named as in [`Metric::metric`].
    pub metric: String,
    /// What is compared, for people.
    #[serde(default)]
    pub title: String,
    /// Baseline model id.
    pub baseline: String,
    /// Model id.
    pub model: String,
    /// `model - baseline` over the paired samples.
    pub delta: Option<f64>,
    /// Interval of `delta`.
    pub ci: Option<Interval>,
    /// The test.
    pub test: Option<PairedTest>,
    /// Two-sided p-value.
    pub p: Option<f64>,
    /// p-value after Holm within the declared family; `None` outside of it.
    pub p_adjusted: Option<f64>,
    /// Number of pairs.
    pub n: u64,
    /// `lower`, `higher` or `none`: which direction is better.
    #[serde(default)]
    pub direction: String,
}

/// What a gate found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// What was asked, for people: `harmfulness/asr of safe: upper bound at most 0.10`.
    pub rule: String,
    /// The bound of the interval that was judged; `None` when the number is undefined.
    pub bound: Option<f64>,
    /// The limit it was held against.
    pub limit: f64,
    /// Whether it passed; an undefined number does not.
    pub passed: bool,
}

/// A published value held against the measured one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Evaluation id.
    pub evaluation: String,
    /// Condition id.
    pub condition: String,
    /// Model id.
    pub model: String,
    /// Metric, named as in [`Metric::metric`].
    pub metric: String,
    /// The published value.
    pub published: f64,
    /// The measured value.
    pub measured: Option<f64>,
    /// `measured - published`.
    pub difference: Option<f64>,
    /// Interval of the measured value.
    pub ci: Option<Interval>,
    /// False when the published value lies outside the interval.
    pub agrees: Option<bool>,
    /// Where the value was published.
    #[serde(default)]
    pub source: String,
}

/// The whole of `results.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`RESULTS_SCHEMA`].
    pub schema: u32,
    /// Aggregates, ordered by evaluation, metric, condition, model of the spec.
    pub metrics: Vec<Metric>,
    /// Paired comparisons with the baseline.
    pub comparisons: Vec<Comparison>,
    /// Gates of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Published values of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Expected>,
    /// What a reader has to know about the numbers, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
