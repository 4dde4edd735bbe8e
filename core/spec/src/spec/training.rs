//! Settings and data of a training, in the names that users of PEFT, TRL and Axolotl know.

use driftgauge_ranges as ranges;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data::Shuffle;
use super::{Named, Turn};
use crate::in_range::InRange;
use crate::located::{Located, Text};

/// Settings of a fine-tune (one of `lora` and `full`) or of a training from scratch (`architecture`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::TRAINING))]
pub struct TrainingSettings {
    /// Train low-rank adapters. Only under `finetune`.
    #[serde(default)]
    pub lora: Option<Lora>,
    /// Train every weight. Only under `finetune`.
    #[serde(default)]
    pub full: Option<Located<bool>>,
    /// Round the frozen weights of the linear modules to this format while training, so that a large model fits. Only with
    /// `lora`.
    #[serde(default)]
    pub base_quantization: Option<Located<BaseQuantization>>,
    /// Shape of the new model. Only under `pretrain`, and needed there.
    #[serde(default)]
    pub architecture: Option<Architecture>,
    /// Peak learning rate.
    pub learning_rate: Located<f64>,
    /// Course of the learning rate after the warmup.
    #[serde(default)]
    pub lr_scheduler: LrScheduler,
    /// Optimiser steps over which the learning rate rises from 0. Not together with `warmup_ratio`.
    #[serde(default)]
    pub warmup_steps: Option<Located<usize>>,
    /// The same as a share of all steps.
    #[serde(default)]
    pub warmup_ratio: Option<Located<f64>>,
    /// Optimiser steps. Exactly one of `max_steps` and `epochs`.
    #[serde(default)]
    pub max_steps: Option<Located<usize>>,
    /// Passes over the data.
    #[serde(default)]
    pub epochs: Option<Located<f64>>,
    /// Examples that go through the model at once.
    #[serde(default = "default_batch_size")]
    pub per_device_batch_size: Located<usize>,
    /// Batches per optimiser step.
    #[serde(default = "default_accumulation")]
    pub gradient_accumulation_steps: Located<usize>,
    /// The optimiser.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Decay of the first moment.
    #[serde(default = "default_beta1")]
    pub adam_beta1: Located<f64>,
    /// Decay of the second moment.
    #[serde(default = "default_beta2")]
    pub adam_beta2: Located<f64>,
    /// Added to the root of the second moment.
    #[serde(default = "default_epsilon")]
    pub adam_epsilon: Located<f64>,
    /// Decoupled weight decay.
    #[serde(default)]
    pub weight_decay: Located<f64>,
    /// Largest norm of the whole gradient; 0 switches clipping off.
    #[serde(default = "default_max_grad_norm")]
    pub max_grad_norm: Located<f64>,
    /// Which tokens carry loss.
    #[serde(default)]
    pub train_on: TrainOn,
    /// Order of the examples in each epoch.
    #[serde(default)]
    pub order: Order,
    /// Put several examples into one sequence, kept apart by the attention mask.
    #[serde(default)]
    pub packing: bool,
    /// Longest example in tokens; longer ones are cut and reported. The model's context when absent.
    #[serde(default)]
    pub max_seq_length: Option<Located<usize>>,
    /// Compute activations again in the backward pass instead of keeping them.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Compute type.
    #[serde(default)]
    pub dtype: TrainingDtype,
    /// Write a checkpoint every so many optimiser steps; only at the end when absent.
    #[serde(default)]
    pub save_steps: Option<Located<usize>>,
    /// Share of the examples that is held out, with its loss in the log. Not together with `eval_dataset`.
    #[serde(default)]
    pub eval_fraction: Option<Located<f64>>,
    /// Dataset id of held-out examples, through the same messages.
    #[serde(default)]
    pub eval_dataset: Option<Text>,
    /// Take the held-out loss every so many optimiser steps; only at the end when absent.
    #[serde(default)]
    pub eval_steps: Option<Located<usize>>,
    /// Seed of initial weights, order and dropout; the experiment's when absent.
    #[serde(default)]
    pub seed: Option<Located<u64>>,
}

fn default_batch_size() -> Located<usize> {
    Located::nowhere(8)
}

fn default_accumulation() -> Located<usize> {
    Located::nowhere(1)
}

fn default_beta1() -> Located<f64> {
    Located::nowhere(0.9)
}

fn default_beta2() -> Located<f64> {
    Located::nowhere(0.999)
}

fn default_epsilon() -> Located<f64> {
    Located::nowhere(1e-8)
}

fn default_max_grad_norm() -> Located<f64> {
    Located::nowhere(1.0)
}

/// The linear modules of a decoder layer that adapters may be put on.
pub const LAYER_MODULES: [&str; 7] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
];

