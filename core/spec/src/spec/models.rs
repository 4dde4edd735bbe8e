//! Models and where they come from.

use driftgauge_ranges as ranges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::Shuffle;
use super::recorded::Recorded;
use super::training::{DataPart, Mix};
use super::{OneOrMany, Turn, Vary};
use crate::in_range::InRange;
use crate::located::{Located, Span, Text};

/// A model: exactly one of `path`, `hub`, `gguf`, `pretrain`, `finetune`, `adapter`, `endpoint` and `recorded`, and how it
/// is run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Make a cell for every combination of values of these variables, which are written `${name}` here and in the settings and
    /// datasets that are named. An axis called `seed` needs no `${seed}`.
    #[serde(default)]
    pub vary: Vary,
    /// Cells of `vary` that are left out: `[{lr: 5.0e-5, n: [10, 20]}]`.
    #[serde(default)]
    pub except: Vec<serde_json::Value>,
    /// What the model is, for the report.
    #[serde(default)]
    pub description: Option<Text>,
    /// A model folder on this machine, as transformers saves it.
    #[serde(default)]
    pub path: Option<Text>,
    /// A model repository of the hub, `organisation/name`.
    #[serde(default)]
    pub hub: Option<Text>,
    /// Branch, tag or commit of the repository; `main` when absent. Only with `hub`.
    #[serde(default)]
    pub revision: Option<Text>,
    /// A GGUF file.
    #[serde(default)]
    pub gguf: Option<Text>,
    /// Folder with the tokenizer and chat template of a GGUF file. When absent: those inside the file, or beside a file that
    /// has none. Only with `gguf`.
    #[serde(default)]
    pub tokenizer: Option<Text>,
    /// Train a model from scratch.
    #[serde(default)]
    pub pretrain: Option<Pretrain>,
    /// Fine-tune another model of this spec.
    #[serde(default)]
    pub finetune: Option<Finetune>,
    /// Merge another model of this spec with a PEFT adapter that is there already.
    #[serde(default)]
    pub adapter: Option<Adapter>,
    /// Ask a server with an OpenAI-compatible interface.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Take completions that were made elsewhere: one recording, or a list of them that serve different evaluations.
    #[serde(default)]
    pub recorded: Option<OneOrMany<Recorded>>,
    /// In-situ quantisation when the model is loaded for generation, for example `q4k` or `q8_0`.
    #[serde(default)]
    pub quantization: Option<Text>,
    /// A chat template file instead of the model's own.
    #[serde(default)]
    pub chat_template: Option<Text>,
    /// Compute type.
    #[serde(default)]
    pub dtype: ModelDtype,
    /// What computes the model's completions.
    #[serde(default)]
    pub engine: Option<Located<ModelEngine>>,
    /// Id of the first training of which this one is another (another seed): all of them together are then compared with the
    /// baseline as one recipe, the training being a source of chance like the prompts.
    #[serde(default)]
    pub replicate_of: Option<Text>,
    /// What a job of a cluster asks for that trains, merges or loads the model. It is in no key.
    #[serde(default)]
    pub resources: Option<Resources>,
}

/// What a job of a cluster asks for; what is absent is left to the profile of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(RESOURCES))]
pub struct Resources {
    /// Processor cores.
    #[serde(default)]
    pub cpus: Option<Located<u32>>,
    /// Memory with its unit: `512M`, `32G`.
    #[serde(default)]
    pub memory: Option<Text>,
    /// GPUs.
    #[serde(default)]
    pub gpus: Option<Located<u32>>,
    /// Time limit with its unit, `90m`, `4h`, `2d`, or as `1-12:00:00`.
    #[serde(default)]
    pub time: Option<Text>,
    /// Features that the node has to have, as the queue names them.
    #[serde(default)]
    pub constraint: Option<Text>,
}

impl Resources {
    /// Where the first of them is written.
    #[must_use]
    pub fn place(&self) -> Span {
        let numbers = [&self.cpus, &self.gpus].into_iter().flatten();
        let texts = [&self.memory, &self.time, &self.constraint]
            .into_iter()
            .flatten();
        let places = numbers.map(Located::span).chain(texts.map(Located::span));
        places.min().unwrap_or(Span::NONE)
    }
}

