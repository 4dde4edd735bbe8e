use driftgauge_problem::Explained as _;
use serde_json::json;

use super::*;
use crate::header::tests::write;

/// Writes tensors of F32 by name and shape.
fn tensors(folder: &Path, file: &str, named: &[(&str, &[usize])]) {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in named {
        let begin = end;
        end += 4 * shape.iter().product::<usize>();
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, end]});
        header.insert((*name).to_owned(), entry);
    }
    write(folder, file, &Value::Object(header).to_string(), (end, 0));
}

const BASE: [(&str, &[usize]); 5] = [
    ("lm_head.weight", &[5, 2]),
    ("model.embed_tokens.weight", &[5, 2]),
    ("model.layers.0.mlp.up_proj.weight", &[3, 2]),
    ("model.layers.0.self_attn.q_proj.bias", &[2]),
    ("model.layers.0.self_attn.q_proj.weight", &[2, 2]),
];
const A: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
const B: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";

/// What becomes of an adapter on `q_proj` with other settings and further tensors.
fn checked(settings: Value, further: &[(&str, &[usize])]) -> std::result::Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let (base, adapter) = (dir.path().join("base"), dir.path().join("adapter"));
    std::fs::create_dir(&base).unwrap();
    std::fs::create_dir(&adapter).unwrap();
    tensors(&base, "model.safetensors", &BASE);
    let mut config =
        json!({"peft_type": "LORA", "r": 1, "bias": "none", "target_modules": ["q_proj"]});
    for (key, value) in settings.as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(adapter.join(CONFIG_FILE), config.to_string()).unwrap();
    let update: [(&str, &[usize]); 2] = [(A, &[1, 2]), (B, &[2, 1])];
    tensors(&adapter, WEIGHTS_FILE, &[&update[..], further].concat());
    let weights = crate::inspect(&base).unwrap();
    Adapter::open(&adapter)
        .and_then(|adapter| adapter.check_base(&weights))
        .map_err(|error| format!("{error}\n{}", error.help().unwrap_or_default()))
}

#[track_caller]
fn refused(settings: Value, further: &[(&str, &[usize])], words: &[&str]) {
    let said = checked(settings, further).unwrap_err();
    for part in words {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

#[test]
fn a_tensor_of_a_module_that_was_not_trained_is_refused() {
    let bias = "base_model.model.model.layers.0.self_attn.q_proj.bias";
    let whole = "base_model.model.model.layers.0.mlp.up_proj.weight";
    let named = ["none of `modules_to_save`", WEIGHTS_FILE];
    refused(json!({}), &[(bias, &[2])], &[&[bias][..], &named].concat());
    refused(
        json!({}),
        &[(whole, &[3, 2])],
        &[&[whole][..], &named].concat(),
    );
    // What PEFT saves of a vocabulary beside any adapter.
    let embedding: (&str, &[usize]) = ("base_model.model.model.embed_tokens.weight", &[5, 2]);
    checked(json!({}), &[embedding]).unwrap();
    let saved = json!({"modules_to_save": ["up_proj"]});
    checked(saved, &[(whole, &[3, 2])]).unwrap();
}

#[test]
fn a_module_around_others_is_saved_with_them() {
    let saved = json!({"modules_to_save": ["mlp"]});
    let whole = "base_model.model.model.layers.0.mlp.up_proj.weight";
    checked(saved.clone(), &[(whole, &[3, 2])]).unwrap();
    refused(
        saved,
        &[],
        &["has nothing for `model.layers.0.mlp.up_proj`"],
    );
}

#[test]
fn names_that_no_module_of_the_base_has_are_refused() {
    refused(
        json!({"modules_to_save": ["zzz"]}),
        &[],
        &["`modules_to_save` names `zzz`", CONFIG_FILE],
    );
    let dir = tempfile::tempdir().unwrap();
    tensors(dir.path(), "model.safetensors", &BASE);
    std::fs::write(
        dir.path().join(CONFIG_FILE),
        r#"{"peft_type": "LORA", "target_modules": ["c_attn"]}"#,
    )
    .unwrap();
    tensors(dir.path(), WEIGHTS_FILE, &[]);
    let adapter = Adapter::open(dir.path()).unwrap();
    std::fs::remove_file(dir.path().join(CONFIG_FILE)).unwrap();
    std::fs::remove_file(dir.path().join(WEIGHTS_FILE)).unwrap();
    let error = adapter.check_base(&crate::inspect(dir.path()).unwrap());
    let said = error.unwrap_err().to_string();
    assert!(said.contains("`target_modules` names no module"), "{said}");
}

/// PEFT asks whether there is anything in them.
#[test]
fn keys_that_are_empty_lists_change_nothing() {
    let empty = json!({"target_parameters": [], "layer_replication": [], "megatron_config": {}});
    checked(empty, &[]).unwrap();
    refused(
        json!({"target_parameters": ["x"]}),
        &[],
        &["target_parameters"],
    );
}
