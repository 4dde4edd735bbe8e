//! Fine-tunes that were made elsewhere: an adapter in PEFT's layout, merged into its base and run; and those that PEFT would
//! take for something else, refused by `plan`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::planned::Planned;
use crate::support::{Place, copy_folder, tests_dir, text};

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

fn golden(model: &str) -> PathBuf {
    tests_dir().join("golden").join(model)
}

/// Asks the golden model with an adapter what PEFT was asked.
fn spec_of(place: &Place, model: &str, adapter: &Path, question: &str) -> PathBuf {
    place.write("q.jsonl", &json!({"id": "a", "q": question}).to_string());
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: adapters
models:
  base: {{path: {}}}
  tuned: {{adapter: {{base: base, path: {}}}}}
datasets:
  q: {{jsonl: q.jsonl, id: id}}
metrics:
  uncertainty: {{plugin: uncertainty}}
evaluations:
  ask:
    models: [tuned]
    dataset: q
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 6}}
    metrics: [uncertainty]
",
            text(&golden(model)),
            text(adapter)
        ),
    )
}

#[test]
fn an_adapter_of_elsewhere_answers_as_in_peft() {
    // Plain LoRA; row lengths and whole modules; an output head that the base does not have.
    for (model, name) in [
        ("llama", "regex"),
        ("llama", "dora"),
        ("llama", "embedding-stored"),
        ("qwen3", "saved-head"),
        ("qwen3", "saved-embedding"),
    ] {
        let place = Place::new();
        let adapter = golden(model).join("loads").join(name);
        let expected = read_json(&adapter.join("expected.json"))["greedy"].clone();
        let question = expected["messages"][0]["content"]
            .as_str()
            .expect("a question");
        let spec = spec_of(&place, model, &adapter, question);
        place.run(&spec, "run");
        let sample = &place.samples("run")[0];
        assert_eq!(sample["prompt_token_ids"], expected["prompt"], "{name}");
        assert_eq!(sample["completion_token_ids"], expected["new"], "{name}");
        let lp = |value: &Value| serde_json::from_value::<Vec<f64>>(value.clone()).expect("ln p");
        for (ours, theirs) in lp(&sample["token_logprob"]).iter().zip(lp(&expected["lp"])) {
            assert!(
                (ours - theirs).abs() < 1e-4,
                "{name}: {ours} against {theirs}"
            );
        }
    }
}

