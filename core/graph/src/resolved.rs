//! The resolved experiment: defaults filled, references checked, every local source pinned by the digest of its bytes.
//!
//! Paths are kept apart from what identifies a source: they say where the bytes were found, and never enter a key.

use std::path::PathBuf;

use driftgauge_cluster::Resources;
use driftgauge_data::PinnedFile;
use driftgauge_data::dataset::Row;
use driftgauge_data::hub::HubSource;
use driftgauge_data::prompt::TurnTemplate;
use driftgauge_data::recording::{Readings, Recorded};
use driftgauge_engine::training::{DecoderShape, TrainingSettings};
use driftgauge_engine::{
    Endpoint, LocalEngine, LongPrompt, ResolvedMetric, Rounding, Sampling, Witness,
};
use driftgauge_judge::Judge;
use driftgauge_record::files::resolved::ChartRecord;
use driftgauge_spec::spec::SampleDisplay;
use driftgauge_store::Digest;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resolved_comparisons::{ResolvedCompare, ResolvedExpected, ResolvedGate};
use crate::resolved_search::ResolvedSearch;

/// An experiment ready to be planned.
#[derive(Debug, Clone)]
pub struct ResolvedExperiment {
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
    pub datasets: IndexMap<String, ResolvedDataset>,
    /// Models by id, bases before their fine-tunes.
    pub models: IndexMap<String, ResolvedModel>,
    /// Metrics by id.
    pub metrics: IndexMap<String, ResolvedMetric>,
    /// Evaluations by id.
    pub evaluations: IndexMap<String, ResolvedEvaluation>,
    /// How models are compared.
    pub compare: ResolvedCompare,
    /// Gates.
    pub gates: Vec<ResolvedGate>,
    /// Searches among cells.
    pub searches: Vec<ResolvedSearch>,
    /// Published values.
    pub expected: Vec<ResolvedExpected>,
    /// How much of the samples the report shows.
    pub report_samples: SampleDisplay,
    /// Charts that the spec chose.
    pub report_charts: Vec<ChartRecord>,
    /// Recordings that were read while resolving, so that the run need not read them again.
    pub readings: Readings,
}

impl ResolvedExperiment {
    /// Sources of the hub that are not, or not all, in the local cache.
    #[must_use]
    pub fn missing_hub_sources(&self) -> Vec<&HubSource> {
        let datasets = self.datasets.values();
        let datasets = datasets.filter_map(|dataset| match dataset.digest {
            None => dataset.hub.as_ref(),
            Some(_) => None,
        });
        let models = self.models.values();
        let models = models.filter_map(|model| match &model.source {
            ModelSource::Hub(source) => Some(source),
            ModelSource::Adapter { hub, .. } => hub.as_ref(),
            _ => None,
        });
        datasets.chain(models).collect()
    }

    /// Sources of the hub in the local cache, each with its commit.
    #[must_use]
    pub fn pinned_hub_sources(&self) -> Vec<(&HubSource, &str)> {
        let datasets = self
            .datasets
            .values()
            .filter_map(|dataset| dataset.hub.as_ref());
        let models = self.models.values().filter_map(|model| model.hub.as_ref());
        let mut pinned: Vec<(&HubSource, &str)> = datasets
            .chain(models)
            .filter_map(|source| Some((source, source.commit.as_deref()?)))
            .collect();
        pinned.dedup();
        pinned
    }
}

/// A dataset with its rows.
#[derive(Debug, Clone)]
pub struct ResolvedDataset {
    /// Where it comes from, for people.
    pub source: String,
    /// Its repository, when it comes from the hub.
    pub hub: Option<HubSource>,
    /// Where the file was found.
    pub path: PathBuf,
    /// Digest of the file's bytes; `None` while a dataset of the hub is not in the local cache.
    pub digest: Option<Digest>,
    /// Digest of the rows left, whatever their order; `None` as above, and in runs of older versions.
    pub content: Option<Digest>,
    /// What was done to the rows: format, id column, filter, shuffle, limit.
    pub selection: Value,
    /// Number of rows left, once the file is there.
    pub rows_selected: Option<usize>,
    /// The rows left, in order.
    pub rows: Vec<Row>,
}

impl ResolvedDataset {
    /// The column of ids, if it has one.
    #[must_use]
    pub fn id_column(&self) -> Option<&str> {
        self.selection["id"].as_str()
    }
}

