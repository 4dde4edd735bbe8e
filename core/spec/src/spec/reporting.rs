//! What is made of the numbers: metrics, comparisons, gates, published values, the report.

use driftgauge_ranges as ranges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Named;
use crate::in_range::InRange;
use crate::located::{Located, Span, Text};

/// A metric, or a judge: a plugin and its configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::METRIC))]
pub struct Metric {
    /// Plugin id (`asr`, `uncertainty`, `truthfulness`, ...), or the path of its library. Either this or `command`.
    #[serde(default)]
    pub plugin: Option<Text>,
    /// A program that is the metric, with its arguments, in any language: `[python3, mine.py]`. Files it names are part of the
    /// identity of what it computes; paths start at the spec's folder.
    #[serde(default)]
    pub command: Option<Vec<Text>>,
    /// Further files that the program reads: part of its identity as well.
    #[serde(default)]
    pub files: Vec<Text>,
    /// Configuration handed to the plugin, which checks it against its own schema.
    #[serde(default)]
    #[schemars(extend("type" = "object"))]
    pub config: Option<Located<Value>>,
    /// Which completions are counted: an expression over the verdicts, `judges.coherence.score >= 0.5`, the row's columns,
    /// `completion` and `finish_reason`. Completions of which it cannot be said are left out and told. It may stand in `config` too.
    #[serde(default)]
    pub only: Option<Text>,
    /// Where the plugin runs. Those that came with driftgauge run in its process, all others in one of their own.
    #[serde(default)]
    pub isolation: Option<Located<Isolation>>,
    /// BLAKE3 digest that the plugin's library must have, in hex, as `driftgauge plan` prints it.
    #[serde(default)]
    pub blake3: Option<Text>,
    /// SHA-256 digest that the plugin's library must have, in hex.
    #[serde(default)]
    pub sha256: Option<Text>,
    /// Seconds that a worker may take for each step: to start, to take a batch, to make its result.
    #[serde(default = "default_timeout")]
    pub timeout: Located<u64>,
    /// Seconds that a worker may take for all steps together.
    #[serde(default)]
    pub total_timeout: Option<Located<u64>>,
    /// Memory that a worker may use, as `512 MiB` or `4 GiB`; half of the machine's where it is left out.
    #[serde(default)]
    pub memory: Option<Text>,
}

impl Metric {
    /// What stands for the plugin in the spec: its id or path, or the program.
    #[must_use]
    pub fn source(&self) -> Option<&Text> {
        self.plugin
            .as_ref()
            .or_else(|| self.command.as_ref().and_then(|command| command.first()))
    }

    /// Where the plugin is named.
    #[must_use]
    pub fn span(&self) -> Span {
        self.source().map_or(Span::NONE, Located::span)
    }

    /// Bytes of memory that a worker may use; nothing where they are left out or no size.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        bytes(self.memory.as_ref()?)
    }
}

/// `512 MiB` in bytes; `None` where it is no size.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..end].parse().ok()?;
    let unit: u64 = match text[end..].trim() {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}

fn default_timeout() -> Located<u64> {
    Located::nowhere(600)
}

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In the process of driftgauge, which ends with it when it crashes. The report says so.
    InProcess,
    /// In a process of its own, which may crash or hang without harm.
    Worker,
}

/// How models are compared: each with the baseline, sample by sample.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::COMPARE))]
pub struct Compare {
    /// Id of the model that others are compared with.
    pub baseline: Text,
    /// Further pairs of models, `[first, second]`: the second is held against the first.
    #[serde(default)]
    pub pairs: Vec<[Text; 2]>,
    /// `evaluation/metric` pairs decided on beforehand, whose p-values are adjusted together (Holm).
    #[serde(default)]
    pub family: Vec<Text>,
    /// Further `evaluation/metric` pairs, adjusted together for the false discovery rate (Benjamini-Hochberg).
    #[serde(default)]
    pub exploratory: Vec<Text>,
    /// Further families, by name.
    #[serde(default)]
    pub families: Named<Family>,
    /// Confidence level of every interval.
    #[serde(default = "default_level")]
    pub level: Located<f64>,
    /// Bootstrap resamples.
    #[serde(default = "default_resamples")]
    pub resamples: Located<usize>,
}

fn default_level() -> Located<f64> {
    Located::nowhere(0.95)
}

fn default_resamples() -> Located<usize> {
    Located::nowhere(10_000)
}

/// P-values that are adjusted together. Comparisons with the baseline, of further pairs, of conditions, and differences in
/// differences are adjusted each among themselves.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// `evaluation/metric` or `evaluation/metric.number`; a `*` at the end stands for anything.
    pub members: Vec<Text>,
    /// How they are adjusted.
    #[serde(default)]
    pub adjust: Adjust,
    /// Adjust those of each model among themselves, instead of all models together.
    #[serde(default)]
    pub per_model: bool,
}

/// How p-values are adjusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Adjust {
    /// Holm: against any false finding.
    #[default]
    Holm,
    /// Benjamini and Hochberg: against a large share of false findings.
    BenjaminiHochberg,
}

