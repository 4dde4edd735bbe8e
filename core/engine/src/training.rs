//! What decides a training's result: filled in from a spec, part of the key, and taken apart by the trainer.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Settings of a training, with the names that PEFT, TRL and Axolotl use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// What is trained.
    pub method: Method,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// How the learning rate moves after the warmup.
    pub lr_scheduler: LrScheduler,
    /// Steps over which the learning rate rises from 0. At most one of this and `warmup_ratio`.
    pub warmup_steps: Option<u64>,
    /// The same as a share of all steps, rounded up.
    pub warmup_ratio: Option<f64>,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm; 0 for no clipping.
    pub max_grad_norm: f64,
    /// AdamW's decay of the mean gradient.
    pub adam_beta1: f64,
    /// AdamW's decay of the mean squared gradient.
    pub adam_beta2: f64,
    /// AdamW's epsilon.
    pub adam_epsilon: f64,
    /// Rows of a micro-batch.
    pub per_device_batch_size: usize,
    /// Micro-batches of an optimiser step.
    pub gradient_accumulation_steps: usize,
    /// Passes over the data; 3 when neither this nor `max_steps` is given.
    pub epochs: Option<f64>,
    /// Optimiser steps; wins over `epochs`.
    pub max_steps: Option<u64>,
    /// Longest row in tokens; the model's context when absent.
    pub max_seq_length: Option<usize>,
    /// Put several rows into one sequence; attention does not cross them.
    pub packing: bool,
    /// Compute each layer again on the way back instead of keeping its activations.
    pub gradient_checkpointing: bool,
    /// Order of the rows.
    pub order: Order,
    /// Seed of initial values, order and dropout.
    pub seed: u64,
    /// Which tokens carry loss.
    pub train_on: TrainOn,
    /// Loss over the held-out rows every so many steps, and at the end.
    pub eval_steps: Option<u64>,
    /// How it is computed.
    pub compute: TrainingCompute,
    /// Round the frozen weights of the linear modules to this format. Only with LoRA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_quantization: Option<BaseQuantization>,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        Self {
            method: Method::Lora(LoraConfig::default()),
            learning_rate: 2e-4,
            lr_scheduler: LrScheduler::Linear,
            warmup_steps: None,
            warmup_ratio: None,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            per_device_batch_size: 8,
            gradient_accumulation_steps: 1,
            epochs: None,
            max_steps: None,
            max_seq_length: None,
            packing: false,
            gradient_checkpointing: false,
            order: Order::Shuffled,
            seed: 0,
            train_on: TrainOn::Responses,
            eval_steps: None,
            compute: TrainingCompute::default(),
            base_quantization: None,
        }
    }
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "a training has one of them")]
pub enum Method {
    /// Every weight.
    Full,
    /// A low-rank adapter beside frozen weights.
    Lora(LoraConfig),
}

/// Settings of a LoRA adapter (arXiv 2106.09685): `W x + scale * B(A(dropout(x)))`.
///
/// What was added later and is not asked for is not written, so that it changes no key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of the update.
    pub rank: usize,
    /// The update is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Probability that an input element of an adapter is dropped while training.
    pub dropout: f64,
    /// Which linear modules get an adapter.
    pub target_modules: TargetModules,
    /// Scale by `alpha / sqrt(rank)` instead (arXiv 2312.03732).
    pub rslora: bool,
    /// Learn the lengths of the updated weights' rows as well (DoRA, arXiv 2402.09353).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dora: bool,
    /// Other ranks by the name of a module, its end, or a pattern for both, as PEFT reads them: the first that fits counts.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub rank_pattern: IndexMap<String, usize>,
    /// Other alphas, likewise.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub alpha_pattern: IndexMap<String, f64>,
    /// Ends of the names of modules that are trained as a whole, beside the updates: `embed_tokens`, `lm_head`, `norm`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules_to_save: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 8.0,
            dropout: 0.0,
            target_modules: TargetModules::Named("all-linear".to_owned()),
            rslora: false,
            dora: false,
            rank_pattern: IndexMap::new(),
            alpha_pattern: IndexMap::new(),
            modules_to_save: Vec::new(),
        }
    }
}

/// Module names, or a word for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetModules {
    /// `all-linear`, or the pattern of an adapter that is trained on.
    Named(String),
    /// Names such as `q_proj`.
    List(Vec<String>),
}

/// How the learning rate moves after the warmup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// The order in which rows are seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// A new seeded permutation every epoch.
    #[default]
    Shuffled,
    /// As given, every epoch.
    Sequential,
}

/// Which tokens carry loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainOn {
    /// What the assistant says, with the token that ends its turn.
    #[default]
    Responses,
    /// Everything.
    All,
}

/// How a training is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingCompute {
    /// Type of the weights and activations.
    pub dtype: ComputeType,
}

/// Type in which a model is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputeType {
    /// f32 on a CPU, bf16 on a GPU.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit brain floats; not on a CPU.
    Bf16,
}

