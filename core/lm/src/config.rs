//! `config.json` of a model folder: which decoder it is, and nothing guessed.

mod normalise;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

pub use normalise::normalise_config_json;

/// The decoder families whose arithmetic this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// `LlamaForCausalLM`
    Llama,
    /// `MistralForCausalLM`
    Mistral,
    /// `Qwen2ForCausalLM`: biases on the query, key and value projections.
    Qwen2,
    /// `Qwen3ForCausalLM`: queries and keys are normalised per head.
    Qwen3,
}

impl Architecture {
    /// The class name in `architectures`.
    #[must_use]
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    fn from_class_name(name: &str) -> Option<Self> {
        [Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3]
            .into_iter()
            .find(|a| a.class_name() == name)
    }
}

/// `llama3` scaling of the rotary frequencies: long wavelengths are slowed by `factor`, short ones kept, with a ramp between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Llama3Rope {
    /// How much the lowest frequencies are slowed.
    pub factor: f64,
    /// Wavelengths above `original / low_freq_factor` are slowed fully.
    pub low_freq_factor: f64,
    /// Wavelengths below `original / high_freq_factor` are kept.
    pub high_freq_factor: f64,
    /// Context length before scaling.
    pub original_max_position_embeddings: usize,
}

/// The sizes and switches of a decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Attention sees this many tokens back, when less than the context. Sequences longer than it are refused.
    pub sliding_window: Option<usize>,
    /// Epsilon of the RMS normalisations.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Scaling of the rotary frequencies.
    pub rope_scaling: Option<Llama3Rope>,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
}

impl DecoderConfig {
    /// Reads `config.json` of a model folder, as written by transformers 4 or 5.
    ///
    /// # Errors
    /// When the file is missing or malformed, and [`Error::Unsupported`], by name, for everything that would compute
    /// something else than the model means: another architecture, rope type, activation, bias, or quantised weights.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| Error::file(&path, e))?;
        Self::from_json(&value).map_err(|e| match e {
            Error::Config(reason) => Error::file(&path, reason),
            Error::Unsupported(what) => {
                Error::Unsupported(format!("{what} (in `{}`)", path.display()))
            }
            other => other,
        })
    }

    /// Reads the content of a `config.json`.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub fn from_json(value: &Value) -> Result<Self> {
        let architecture = architecture_of(value)?;
        let fields = Fields(value);
        refuse_what_is_not_computed(architecture, fields)?;

        let hidden_size = fields.required("hidden_size")?;
        let num_attention_heads = fields.required("num_attention_heads")?;
        // The defaults are those of the family's configuration class, which transformers 4 leaves out of the file.
        let num_key_value_heads = match fields.size("num_key_value_heads")? {
            Some(heads) => heads,
            None => match architecture {
                Architecture::Llama => num_attention_heads,
                Architecture::Mistral => 8,
                Architecture::Qwen2 | Architecture::Qwen3 => 32,
            },
        };
        if num_key_value_heads == 0 || num_attention_heads % num_key_value_heads != 0 {
            return Err(Error::Config(format!(
                "`num_attention_heads` {num_attention_heads} is not a multiple of `num_key_value_heads` {num_key_value_heads}"
            )));
        }
        let head_dim = match fields.size("head_dim")? {
            Some(width) => width,
            None if architecture == Architecture::Qwen3 => 128,
            None => hidden_size / num_attention_heads,
        };
        let (rope_theta, rope_scaling) = rope(fields)?;
        let max_position_embeddings =
            fields
                .size("max_position_embeddings")?
                .unwrap_or(match architecture {
                    Architecture::Llama => 2048,
                    Architecture::Mistral => 131_072,
                    Architecture::Qwen2 | Architecture::Qwen3 => 32_768,
                });
        let sliding_window = match architecture {
            Architecture::Mistral if value.get("sliding_window").is_none() => Some(4096),
            Architecture::Mistral => fields.size("sliding_window")?,
            _ => None,
        }
        .filter(|&window| window < max_position_embeddings);
        Ok(Self {
            architecture,
            vocab_size: fields.required("vocab_size")?,
            hidden_size,
            intermediate_size: fields.required("intermediate_size")?,
            num_hidden_layers: fields.required("num_hidden_layers")?,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            max_position_embeddings,
            sliding_window,
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
            tie_word_embeddings: fields.flag("tie_word_embeddings"),
        })
    }

    /// The longest sequence that is computed exactly: the context, or the sliding window where that is shorter.
    #[must_use]
    pub fn longest_sequence(&self) -> usize {
        self.sliding_window
            .map_or(self.max_position_embeddings, |window| {
                window.min(self.max_position_embeddings)
            })
    }

    /// Whether the query, key and value projections add a bias.
    #[must_use]
    pub fn qkv_bias(&self) -> bool {
        self.architecture == Architecture::Qwen2
    }

    /// Whether queries and keys are normalised per head.
    #[must_use]
    pub fn qk_norm(&self) -> bool {
        self.architecture == Architecture::Qwen3
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
        Error::Unsupported(format!(
            "architecture `{name}`; hint: LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM work"
        ))
    })
}

