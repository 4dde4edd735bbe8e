//! `config.json` of a model folder: which decoder it is, and nothing guessed.

mod families;
mod fields;
mod rope;

use std::path::Path;

use driftgauge_folder::Refusal;
use driftgauge_folder::class::check_type;
use serde_json::Value;

use crate::error::{Error, Result};
use fields::Fields;

pub use rope::{Rope, RopeScaling};

/// The decoder families whose arithmetic this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `LlamaForCausalLM`
    Llama,
    /// `MistralForCausalLM`: a sliding window.
    Mistral,
    /// `MixtralForCausalLM`: Mistral with experts.
    Mixtral,
    /// `Qwen2ForCausalLM`: biases on the query, key and value projections.
    Qwen2,
    /// `Qwen3ForCausalLM`: queries and keys are normalised per head.
    Qwen3,
    /// `Qwen3MoeForCausalLM`: Qwen 3 with experts.
    Qwen3Moe,
    /// `GemmaForCausalLM`: scaled embeddings, and factors of the normalisations around 1.
    Gemma,
    /// `Gemma2ForCausalLM`: capped logits, every second layer with a window.
    Gemma2,
    /// `Gemma3ForCausalLM`: two rotations.
    Gemma3,
    /// `Phi3ForCausalLM`: fused projections.
    Phi3,
    /// `SmolLM3ForCausalLM`: layers without positions.
    SmolLm3,
    /// `GlmForCausalLM`: neighbours are rotated against each other, in half of each head.
    Glm,
    /// `Glm4ForCausalLM`: GLM with normalisations behind attention and MLP too.
    Glm4,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Llama,
        Self::Mistral,
        Self::Mixtral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Qwen3Moe,
        Self::Gemma,
        Self::Gemma2,
        Self::Gemma3,
        Self::Phi3,
        Self::SmolLm3,
        Self::Glm,
        Self::Glm4,
    ];

    /// The class name in `architectures`.
    #[must_use]
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Mixtral => "MixtralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Qwen3Moe => "Qwen3MoeForCausalLM",
            Self::Gemma => "GemmaForCausalLM",
            Self::Gemma2 => "Gemma2ForCausalLM",
            Self::Gemma3 => "Gemma3ForCausalLM",
            Self::Phi3 => "Phi3ForCausalLM",
            Self::SmolLm3 => "SmolLM3ForCausalLM",
            Self::Glm => "GlmForCausalLM",
            Self::Glm4 => "Glm4ForCausalLM",
        }
    }

    fn from_class_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.class_name() == name)
    }
}

/// Function inside an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + e^-x)`
    Silu,
    /// GELU with its hyperbolic tangent approximation.
    GeluTanh,
}

/// How the attention of every layer is built.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionConfig {
    /// Query, key and value projections are one matrix.
    pub fused: bool,
    /// Query, key and value projections add a bias.
    pub biases: bool,
    /// The output projection adds one.
    pub output_bias: bool,
    /// Queries and keys are normalised per head.
    pub qk_norm: bool,
    /// Scores are multiplied by it.
    pub scale: f64,
    /// Scores are squeezed to `cap * tanh(x / cap)`.
    pub softcap: Option<f64>,
}

/// How the MLP of every layer is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mlp {
    /// Gate and up projections are one matrix.
    pub fused: bool,
    /// The projections add biases.
    pub bias: bool,
    /// Function of the gate.
    pub activation: Activation,
}

/// Experts in place of one MLP: each token goes through those that a router scores highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many a token goes through.
    pub per_token: usize,
    /// Width inside each.
    pub width: usize,
    /// The weights of the chosen ones are made to add up to 1.
    pub normalised: bool,
}

/// Where a layer normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norms {
    /// Before attention and before the MLP.
    Before,
    /// Before and behind both, by Gemma's names.
    AroundBothAsGemma,
    /// Before and behind both, by GLM's names.
    AroundBothAsGlm,
}

/// What differs from layer to layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerConfig {
    /// A position sees so many tokens, itself among them; all of the past when absent.
    pub window: Option<usize>,
    /// Which of the rotations it has, if one.
    pub rope: Option<usize>,
    /// Whether it has experts.
    pub experts: bool,
}