/// `plan` refuses the adapter with these words, and names its place in the spec.
#[track_caller]
fn refused(place: &Place, spec: &Path, expected: &[&str]) {
    let output = place.output(&["plan", text(spec)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in expected.iter().chain(&["error[bad-adapter]", "spec.yaml:"]) {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

/// A copy of an adapter whose settings are changed.
fn changed(place: &Place, change: impl Fn(&mut Value)) -> PathBuf {
    let folder = place.path("adapter");
    copy_folder(&golden("llama").join("loads/gaussian"), &folder);
    let path = folder.join("adapter_config.json");
    let mut config = read_json(&path);
    change(&mut config);
    std::fs::write(&path, config.to_string()).expect("a file");
    folder
}

#[test]
fn plan_refuses_what_peft_would_take_for_something_else() {
    for (key, value, said) in [
        (
            "init_lora_weights",
            json!("pissa"),
            "`init_lora_weights: pissa`",
        ),
        (
            "alora_invocation_tokens",
            json!([3]),
            "`alora_invocation_tokens",
        ),
        ("a_key_of_tomorrow", json!(2), "`a_key_of_tomorrow: 2`"),
        ("r", json!(4), "has shape"),
        ("peft_type", json!("IA3"), "`peft_type: IA3`"),
        ("lora_alpha", json!(0), "changes no weight of the base"),
        (
            "modules_to_save",
            json!(["zzz"]),
            "`modules_to_save` names `zzz`",
        ),
    ] {
        let place = Place::new();
        let adapter = changed(&place, |config| config[key] = value.clone());
        let spec = spec_of(&place, "llama", &adapter, "?");
        refused(&place, &spec, &[said, "adapter_"]);
    }
}

/// An adapter whose tensors of a name were changed.
fn rewritten(place: &Place, part: &str, change: impl Fn(&mut [u8])) -> PathBuf {
    let adapter = changed(place, |_| {});
    let path = adapter.join("adapter_model.safetensors");
    let mut bytes = std::fs::read(&path).expect("a file");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    for (name, entry) in header.as_object().expect("an object") {
        if name.contains(part) {
            let at = |end: usize| {
                8 + length + entry["data_offsets"][end].as_u64().expect("a number") as usize
            };
            change(&mut bytes[at(0)..at(1)]);
        }
    }
    std::fs::write(&path, bytes).expect("written");
    adapter
}

#[test]
fn an_adapter_that_was_saved_before_its_training_is_refused() {
    let place = Place::new();
    let adapter = rewritten(&place, "lora_B", |bytes| bytes.fill(0));
    let spec = spec_of(&place, "llama", &adapter, "?");
    refused(
        &place,
        &spec,
        &["changes no weight of the base", "save_pretrained"],
    );
}

#[test]
fn an_adapter_whose_training_broke_down_is_refused() {
    for bits in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let place = Place::new();
        let adapter = rewritten(&place, "layers.1.self_attn.q_proj.lora_A", |bytes| {
            let last = bytes.len() - 4;
            bytes[last..].copy_from_slice(&bits.to_le_bytes());
        });
        let spec = spec_of(&place, "llama", &adapter, "?");
        refused(
            &place,
            &spec,
            &[
                "adapter_model.safetensors",
                "layers.1.self_attn.q_proj.lora_A.weight` holds a value that is infinite or no number",
            ],
        );
    }
}

/// As PEFT writes them of a model whose experts it did not touch.
#[test]
fn keys_that_are_empty_change_nothing() {
    let place = Place::new();
    let adapter = changed(&place, |config| config["target_parameters"] = json!([]));
    Planned::of(&place, &spec_of(&place, "llama", &adapter, "?"));
}

/// What an update loses is said where the base cannot hold it.
#[test]
fn a_merge_that_rounds_is_told() {
    let told = |model: &str, name: &str| {
        let place = Place::new();
        let adapter = golden(model).join("loads").join(name);
        let spec = spec_of(&place, model, &adapter, "who wrote the river?");
        place.run(&spec, "run");
        let resolved = String::from_utf8(place.read("run/resolved.json")).expect("text");
        let note = "`tuned` is merged into the weights of `base`";
        let rounds = "stored in BF16: of an update, what is less than a 512th of a weight";
        resolved.contains(note) && resolved.contains(rounds)
    };
    assert!(told("mistral", "bf16"));
    assert!(!told("llama", "gaussian"));
}

#[test]
fn plan_says_what_to_do_with_a_pickled_adapter() {
    let place = Place::new();
    let adapter = changed(&place, |_| {});
    std::fs::rename(
        adapter.join("adapter_model.safetensors"),
        adapter.join("adapter_model.bin"),
    )
    .expect("a rename");
    let spec = spec_of(&place, "llama", &adapter, "?");
    refused(&place, &spec, &["pickle", "save_pretrained"]);
}

#[test]
fn an_adapter_of_another_model_is_refused_by_plan() {
    let place = Place::new();
    let adapter = golden("qwen3").join("loads/saved-head");
    let spec = spec_of(&place, "llama", &adapter, "?");
    refused(&place, &spec, &["ask for", "help", "another model"]);
}

#[test]
fn settings_of_an_adapter_are_part_of_the_key() {
    let place = Place::new();
    let adapter = changed(&place, |_| {});
    let spec = spec_of(&place, "llama", &adapter, "?");
    let key = || Planned::of(&place, &spec).node("merge tuned")["key"].clone();
    let before = key();
    let path = adapter.join("adapter_config.json");
    let mut config = read_json(&path);
    config["lora_alpha"] = json!(7);
    std::fs::write(&path, config.to_string()).expect("a file");
    assert_ne!(key(), before);
}

#[test]
fn what_closes_the_answers_of_a_fine_tune_is_an_end_of_it() {
    let place = Place::new();
    let base = place.path("base");
    copy_folder(&golden("llama"), &base);
    // Its template closes turns with `<|eot_id|>`, but it declares `<|end_of_text|>` alone.
    for (file, key, value) in [
        ("config.json", "eos_token_id", json!(1)),
        (
            "tokenizer_config.json",
            "eos_token",
            json!("<|end_of_text|>"),
        ),
    ] {
        let mut content = read_json(&base.join(file));
        content[key] = value;
        std::fs::write(base.join(file), content.to_string()).expect("a file");
    }
    let rows = read_json(&base.join("lora/training.json"));
    let lines: Vec<String> = rows["examples"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            json!({"q": row["messages"][0]["content"], "a": row["messages"][1]["content"]})
                .to_string()
        })
        .collect();
    place.write("rows.jsonl", &lines.join("\n"));
    place.write(
        "q.jsonl",
        &json!({"id": "a", "q": "who wrote the river?"}).to_string(),
    );
    let spec = place.write(
        "spec.yaml",
        "version: 1
name: ends
models:
  base: {path: base}
  tuned: {finetune: {base: base, settings: s, dataset: rows, messages: [{user: \"{{ q }}\"}, {assistant: \"{{ a }}\"}]}}
datasets:
  rows: {jsonl: rows.jsonl}
  q: {jsonl: q.jsonl, id: id}
metrics:
  uncertainty: {plugin: uncertainty}
finetune:
  s: {lora: {rank: 4}, learning_rate: 1.0e-4, max_steps: 2, per_device_batch_size: 2}
evaluations:
  ask:
    models: [base, tuned]
    dataset: q
    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 40}
    metrics: [uncertainty]
",
    );
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let note = "answers are closed by `<|eot_id|>`, at which the model did not end";
    assert!(said.contains(note), "{said}");
    let samples = place.samples("run");
    let of = |model: &str| {
        samples
            .iter()
            .find(|s| s["model"] == model)
            .expect("a sample")
    };
    let ids = |model: &str| {
        of(model)["completion_token_ids"]
            .as_array()
            .expect("ids")
            .clone()
    };
    // The base writes `<|eot_id|>` and goes on; the fine-tune ends there.
    assert!(ids("base").contains(&json!(2)) && *ids("base").last().expect("a token") != json!(2));
    assert_eq!(ids("tuned").last(), Some(&json!(2)));
    assert_eq!(of("tuned")["finish_reason"], "stop");
}
