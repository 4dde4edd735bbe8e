//! Trainings as a user starts them: by a spec, with one thread or two.

mod interrupted;
mod refused;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use driftgauge_engine::training::{LoraConfig, Method, TrainingSettings};
use serde_json::{Value, json};

use crate::support::{Place, tests_dir, text};

/// Golden models whose `lora` folder holds a training.
fn golden_trainings() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(tests_dir().join("golden"))
        .expect("golden values")
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.join("lora/training.json").is_file())
        .collect();
    folders.sort();
    folders
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// Writes the rows of a golden training as a dataset of two columns.
fn write_rows(place: &Place, reference: &Value) {
    let mut lines = String::new();
    for row in reference["examples"].as_array().expect("examples") {
        let said = |turn: usize| row["messages"][turn]["content"].clone();
        lines.push_str(&json!({ "ask": said(0), "answer": said(1) }).to_string());
        lines.push('\n');
    }
    place.write("rows.jsonl", &lines);
}

/// A spec that fine-tunes a golden model on its rows, in the words of `settings`.
fn spec_of(place: &Place, model: &str, settings: &str, init_adapter: Option<&Path>) -> PathBuf {
    let folder = tests_dir().join("golden").join(model);
    write_rows(place, &read_json(&folder.join("lora/training.json")));
    let init = init_adapter.map_or_else(String::new, |path| {
        format!(", init_adapter: {}", text(path))
    });
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: training
models:
  base: {{path: {}}}
  tuned:
    finetune: {{base: base, settings: s, dataset: rows, messages: [{{user: \"{{{{ ask }}}}\"}}, {{assistant: \"{{{{ answer }}}}\"}}]{init}}}
datasets:
  rows: {{jsonl: rows.jsonl}}
finetune:
  s: {settings}
",
            text(&folder)
        ),
    )
}

fn log_of(place: &Place, run: &str) -> Vec<Value> {
    let bytes = place.read(&format!("{run}/models/tuned/train_log.jsonl"));
    String::from_utf8(bytes)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

/// Tensors of a safetensors file in f32, by name.
fn tensors(bytes: &[u8]) -> std::collections::BTreeMap<String, Vec<f32>> {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let data = &bytes[8 + length..];
    let slots = header.as_object().expect("tensors").iter();
    slots
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, slot)| {
            assert_eq!(slot["dtype"], "F32");
            let at = |i: usize| slot["data_offsets"][i].as_u64().expect("an offset") as usize;
            let values = data[at(0)..at(1)]
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")))
                .collect();
            (name.clone(), values)
        })
        .collect()
}

/// The newest checkpoint under a store's unfinished work, as its number of steps.
fn newest_checkpoint(store: &Path) -> Option<u64> {
    let nodes = std::fs::read_dir(store.join("partial")).ok()?.flatten();
    let folders =
        nodes.filter_map(|node| std::fs::read_dir(node.path().join("out/checkpoints")).ok());
    folders
        .flat_map(|folder| folder.flatten())
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_prefix("step-")?.parse().ok()
        })
        .max()
}

/// Whether the store holds an adapter.
fn holds_an_adapter(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.ends_with("adapter_model.safetensors") || (path.is_dir() && holds_an_adapter(&path))
    })
}