fn refuse_what_is_not_computed(architecture: Architecture, fields: Fields<'_>) -> Result<()> {
    let refuse = |what: String| Err(Error::Unsupported(what));
    let activation = fields.0["hidden_act"].as_str().unwrap_or("silu");
    if activation != "silu" {
        return refuse(format!("activation `{activation}`"));
    }
    if !fields.is_null("quantization_config") {
        let method = fields.0["quantization_config"]["quant_method"]
            .as_str()
            .unwrap_or("unknown");
        return refuse(format!(
            "weights quantised by `{method}`; hint: use the unquantised model"
        ));
    }
    for bias in ["attention_bias", "mlp_bias"] {
        // Qwen2 has its biases by definition and knows no such switch.
        if architecture != Architecture::Qwen2 && fields.flag(bias) {
            return refuse(format!("`{bias}: true`"));
        }
    }
    if architecture != Architecture::Mistral && fields.flag("use_sliding_window") {
        return refuse("`use_sliding_window: true`".to_owned());
    }
    if let Some(layers) = fields.0["layer_types"].as_array()
        && let Some(kind) = layers.iter().find(|kind| *kind != "full_attention")
    {
        return refuse(format!("layer type {kind}"));
    }
    if let Some(part) = fields.number("partial_rotary_factor")?
        && part != 1.0
    {
        return refuse(format!("`partial_rotary_factor: {part}`"));
    }
    Ok(())
}

/// Base and scaling of the rotary frequencies, from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling`.
fn rope(fields: Fields<'_>) -> Result<(f64, Option<Llama3Rope>)> {
    let nested = ["rope_parameters", "rope_scaling"]
        .into_iter()
        .find(|key| !fields.is_null(key))
        .map(|key| Fields(&fields.0[key]));
    let theta = match nested {
        Some(nested) => nested.number("rope_theta")?,
        None => None,
    };
    let theta = match theta {
        Some(theta) => theta,
        None => fields.number("rope_theta")?.unwrap_or(10_000.0),
    };
    let Some(nested) = nested else {
        return Ok((theta, None));
    };
    let kind = ["rope_type", "type"]
        .into_iter()
        .find_map(|key| nested.0[key].as_str())
        .unwrap_or("default");
    let scaling = match kind {
        "default" => None,
        "llama3" => Some(Llama3Rope {
            factor: nested.required_number("factor")?,
            low_freq_factor: nested.required_number("low_freq_factor")?,
            high_freq_factor: nested.required_number("high_freq_factor")?,
            original_max_position_embeddings: nested
                .required("original_max_position_embeddings")?,
        }),
        other => {
            return Err(Error::Unsupported(format!(
                "rope type `{other}`; hint: `default` and `llama3` work"
            )));
        }
    };
    Ok((theta, scaling))
}