/// A model and where it comes from.
#[derive(Debug, Clone)]
pub struct ResolvedModel {
    /// The source.
    pub source: ModelSource,
    /// Its repository, when the folder comes from the hub.
    pub hub: Option<HubSource>,
    /// In-situ quantisation.
    pub quantization: Option<String>,
    /// Compute type: `auto`, `f32`, `f16`, `bf16`.
    pub dtype: String,
    /// What computes its completions; `None` where nothing on this machine does, or that is still to be fetched.
    pub engine: Option<LocalEngine>,
    /// What the native engine is held against: mistral.rs where the spec leaves the engine open.
    pub witness: Witness,
    /// A chat template that overrides the folder's own.
    pub chat_template: Option<PinnedFile>,
    /// The first training of the same recipe, when this is a further one.
    pub replicate_of: Option<String>,
    /// The source in words, for the report.
    pub description: String,
    /// What jobs ask for that load or train it; it decides no number.
    pub resources: Resources,
}

impl ResolvedModel {
    /// How its weights are rounded before the native engine multiplies with them.
    #[must_use]
    pub fn rounding(&self) -> Rounding {
        match self.engine {
            // What the engine does not compute was refused before.
            Some(LocalEngine::Native) => {
                Rounding::of(self.quantization.as_deref(), &self.dtype).unwrap_or_default()
            }
            Some(LocalEngine::Mistralrs) | None => Rounding::None,
        }
    }
}

impl ModelSource {
    /// Id of the model that it is made from, if it is made from one.
    #[must_use]
    pub fn base(&self) -> Option<&str> {
        match self {
            Self::Finetune { base, .. } | Self::Adapter { base, .. } => Some(base),
            _ => None,
        }
    }
}

/// Where a model comes from.
#[derive(Debug, Clone)]
pub enum ModelSource {
    /// A model folder on this machine.
    Folder {
        /// The folder.
        path: PathBuf,
        /// File name of a GGUF model inside, when it is one.
        gguf: Option<String>,
        /// Folder with the tokenizer of a GGUF model, when the spec names one.
        tokenizer: Option<PathBuf>,
        /// Digest over names and bytes of the files that an engine reads.
        digest: Digest,
    },
    /// A repository of the hub that is not on this machine yet: pinned at run time.
    Hub(HubSource),
    /// Trained from scratch.
    Pretrain(Training),
    /// A fine-tune of another model.
    Finetune {
        /// Id of the base model.
        base: String,
        /// The training.
        training: Training,
        /// Adapter to start from.
        init_adapter: Option<PinnedFile>,
    },
    /// Another model merged with an adapter that was made elsewhere.
    Adapter {
        /// Id of the base model.
        base: String,
        /// The adapter; `None` while it is not on this machine.
        adapter: Option<PinnedFile>,
        /// Its repository, when it comes from the hub and is not on this machine yet.
        hub: Option<HubSource>,
    },
    /// A server with an OpenAI-compatible interface.
    Endpoint(Endpoint),
    /// Completions made elsewhere, in one or several recordings.
    Recorded(Vec<Recorded>),
}

/// A training: data and settings.
#[derive(Debug, Clone, Serialize)]
pub struct Training {
    /// What decides the result, with every default filled in.
    pub settings: TrainingSettings,
    /// Parts of the training data.
    pub data: Vec<TrainingData>,
    /// Shape of a model trained from scratch.
    pub architecture: Option<DecoderShape>,
    /// Share of the examples held out.
    pub eval_fraction: Option<f64>,
    /// Dataset of held-out examples.
    pub eval_dataset: Option<String>,
    /// A checkpoint every so many steps; does not change the result.
    pub save_steps: Option<u64>,
    /// The model is the one after so many steps; the training itself is the same whatever stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// Chat template of a model trained from scratch.
    pub chat_template: Option<PinnedFile>,
}

/// One part of the training data.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TrainingData {
    /// Dataset id.
    pub dataset: String,
    /// Turns of one example.
    pub turns: Vec<TurnTemplate>,
    /// Expression that rows have to fulfil.
    pub filter: Option<String>,
    /// At most so many rows.
    pub limit: Option<usize>,
    /// Exactly so many rows.
    pub count: Option<usize>,
    /// Rows for each row of the first part, rounded down; all rows where neither this nor `count` is given.
    pub ratio: Option<f64>,
    /// Seed of a shuffle before rows are counted off.
    pub shuffle: Option<u64>,
}

