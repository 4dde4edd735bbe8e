//! GGUF files made of the golden models, for the tests.

use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file;
pub use candle_core::quantized::gguf_file::Value as Number;
use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use serde_json::Value as Json;

/// The name that llama.cpp gives a tensor of a Qwen2 model.
fn gguf_name(name: &str) -> String {
    let plain = name.strip_prefix("model.").unwrap_or(name);
    match plain {
        "embed_tokens.weight" => return "token_embd.weight".to_owned(),
        "norm.weight" => return "output_norm.weight".to_owned(),
        "lm_head.weight" => return "output.weight".to_owned(),
        _ => {}
    }
    let mut name = plain.replace("layers.", "blk.");
    for (ours, theirs) in [
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("post_attention_layernorm", "ffn_norm"),
        ("input_layernorm", "attn_norm"),
    ] {
        name = name.replace(ours, theirs);
    }
    name
}

fn json(path: &Path) -> Json {
    let text = std::fs::read(path).expect("a file");
    serde_json::from_slice(&text).expect("JSON")
}

fn text(value: &Json) -> Value {
    Value::String(value.as_str().expect("a text").to_owned())
}

/// What a converter writes of the model's shape.
fn shape(config: &Json) -> Vec<(&'static str, Value)> {
    let number = |key: &str| Value::U32(config[key].as_u64().expect(key) as u32);
    let real = |key: &str| Value::F32(config[key].as_f64().expect(key) as f32);
    vec![
        ("general.architecture", Value::String("qwen2".to_owned())),
        ("qwen2.block_count", number("num_hidden_layers")),
        ("qwen2.context_length", number("max_position_embeddings")),
        ("qwen2.embedding_length", number("hidden_size")),
        ("qwen2.feed_forward_length", number("intermediate_size")),
        ("qwen2.attention.head_count", number("num_attention_heads")),
        (
            "qwen2.attention.head_count_kv",
            number("num_key_value_heads"),
        ),
        (
            "qwen2.attention.layer_norm_rms_epsilon",
            real("rms_norm_eps"),
        ),
        ("qwen2.rope.freq_base", real("rope_theta")),
        ("tokenizer.ggml.eos_token_id", number("eos_token_id")),
    ]
}

/// What a converter writes of a byte-level BPE tokenizer and its chat template.
fn tokenizer(folder: &Path) -> Vec<(&'static str, Value)> {
    let tokenizer = json(&folder.join("tokenizer.json"));
    let config = json(&folder.join("tokenizer_config.json"));
    let mut tokens: Vec<(u64, &str, bool)> = Vec::new();
    for (token, id) in tokenizer["model"]["vocab"]
        .as_object()
        .expect("a vocabulary")
    {
        tokens.push((id.as_u64().expect("an id"), token, false));
    }
    for added in tokenizer["added_tokens"].as_array().expect("a list") {
        let id = added["id"].as_u64().expect("an id");
        tokens.retain(|token| token.0 != id);
        tokens.push((id, added["content"].as_str().expect("a token"), true));
    }
    tokens.sort_unstable();
    let bos = tokens.iter().find(|token| config["bos_token"] == token.1);
    let bos = bos.expect("the BOS token").0 as u32;
    let merges = tokenizer["model"]["merges"]
        .as_array()
        .expect("merges")
        .iter();
    let merges = merges.map(|pair| {
        let word = |i: usize| pair[i].as_str().expect("a pair");
        Value::String(format!("{} {}", word(0), word(1)))
    });
    let spellings = tokens.iter().map(|token| Value::String(token.1.to_owned()));
    // 1 is a normal token, 3 a control token.
    let types = tokens
        .iter()
        .map(|token| Value::I32(if token.2 { 3 } else { 1 }));
    vec![
        ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
        ("tokenizer.ggml.pre", Value::String("gpt-2".to_owned())),
        ("tokenizer.ggml.tokens", Value::Array(spellings.collect())),
        ("tokenizer.ggml.token_type", Value::Array(types.collect())),
        ("tokenizer.ggml.merges", Value::Array(merges.collect())),
        ("tokenizer.ggml.bos_token_id", Value::U32(bos)),
        ("tokenizer.chat_template", text(&config["chat_template"])),
    ]
}

/// Writes a Qwen2 folder as one GGUF file in f32, with its tokenizer inside or without one.
///
/// # Panics
/// When the folder is no such model or the file cannot be written.
pub fn write_qwen2(folder: &Path, to: &Path, with_tokenizer: bool) {
    write_edited(folder, to, with_tokenizer, |_, _| {});
}

/// Keys with their values.
pub type Metadata = std::collections::BTreeMap<String, Value>;
/// Tensors by name.
pub type Tensors = std::collections::BTreeMap<String, QTensor>;

/// As [`write_qwen2`], with other keys and tensors.
///
/// # Panics
/// As [`write_qwen2`].
pub fn write_edited(
    folder: &Path,
    to: &Path,
    with_tokenizer: bool,
    edit: impl FnOnce(&mut Metadata, &mut Tensors),
) {
    let mut metadata: Metadata = shape(&json(&folder.join("config.json")))
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    if with_tokenizer {
        let words = tokenizer(folder);
        metadata.extend(
            words
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value)),
        );
    }
    let weights = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu);
    let mut tensors: Tensors = weights
        .expect("weights")
        .iter()
        .map(|(name, tensor): (&String, &Tensor)| {
            let stored = QTensor::quantize(tensor, GgmlDType::F32).expect("a tensor");
            (gguf_name(name), stored)
        })
        .collect();
    edit(&mut metadata, &mut tensors);
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut file = File::create(to).expect("a file");
    gguf_file::write(&mut file, &metadata, &tensors).expect("a GGUF file");
}

/// A tensor of f32 numbers.
///
/// # Panics
/// When there is no memory for it.
#[must_use]
pub fn tensor(numbers: &[f32]) -> QTensor {
    let tensor = Tensor::from_slice(numbers, numbers.len(), &Device::Cpu).expect("a tensor");
    QTensor::quantize(&tensor, GgmlDType::F32).expect("a tensor")
}
