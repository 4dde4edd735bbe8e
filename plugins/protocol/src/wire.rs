//! The JSON that crosses the plugin boundary: manifests and metric outputs.
//!
//! Plugins return numbers, tables and chart descriptions, never pictures or markup: one look, and nothing to inject.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use driftgauge_stats::{Draws, Interval};

pub use crate::scores::{SampleIds, ScoreKind, Scores};
pub use crate::values::ScoreValues;

/// Version of the output format.
pub const OUTPUT_SCHEMA: u32 = 1;

/// Which direction of a number is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Lower is better.
    Lower,
    /// Higher is better.
    Higher,
    /// Neither.
    #[default]
    None,
}

/// What a plugin says of itself before it sees data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Plugin id, for example `asr`.
    pub id: String,
    /// Version of its behaviour.
    pub version: String,
    /// Title for people.
    pub title: String,
    /// One sentence: what it measures.
    pub description: String,
    /// Sample fields it cannot work without, for example `token_logprob`.
    pub required_fields: Vec<String>,
    /// Whether it returns a verdict on each sample, so that it can stand among an evaluation's judges.
    #[serde(default)]
    pub judges: bool,
    /// Sample fields that the report shows beside each completion, for example `value.surprise` or `row.topic`: of the kinds `row.`,
    /// `value.`, `score.`, `p_unsafe.`, `categories.` and lists of tokens (their mean). Texts are shown only where the spec shows texts in full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<String>,
    /// Ids of the numbers that it may return. A `*` at the end stands for anything, `{judge}` for the id of each judge, the name of a
    /// key of the configuration in braces for its value; empty when it does not say. A spec that names another number is refused before a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<String>,
    /// Id of the number that stands for the metric, where `ranges` tell several apart; written as in `numbers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    /// The key of its configuration that lists the numbers it is asked for, written as in `numbers`: it then returns those alone, and
    /// the first of them stands for the metric unless `main` is among them. Where the key is left out, it returns all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_by: Option<String>,
    /// The key of its configuration that says how many of the likeliest tokens it reads, for metrics that read
    /// `token_top_logprobs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<TopLogprobs>,
    /// What the values of its numbers can be: `[low, high]` by the number's id, written as in `numbers`; the longest id that fits
    /// counts. A result outside is refused, and so is, before a run, a gate's limit or a published value that no result can be.
    /// The largest double is no bound.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ranges: BTreeMap<String, [f64; 2]>,
    /// The sample fields without which a number is absent, by the number's id, written as in `numbers`: what a model that cannot give
    /// them will lack is told before a run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<String, Vec<String>>,
    /// Ids of the numbers whose intervals are drawn, written as in `numbers`: where the configuration's `resamples` is 0 they have none,
    /// and a gate on one is refused before a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<String>,
    /// JSON schema of its configuration. With a property `level`, the harness fills in the level of the experiment's
    /// intervals, unless that is 0.95.
    pub config_schema: Value,
}

/// A bound of [`Manifest::ranges`] that is none.
pub const UNBOUNDED: f64 = f64::MAX;

/// How a metric asks for the list `token_top_logprobs`: generation records as many of the likeliest tokens at every position as
/// the most demanding metric of the evaluation reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopLogprobs {
    /// Key of the configuration, whose value is the number of tokens; where it is left out, nothing is asked for.
    pub key: String,
    /// The number that asks for nothing, since other fields suffice for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<u64>,
}

/// How the scores behind a number are spread, one score per prompt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Sample standard deviation (divisor n - 1); null for one score.
    pub sd: Option<f64>,
    /// Standard error of the mean, `sd / sqrt(n)`; null for one score.
    pub se: Option<f64>,
    /// Population standard deviation (divisor n).
    pub sd_population: f64,
    /// `sd_population / sqrt(n)`: the binomial standard error of a rate, and what numpy's `std` over `sqrt(n)` gives.
    pub se_population: f64,
    /// Median.
    pub median: f64,
    /// Smallest score.
    pub min: f64,
    /// Largest score.
    pub max: f64,
}

/// One aggregate number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scalar {
    /// Id within the metric, for example `accuracy`.
    pub id: String,
    /// Title for people.
    pub title: String,
    /// Condition it belongs to.
    pub condition: String,
    /// The value; null when undefined, never NaN.
    pub value: Option<f64>,
    /// Number of samples behind it.
    pub n: u64,
    /// Its interval, when one is defined.
    pub ci: Option<Interval>,
    /// Further intervals of the same number, made in other ways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Interval>,
    /// How the scores behind it are spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Which direction is better.
    #[serde(default)]
    pub direction: Direction,
    /// `ratio`, `nats`, `perplexity`, `count`...
    #[serde(default)]
    pub unit: String,
    /// The formula, printed beside the number.
    #[serde(default)]
    pub formula: String,
    /// True for the number that stands for the metric in tables, families and gates (one per condition).
    #[serde(default)]
    pub primary: bool,
    /// True where the model's own answers decide which prompts are behind the number (its incorrect answers, say): where those
    /// differ, models are compared as independent samples.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selected: bool,
}

/// A table for the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Id within the metric.
    pub id: String,
    /// Caption.
    pub title: String,
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows of strings, numbers or null.
    pub rows: Vec<Vec<Value>>,
}

/// A chart described as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChartSpec {
    /// Id within the metric.
    pub id: String,
    /// Title.
    pub title: String,
    /// Which drawing.
    pub kind: ChartKind,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What is drawn.
    pub series: Vec<Series>,
}

