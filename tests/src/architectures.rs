//! The references that `tests/python/make_architectures.py` made with transformers, for whoever computes them again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value;

/// Every reference with its name, in the order of the names.
///
/// # Panics
/// When one of them cannot be read.
#[must_use]
pub fn references() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/architectures");
    let entries = std::fs::read_dir(folder).expect("the references");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a reference").path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let bytes = std::fs::read(path).expect("a reference");
        (name, serde_json::from_slice(&bytes).expect("JSON"))
    };
    files.into_iter().map(read).collect()
}

/// The numbers that the script gives a tensor of this name.
///
/// # Panics
/// When there is no room for them.
#[must_use]
pub fn weight(name: &str, shape: &[usize]) -> Tensor {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    let norm = name.contains("norm") && name.ends_with("weight");
    let values: Vec<f32> = (0..shape.iter().product::<usize>() as u64)
        .map(|i| {
            let mut x = hash.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^= x >> 31;
            let unit = (x >> 40) as f32 / (1 << 23) as f32 - 1.0;
            if norm { 1.0 + unit * 0.25 } else { unit * 0.25 }
        })
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor")
}

/// A model folder of a reference, with the golden llama's tokenizer.
///
/// # Panics
/// When it cannot be written.
pub fn write_model(to: &Path, reference: &Value) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/llama");
    let mut config = reference["config"].clone();
    // The name that models of the hub have.
    if config["architectures"][0] == "PhimoeForCausalLM" {
        config["architectures"][0] = "PhiMoEForCausalLM".into();
    }
    std::fs::write(to.join("config.json"), config.to_string()).expect("a configuration");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(golden.join(name), to.join(name)).expect("a tokenizer");
    }
    let shapes: HashMap<String, Vec<usize>> =
        serde_json::from_value(reference["tensors"].clone()).expect("shapes");
    let tensors = shapes
        .iter()
        .map(|(name, shape)| (name.clone(), weight(name, shape)));
    let tensors: HashMap<String, Tensor> = tensors.collect();
    candle_core::safetensors::save(&tensors, to.join("model.safetensors")).expect("weights");
}
