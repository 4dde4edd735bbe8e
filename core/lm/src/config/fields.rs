//! Reading a JSON object so that nothing in it goes unnoticed.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Keys of a `config.json` that change nothing of what a forward pass computes: what the model is called and how it was made,
/// how it is loaded and asked, and settings of trainings and of generation, which a spec has of its own.
const INERT: [&str; 115] = [
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_commit_hash",
    "_flash_attn_2_enabled",
    "_from_model_config",
    "_model_name_or_path",
    "_name_or_path",
    "add_cross_attention",
    "architectures",
    "attention_dropout",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "base_model",
    "begin_suppress_tokens",
    "bos_token",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "eos_token",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "ffn_dropout",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "full_attn_mod",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "id2label",
    "initializer_range",
    "interpolate_factor",
    "is_decoder",
    "is_encoder_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "license",
    "logits_to_keep",
    "max_length",
    "max_seq_len",
    "max_seq_length",
    "max_sequence_length",
    "min_length",
    "mlp_dropout",
    "model_max_length",
    "model_name",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_logits_to_keep",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "pad_token",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "pruned_heads",
    "quantization_config_file",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "sep_token_id",
    "seq_length",
    "summary_type",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "tokenizer_model_max_length",
    "tokenizer_name",
    "tokenizer_padding_side",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "trl_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_template",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
    "use_unsloth",
    "user_agent",
    "vocab_file",
];

/// Switches of other families, which say nothing where they are off.
const OFF: [&str; 11] = [
    "attention_bias",
    "lm_head_bias",
    "mlp_bias",
    "qk_layernorm",
    "rope_interleaved",
    "use_bias",
    "use_bidirectional_attention",
    "use_mrope",
    "use_parallel_residual",
    "use_qk_norm",
    "use_sliding_window",
];

/// A JSON object whose keys are counted as they are read; null is read as absent. What nobody has read in the end and is not
/// inert would change the model without anybody's notice: see [`Fields::all_read`].
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    read: RefCell<BTreeSet<&'a str>>,
    /// Where it stands, for messages: empty for the file itself.
    place: String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, place: &str) -> Result<Self> {
        let object = value.as_object().ok_or_else(|| match place {
            "" => Error::Config("is no JSON object".to_owned()),
            place => Error::Config(format!("`{place}` is no object")),
        })?;
        Ok(Self {
            object,
            read: RefCell::default(),
            place: place.to_owned(),
        })
    }

    /// The value of a key, which counts as read.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        let (key, value) = self.object.get_key_value(key)?;
        self.read.borrow_mut().insert(key.as_str());
        Some(value).filter(|value| !value.is_null())
    }

    /// Whether the key stands there, be it with null.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.object.contains_key(key)
    }

    /// The name of a key in messages.
    pub(super) fn name(&self, key: &str) -> String {
        match self.place.as_str() {
            "" => key.to_owned(),
            place => format!("{place}.{key}"),
        }
    }

    fn wrong<T>(&self, key: &str, wanted: &str) -> Result<T> {
        let name = self.name(key);
        Err(Error::Config(format!("`{name}` is not {wanted}")))
    }

    fn missing(&self, key: &str) -> Error {
        Error::Config(format!("`{}` is missing", self.name(key)))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => self.wrong(key, "a text"),
        }
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => self.wrong(key, "true or false"),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => self.wrong(key, "a number"),
            },
        }
    }

    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let numbers = value
            .as_array()
            .map(|items| items.iter().map(Value::as_f64));
        match numbers.and_then(Iterator::collect) {
            Some(numbers) => Ok(Some(numbers)),
            None => self.wrong(key, "a list of numbers"),
        }
    }

    /// A whole number; written as `3` or `3.0`.
    pub(super) fn whole(&self, key: &str) -> Result<Option<usize>> {
        match self.number(key)? {
            None => Ok(None),
            Some(n) if n >= 0.0 && n.fract() == 0.0 && n < 1e15 => Ok(Some(n as usize)),
            Some(_) => self.wrong(key, "a whole number"),
        }
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<usize>> {
        match self.whole(key) {
            Ok(Some(0)) | Err(_) => self.wrong(key, "a positive integer"),
            other => other,
        }
    }

    pub(super) fn required(&self, key: &str) -> Result<usize> {
        self.size(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn required_number(&self, key: &str) -> Result<f64> {
        self.number(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn required_numbers(&self, key: &str) -> Result<Vec<f64>> {
        self.numbers(key)?.ok_or_else(|| self.missing(key))
    }

    /// Refuses by name every key that nobody has read, unless it is null or inert.
    pub(super) fn all_read(&self, who: &str) -> Result<()> {
        let read = self.read.borrow();
        let harmless = |key: &str, value: &Value| {
            let inert = INERT.contains(&key) || (value == false && OFF.contains(&key));
            value.is_null() || (self.place.is_empty() && inert)
        };
        let unread = self
            .object
            .iter()
            .find(|(key, value)| !read.contains(key.as_str()) && !harmless(key, value));
        match unread {
            None => Ok(()),
            Some((key, value)) => Err(Error::Unsupported(format!(
                "`{}: {}` is nothing that `{who}` is known to have",
                self.name(key),
                short(value)
            ))
            .hint(
                "if it changes nothing of what the model computes, \
                 take it out of the file",
            )),
        }
    }
}

/// A value in a message.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
