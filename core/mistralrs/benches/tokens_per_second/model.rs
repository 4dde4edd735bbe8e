//! A model folder with random weights, in the shape of a Llama.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use serde_json::{Map, Value, json};

use crate::Result;

/// Sizes of a model with tied embeddings and as many key heads as query heads.
pub(crate) struct Shape {
    pub(crate) hidden: usize,
    pub(crate) intermediate: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) vocabulary: usize,
}

/// The token that ends a turn. Its embedding is zero, so that it is never the most likely one and every answer has the
/// full length.
const END: &str = "<|end|>";

const TEMPLATE: &str = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '<|end|>' }}{% endfor %}\
                        {% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/// Writes the folder and gives the number of parameters.
pub(crate) fn write(folder: &Path, shape: &Shape) -> Result<usize> {
    fs::create_dir_all(folder)?;
    let end = shape.vocabulary - 1;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": shape.hidden, "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.heads,
        "vocab_size": shape.vocabulary, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "bos_token_id": null, "eos_token_id": end, "torch_dtype": "float32",
    });
    fs::write(folder.join("config.json"), config.to_string())?;
    fs::write(
        folder.join("tokenizer.json"),
        tokenizer(shape.vocabulary).to_string(),
    )?;
    let tokenizer_config = json!({ "eos_token": END, "chat_template": TEMPLATE });
    fs::write(
        folder.join("tokenizer_config.json"),
        tokenizer_config.to_string(),
    )?;
    let weights = weights(shape)?;
    candle_core::safetensors::save(&weights, folder.join("model.safetensors"))?;
    Ok(weights.values().map(Tensor::elem_count).sum())
}

/// A byte-level tokenizer whose other entries are never reached: there are no merges.
fn tokenizer(vocabulary: usize) -> Value {
    let mut entries: Map<String, Value> = byte_letters()
        .into_iter()
        .enumerate()
        .map(|(id, letter)| (letter.to_string(), json!(id)))
        .collect();
    for id in entries.len()..vocabulary - 1 {
        entries.insert(format!("word{id}"), json!(id));
    }
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [{"id": vocabulary - 1, "content": END, "special": true, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": entries, "merges": []},
    })
}

/// The visible letter that stands for each byte in a byte-level vocabulary.
fn byte_letters() -> Vec<char> {
    let mut hidden = 0_u32;
    (0..=255_u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                hidden += 1;
                char::from_u32(255 + hidden).unwrap_or_default()
            }
        })
        .collect()
}

fn weights(shape: &Shape) -> Result<HashMap<String, Tensor>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // Uniform with the standard deviation 0.02 of freshly initialised models.
    let half_width = 0.02 * 3.0_f32.sqrt();
    let mut random = |rows: usize, columns: usize| -> Vec<f32> {
        let unit = |bits: u32| (bits >> 8) as f32 / (1 << 23) as f32 - 1.0;
        (0..rows * columns)
            .map(|_| half_width * unit(rng.next_u32()))
            .collect()
    };
    let matrix = |values: Vec<f32>, rows: usize, columns: usize| {
        Tensor::from_vec(values, (rows, columns), &Device::Cpu)
    };
    let ones = || Tensor::from_vec(vec![1.0_f32; shape.hidden], shape.hidden, &Device::Cpu);
    let mut weights = HashMap::new();
    let mut embedding = random(shape.vocabulary, shape.hidden);
    let end = (shape.vocabulary - 1) * shape.hidden;
    embedding[end..].fill(0.0);
    weights.insert(
        "model.embed_tokens.weight".to_owned(),
        matrix(embedding, shape.vocabulary, shape.hidden)?,
    );
    weights.insert("model.norm.weight".to_owned(), ones()?);
    for layer in 0..shape.layers {
        let (h, i) = (shape.hidden, shape.intermediate);
        for (name, rows, columns) in [
            ("self_attn.q_proj", h, h),
            ("self_attn.k_proj", h, h),
            ("self_attn.v_proj", h, h),
            ("self_attn.o_proj", h, h),
            ("mlp.gate_proj", i, h),
            ("mlp.up_proj", i, h),
            ("mlp.down_proj", h, i),
        ] {
            let values = random(rows, columns);
            weights.insert(
                format!("model.layers.{layer}.{name}.weight"),
                matrix(values, rows, columns)?,
            );
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            weights.insert(format!("model.layers.{layer}.{name}.weight"), ones()?);
        }
    }
    Ok(weights)
}