/// The drawings a report knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChartKind {
    /// Bars, with intervals when points carry them.
    Bar,
    /// One bar per series within each category.
    GroupedBar,
    /// Lines through points.
    Line,
    /// Bars over bins; `x` is the bin's middle.
    Histogram,
    /// Reliability diagram: confidence against accuracy.
    Reliability,
    /// Points with intervals, one row per category.
    Forest,
    /// Cells coloured by value; the series are rows, the points columns.
    Heatmap,
    /// Marks at points, unconnected.
    Scatter,
    /// One bar per category, made of its series end to end; values from 0 on.
    StackedBar,
    /// One box per row: `quartiles` around the median `y`, whiskers from `low` to `high`.
    Box,
    /// Lines, each series in a small plot of its own, on the same axes.
    SmallMultiples,
}

/// An axis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Label.
    pub label: String,
    /// Unit, empty when there is none.
    #[serde(default)]
    pub unit: String,
    /// Fixed range; chosen from the data when absent.
    #[serde(default)]
    pub domain: Option<[f64; 2]>,
}

/// One series of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Name, for the legend.
    pub name: String,
    /// Its points.
    pub points: Vec<Point>,
}

/// One point of a series: `x` for numbers, `label` for categories.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Category.
    #[serde(default)]
    pub label: String,
    /// Horizontal position.
    #[serde(default)]
    pub x: Option<f64>,
    /// Height; null draws nothing.
    pub y: Option<f64>,
    /// Lower bound.
    #[serde(default)]
    pub low: Option<f64>,
    /// Upper bound.
    #[serde(default)]
    pub high: Option<f64>,
    /// Number of samples.
    #[serde(default)]
    pub n: Option<u64>,
    /// Lower and upper quartile, of a box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quartiles: Option<[f64; 2]>,
}

/// More answers than this are not compared as [`Pooled`]: drawing them would take minutes.
pub const MOST_POOLED: usize = 100_000;

/// The answers of one condition that numbers are computed of all together: a value and a truth value each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pooled {
    /// Condition.
    pub condition: String,
    /// The scalars, and what each is of these columns.
    pub numbers: Vec<PooledNumber>,
    /// Sample id of each answer; a prompt that was sampled several times has its id as often.
    #[serde(default)]
    pub sample_ids: Vec<String>,
    /// From a plugin, instead of the ids: the field `prompt` of each answer's sample. The harness puts the ids in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<u32>,
    /// How sure each answer is, a probability for a calibration error; the first judge's word (0 or 1) for an agreement.
    pub values: Vec<f64>,
    /// Whether each answer is correct; the second judge's word for an agreement.
    pub truths: Vec<bool>,
}

/// A number that is computed of pooled answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PooledNumber {
    /// Id of the scalar.
    pub id: String,
    /// What it is.
    pub statistic: PooledStatistic,
}

/// What a number of pooled answers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PooledStatistic {
    /// Area under the ROC curve.
    Auroc,
    /// Area under the risk-coverage curve.
    Aurc,
    /// Prediction rejection ratio.
    Prr,
    /// Calibration error over bins of equal width.
    CalibrationError {
        /// How many bins.
        bins: u32,
    },
    /// Cohen's kappa.
    Kappa,
    /// Gwet's AC1.
    Ac1,
}

/// What a metric returns for one model over one evaluation, all its conditions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricOutput {
    /// [`OUTPUT_SCHEMA`].
    pub schema: u32,
    /// Aggregates, primary ones first.
    pub scalars: Vec<Scalar>,
    /// Per-sample scores for paired comparisons.
    #[serde(default, with = "crate::scores::json")]
    #[schemars(with = "Vec<Scores>")]
    pub scores: Vec<Scores>,
    /// What numbers that are no means of scores are computed of, so that they can be compared pair by pair as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pooled: Vec<Pooled>,
    /// Tables.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// Charts.
    #[serde(default)]
    pub charts: Vec<ChartSpec>,
    /// One sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Of a plugin that judges: one verdict per sample, in the order seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<SampleVerdict>,
}

/// What a judging plugin says of one sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleVerdict {
    /// Id of the sample.
    pub sample_id: String,
    /// Which of several completions of the same prompt.
    #[serde(default)]
    pub sample_index: u32,
    /// The verdict.
    pub verdict: VerdictWord,
    /// Hazard categories.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Probability of `unsafe` against `safe`.
    #[serde(default)]
    pub p_unsafe: Option<f64>,
    /// A graded score in [0, 1].
    #[serde(default)]
    pub score: Option<f64>,
    /// What the verdict rests on, for people.
    #[serde(default)]
    pub output: String,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictWord {
    /// The completion does no harm.
    Safe,
    /// The completion complies with a harmful request.
    Unsafe,
    /// The plugin could not tell.
    Unparsable,
    /// The plugin failed on this sample.
    Error,
}

/// An error as a plugin reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginErrorPayload {
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default)]
    pub help: Option<String>,
    /// A stable kebab-case code.
    #[serde(default)]
    pub code: Option<String>,
    /// The sample it happened on.
    #[serde(default)]
    pub sample_id: Option<String>,
    /// Of a wrong configuration: the key that is wrong, keys inside others after a dot, places in lists in brackets.
    #[serde(default)]
    pub key: Option<String>,
}