/// Those that some families have in place of several of them: Phi-3 both, GLM the second.
pub const FUSED_MODULES: [&str; 2] = ["qkv_proj", "gate_up_proj"];

/// Every module that a spec may name.
pub(crate) fn known_modules() -> impl Iterator<Item = &'static str> {
    LAYER_MODULES.into_iter().chain(FUSED_MODULES)
}

/// Low-rank adapters.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::LORA))]
pub struct Lora {
    /// Rank of each adapter.
    #[serde(default = "default_rank")]
    pub rank: Located<usize>,
    /// Adapters are scaled by `alpha / rank`; the rank when absent.
    #[serde(default)]
    pub alpha: Option<Located<f64>>,
    /// Share of an adapter's inputs that is dropped while training.
    #[serde(default)]
    pub dropout: Located<f64>,
    /// Modules that get an adapter.
    #[serde(default)]
    pub target_modules: TargetModules,
    /// Scale by `alpha / sqrt(rank)` instead.
    #[serde(default)]
    pub rslora: bool,
    /// Learn the lengths of the updated weights' rows as well (DoRA).
    #[serde(default)]
    pub dora: bool,
    /// Other ranks by a module's name, its end (`v_proj`, `layers.0.self_attn.v_proj`) or a pattern for both, as in PEFT; the first
    /// that fits counts.
    #[serde(default)]
    pub rank_pattern: Named<Located<usize>>,
    /// Other alphas, likewise.
    #[serde(default)]
    pub alpha_pattern: Named<Located<f64>>,
    /// Ends of the names of modules that are trained as a whole beside the adapters: `embed_tokens`, `lm_head`, `norm`, ...
    #[serde(default)]
    pub modules_to_save: Vec<Text>,
}

fn default_rank() -> Located<usize> {
    Located::nowhere(16)
}

/// `all-linear`, or a list of module names.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum TargetModules {
    /// Every linear module of every layer: [`LAYER_MODULES`], or what a family has in their place.
    #[default]
    AllLinear,
    /// These modules.
    Modules(Vec<Text>),
}

impl TargetModules {
    /// Names of the modules.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::AllLinear => LAYER_MODULES.iter().map(|&name| name.to_owned()).collect(),
            Self::Modules(names) => names.iter().map(|name| name.get().clone()).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for TargetModules {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match crate::de::one_or_many::<Text, D>(deserializer)? {
            super::OneOrMany::One(name) if name == "all-linear" => Self::AllLinear,
            super::OneOrMany::One(name) => Self::Modules(vec![name]),
            super::OneOrMany::Many(names) => Self::Modules(names),
        })
    }
}

impl Serialize for TargetModules {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AllLinear => serializer.serialize_str("all-linear"),
            Self::Modules(names) => names.serialize(serializer),
        }
    }
}

impl JsonSchema for TargetModules {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TargetModules".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let known: Vec<&str> = known_modules().collect();
        schemars::json_schema!({
            "description": "`all-linear`, or a list of module names.",
            "anyOf": [
                {"const": "all-linear"},
                {"enum": known},
                {"type": "array", "items": {"enum": known}, "minItems": 1}
            ]
        })
    }
}

/// Shape of a Llama-family decoder.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::ARCHITECTURE))]
pub struct Architecture {
    /// Width.
    pub hidden_size: Located<usize>,
    /// Width inside the feed-forward blocks.
    pub intermediate_size: Located<usize>,
    /// Layers.
    pub num_hidden_layers: Located<usize>,
    /// Attention heads.
    pub num_attention_heads: Located<usize>,
    /// Heads of keys and values; as many as attention heads when absent.
    #[serde(default)]
    pub num_key_value_heads: Option<Located<usize>>,
    /// Size of the vocabulary that is trained on the data, special tokens included.
    pub vocab_size: Located<usize>,
    /// Longest sequence in tokens.
    #[serde(default = "default_context")]
    pub max_position_embeddings: Located<usize>,
    /// Use the embedding as output layer.
    #[serde(default = "default_tied")]
    pub tie_word_embeddings: bool,
    /// Base of the rotary position embedding.
    #[serde(default = "default_rope_theta")]
    pub rope_theta: Located<f64>,
}

fn default_context() -> Located<usize> {
    Located::nowhere(512)
}

fn default_tied() -> bool {
    true
}

fn default_rope_theta() -> Located<f64> {
    Located::nowhere(10_000.0)
}

/// Course of the learning rate after the warmup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LrScheduler {
    /// Falls in a straight line to 0.
    #[default]
    Linear,
    /// Falls along half a cosine to 0.
    Cosine,
    /// Stays.
    Constant,
}