/// The sizes and switches of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Family.
    pub architecture: Architecture,
    /// Rows of the embedding table.
    pub vocab_size: usize,
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
    /// Width of a head.
    pub head_dim: usize,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Epsilon of the RMS normalisations.
    pub rms_norm_eps: f64,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Attention.
    pub attention: AttentionConfig,
    /// MLP.
    pub mlp: Mlp,
    /// Experts of the layers that have some.
    pub experts: Option<Experts>,
    /// Normalisations.
    pub norms: Norms,
    /// A normalisation's factor is its weight plus 1.
    pub norm_offset: bool,
    /// Embeddings are multiplied by it.
    pub embedding_scale: Option<f64>,
    /// Logits are squeezed to `cap * tanh(x / cap)`.
    pub logit_softcap: Option<f64>,
    /// One for each layer.
    pub layers: Vec<LayerConfig>,
    /// The rotations that layers refer to.
    pub ropes: Vec<Rope>,
    /// A key of the file that asks for dropout in trainings, with its value.
    pub dropout: Option<String>,
}

/// Says in which file a config is wrong.
pub(crate) fn in_file(error: Error, path: &Path) -> Error {
    match error {
        Error::Config(reason) => Error::file(path, reason),
        Error::Unsupported(what) => Error::Unsupported(format!("{what} (in `{}`)", path.display())),
        Error::Advised { error, help } => in_file(*error, path).hint(help),
        other => other,
    }
}

impl DecoderConfig {
    /// Reads `config.json` of a model folder, as written by transformers 4 or 5.
    ///
    /// # Errors
    /// When the file is missing or malformed, and [`Error::Unsupported`], by name, for everything that would compute
    /// something else than the model means: another architecture, rope type, activation, quantised weights, and any key that
    /// is not known to be read or to change nothing.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| Error::file(&path, e))?;
        Self::from_json(&value).map_err(|error| in_file(error, &path))
    }

    /// Reads the content of a `config.json`.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub fn from_json(value: &Value) -> Result<Self> {
        let architecture = architecture_of(value)?;
        check_type(value, architecture.class_name()).map_err(|Refusal { reason, help }| {
            Error::Config(reason).hint(help.unwrap_or_default())
        })?;
        let fields = Fields::new(value, "")?;
        if let Some(quantised) = fields.get("quantization_config") {
            let method = quantised["quant_method"].as_str().unwrap_or("unknown");
            return Err(
                Error::Unsupported(format!("weights quantised by `{method}`"))
                    .hint("use the unquantised model"),
            );
        }
        let config = families::read(architecture, &fields)?;
        fields.all_read(architecture.class_name())?;
        Ok(config)
    }

    /// Whether a `config.json` is of an architecture that this crate computes, whatever else it says.
    #[must_use]
    pub fn knows(value: &Value) -> bool {
        architecture_of(value).is_ok()
    }

    /// Says why a model that is scored cannot be trained.
    ///
    /// # Errors
    /// [`Error::Unsupported`], by name.
    pub fn check_trainable(&self) -> Result<()> {
        if self.experts.is_some() {
            return Err(Error::Unsupported(format!(
                "`{}` is scored but not trained: its experts have no gradients here",
                self.architecture.class_name()
            ))
            .hint("train it elsewhere and merge the adapter"));
        }
        match &self.dropout {
            Some(dropout) => Err(
                Error::Unsupported(format!("`{dropout}` is not trained with"))
                    .hint("set it to 0 where the training may do without"),
            ),
            None => Ok(()),
        }
    }

    /// The longest sequence of which every beginning is computed as if it were all: an answer may be written up to here.
    #[must_use]
    pub fn fixed_length(&self) -> usize {
        let fixed = self.ropes.iter().filter_map(|rope| match rope.scaling {
            RopeScaling::Dynamic { original, .. } | RopeScaling::Long { original, .. } => {
                Some(original)
            }
            _ => None,
        });
        fixed.fold(self.max_position_embeddings, usize::min)
    }

    /// The longest sequence that is computed.
    #[must_use]
    pub fn longest_sequence(&self) -> usize {
        let stretched = self.ropes.iter().filter_map(|rope| match rope.scaling {
            RopeScaling::Dynamic { factor, original } => Some((original as f64 * factor) as usize),
            _ => None,
        });
        stretched.fold(self.max_position_embeddings, usize::max)
    }
}

fn architecture_of(value: &Value) -> Result<Architecture> {
    let named = match value.get("architectures") {
        Some(Value::Array(names)) if names.len() == 1 => names[0].as_str(),
        _ => None,
    };
    let Some(name) = named else {
        return Err(Error::Config(
            "`architectures` has to name exactly one architecture".to_owned(),
        ));
    };
    Architecture::from_class_name(name).ok_or_else(|| {
        let known = Architecture::ALL.map(Architecture::class_name).join(", ");
        Error::Unsupported(format!("architecture `{name}`")).hint(format!("{known} work"))
    })
}

#[cfg(test)]
mod tests;
