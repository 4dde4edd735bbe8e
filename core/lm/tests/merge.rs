//! Merging keeps what the adapter does, the layout of the folder, and a bound on memory.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use driftgauge_lm::{Compute, Scorer, merge};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(name)
}

/// A golden adapter as a folder in PEFT's layout.
fn adapter_of(name: &str, folder: &Path) {
    let from = golden(name).join("lora");
    for (source, target) in [
        ("adapter_config.json", "adapter_config.json"),
        ("adapter_final.safetensors", "adapter_model.safetensors"),
    ] {
        std::fs::copy(from.join(source), folder.join(target)).expect("a copy");
    }
}

#[test]
fn a_merged_folder_says_what_base_and_adapter_say() {
    // Weights stored in 16 bits round the update.
    for (name, tolerance) in [
        ("llama", 1e-4),
        ("qwen2", 1e-4),
        ("qwen3", 1e-4),
        ("llama3-rope", 2e-2),
        ("mistral", 1e-1),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let (adapter, merged) = (place.path().join("adapter"), place.path().join("merged"));
        std::fs::create_dir(&adapter).expect("a folder");
        adapter_of(name, &adapter);
        let base = golden(name);
        merge(&base, &adapter, &merged).expect("a merged folder");
        let files = |folder: &Path| {
            let mut names: Vec<String> = std::fs::read_dir(folder)
                .expect("a folder")
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .filter(|name| name.contains("safetensors"))
                .collect();
            names.sort();
            names
        };
        assert_eq!(files(&base), files(&merged), "shards and index");
        let ids: Vec<u32> = (3..40).collect();
        let logits = |scorer: Scorer| scorer.next_token_logits(&ids).expect("logits");
        let beside =
            logits(Scorer::load_with_adapter(&base, &adapter, &Compute::cpu()).expect("both"));
        let inside = logits(Scorer::load(&merged, &Compute::cpu()).expect("merged"));
        let plain = logits(Scorer::load(&base, &Compute::cpu()).expect("base"));
        let worst = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max)
        };
        assert!(
            worst(&beside, &inside) < tolerance,
            "{name}: {}",
            worst(&beside, &inside)
        );
        assert!(worst(&beside, &plain) > 3.0 * tolerance, "{name}");
    }
}

/// Largest resident memory of this process so far.
#[cfg(target_os = "linux")]
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    1024 * kib
        .and_then(|kib| kib.trim().parse::<usize>().ok())
        .expect("a number")
}

/// A folder of 192 MiB in six shards goes through a few weights' worth of memory.
#[cfg(target_os = "linux")]
#[test]
fn merging_goes_through_memory_one_weight_at_a_time() {
    const LAYERS: usize = 6;
    const WIDTH: usize = 2048;
    let weight_bytes = 4 * WIDTH * WIDTH;
    let place = tempfile::tempdir().expect("a folder");
    let (base, adapter) = (place.path().join("base"), place.path().join("adapter"));
    for folder in [&base, &adapter] {
        std::fs::create_dir(folder).expect("a folder");
    }
    let mut map = serde_json::Map::new();
    let mut factors = std::collections::HashMap::new();
    for layer in 0..LAYERS {
        let file = format!("model-{:05}-of-{LAYERS:05}.safetensors", layer + 1);
        let weights = ["q_proj", "o_proj"].map(|module| {
            let name = format!("model.layers.{layer}.self_attn.{module}");
            map.insert(format!("{name}.weight"), file.clone().into());
            for (letter, shape) in [("A", (4, WIDTH)), ("B", (WIDTH, 4))] {
                let factor = Tensor::full(0.01f32, shape, &Device::Cpu).expect("a factor");
                factors.insert(
                    format!("base_model.model.{name}.lora_{letter}.weight"),
                    factor,
                );
            }
            let weight = Tensor::ones((WIDTH, WIDTH), DType::F32, &Device::Cpu).expect("a weight");
            (format!("{name}.weight"), weight)
        });
        let weights = std::collections::HashMap::from(weights);
        candle_core::safetensors::save(&weights, base.join(file)).expect("a shard");
    }
    let index = serde_json::json!({ "weight_map": map });
    std::fs::write(base.join("model.safetensors.index.json"), index.to_string()).expect("an index");
    std::fs::write(
        base.join("config.json"),
        r#"{"architectures": ["LlamaForCausalLM"]}"#,
    )
    .expect("a configuration");
    std::fs::write(
        adapter.join("adapter_config.json"),
        r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "o_proj"]}"#,
    )
    .expect("settings");
    candle_core::safetensors::save(&factors, adapter.join("adapter_model.safetensors"))
        .expect("an adapter");
    drop(factors);

    let before = peak_bytes();
    let merged = place.path().join("merged");
    merge(&base, &adapter, &merged).expect("a merged folder");
    let grown = peak_bytes() - before;
    let folder = 2 * LAYERS * weight_bytes;
    assert!(
        grown < 6 * weight_bytes,
        "{grown} more bytes for a folder of {folder}"
    );
    let shard = merged.join("model-00004-of-00006.safetensors");
    let tensors = candle_core::safetensors::load(shard, &Device::Cpu).expect("a shard");
    let value: Vec<f32> = tensors["model.layers.3.self_attn.o_proj.weight"]
        .flatten_all()
        .and_then(|t| t.narrow(0, 77, 1)?.to_vec1())
        .expect("a number");
    // 1 + 8 / 4 * (4 * 0.01 * 0.01)
    assert!((value[0] - 1.0008).abs() < 1e-6, "{value:?}");
}