/// Typed access to the fields of a JSON object, where null means absent.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn is_null(self, key: &str) -> bool {
        self.0[key].is_null()
    }

    fn flag(self, key: &str) -> bool {
        self.0[key].as_bool().unwrap_or(false)
    }

    fn number(self, key: &str) -> Result<Option<f64>> {
        match &self.0[key] {
            Value::Null => Ok(None),
            value => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| Error::Config(format!("`{key}` is not a number"))),
        }
    }

    fn size(self, key: &str) -> Result<Option<usize>> {
        match &self.0[key] {
            Value::Null => Ok(None),
            value => match value.as_u64() {
                Some(size) if size > 0 => Ok(Some(size as usize)),
                _ => Err(Error::Config(format!("`{key}` is not a positive integer"))),
            },
        }
    }

    fn required(self, key: &str) -> Result<usize> {
        self.size(key)?
            .ok_or_else(|| Error::Config(format!("`{key}` is missing")))
    }

    fn required_number(self, key: &str) -> Result<f64> {
        self.number(key)?
            .ok_or_else(|| Error::Config(format!("`{key}` is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(architecture: &str, extra: Value) -> Value {
        let mut config = json!({
            "architectures": [architecture], "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        });
        for (key, value) in extra.as_object().unwrap() {
            config[key] = value.clone();
        }
        config
    }

    #[test]
    fn llama_3_scaling_reads_from_transformers_4_and_5() {
        let scaling = json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3"});
        let four = with(
            "LlamaForCausalLM",
            json!({"rope_theta": 5e5, "rope_scaling": scaling}),
        );
        let mut parameters = scaling.clone();
        parameters["rope_theta"] = json!(5e5);
        let five = with("LlamaForCausalLM", json!({"rope_parameters": parameters}));
        let four = DecoderConfig::from_json(&four).unwrap();
        assert_eq!(four, DecoderConfig::from_json(&five).unwrap());
        assert_eq!(four.rope_theta, 5e5);
        assert_eq!(four.rope_scaling.unwrap().factor, 8.0);
    }

    #[test]
    fn defaults_are_those_of_the_family() {
        let qwen3 = DecoderConfig::from_json(&with("Qwen3ForCausalLM", json!({}))).unwrap();
        assert_eq!((qwen3.head_dim, qwen3.qk_norm()), (128, true));
        let mistral = with(
            "MistralForCausalLM",
            json!({"max_position_embeddings": 32768}),
        );
        let mistral = DecoderConfig::from_json(&mistral).unwrap();
        assert_eq!(mistral.longest_sequence(), 4096);
        let open = with(
            "MistralForCausalLM",
            json!({"max_position_embeddings": 32768, "sliding_window": null}),
        );
        assert_eq!(
            DecoderConfig::from_json(&open).unwrap().longest_sequence(),
            32768
        );
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        for (architecture, extra, name) in [
            ("GemmaForCausalLM", json!({}), "GemmaForCausalLM"),
            ("LlamaForCausalLM", json!({"hidden_act": "gelu"}), "`gelu`"),
            (
                "LlamaForCausalLM",
                json!({"attention_bias": true}),
                "attention_bias",
            ),
            (
                "Qwen2ForCausalLM",
                json!({"use_sliding_window": true}),
                "use_sliding_window",
            ),
            (
                "LlamaForCausalLM",
                json!({"rope_scaling": {"type": "yarn", "factor": 2}}),
                "`yarn`",
            ),
            (
                "LlamaForCausalLM",
                json!({"quantization_config": {"quant_method": "gptq"}}),
                "`gptq`",
            ),
            (
                "Qwen3ForCausalLM",
                json!({"layer_types": ["full_attention", "sliding_attention"]}),
                "sliding_attention",
            ),
        ] {
            let error = DecoderConfig::from_json(&with(architecture, extra)).unwrap_err();
            assert!(matches!(error, Error::Unsupported(_)), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        let error = DecoderConfig::from_json(&with("LlamaForCausalLM", json!({"vocab_size": -3})))
            .unwrap_err();
        assert!(error.to_string().contains("`vocab_size`"), "{error}");
    }
}
