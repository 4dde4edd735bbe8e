//! Training a small Llama from nothing.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::{DType, Device, Tensor};
use serde::Serialize;
use serde_json::{Value, json};

use super::checkpoint::{Checkpoints, Identity};
use super::config::TrainConfig;
use super::data::{Prepared, TrainData};
use super::encode::Encoder;
use super::ends::ends;
use super::event::{TrainEvent, TrainSummary};
use super::finetune::{announce, max_length, settings_digest};
use super::run::Run;
use crate::chat::ChatTemplate;
use crate::config::{Architecture, DecoderConfig};
use crate::error::{Error, Result};
use crate::files;
use crate::folder;
use crate::model::{Decoder, Precision};
use crate::random::Stream;
use crate::ranges;
use crate::tokenize::{Tokenizer, train_byte_level_bpe};
use driftgauge_engine::training::{DecoderShape, Method, TrainingSettings};

const BOS: &str = "<|begin_of_text|>";
const PAD: &str = "<|end_of_text|>";
const EOS: &str = "<|eot_id|>";
const EOS_ID: u32 = 2;
/// Special tokens in the order of their ids, named as Llama 3 names them.
const SPECIAL_TOKENS: [&str; 5] = [BOS, PAD, EOS, "<|start_header_id|>", "<|end_header_id|>"];

/// Llama 3's turns, without its date and tools.
pub(crate) const CHAT_TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}\
    <|end_header_id|>\n\n{{ message['content'] | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}\
    <|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";

/// A Llama to be trained from nothing: its sizes, and how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PretrainConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads.
    pub num_key_value_heads: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Tokens of the vocabulary, at most: fewer when the data has no more pairs to merge.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Jinja source; Llama 3's turns when absent.
    pub chat_template: Option<String>,
    /// How it is trained; the method has to be `full`.
    pub train: TrainConfig,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            hidden_size: 128,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            intermediate_size: 384,
            vocab_size: 768,
            max_position_embeddings: 512,
            tie_word_embeddings: true,
            initializer_range: 0.02,
            rope_theta: 10_000.0,
            chat_template: None,
            train: TrainConfig::from(TrainingSettings {
                method: Method::Full,
                learning_rate: 1e-3,
                ..TrainingSettings::default()
            }),
        }
    }
}

impl PretrainConfig {
    /// A model of this shape, trained like this.
    #[must_use]
    pub fn new(shape: &DecoderShape, train: TrainConfig, chat_template: Option<String>) -> Self {
        let DecoderShape {
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            vocab_size,
            max_position_embeddings,
            tie_word_embeddings,
            rope_theta,
        } = *shape;
        Self {
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            intermediate_size,
            vocab_size,
            max_position_embeddings,
            tie_word_embeddings,
            rope_theta,
            chat_template,
            train,
            ..Self::default()
        }
    }
}

/// Trains a tokenizer and a Llama from nothing on `data`, and writes an ordinary model folder to `out_dir`: `config.json`,
/// `tokenizer.json`, `tokenizer_config.json`, `generation_config.json`, `model.safetensors`, and the two logs.
///
/// Resuming and stopping work as for [`super::finetune()`].
///
/// # Errors
/// As [`super::finetune()`].
pub fn pretrain(
    config: &PretrainConfig,
    data: &TrainData,
    out_dir: &Path,
    on_event: &mut dyn FnMut(TrainEvent),
    cancel: &AtomicBool,
) -> Result<TrainSummary> {
    config.train.validate()?;
    config.validate()?;
    let (device, dtype) = config.train.compute().resolve()?;
    let tokenizer_json = learn_tokenizer(config, data)?;
    let tokenizer = Tokenizer::from_bytes(tokenizer_json.as_bytes())?;
    let tokenizer_config = config.tokenizer_config();
    let source = config.chat_template.as_deref().unwrap_or(CHAT_TEMPLATE);
    let model_json = config.model_json(tokenizer.vocab_size());
    let model = DecoderConfig::from_json(&model_json)?;
    let encoder = Encoder {
        template: &ChatTemplate::new(source, special_tokens())?,
        tokenizer: &tokenizer,
        train_on: config.train.settings.train_on,
        max_length: max_length(&model, &config.train)?,
    };
    let prepared = Prepared::new(data, &encoder, &config.train)?;
    let identity = Identity {
        settings: settings_digest(&config.train)?,
        base: blake3::hash(format!("{model_json}{tokenizer_config}{tokenizer_json}").as_bytes())
            .to_hex()
            .to_string(),
        data: prepared.digest(),
    };
    let precision = Precision {
        trainable: true,
        ..Precision::frozen(dtype)
    };
    let (decoder, parameters) = Decoder::build(&model, &device, precision, &mut |name, shape| {
        config.initial_weight(name, shape)
    })?;
    std::fs::create_dir_all(out_dir).map_err(Error::io("create", out_dir))?;
    let run = Run {
        decoder,
        parameters,
        data: &prepared,
        config: &config.train,
        checkpoints: Checkpoints::new(out_dir, identity),
        out_dir,
        write: None,
    };
    let ends = ends(
        config.train.settings.train_on,
        &prepared.closers(),
        &[EOS_ID],
        &tokenizer,
    );
    announce(&run, &tokenizer, &device, ends.note, on_event)?;
    let summary = run.train(on_event, cancel)?;

    files::write_bytes(&out_dir.join("tokenizer.json"), tokenizer_json.as_bytes())?;
    folder::write_json(&out_dir.join("tokenizer_config.json"), &tokenizer_config)?;
    folder::write_json(&out_dir.join("config.json"), &model_json)?;
    folder::write_json(
        &out_dir.join("generation_config.json"),
        &json!({"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": EOS_ID, "do_sample": false}),
    )?;
    if !ends.learnt.is_empty() {
        folder::add_ends(out_dir, &ends.learnt)?;
    }
    folder::write_weights(out_dir, &run.parameters, DType::F32)?;
    run.checkpoints.clear()?;
    Ok(summary)
}

