//! The typed language of a spec: what a person may write, with the meaning and the default of every key.
//!
//! Everything that a message may have to point at is [`Located`]. Where exactly one of several keys is allowed, the
//! struct has them all as options and [`crate::check()`] sees to it that one is there.

mod data;
mod evaluations;
mod judges;
mod models;
mod recorded;
mod reporting;
mod search;
mod training;

use driftgauge_ranges as ranges;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::de::OneOrMany;
pub use data::{ColumnType, Dataset, DatasetFormat, DatasetSource, Join, Shuffle};
pub use evaluations::{
    Condition, Evaluation, Examples, Generate, Kl, OnLongPrompt, Perplexity, ScoreChoices, Thinking,
};
pub use judges::{
    HarmBenchJudge, Judge, LlamaGuardJudge, ParseRule, PromptJudge, StrongRejectJudge,
};
pub use models::{
    Adapter, Endpoint, Finetune, Model, ModelDtype, ModelEngine, ModelSource, Pretrain, Resources,
};
pub use recorded::{Recorded, RecordedColumns, RecordedFormat};
pub use reporting::{
    Adjust, Chart, Compare, Expected, Family, Gate, Isolation, Metric, MetricPath, Report,
    SampleDisplay, Statistic, bytes,
};
pub use search::{Bound, Halving, Limit, Search};
pub(crate) use training::known_modules;
pub use training::{
    Architecture, BaseQuantization, DataPart, FUSED_MODULES, LAYER_MODULES, Lora, LrScheduler, Mix,
    Optimizer, Order, TargetModules, TrainOn, TrainingDtype, TrainingSettings,
};

use crate::in_range::InRange;
use crate::located::{Located, Text};

/// A map from ids to things, in the order of the text; every id keeps its place. `map["id"]` and `map.get("id")` work.
pub type Named<T> = IndexMap<Text, T>;

/// One experiment: models, data, trainings, evaluations and what is made of their numbers.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "driftgauge experiment")]
#[schemars(transform = InRange(ranges::EXPERIMENT))]
pub struct ExperimentSpec {
    /// Version of the language: 1.
    #[schemars(extend("const" = 1))]
    pub version: Located<u32>,
    /// Name of the experiment.
    pub name: Text,
    /// What it is about, for the report.
    #[serde(default)]
    pub description: Option<Text>,
    /// Seed of everything that draws, unless a more specific seed is given.
    #[serde(default)]
    pub seed: Located<u64>,
    /// Further files whose sections stand beside those of this one: paths that start at this file, and `preset:NAME` for what comes
    /// with driftgauge. Of what stands in both, variables are those of the file that includes.
    #[serde(default)]
    pub include: Vec<Text>,
    /// Variables with their defaults, used in any text as `${name}` and set with `--set name=value`. A variable
    /// without a default (`name: null`) has to be set.
    #[serde(default)]
    pub vars: Named<Variable>,
    /// Most cells that all sweeps (`vary`) may make together; 1000 when absent.
    #[serde(default)]
    pub max_cells: Option<Located<usize>>,
    /// Codes of warnings that are meant here, and are not told.
    #[serde(default)]
    pub allow: Vec<Text>,
    /// Models by id. Each has exactly one source.
    #[serde(default)]
    pub models: Named<Model>,
    /// Datasets by id. Each has exactly one source.
    #[serde(default)]
    pub datasets: Named<Dataset>,
    /// Settings of fine-tunes by id.
    #[serde(default)]
    #[schemars(schema_with = "training::finetune_schema")]
    pub finetune: Named<TrainingSettings>,
    /// Settings of trainings from scratch by id.
    #[serde(default)]
    #[schemars(schema_with = "training::pretrain_schema")]
    pub pretrain: Named<TrainingSettings>,
    /// Metrics by id.
    #[serde(default)]
    pub metrics: Named<Metric>,
    /// Evaluations by id.
    #[serde(default)]
    pub evaluations: Named<Evaluation>,
    /// How models are compared.
    #[serde(default)]
    pub compare: Option<Compare>,
    /// Limits on measured values; `driftgauge run` exits with 100 when one is not kept.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// Searches for the best cell of a sweep, by id.
    #[serde(default)]
    pub search: Named<Search>,
    /// The report.
    #[serde(default)]
    pub report: Report,
    /// Published values that the report holds against the measured ones.
    #[serde(default)]
    pub expected: Vec<Expected>,
}

/// The axes of a sweep: values of a variable (`lr: [1.0e-5, 2.0e-5]`), several variables that change together
/// (`size: {small: {lr: 1.0e-4, n: 10}, large: {lr: 1.0e-5, n: 100}}`), or one value for all cells (`epochs: 1`). Each cell of their
/// product is an entry of its own, `tuned@lr=1.0e-5,n=10`.
pub type Vary = Named<serde_json::Value>;

/// Default of a variable: a text, a number, a truth value, or null for "has to be set".
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Variable(
    /// The value as JSON.
    #[schemars(extend("type" = ["string", "number", "boolean", "null"]))]
    pub Located<serde_json::Value>,
);

/// One turn of a conversation: a role and a minijinja template over the columns of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// Instructions that stand before the conversation.
    System(Text),
    /// What the user says.
    User(Text),
    /// What the model says.
    Assistant(Text),
    /// Plain text that goes to the model as it stands, without a chat template: the only turn of a prompt.
    Text(Text),
    /// What the answer begins with: the last turn of a prompt. The model goes on behind it, and judges and metrics see the whole
    /// answer. `tokens` beside it takes its first tokens alone.
    Prefill(Prefill),
}

/// What an answer begins with; written `{prefill: "...", tokens: N}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::PREFILL))]
pub struct Prefill {
    /// The template.
    pub prefill: Text,
    /// Only so many of its tokens begin the answer; all of them when absent.
    #[serde(default)]
    pub tokens: Option<Located<usize>>,
}

impl Turn {
    /// `system`, `user`, `assistant`, `text` or `prefill`.
    #[must_use]
    pub fn role(&self) -> &'static str {
        match self {
            Self::System(_) => "system",
            Self::User(_) => "user",
            Self::Assistant(_) => "assistant",
            Self::Text(_) => "text",
            Self::Prefill(_) => "prefill",
        }
    }

    /// The template.
    #[must_use]
    pub fn template(&self) -> &Text {
        match self {
            Self::System(template)
            | Self::User(template)
            | Self::Assistant(template)
            | Self::Text(template)
            | Self::Prefill(Prefill {
                prefill: template, ..
            }) => template,
        }
    }
}