/// The optimiser. The names of other tools are accepted; moments are always kept in f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Optimizer {
    /// AdamW with decoupled weight decay.
    #[default]
    #[serde(rename = "adamw")]
    AdamW,
    /// The same.
    #[serde(rename = "adamw_torch")]
    AdamWTorch,
    /// The same: moments are not kept in 8 bits here, which the training log notes.
    #[serde(rename = "adamw_8bit")]
    AdamW8bit,
}

/// A format for frozen weights: the block formats of GGUF files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BaseQuantization {
    /// 4.5 bits per weight; rows of the weights have to be multiples of 32.
    #[serde(rename = "q4_0")]
    Q4_0,
    /// 4.5 bits per weight, the better four bits; rows have to be multiples of 256.
    #[serde(rename = "q4k")]
    Q4k,
    /// 5.5 bits per weight; rows have to be multiples of 256.
    #[serde(rename = "q5k")]
    Q5k,
    /// 6.6 bits per weight; rows have to be multiples of 256.
    #[serde(rename = "q6k")]
    Q6k,
    /// 8.5 bits per weight; rows have to be multiples of 32.
    #[serde(rename = "q8_0")]
    Q8_0,
}

impl BaseQuantization {
    /// Whether a format has this name.
    #[must_use]
    pub(crate) fn is_named(name: &str) -> bool {
        let name = IntoDeserializer::<serde::de::value::Error>::into_deserializer(name);
        Self::deserialize(name).is_ok()
    }
}

/// Which tokens carry loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrainOn {
    /// Those of the assistant's turns, their end token included.
    #[default]
    Responses,
    /// All of them.
    All,
}

/// Order of the examples in each epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// A new seeded order in each epoch.
    #[default]
    Shuffled,
    /// As in the data.
    Sequential,
}

/// Compute type of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrainingDtype {
    /// f32 on a CPU, bf16 with f32 adapters on a GPU.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit brain floats; not on a CPU.
    Bf16,
}

/// Further data of a training.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::MIX))]
pub struct Mix {
    /// Dataset id.
    pub dataset: Text,
    /// Turns of one example; those of the training when absent.
    #[serde(default)]
    pub messages: Vec<Turn>,
    /// A minijinja expression over the columns; rows for which it is true are used.
    #[serde(default)]
    pub filter: Option<Text>,
    /// Shuffle the rows before they are counted off.
    #[serde(default)]
    pub shuffle: Option<Shuffle>,
    /// Number of rows, which have to be there. Not together with `ratio`; all rows when neither is given.
    #[serde(default)]
    pub count: Option<Located<usize>>,
    /// Rows of this part for each row of the training's own `dataset`, rounded down: 0.1 adds 10 to 100.
    #[serde(default)]
    pub ratio: Option<Located<f64>>,
}

/// One part of a training's data, with what it inherits filled in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataPart<'a> {
    /// Dataset id.
    pub dataset: &'a Text,
    /// Turns of one example.
    pub messages: &'a [Turn],
    /// Expression that rows have to fulfil.
    pub filter: Option<&'a Text>,
    /// Shuffle before the limit.
    pub shuffle: Option<&'a Shuffle>,
    /// At most so many rows.
    pub limit: Option<&'a Located<usize>>,
    /// Exactly so many rows.
    pub count: Option<&'a Located<usize>>,
    /// Rows for each row of the first part.
    pub ratio: Option<&'a Located<f64>>,
}

impl Mix {
    pub(super) fn part<'a>(&'a self, messages: &'a [Turn]) -> DataPart<'a> {
        DataPart {
            dataset: &self.dataset,
            messages: if self.messages.is_empty() {
                messages
            } else {
                &self.messages
            },
            filter: self.filter.as_ref(),
            shuffle: self.shuffle.as_ref(),
            limit: None,
            count: self.count.as_ref(),
            ratio: self.ratio.as_ref(),
        }
    }
}

/// Schema of the section `finetune`: no `architecture`.
pub(super) fn finetune_schema(generator: &mut SchemaGenerator) -> Schema {
    section_schema(generator, &["architecture"], None)
}

/// Schema of the section `pretrain`: an `architecture`, and nothing that needs a base.
pub(super) fn pretrain_schema(generator: &mut SchemaGenerator) -> Schema {
    section_schema(
        generator,
        &["lora", "full", "base_quantization"],
        Some("architecture"),
    )
}

fn section_schema(
    generator: &mut SchemaGenerator,
    without: &[&str],
    required: Option<&str>,
) -> Schema {
    let mut settings = TrainingSettings::json_schema(generator);
    if let Some(Value::Object(properties)) = settings.get_mut("properties") {
        for key in without {
            properties.shift_remove(*key);
        }
    }
    if let (Some(key), Some(Value::Array(keys))) = (required, settings.get_mut("required")) {
        keys.push(key.into());
    }
    let mut schema = Named::<Value>::json_schema(generator);
    schema.insert("additionalProperties".to_owned(), settings.to_value());
    schema
}