/// An evaluation.
#[derive(Debug, Clone)]
pub struct ResolvedEvaluation {
    /// What is asked, in the spec's words; in no key.
    pub description: String,
    /// Model ids.
    pub models: Vec<String>,
    /// Dataset id.
    pub dataset: String,
    /// Conditions by id; one called `default` when the spec has a single prompt.
    pub conditions: IndexMap<String, ResolvedCondition>,
    /// Seed of the `shuffled` rows.
    pub shuffle_seed: u64,
    /// Accepted answers.
    pub references: Vec<String>,
    /// The false answer.
    pub wrong_answer: Option<String>,
    /// What judges see as the request; the prompt when absent.
    pub behavior: Option<String>,
    /// Category column.
    pub category: Option<String>,
    /// Column of what prompts belong together.
    pub cluster: Option<String>,
    /// How completions are made.
    pub generate: ResolvedGenerate,
    /// Multiple choice and perplexity, scored instead of generation.
    pub score: Option<ResolvedScore>,
    /// Divergence from a reference model, beside completions or scores.
    pub kl: Option<ResolvedKl>,
    /// Judges by id, the primary one first.
    pub judges: IndexMap<String, ResolvedJudge>,
    /// Evaluation that holds these judges against known answers.
    pub judge_check: Option<String>,
    /// Metric ids.
    pub metrics: Vec<String>,
    /// Evaluation whose over-refusal this one measures.
    pub over_refusal_of: Option<String>,
    /// Accuracy below which the report warns.
    pub capability_floor: Option<f64>,
    /// At most so many rows of the dataset are asked, when the command line says so.
    pub limit: Option<usize>,
}

/// One way to put the question.
#[derive(Debug, Clone)]
pub struct ResolvedCondition {
    /// What is different, in the spec's words; in no key.
    pub description: String,
    /// The turns.
    pub turns: Vec<TurnTemplate>,
    /// Of a last turn that begins the answer, only so many tokens are taken.
    pub prefill_tokens: Option<usize>,
    /// What is shown before.
    pub examples: Option<ResolvedExamples>,
}

/// Answered examples before each prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedExamples {
    /// Dataset id; the key has the rows.
    #[serde(skip)]
    pub dataset: String,
    /// How many.
    pub count: usize,
    /// Seed of the draw.
    pub seed: u64,
    /// Turns of one example.
    pub turns: Vec<TurnTemplate>,
    /// Template of the answer that follows them, where they do not end in one.
    pub answer: Option<ExampleAnswer>,
}

/// The answer of an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExampleAnswer {
    /// The first of the accepted answers.
    Reference(String),
    /// The right one of some choices.
    Choice(ResolvedScore),
}

/// How completions are made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResolvedGenerate {
    /// Limit on new tokens.
    pub max_tokens: usize,
    /// Completions per prompt.
    pub samples: u32,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Strings that end an answer.
    pub stop: Vec<String>,
    /// How many of the likeliest tokens' ln p are recorded at every position: as many as the evaluation or one of its metrics
    /// asks for. Nothing of the kind is no part of the key.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub top_logprobs: usize,
    /// Policy for long prompts.
    pub on_long_prompt: LongPrompt,
    /// Whether reasoning is kept apart from the answer. Where it is not, it is no part of the key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strip_thinking: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serialisation asks for"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What is scored with given tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedScore {
    /// Log-likelihoods of choices.
    Choices {
        /// Templates of the choices, or one expression that gives a list.
        choices: Vec<String>,
        /// Expression for the index of the right one, a list of indices, or zeros and ones.
        correct: String,
    },
    /// Perplexity of a text.
    Perplexity {
        /// Template of the text.
        text: String,
    },
}

/// Divergence from a reference model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResolvedKl {
    /// Id of the reference model.
    pub reference: String,
    /// Template of the text to compare on; the reference's completions when absent.
    pub text: Option<String>,
}

/// A judge and the model it asks.
#[derive(Debug, Clone)]
pub struct ResolvedJudge {
    /// The judge.
    pub judge: Judge,
    /// Id of its model.
    pub model: Option<String>,
}