/// Ranges of the numbers among them. No trainer reads them.
const RESOURCES: ranges::Table = &[
    ("cpus", ranges::Range::whole(1, 4096)),
    ("gpus", ranges::Range::whole(0, 1024)),
];

/// What computes completions on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelEngine {
    /// The native decoder on a processor, where it computes the model and mistral.rs says the same of it; mistral.rs for everything else.
    Auto,
    /// mistral.rs, on a processor or a GPU: on a processor one answer at a time.
    Mistralrs,
    /// The decoder that comes with driftgauge, on a processor: many answers at a time, for plain folders and GGUF files, computed in f32.
    Native,
}

/// Compute type of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelDtype {
    /// f32 on a CPU, bf16 on a GPU.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 16-bit brain floats.
    Bf16,
}

impl ModelEngine {
    /// The word of the spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Mistralrs => "mistralrs",
            Self::Native => "native",
        }
    }
}

impl ModelDtype {
    /// The word of the spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

/// The source of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ModelSource<'a> {
    /// A folder, relative to the spec.
    Path(&'a Text),
    /// A repository of the hub.
    Hub(&'a Text),
    /// A GGUF file, relative to the spec.
    Gguf(&'a Text),
    /// From scratch.
    Pretrain(&'a Pretrain),
    /// From another model.
    Finetune(&'a Finetune),
    /// From another model and an adapter.
    Adapter(&'a Adapter),
    /// A server.
    Endpoint(&'a Endpoint),
    /// Completions of elsewhere.
    Recorded(&'a OneOrMany<Recorded>),
}

impl ModelSource<'_> {
    /// The key of the spec.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Hub(_) => "hub",
            Self::Gguf(_) => "gguf",
            Self::Pretrain(_) => "pretrain",
            Self::Finetune(_) => "finetune",
            Self::Adapter(_) => "adapter",
            Self::Endpoint(_) => "endpoint",
            Self::Recorded(_) => "recorded",
        }
    }
}

impl Model {
    /// Every source that is given. A spec that passes [`crate::check()`] has exactly one.
    #[must_use]
    pub fn sources(&self) -> Vec<ModelSource<'_>> {
        [
            self.path.as_ref().map(ModelSource::Path),
            self.hub.as_ref().map(ModelSource::Hub),
            self.gguf.as_ref().map(ModelSource::Gguf),
            self.pretrain.as_ref().map(ModelSource::Pretrain),
            self.finetune.as_ref().map(ModelSource::Finetune),
            self.adapter.as_ref().map(ModelSource::Adapter),
            self.endpoint.as_ref().map(ModelSource::Endpoint),
            self.recorded.as_ref().map(ModelSource::Recorded),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The model of this spec that it is made from, if it is made from one.
    #[must_use]
    pub fn base(&self) -> Option<&Text> {
        let finetune = self.finetune.as_ref().map(|finetune| &finetune.base);
        finetune.or(self.adapter.as_ref().map(|adapter| &adapter.base))
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> Option<ModelSource<'_>> {
        self.sources().first().copied()
    }
}

/// A training from scratch. The tokenizer (byte-level BPE) is trained on the same data.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::TRAINING_DATA))]
pub struct Pretrain {
    /// Id under `pretrain`.
    pub settings: Text,
    /// Dataset id. May be absent when `mix` is there.
    #[serde(default)]
    pub dataset: Option<Text>,
    /// Turns of one example, templates over the columns of a row.
    #[serde(default)]
    pub messages: Vec<Turn>,
    /// A minijinja expression over the columns; rows for which it is true are used.
    #[serde(default)]
    pub filter: Option<Text>,
    /// Shuffle the rows before `limit`.
    #[serde(default)]
    pub shuffle: Option<Shuffle>,
    /// Use at most so many rows.
    #[serde(default)]
    pub limit: Option<Located<usize>>,
    /// Further data.
    #[serde(default)]
    pub mix: Vec<Mix>,
    /// Chat template file of the new model.
    #[serde(default)]
    pub chat_template: Option<Text>,
    /// Seed of initial weights, order and dropout; that of the settings when absent.
    #[serde(default)]
    pub seed: Option<Located<u64>>,
}

/// A fine-tune of another model.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::FINETUNE_DATA))]
pub struct Finetune {
    /// Id of the model to start from.
    pub base: Text,
    /// Id under `finetune`.
    pub settings: Text,
    /// Dataset id. May be absent when `mix` is there.
    #[serde(default)]
    pub dataset: Option<Text>,
    /// Turns of one example, templates over the columns of a row; the last is the assistant's.
    #[serde(default)]
    pub messages: Vec<Turn>,
    /// A minijinja expression over the columns; rows for which it is true are used.
    #[serde(default)]
    pub filter: Option<Text>,
    /// Shuffle the rows before `limit`.
    #[serde(default)]
    pub shuffle: Option<Shuffle>,
    /// Use at most so many rows.
    #[serde(default)]
    pub limit: Option<Located<usize>>,
    /// Further data, for example safety examples.
    #[serde(default)]
    pub mix: Vec<Mix>,
    /// The model as it was after so many optimiser steps of the whole training, whose other checkpoints and end share it.
    #[serde(default)]
    pub checkpoint: Option<Located<usize>>,
    /// Seed of the adapter's initial weights, order and dropout; that of the settings when absent.
    #[serde(default)]
    pub seed: Option<Located<u64>>,
    /// A PEFT adapter folder (or its safetensors file) to start from, instead of fresh weights. The training goes on with the
    /// adapter's own settings; those of `lora` may not say otherwise.
    #[serde(default)]
    pub init_adapter: Option<Text>,
}

/// A fine-tune that was made elsewhere: a base, and what PEFT saved of the training, from exactly one of `path` and `hub`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// Id of the model that it was trained on.
    pub base: Text,
    /// The folder with `adapter_config.json` and `adapter_model.safetensors`, or the safetensors file.
    #[serde(default)]
    pub path: Option<Text>,
    /// A repository of the hub with these two files, `organisation/name`.
    #[serde(default)]
    pub hub: Option<Text>,
    /// Branch, tag or commit of the repository; `main` when absent. Only with `hub`.
    #[serde(default)]
    pub revision: Option<Text>,
}

impl Pretrain {
    /// The data, `dataset` first.
    #[must_use]
    pub fn parts(&self) -> Vec<DataPart<'_>> {
        let main = self.dataset.as_ref().map(|dataset| DataPart {
            dataset,
            messages: &self.messages,
            filter: self.filter.as_ref(),
            shuffle: self.shuffle.as_ref(),
            limit: self.limit.as_ref(),
            count: None,
            ratio: None,
        });
        let mix = self.mix.iter().map(|part| part.part(&self.messages));
        main.into_iter().chain(mix).collect()
    }
}

impl Finetune {
    /// The data, `dataset` first.
    #[must_use]
    pub fn parts(&self) -> Vec<DataPart<'_>> {
        let main = self.dataset.as_ref().map(|dataset| DataPart {
            dataset,
            messages: &self.messages,
            filter: self.filter.as_ref(),
            shuffle: self.shuffle.as_ref(),
            limit: self.limit.as_ref(),
            count: None,
            ratio: None,
        });
        let mix = self.mix.iter().map(|part| part.part(&self.messages));
        main.into_iter().chain(mix).collect()
    }
}

/// A server with an OpenAI-compatible interface.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::ENDPOINT))]
pub struct Endpoint {
    /// Base address, for example `http://127.0.0.1:8000/v1`.
    pub base_url: Text,
    /// Model name sent to the server.
    pub model: Text,
    /// Environment variable that holds the key. The key itself is never written anywhere.
    #[serde(default)]
    pub api_key_env: Option<Text>,
    /// Requests in flight.
    #[serde(default = "default_concurrency")]
    pub concurrency: Located<usize>,
    /// Upper bound on requests a minute; none when absent.
    #[serde(default)]
    pub requests_per_minute: Option<Located<u32>>,
    /// Seconds before a request counts as hung.
    #[serde(default = "default_endpoint_timeout")]
    pub timeout: Located<u64>,
    /// Tries after the first, with growing pauses, on 429, 5xx and timeouts.
    #[serde(default = "default_retries")]
    pub retries: Located<u32>,
    /// Ask for log-probabilities.
    #[serde(default = "default_logprobs")]
    pub logprobs: bool,
}

fn default_concurrency() -> Located<usize> {
    Located::nowhere(4)
}

fn default_endpoint_timeout() -> Located<u64> {
    Located::nowhere(120)
}

fn default_retries() -> Located<u32> {
    Located::nowhere(5)
}

fn default_logprobs() -> bool {
    true
}
