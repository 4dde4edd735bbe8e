//! A GGUF file against values computed by `transformers` from the same weights.

use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use driftgauge_graph::engine::{CheckOutcome, Generator};

use crate::support::{self, Golden, assert_close, golden};

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

/// Writes a Qwen2 folder as one GGUF file in f32, with the tokenizer beside it.
fn write(folder: &Path, to: &Path) {
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let number = |key: &str| Value::U32(config[key].as_u64().unwrap() as u32);
    let real = |key: &str| Value::F32(config[key].as_f64().unwrap() as f32);
    let metadata = [
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
    ];
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let weights: std::collections::HashMap<String, Tensor> =
        candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let mut tensors: Vec<(String, QTensor)> = weights
        .iter()
        .map(|(name, tensor)| {
            let stored = QTensor::quantize(tensor, GgmlDType::F32).unwrap();
            (gguf_name(name), stored)
        })
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut file = std::fs::File::create(to.join("model.gguf")).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(folder.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn a_gguf_file_gives_the_numbers_of_its_weights() {
    let folder = golden("qwen2");
    let dir = tempfile::tempdir().unwrap();
    write(&folder, dir.path());
    let mut model = support::model(dir.path());
    model.gguf = Some("model.gguf".to_owned());
    let mut engine = driftgauge_mistralrs::load(&model).unwrap();
    let logits = engine
        .loaded()
        .checks
        .iter()
        .find(|check| check.name == "logits-agree");
    assert_eq!(logits.unwrap().outcome, CheckOutcome::Skipped);
    let golden = Golden::read(&folder);
    for sample in &golden.samples {
        let request = support::request(&sample.messages, golden.max_new_tokens);
        let answer = engine.generate(&[request]).remove(0).unwrap();
        assert_eq!(answer.completion_token_ids, sample.completion_token_ids);
        assert_close(&answer.token_logprob, &sample.token_logprob, 1e-4);
        assert_close(&answer.token_entropy, &sample.full_entropy, 1e-4);
    }
    // A file that ends early is named, with the tensor.
    let path = dir.path().join("model.gguf");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1000]).unwrap();
    let error = driftgauge_mistralrs::load(&model)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("model.gguf") && error.contains("truncated"),
        "{error}"
    );
}