impl Adjust {
    /// The word of the spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holm => "holm",
            Self::BenjaminiHochberg => "benjamini-hochberg",
        }
    }
}

/// A limit on a measured value. It is the bound of the interval that has to keep it, not the value itself.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::GATE))]
pub struct Gate {
    /// `evaluation/metric`, or `evaluation/metric.number` for one of its other numbers.
    pub metric: Text,
    /// Model id.
    pub model: Text,
    /// Condition id; every condition when absent.
    #[serde(default)]
    pub condition: Option<Text>,
    /// The interval's upper bound may be at most this.
    #[serde(default)]
    pub upper: Option<Located<f64>>,
    /// The interval's lower bound has to be at least this.
    #[serde(default)]
    pub lower: Option<Located<f64>>,
    /// The value may fall below the baseline's by at most this: the lower bound of the difference is judged.
    #[serde(default)]
    pub drop: Option<Located<f64>>,
    /// The value may rise above the baseline's by at most this: the upper bound of the difference is judged.
    #[serde(default)]
    pub rise: Option<Located<f64>>,
}

/// The parts of `evaluation/metric` or `evaluation/metric.number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricPath<'a> {
    /// Evaluation id.
    pub evaluation: &'a str,
    /// Metric id.
    pub metric: &'a str,
    /// One of the metric's other numbers.
    pub number: Option<&'a str>,
}

impl<'a> MetricPath<'a> {
    /// Takes a path apart; `None` when it has no `/`.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let (evaluation, metric) = path.split_once('/')?;
        let (metric, number) = split_number(metric);
        Some(Self {
            evaluation,
            metric,
            number,
        })
    }
}

/// `metric.number` into its parts.
fn split_number(metric: &str) -> (&str, Option<&str>) {
    match metric.split_once('.') {
        Some((metric, number)) => (metric, Some(number)),
        None => (metric, None),
    }
}

/// The report.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Title; the experiment's name when absent.
    #[serde(default)]
    pub title: Option<Text>,
    /// How much of the completions it shows.
    #[serde(default)]
    pub samples: SampleDisplay,
    /// Charts along axes of `vary`, for the numbers named here instead of those that the report draws by itself.
    #[serde(default)]
    pub charts: Vec<Chart>,
}

/// A number along an axis of `vary`, as a line with its band.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// `evaluation/metric`, or `evaluation/metric.number` for one of its other numbers: the evaluation without its cell.
    pub metric: Text,
    /// The axis along which the lines run; its values are numbers.
    pub x: Text,
    /// The axis that the lines stand for, one for each value; what else varies is averaged over. Every combination has a line of its
    /// own when absent.
    #[serde(default)]
    pub lines: Option<Text>,
    /// Condition id; a chart for every condition when absent.
    #[serde(default)]
    pub condition: Option<Text>,
}

/// How much of the completions the report shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SampleDisplay {
    /// No texts: ids, scores, verdicts and lengths only.
    #[default]
    Hidden,
    /// Also the texts of completions that every judge called safe, categories, flags, token statistics, errors, and digests by which
    /// who holds the other texts can check them.
    Redacted,
    /// Everything; what a judge called unsafe stays covered until it is asked for.
    Full,
}

impl SampleDisplay {
    /// The word of the spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Redacted => "redacted",
            Self::Full => "full",
        }
    }
}

/// A published value.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::EXPECTED))]
pub struct Expected {
    /// Evaluation id.
    pub evaluation: Text,
    /// Condition id; may be absent when the evaluation has a single prompt.
    #[serde(default)]
    pub condition: Option<Text>,
    /// Model id.
    pub model: Text,
    /// Metric id, or `metric.number` for one of its other numbers.
    pub metric: Text,
    /// The value is a difference from this model: the baseline of `compare`.
    #[serde(default)]
    pub baseline: Option<Text>,
    /// The value is a difference from this condition: the evaluation's first one. With `baseline` as well, it is a difference
    /// in differences.
    #[serde(default)]
    pub baseline_condition: Option<Text>,
    /// What was published of the number.
    #[serde(default)]
    pub statistic: Statistic,
    /// The value, in the metric's own unit (rates and their differences from -1 to 1).
    pub value: Located<f64>,
    /// How far rounding may have moved the published value, for example 0.0005 for three decimals. A measured value further
    /// away is another number, also where the interval holds both.
    #[serde(default)]
    pub tolerance: Option<Located<f64>>,
    /// Where it was published.
    #[serde(default)]
    pub source: Option<Text>,
}

/// What was published of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// The number itself.
    #[default]
    Value,
    /// Its standard error.
    StandardError,
}

impl Statistic {
    /// The word of the spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::StandardError => "standard-error",
        }
    }
}

impl Expected {
    /// The metric id and, when given, the number.
    #[must_use]
    pub fn metric_parts(&self) -> (&str, Option<&str>) {
        split_number(&self.metric)
    }
}
