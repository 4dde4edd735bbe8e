//! `results.json`: every number of a run, in a form other programs rely on.

// An interval is the same thing from the plugin that made it to the report that shows it.
pub use driftgauge_plugin_protocol::wire::{Draws, Interval, Spread};
use serde::{Deserialize, Serialize};

use crate::folder::{RunFile, Schema};
use crate::searched::Searched;

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
    /// Further intervals of the same number, made in other ways (`clopper-pearson`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Interval>,
    /// How the scores behind it are spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PairedTest {
    /// For example `mcnemar-exact` or `sign-flip-permutation`.
    pub name: String,
    /// The statistic, for tests that have one (`z`, chi-squared).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistic: Option<f64>,
    /// Pairs in which only the baseline scored, for binary scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_only: Option<u64>,
    /// Pairs in which only the model scored, for binary scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_only: Option<u64>,
    /// Sign patterns that a permutation test drew: its least p-value is `1 / (1 + resamples)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<Draws>,
}

/// Pairs of 0/1 scores, by what the two sides scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCounts {
    /// Both 1.
    pub both: u64,
    /// Baseline 1, model 0.
    pub baseline_only: u64,
    /// Baseline 0, model 1.
    pub model_only: u64,
    /// Both 0.
    pub neither: u64,
}

/// Sizes of a difference of two rates, in the ways that papers print them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EffectSizes {
    /// `model / baseline - 1`.
    pub relative: Option<f64>,
    /// `model / baseline`.
    pub risk_ratio: Option<f64>,
    /// Ratio of the odds `p / (1 - p)`, from the two rates.
    pub odds_ratio: Option<f64>,
    /// `2 asin √model - 2 asin √baseline`.
    pub cohens_h: f64,
}

/// A further test of the same difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FurtherTest {
    /// For example `mcnemar-mid-p`.
    pub name: String,
    /// The statistic, for tests that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistic: Option<f64>,
    /// Two-sided p-value.
    pub p: f64,
}

/// Ids of samples whose 0/1 score differs between the two sides, in the order of the ids, the first thousand of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flips {
    /// Baseline 1, model 0.
    pub baseline_only: Vec<String>,
    /// Baseline 0, model 1.
    pub model_only: Vec<String>,
}

/// Numbers of prompts of two sides that were not paired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// Of the baseline.
    pub baseline: u64,
    /// Of the model.
    pub model: u64,
}

/// Means over the pairs of each training of the two sides, in the order of the spec.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trainings {
    /// Of the baseline.
    pub baseline: Vec<f64>,
    /// Of the model.
    pub model: Vec<f64>,
}

/// Prompts that are in no pair, because a side has no score for them: no verdict, say, or no completion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// All of them.
    pub prompts: u64,
    /// Those that the baseline has no score for.
    pub baseline: u64,
    /// Those that the model has no score for; a prompt may be counted on both sides.
    pub model: u64,
}

/// What stands behind a paired difference, beside its interval and test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PairedDetail {
    /// The baseline's mean over the pairs.
    pub baseline_value: Option<f64>,
    /// The model's mean over the pairs.
    pub model_value: Option<f64>,
    /// Prompts that both sides were asked and that are in no pair; `None` when all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// Counts, for 0/1 scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<PairCounts>,
    /// Standard error of the paired difference.
    pub se: Option<f64>,
    /// What the standard error would be without pairing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub se_unpaired: Option<f64>,
    /// The same difference's intervals, made in other ways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Interval>,
    /// Further tests of the same difference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<FurtherTest>,
    /// Effect sizes, for 0/1 scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectSizes>,
    /// The smallest difference that a study of this size sees with a power of 0.8 at the level of the interval, given how much
    /// the pairs vary here: what "no clear difference" leaves open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    /// Number of pairs that the measured difference would need for the same power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// Numbers of prompts of the two sides, where they were not paired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<Sides>,
    /// Means of each training, where a side is a model that was trained several times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainings: Option<Trainings>,
    /// Samples that changed, for the primary number of a metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flips: Option<Flips>,
}