impl PretrainConfig {
    fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::Config(reason));
        if self.train.settings.method != Method::Full {
            return refuse("pretraining trains every weight: `method` has to be `full`".to_owned());
        }
        let Self {
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            intermediate_size,
            vocab_size,
            max_position_embeddings,
            initializer_range,
            rope_theta,
            tie_word_embeddings: _,
            chat_template: _,
            train: _,
        } = self;
        let numbers = [
            ("hidden_size", *hidden_size as f64),
            ("num_hidden_layers", *num_hidden_layers as f64),
            ("num_attention_heads", *num_attention_heads as f64),
            ("num_key_value_heads", *num_key_value_heads as f64),
            ("intermediate_size", *intermediate_size as f64),
            ("vocab_size", *vocab_size as f64),
            ("max_position_embeddings", *max_position_embeddings as f64),
            ("rope_theta", *rope_theta),
        ];
        ranges::hold(ranges::ARCHITECTURE, &numbers)?;
        ranges::hold(
            ranges::INITIAL_WEIGHTS,
            &[("initializer_range", *initializer_range)],
        )?;
        if !self
            .hidden_size
            .is_multiple_of(2 * self.num_attention_heads)
        {
            return refuse(format!(
                "`hidden_size` {} has to be a multiple of twice `num_attention_heads` {}: heads have an even width",
                self.hidden_size, self.num_attention_heads
            ));
        }
        Ok(())
    }

    /// `config.json`, as transformers and mistral.rs read it.
    fn model_json(&self, vocab_size: usize) -> Value {
        json!({
            "architectures": [Architecture::Llama.class_name()],
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": 0,
            "eos_token_id": EOS_ID,
            "head_dim": self.hidden_size / self.num_attention_heads,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "mlp_bias": false,
            "model_type": "llama",
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "pad_token_id": 1,
            "rms_norm_eps": 1e-5,
            "rope_scaling": null,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": "float32",
            "use_cache": true,
            "vocab_size": vocab_size,
        })
    }

    fn tokenizer_config(&self) -> Value {
        json!({
            "bos_token": BOS,
            "chat_template": self.chat_template.as_deref().unwrap_or(CHAT_TEMPLATE),
            "clean_up_tokenization_spaces": false,
            "eos_token": EOS,
            "model_max_length": self.max_position_embeddings,
            "pad_token": PAD,
            "tokenizer_class": "PreTrainedTokenizerFast",
        })
    }

    /// Normal matrices, ones for the normalisations, as transformers initialises a Llama.
    fn initial_weight(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if name.ends_with("norm.weight") {
            return Ok(Tensor::ones(shape, DType::F32, &Device::Cpu)?);
        }
        let mut stream = Stream::new(self.train.settings.seed, name, &[]);
        let std = self.initializer_range as f32;
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| stream.normal() * std)
            .collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

/// The special tokens by the names that chat templates use.
pub(crate) fn special_tokens() -> Vec<(String, String)> {
    [("bos_token", BOS), ("eos_token", EOS), ("pad_token", PAD)]
        .map(|(name, token)| (name.to_owned(), token.to_owned()))
        .into()
}

/// A byte-level BPE over everything that is said in the training rows.
fn learn_tokenizer(config: &PretrainConfig, data: &TrainData) -> Result<String> {
    let texts = data
        .examples
        .iter()
        .flat_map(|example| &example.messages)
        .flat_map(|message| [message.role.as_str(), message.content.as_str()]);
    tokenizer_of(texts, config.vocab_size)
}

/// The tokenizer that a model learns from texts: roles and contents of its training rows, in their order.
pub(crate) fn tokenizer_of<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    vocab_size: usize,
) -> Result<String> {
    train_byte_level_bpe(texts, vocab_size, &SPECIAL_TOKENS)
}