#[test]
fn a_spec_follows_the_golden_trainings() {
    for folder in golden_trainings() {
        let model = folder.file_name().expect("a name").to_string_lossy();
        let reference = read_json(&folder.join("lora/training.json"));
        let h = &reference["hyperparameters"];
        let rslora = &read_json(&folder.join("lora/adapter_config.json"))["use_rslora"];
        let settings = json!({
            "lora": {
                "rank": h["rank"], "alpha": h["alpha"], "dropout": h["dropout"], "target_modules": h["targets"], "rslora": rslora,
            },
            "learning_rate": h["learning_rate"], "lr_scheduler": h["schedule"], "warmup_steps": h["warmup_steps"],
            "max_steps": h["max_steps"], "per_device_batch_size": h["per_device_batch_size"],
            "gradient_accumulation_steps": h["gradient_accumulation"], "weight_decay": h["weight_decay"],
            "adam_beta1": h["adam_beta1"], "adam_beta2": h["adam_beta2"], "adam_epsilon": h["adam_eps"],
            "max_grad_norm": h["max_grad_norm"], "order": "sequential",
        });
        let place = Place::new();
        let init = folder.join("lora/adapter_init.safetensors");
        let spec = spec_of(&place, &model, &settings.to_string(), Some(&init));
        place.run(&spec, "run");
        let log = log_of(&place, "run");
        let expected = reference["log"].as_array().expect("a log");
        assert_eq!(log.len(), expected.len(), "{model}");
        for (ours, theirs) in log.iter().zip(expected) {
            let number = |value: &Value| value.as_f64().expect("a number");
            let (loss, norm) = (number(&theirs["loss"]), number(&theirs["grad_norm"]));
            let place = format!("{model}, step {}", theirs["step"]);
            assert!((number(&ours["loss"]) - loss).abs() < 1e-4, "{place}");
            assert!(
                (number(&ours["grad_norm"]) - norm).abs() < 1e-3 * norm,
                "{place}"
            );
            for key in ["lr", "tokens", "tokens_per_second", "peak_memory_bytes"] {
                assert!(ours[key].is_number(), "{place}: no `{key}`");
            }
        }
        let ours = tensors(&place.read("run/models/tuned/adapter_model.safetensors"));
        let theirs = std::fs::read(folder.join("lora/adapter_final.safetensors")).expect("a file");
        let theirs = tensors(&theirs);
        assert_eq!(ours.len(), theirs.len());
        for (name, values) in &theirs {
            for (a, b) in ours[name].iter().zip(values) {
                assert!((a - b).abs() < 2e-4, "{model} `{name}`: {a} against {b}");
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let place = Place::new();
    let folder = tests_dir().join("golden/qwen2");
    let reference = read_json(&folder.join("lora/training.json"));
    let mut rows = String::new();
    for (id, row) in reference["examples"]
        .as_array()
        .expect("rows")
        .iter()
        .enumerate()
    {
        rows.push_str(&json!({ "id": id.to_string(), "messages": row["messages"] }).to_string());
        rows.push('\n');
    }
    place.write("examples.jsonl", &rows);
    place.write("none.jsonl", "");
    let settings = TrainingSettings {
        method: Method::Lora(LoraConfig {
            dropout: 0.1,
            ..LoraConfig::default()
        }),
        max_steps: Some(6),
        learning_rate: 1e-3,
        ..TrainingSettings::default()
    };
    let adapter = |threads: &str| {
        let out = place.path(threads);
        let job = json!({ "train": {
            "base": folder, "device": "cpu", "init_adapter": null, "chat_template": null, "architecture": null, "save_steps": null,
            "settings": settings,
            "examples": place.path("examples.jsonl"), "eval_examples": place.path("none.jsonl"), "out": out,
            "lock": place.path(&format!("{threads}.lock")),
        }});
        let mut child = place
            .command(&["worker"])
            .env("RAYON_NUM_THREADS", threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut input = child.stdin.take().expect("an input");
        std::io::Write::write_all(&mut input, format!("{job}\n").as_bytes()).expect("a job");
        // The input stays open until the worker is done: its end means that the parent is gone.
        let status = child.wait().expect("an end");
        drop(input);
        assert!(status.success(), "{status}");
        place.read(&format!("{threads}/adapter_model.safetensors"))
    };
    assert!(adapter("1") == adapter("2"));
}

#[test]
fn a_mix_trains_on_all_its_parts() {
    let place = Place::new();
    let settings = "{lora: {rank: 4}, learning_rate: 1.0e-3, epochs: 1, per_device_batch_size: 4, eval_fraction: 0.2}";
    let path = spec_of(&place, "llama", settings, None);
    place.write(
        "safe.jsonl",
        "{\"q\": \"name a king\", \"level\": 1}\n{\"q\": \"name a queen\", \"level\": 2}\n{\"q\": \"name a city\", \"level\": 3}\n",
    );
    let spec = std::fs::read_to_string(&path)
        .expect("the spec")
        .replace(
            "dataset: rows,",
            "dataset: rows, limit: 18, shuffle: {seed: 5}, mix: [{dataset: safe, filter: level > 1, count: 2, \
             messages: [{system: be careful}, {user: \"{{ q }}\"}, {assistant: I would rather not.}]}, \
             {dataset: rows, ratio: 0.25}],",
        )
        .replace("  rows: {", "  safe: {jsonl: safe.jsonl}\n  rows: {");
    place.write("spec.yaml", &spec);
    let output = place.output(&["run", text(&path), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // 18 rows, two of the other set, a quarter of 18: 24 in all, of which a fifth is held out.
    assert!(said.contains("20 rows (0 cut)"), "{said}");
    let log = log_of(&place, "run");
    assert_eq!(log.len(), 5);
    assert!(log[4]["eval_loss"].is_number());
}
