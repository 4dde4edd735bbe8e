//! `resolved.json`: the experiment with every default filled and every local source pinned by the digest of its bytes.
//!
//! Settings that only their own crate understands (a selection of rows, a training, a judge) stand here as they are in the keys of
//! nodes, as JSON: a reader may show them or hold two of them against each other, and looks nothing up in them by name.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::folder::{RunFile, Schema};

/// The whole of `resolved.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentRecord {
    /// Number of the format.
    pub schema: Schema<1>,
    /// Name from the spec.
    pub name: String,
    /// Description from the spec.
    pub description: String,
    /// Title of the report.
    pub title: String,
    /// Seed of everything that draws.
    pub seed: u64,
    /// What was noticed while resolving and stops nothing.
    pub notes: Vec<String>,
    /// Datasets by id.
    pub datasets: IndexMap<String, DatasetRecord>,
    /// Models by id, bases before their fine-tunes.
    pub models: IndexMap<String, ModelRecord>,
    /// Metrics by id.
    pub metrics: IndexMap<String, MetricRecord>,
    /// Evaluations by id.
    pub evaluations: IndexMap<String, EvaluationRecord>,
    /// How models are compared.
    pub compare: CompareRecord,
    /// Gates.
    pub gates: Vec<GateRecord>,
    /// Published values.
    pub expected: Vec<PublishedRecord>,
    /// How much of the samples the report shows.
    pub samples: SampleMode,
    /// Charts along axes that the spec chose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<ChartRecord>,
}

/// A chart that the spec chose: a number along an axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChartRecord {
    /// Evaluation, without its cell.
    pub evaluation: String,
    /// Metric, or `metric.number`.
    pub metric: String,
    /// Axis along which the lines run.
    pub x: String,
    /// Axis that the lines stand for; every combination has its line when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<String>,
    /// Condition; every condition when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

impl RunFile for ExperimentRecord {
    const NAME: &'static str = "resolved.json";
    const SCHEMA: u32 = 1;
}

/// How much of the samples a report shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleMode {
    /// Ids, verdicts and lengths.
    #[default]
    Hidden,
    /// As hidden, with category, flags, token statistics and a digest that somebody who holds a text can check.
    Redacted,
    /// As redacted, with the texts of prompts, completions and judges.
    Full,
}

/// A dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetRecord {
    /// Where it comes from, for people.
    pub source: String,
    /// Its repository, when it comes from the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubRecord>,
    /// Where the file was found.
    pub path: PathBuf,
    /// Digest of the file's bytes; `None` while a dataset of the hub was not fetched.
    pub digest: Option<String>,
    /// Digest of the rows left, whatever their order.
    pub content: Option<String>,
    /// The column that names rows, or `None` where they are counted.
    pub id_column: Value,
    /// What was done to the rows.
    pub selection: Value,
    /// Number of rows left.
    pub rows: Option<u64>,
}

/// A repository of the hub at a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubRecord {
    /// `model` or `dataset`.
    pub kind: String,
    /// `organisation/name`.
    pub repository: String,
    /// Branch, tag or commit, as in the spec.
    pub revision: String,
    /// Split of a dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// File of a dataset, instead of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The commit that the revision stood for; `None` while it was not in the local cache.
    pub commit: Option<String>,
}

/// A file and the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Where it was found.
    pub path: PathBuf,
    /// Digest of its bytes.
    pub digest: String,
}

/// A model and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// The source in words.
    pub description: String,
    /// The source.
    pub source: SourceRecord,
    /// Its repository, when the folder comes from the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubRecord>,
    /// In-situ quantisation.
    pub quantization: Option<String>,
    /// Compute type: `auto`, `f32`, `f16`, `bf16`.
    pub dtype: String,
    /// What computes its completions, where the spec says so: `mistralrs` or `native`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// A chat template that overrides the folder's own.
    pub chat_template: Option<FileRecord>,
    /// The first training of the same recipe, when this is a further one.
    pub replicate_of: Option<String>,
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceRecord {
    /// A model folder on this machine.
    Folder {
        /// The folder.
        path: PathBuf,
        /// File name of a GGUF model inside, when it is one.
        gguf: Option<String>,
        /// Digest over the files that an engine reads.
        digest: String,
    },
    /// A repository of the hub that was not on this machine.
    Hub(HubRecord),
    /// Trained from nothing.
    Pretrain {
        /// Settings and data, as in the node's key.
        training: Value,
    },
    /// A fine-tune of another model.
    Finetune {
        /// Id of the base model.
        base: String,
        /// Settings and data, as in the node's key.
        training: Value,
        /// Adapter to start from.
        init_adapter: Option<FileRecord>,
    },
    /// Another model merged with an adapter that was made elsewhere.
    Adapter {
        /// Id of the base model.
        base: String,
        /// The adapter; `None` when it was not there.
        adapter: Option<FileRecord>,
    },
    /// A server with an OpenAI-compatible interface.
    Endpoint {
        /// Base address.
        base_url: String,
        /// Model name sent to the server.
        model: String,
    },
    /// Completions made elsewhere.
    Recorded(Vec<FileRecord>),
}