/// Formats to which the weights of a model's linear modules can be rounded, frozen ones while an adapter is trained beside them and all
/// while the native decoder answers: block formats of GGUF files. Embedding, head and normalisations are never rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseQuantization {
    /// 4.5 bits per weight, in blocks of 32 with one scale.
    #[serde(rename = "q4_0")]
    Q4_0,
    /// 4.5 bits per weight, in blocks of 256 with scales and offsets per 32: the better four bits.
    Q4k,
    /// 5.5 bits per weight, in blocks of 256.
    Q5k,
    /// 6.6 bits per weight, in blocks of 256.
    Q6k,
    /// 8.5 bits per weight, in blocks of 32 with one scale.
    #[serde(rename = "q8_0")]
    Q8_0,
}

impl BaseQuantization {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Q4_0, Self::Q4k, Self::Q5k, Self::Q6k, Self::Q8_0];

    /// The format of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.to_string() == name)
    }

    /// Weights of a block, neighbours in a row, and its bytes in the native decoder's memory, where a scale of six bits takes a byte.
    #[must_use]
    pub fn block(self) -> (u64, u64) {
        match self {
            Self::Q4_0 => (32, 18),
            Self::Q4k => (256, 148),
            Self::Q5k => (256, 180),
            Self::Q6k => (256, 210),
            Self::Q8_0 => (32, 34),
        }
    }
}

impl fmt::Display for BaseQuantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Q4_0 => "q4_0",
            Self::Q4k => "q4k",
            Self::Q5k => "q5k",
            Self::Q6k => "q6k",
            Self::Q8_0 => "q8_0",
        })
    }
}

/// Shape of a Llama-family decoder that is trained from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderShape {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads.
    pub num_key_value_heads: usize,
    /// Tokens of the vocabulary, at most: fewer when the data has no more pairs to merge.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
}

impl DecoderShape {
    /// Shapes of linear modules by name: of each width that a row has, one of the first layer.
    #[must_use]
    pub fn modules(&self) -> BTreeMap<String, Vec<u64>> {
        let (hidden, inner) = (self.hidden_size as u64, self.intermediate_size as u64);
        let module = |part: &str, row| (format!("model.layers.0.{part}.weight"), vec![hidden, row]);
        [
            module("self_attn.q_proj", hidden),
            module("mlp.down_proj", inner),
        ]
        .into()
    }

    /// Number of weights, of a vocabulary that comes out as large as asked.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let kv = hidden / self.num_attention_heads.max(1) * self.num_key_value_heads;
        let layer = 2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * inner + 2 * hidden;
        let heads = if self.tie_word_embeddings { 1 } else { 2 };
        (self.num_hidden_layers * layer + heads * self.vocab_size * hidden + hidden) as u64
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The form that keys were made of before there was a type for it.
    #[test]
    fn the_form_in_keys_stays() {
        let mut settings = TrainingSettings {
            lr_scheduler: LrScheduler::Cosine,
            warmup_ratio: Some(0.03),
            epochs: Some(3.0),
            seed: 7,
            ..TrainingSettings::default()
        };
        let lora = json!({
            "rank": 8, "alpha": 8.0, "dropout": 0.0, "target_modules": "all-linear", "rslora": false
        });
        let mut form = json!({
            "method": {"lora": lora}, "learning_rate": 2e-4, "lr_scheduler": "cosine", "warmup_steps": null,
            "warmup_ratio": 0.03, "weight_decay": 0.0, "max_grad_norm": 1.0, "adam_beta1": 0.9, "adam_beta2": 0.999,
            "adam_epsilon": 1e-8, "per_device_batch_size": 8, "gradient_accumulation_steps": 1, "epochs": 3.0,
            "max_steps": null, "max_seq_length": null, "packing": false, "gradient_checkpointing": false,
            "order": "shuffled", "seed": 7, "train_on": "responses", "eval_steps": null, "compute": {"dtype": "auto"}
        });
        assert_eq!(serde_json::to_value(&settings).unwrap(), form);
        settings.method = Method::Full;
        settings.base_quantization = Some(BaseQuantization::Q4_0);
        form["method"] = json!("full");
        form["base_quantization"] = json!("q4_0");
        assert_eq!(serde_json::to_value(&settings).unwrap(), form);
        assert_eq!(
            serde_json::from_value::<TrainingSettings>(form).unwrap(),
            settings
        );
    }

    #[test]
    fn llama_parameters_are_counted() {
        // Llama 3.1 8B: 8,030,261,248 parameters.
        let shape = DecoderShape {
            hidden_size: 4096,
            intermediate_size: 14336,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 8,
            vocab_size: 128_256,
            max_position_embeddings: 131_072,
            tie_word_embeddings: false,
            rope_theta: 500_000.0,
        };
        assert_eq!(shape.parameters(), 8_030_261_248);
    }
}
