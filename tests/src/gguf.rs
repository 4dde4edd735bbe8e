//! GGUF files made of the golden models, for the tests.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file;
pub use candle_core::quantized::gguf_file::Value as Number;
use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use serde_json::Value as Json;

/// The name that llama.cpp gives a tensor.
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
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
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

/// The architecture of a file, by the class that a folder names.
fn architecture(config: &Json) -> &'static str {
    match config["architectures"][0].as_str() {
        Some("LlamaForCausalLM") => "llama",
        Some("Qwen2ForCausalLM") => "qwen2",
        Some("Qwen3ForCausalLM") => "qwen3",
        other => panic!("no GGUF file is made of {other:?}"),
    }
}

/// What a converter writes of the model's shape.
fn shape(config: &Json) -> Metadata {
    let architecture = architecture(config);
    let number = |key: &str| Value::U32(config[key].as_u64().expect(key) as u32);
    let real = |key: &str| {
        let value = config[key].as_f64();
        let value = value.or_else(|| config["rope_parameters"][key].as_f64());
        Value::F32(value.expect(key) as f32)
    };
    let mut keys = vec![
        ("block_count", number("num_hidden_layers")),
        ("context_length", number("max_position_embeddings")),
        ("embedding_length", number("hidden_size")),
        ("feed_forward_length", number("intermediate_size")),
        ("attention.head_count", number("num_attention_heads")),
        ("attention.head_count_kv", number("num_key_value_heads")),
        ("attention.layer_norm_rms_epsilon", real("rms_norm_eps")),
        ("rope.freq_base", real("rope_theta")),
    ];
    match architecture {
        "llama" => keys.push(("rope.dimension_count", number("head_dim"))),
        "qwen3" => {
            keys.push(("attention.key_length", number("head_dim")));
            keys.push(("attention.value_length", number("head_dim")));
        }
        _ => {}
    }
    let named = keys
        .into_iter()
        .map(|(key, value)| (format!("{architecture}.{key}"), value));
    let mut keys: Metadata = named.collect();
    let name = Value::String(architecture.to_owned());
    keys.insert("general.architecture".to_owned(), name);
    if config["eos_token_id"].is_u64() {
        let key = "tokenizer.ggml.eos_token_id".to_owned();
        keys.insert(key, number("eos_token_id"));
    }
    keys
}

/// The rows of a projection as llama.cpp wants them of a Llama: it rotates neighbours against each other.
fn in_pairs(tensor: &Tensor, heads: usize) -> Tensor {
    let (rows, inputs) = tensor.dims2().expect("a matrix");
    let half = rows / heads / 2;
    let of_heads = tensor.reshape((heads, 2, half, inputs)).expect("heads");
    let turned = of_heads.transpose(1, 2).expect("halves");
    turned
        .contiguous()
        .and_then(|tensor| tensor.reshape((rows, inputs)))
        .expect("rows")
}

/// Divisors of the rotary frequencies of a Llama 3.1.
fn rope_freqs(config: &Json) -> Option<QTensor> {
    let scaling = ["rope_scaling", "rope_parameters"].map(|key| &config[key]);
    let scaling = scaling
        .into_iter()
        .find(|value| value["rope_type"] == "llama3")?;
    let number = |key: &str| scaling[key].as_f64().expect(key);
    let theta = config["rope_theta"]
        .as_f64()
        .or(scaling["rope_theta"].as_f64())
        .expect("a base");
    let width = config["head_dim"].as_u64().expect("a width");
    let (low, high, factor) = (
        number("low_freq_factor"),
        number("high_freq_factor"),
        number("factor"),
    );
    let original = number("original_max_position_embeddings");
    let divisors = (0..width / 2).map(|i| {
        let wavelength = std::f64::consts::TAU * theta.powf(2.0 * i as f64 / width as f64);
        let turns = original / wavelength;
        if turns > high {
            1.0
        } else if turns < low {
            factor as f32
        } else {
            let smooth = (turns - low) / (high - low);
            (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
        }
    });
    Some(tensor(&divisors.collect::<Vec<f32>>()))
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

/// As [`write_qwen2`], with other keys and tensors, of a folder of any family that GGUF files are made of here.
///
/// # Panics
/// As [`write_qwen2`].
pub fn write_edited(
    folder: &Path,
    to: &Path,
    with_tokenizer: bool,
    edit: impl FnOnce(&mut Metadata, &mut Tensors),
) {
    let words = match with_tokenizer {
        true => tokenizer(folder),
        false => Vec::new(),
    };
    let mut weights = HashMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|end| end == "safetensors") {
            weights.extend(candle_core::safetensors::load(path, &Device::Cpu).expect("weights"));
        }
    }
    let config = json(&folder.join("config.json"));
    write_model(&config, &weights, to, |keys, tensors| {
        keys.extend(
            words
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value)),
        );
        edit(keys, tensors);
    });
}

/// Writes weights by the names of a model folder as one GGUF file in f32, with other keys and tensors.
///
/// # Panics
/// When it is no such model or the file cannot be written.
pub fn write_model(
    config: &Json,
    weights: &HashMap<String, Tensor>,
    to: &Path,
    edit: impl FnOnce(&mut Metadata, &mut Tensors),
) {
    let mut metadata = shape(config);
    let heads = |key: &str| config[key].as_u64().expect(key) as usize;
    let mut tensors: Tensors = weights
        .iter()
        .map(|(name, tensor)| {
            let turned = match name.split('.').rev().nth(1) {
                Some("q_proj") if architecture(config) == "llama" => {
                    in_pairs(tensor, heads("num_attention_heads"))
                }
                Some("k_proj") if architecture(config) == "llama" => {
                    in_pairs(tensor, heads("num_key_value_heads"))
                }
                _ => tensor.clone(),
            };
            let stored = QTensor::quantize(&turned, GgmlDType::F32).expect("a tensor");
            (gguf_name(name), stored)
        })
        .collect();
    if let Some(divisors) = rope_freqs(config) {
        tensors.insert("rope_freqs.weight".to_owned(), divisors);
    }
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
