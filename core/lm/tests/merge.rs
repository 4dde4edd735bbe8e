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

/// `tests/python/make_adapters.py` had PEFT load and merge them.
#[test]
fn adapters_do_what_they_do_in_peft() {
    let mut seen = 0;
    for model in ["llama", "qwen2", "qwen3", "mistral", "phi3", "glm4"] {
        let base = golden(model);
        for entry in std::fs::read_dir(base.join("loads"))
            .expect("adapters")
            .flatten()
        {
            let folder = entry.path();
            let text = std::fs::read_to_string(folder.join("expected.json")).expect("a file");
            let expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let ids: Vec<u32> =
                serde_json::from_value(expected["probe_input_ids"].clone()).expect("token ids");
            let worst = |scorer: Scorer, key: &str| {
                let theirs = expected[key].as_array().expect("logits");
                let ours = scorer.next_token_logits(&ids).expect("logits");
                ours.iter()
                    .zip(theirs)
                    .map(|(a, b)| (f64::from(*a) - b.as_f64().expect("a number")).abs())
                    .fold(0.0, f64::max)
            };
            let place = tempfile::tempdir().expect("a folder");
            let merged = place.path().join("merged");
            merge(&base, &folder, &merged).expect("a merged folder");
            let scorer = Scorer::load(&merged, &Compute::cpu()).expect("merged");
            let inside = worst(scorer, "merged");
            // The decoder knows no updates of embedding and head beside the weights, only merged ones.
            let name = entry.file_name().to_string_lossy().into_owned();
            let beside = Scorer::load_with_adapter(&base, &folder, &Compute::cpu());
            let beside = match name.as_str() {
                "head" | "embedding" | "embedding-stored" => {
                    assert!(beside.is_err(), "{name}");
                    0.0
                }
                _ => worst(beside.expect("both"), "loaded"),
            };
            println!("{model}/{name}: beside within {beside:.1e}, merged within {inside:.1e}");
            let tolerance = if model == "mistral" { 5e-2 } else { 1e-4 };
            assert!(
                beside < 1e-4 && inside < tolerance,
                "{model}/{name}: {beside} {inside}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 20);
}

#[test]
fn adapters_that_peft_would_take_for_something_else_are_refused_by_name() {
    let base = golden("llama");
    let from = base.join("loads/gaussian");
    let place = tempfile::tempdir().expect("a folder");
    let adapter = place.path().join("adapter");
    std::fs::create_dir(&adapter).expect("a folder");
    let write = |change: &dyn Fn(&mut serde_json::Value)| {
        let text = std::fs::read_to_string(from.join("adapter_config.json")).expect("settings");
        let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        change(&mut config);
        std::fs::write(adapter.join("adapter_config.json"), config.to_string()).expect("a file");
    };
    let weights = adapter.join("adapter_model.safetensors");
    std::fs::copy(from.join("adapter_model.safetensors"), &weights).expect("a copy");
    let refusal = || {
        let error = merge(&base, &adapter, &place.path().join("out")).expect_err("a refusal");
        error.to_string()
    };
    for (key, value) in [
        ("init_lora_weights", serde_json::json!("pissa")),
        ("init_lora_weights", serde_json::json!("olora")),
        ("alora_invocation_tokens", serde_json::json!([5])),
        ("target_modules", serde_json::json!(["q_proj"])),
        ("r", serde_json::json!(3)),
        ("use_dora", serde_json::json!(true)),
        ("modules_to_save", serde_json::json!(["lm_head"])),
    ] {
        write(&|config| config[key] = value.clone());
        let said = refusal();
        let named = match key {
            "target_modules" => "none of the modules",
            "r" => "has shape",
            "modules_to_save" => "has nothing for `lm_head`",
            key => key,
        };
        assert!(said.contains(named), "{key}: {said}");
    }
    write(&|_| {});
    std::fs::rename(&weights, adapter.join("adapter_model.bin")).expect("a rename");
    let said = refusal();
    assert!(said.contains("an adapter as a pickle"), "{said}");
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