/// Several p-values that were adjusted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// Name of the family: that of the spec, or `categories` for a breakdown that no family names.
    pub family: String,
    /// `holm` or `benjamini-hochberg`.
    pub method: String,
    /// Number of p-values in it.
    pub size: u64,
}

/// A paired comparison: of a model with its baseline, or of a condition with another of the same model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Condition that `condition` is held against; `None` when both sides were asked under `condition`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_condition: Option<String>,
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
    /// p-value after adjustment within `adjustment`; `None` outside of every family.
    pub p_adjusted: Option<f64>,
    /// What it was adjusted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjustment: Option<Adjustment>,
    /// Number of pairs.
    pub n: u64,
    /// `lower`, `higher` or `none`: which direction is better.
    #[serde(default)]
    pub direction: String,
    /// What stands behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<PairedDetail>,
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

/// What became of a published value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublishedOutcome {
    /// The measured value, to the digits that were published.
    Agrees,
    /// Inside the interval of the measured value; nobody said how many digits were published.
    Inside,
    /// Further from the measured value than rounding explains, though inside its interval: another number than these
    /// records give.
    Differs,
    /// Outside the interval of the measured value.
    Outside,
    /// Measured, without an interval or a tolerance to judge by.
    Unjudged,
    /// Not measured.
    NotMeasured,
}

impl PublishedOutcome {
    /// Whether the records contradict the published value; `None` when they say nothing.
    #[must_use]
    pub fn agrees(self) -> Option<bool> {
        match self {
            Self::Agrees | Self::Inside => Some(true),
            Self::Differs | Self::Outside => Some(false),
            Self::Unjudged | Self::NotMeasured => None,
        }
    }
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
    /// The value is a difference from this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The value is a difference from this condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_condition: Option<String>,
    /// `value` or `standard-error`: what was published of the number.
    pub statistic: String,
    /// `ratio`, `nats`, `count` and so on.
    pub unit: String,
    /// The published value.
    pub published: f64,
    /// How far rounding may have moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The measured value.
    pub measured: Option<f64>,
    /// `measured - published`.
    pub difference: Option<f64>,
    /// Interval of the measured value.
    pub ci: Option<Interval>,
    /// What came out.
    pub verdict: PublishedOutcome,
    /// False when the records contradict the published value, `None` when they say nothing.
    pub agrees: Option<bool>,
    /// Where the value was published.
    #[serde(default)]
    pub source: String,
}

/// What is drawn with, and how bounds are read off the draws.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resampling {
    /// Random generator of every bootstrap and permutation.
    pub generator: String,
    /// Type of the quantiles that bootstrap bounds are.
    pub quantile: String,
}

/// The whole of `results.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Number of the format.
    pub schema: Schema<1>,
    /// How bootstraps and permutations are drawn; how often and from which seed stands with each interval and test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resampling: Option<Resampling>,
    /// Aggregates, ordered by evaluation, metric, condition, model of the spec.
    pub metrics: Vec<Metric>,
    /// Paired comparisons with the baseline.
    pub comparisons: Vec<Comparison>,
    /// Paired comparisons of further pairs of models, which the spec names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_comparisons: Vec<Comparison>,
    /// Paired comparisons of each condition with the evaluation's first one, model by model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub condition_comparisons: Vec<Comparison>,
    /// How much further a condition moved each model than the baseline: differences in differences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences_in_differences: Vec<Comparison>,
    /// Comparisons of numbers whose prompts each model chose by its own answers (the incorrect ones, say), as independent samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpaired_comparisons: Vec<Comparison>,
    /// Comparisons of recipes: models that were trained several times, all their trainings together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub training_comparisons: Vec<Comparison>,
    /// Gates of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Searches of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<Searched>,
    /// Published values of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Expected>,
    /// What a reader has to know about the numbers, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl RunFile for Results {
    const NAME: &'static str = "results.json";
    const SCHEMA: u32 = 1;
}