/// A metric and its plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRecord {
    /// Plugin id or library path.
    pub plugin: String,
    /// Configuration handed to the plugin.
    pub config: Value,
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRecord {
    /// What is asked, in the spec's words.
    pub description: String,
    /// Model ids.
    pub models: Vec<String>,
    /// Dataset id.
    pub dataset: String,
    /// Conditions by id; one called `default` when the spec has a single prompt.
    pub conditions: IndexMap<String, ConditionRecord>,
    /// Seed of the `shuffled` rows.
    pub shuffle_seed: u64,
    /// Accepted answers: templates.
    pub references: Vec<String>,
    /// The false answer: a template.
    pub wrong_answer: Option<String>,
    /// What judges see as the request; the prompt when absent.
    pub behavior: Option<String>,
    /// Category column.
    pub category: Option<String>,
    /// Column of what prompts belong together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Evaluation that holds the judges against known answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge_check: Option<String>,
    /// How completions are made.
    pub generate: GenerateRecord,
    /// What is scored with given tokens instead.
    pub score: Value,
    /// Divergence from a reference model.
    pub kl: Value,
    /// Judges by id, the primary one first.
    pub judges: IndexMap<String, JudgeRecord>,
    /// Metric ids.
    pub metrics: Vec<String>,
    /// Evaluation whose over-refusal this one measures.
    pub over_refusal_of: Option<String>,
    /// Accuracy below which the report warns.
    pub capability_floor: Option<f64>,
    /// At most so many rows of the dataset are asked.
    pub limit: Option<u64>,
}

/// One way to put the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionRecord {
    /// What is different, in the spec's words.
    pub description: String,
    /// The turns.
    pub turns: Vec<TurnRecord>,
}

/// A turn whose content is a template over the columns of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnRecord {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The template.
    pub template: String,
}

/// How completions are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateRecord {
    /// Limit on new tokens.
    pub max_tokens: u64,
    /// Completions per prompt.
    pub samples: u32,
    /// 0 for greedy decoding.
    pub temperature: f64,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// The k most likely tokens.
    pub top_k: Option<u64>,
    /// Tokens at least this likely relative to the most likely one.
    pub min_p: Option<f64>,
    /// Key of the randomness.
    pub seed: u64,
    /// Strings that end an answer.
    pub stop: Vec<String>,
    /// How many of the likeliest tokens are recorded at every position.
    pub top_logprobs: u64,
    /// `error`, `skip` or `truncate`.
    pub on_long_prompt: String,
    /// Whether reasoning was kept apart from the answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strip_thinking: bool,
}

/// A judge and the model it asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeRecord {
    /// The judge, as in the node's key.
    pub judge: Value,
    /// Id of its model.
    pub model: Option<String>,
}

/// How models are compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareRecord {
    /// Baseline model id; `None` compares nothing.
    pub baseline: Option<String>,
    /// Further pairs, the second model held against the first.
    pub pairs: Vec<(String, String)>,
    /// Families of p-values.
    pub families: Vec<FamilyRecord>,
    /// Confidence level.
    pub level: f64,
    /// Bootstrap resamples.
    pub resamples: u64,
}

/// P-values that are adjusted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyRecord {
    /// Its name.
    pub id: String,
    /// `evaluation/metric`; a `*` at the end stands for anything.
    pub members: Vec<String>,
    /// How they are adjusted.
    pub adjust: AdjustRecord,
    /// Each model's among themselves.
    pub per_model: bool,
}

/// How p-values are adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdjustRecord {
    /// Holm: against any false finding.
    Holm,
    /// Benjamini and Hochberg: against a large share of false findings.
    BenjaminiHochberg,
}

/// A gate on the bound of an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRecord {
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRecord {
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
    pub statistic: String,
    /// The value.
    pub value: f64,
    /// How far rounding may have moved it.
    pub tolerance: Option<f64>,
    /// Where it was published.
    pub source: String,
}
