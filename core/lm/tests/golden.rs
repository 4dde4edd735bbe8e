//! Trainings of transformers and PEFT, followed step by step. Every `lora` and `full` folder under `tests/golden` is one.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use candle_core::{Device, Tensor};
use driftgauge_lm::train::{
    Example, LrScheduler, Method, Order, StepRecord, TrainConfig, TrainData, TrainEvent,
    TrainingSettings, finetune,
};
use driftgauge_lm::{Compute, LoraConfig, Message, Scorer, TargetModules};
use serde_json::Value;

/// Folders `tests/golden/<model>/<method>` with a `training.json`.
fn references(method: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .expect("golden values")
        .flatten()
        .flat_map(|model| match method {
            // Adapters of further kinds, each in a folder of its own.
            "adapters" => std::fs::read_dir(model.path().join(method))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect(),
            method => vec![model.path().join(method)],
        })
        .filter(|folder| folder.join("training.json").is_file())
        .collect();
    folders.sort();
    folders
}

/// The model folder of a reference.
fn base_of(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|folder| folder.join("config.json").is_file())
        .expect("the model's folder")
}

/// The settings of an adapter as PEFT wrote them.
fn lora(folder: &Path) -> LoraConfig {
    let config = json(&folder.join("adapter_config.json"));
    let of = |key: &str| config[key].clone();
    LoraConfig {
        rank: whole(&config["r"]),
        alpha: number(&config["lora_alpha"]),
        dropout: number(&config["lora_dropout"]),
        target_modules: TargetModules::List(
            serde_json::from_value(of("target_modules")).expect("names"),
        ),
        rslora: config["use_rslora"] == true,
        dora: config["use_dora"] == true,
        rank_pattern: serde_json::from_value::<Option<_>>(of("rank_pattern"))
            .expect("ranks")
            .unwrap_or_default(),
        alpha_pattern: serde_json::from_value::<Option<_>>(of("alpha_pattern"))
            .expect("alphas")
            .unwrap_or_default(),
        modules_to_save: serde_json::from_value::<Option<Vec<String>>>(of("modules_to_save"))
            .expect("names")
            .unwrap_or_default(),
    }
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn whole(value: &Value) -> usize {
    value.as_u64().expect("a whole number") as usize
}

fn examples(reference: &Value) -> TrainData {
    let rows = reference["examples"].as_array().expect("examples");
    TrainData {
        examples: rows
            .iter()
            .enumerate()
            .map(|(index, row)| Example {
                id: index.to_string(),
                messages: serde_json::from_value::<Vec<Message>>(row["messages"].clone())
                    .expect("messages"),
            })
            .collect(),
        eval: Vec::new(),
    }
}

/// The settings that `training.json` names.
fn settings(folder: &Path, reference: &Value) -> TrainConfig {
    let h = &reference["hyperparameters"];
    let method = match h["method"].as_str() {
        Some("full") => Method::Full,
        _ => Method::Lora(lora(folder)),
    };
    let init_adapter =
        matches!(method, Method::Lora(_)).then(|| folder.join("adapter_init.safetensors"));
    let settings = TrainingSettings {
        method,
        learning_rate: number(&h["learning_rate"]),
        lr_scheduler: serde_json::from_value::<LrScheduler>(h["schedule"].clone())
            .expect("a schedule"),
        warmup_steps: h["warmup_steps"].as_u64(),
        max_steps: h["max_steps"].as_u64(),
        per_device_batch_size: whole(&h["per_device_batch_size"]),
        gradient_accumulation_steps: whole(&h["gradient_accumulation"]),
        weight_decay: number(&h["weight_decay"]),
        adam_beta1: number(&h["adam_beta1"]),
        adam_beta2: number(&h["adam_beta2"]),
        adam_epsilon: number(&h["adam_eps"]),
        max_grad_norm: number(&h["max_grad_norm"]),
        order: Order::Sequential,
        ..TrainingSettings::default()
    };
    TrainConfig {
        init_adapter,
        device: Some("cpu".to_owned()),
        ..TrainConfig::from(settings)
    }
}

/// Runs the training of a reference and compares every step.
fn follow(folder: &Path, out: &Path) {
    let reference = json(&folder.join("training.json"));
    let base = base_of(folder);
    let mut steps: Vec<StepRecord> = Vec::new();
    finetune(
        base,
        &examples(&reference),
        &settings(folder, &reference),
        out,
        &mut |event| {
            if let TrainEvent::Step { record, .. } = event {
                steps.push(record);
            }
        },
        &AtomicBool::new(false),
    )
    .expect("a training");
    let expected = reference["log"].as_array().expect("a log");
    assert_eq!(steps.len(), expected.len());
    let of = |ours: f64, theirs: &Value| (ours - number(theirs)).abs();
    let worst = steps
        .iter()
        .zip(expected)
        .map(|(ours, theirs)| {
            (
                of(ours.loss, &theirs["loss"]),
                of(ours.grad_norm, &theirs["grad_norm"]),
            )
        })
        .fold((0.0_f64, 0.0_f64), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    println!(
        "{}: loss within {:.1e}, gradient norm within {:.1e}",
        folder.display(),
        worst.0,
        worst.1
    );
    for (ours, theirs) in steps.iter().zip(expected) {
        let place = format!("{}, step {}", folder.display(), theirs["step"]);
        assert_eq!(
            ours.target_tokens,
            whole(&theirs["target_tokens"]) as u64,
            "{place}"
        );
        assert!((ours.lr - number(&theirs["lr"])).abs() < 1e-12, "{place}");
        let (loss, norm) = (number(&theirs["loss"]), number(&theirs["grad_norm"]));
        assert!(
            (ours.loss - loss).abs() < 1e-4,
            "{place}: loss {} against {loss}",
            ours.loss
        );
        assert!(
            (ours.grad_norm - norm).abs() < 1e-3 * norm,
            "{place}: gradient norm {} against {norm}",
            ours.grad_norm
        );
    }
}

/// Largest difference of the logits after the probe.
fn probe_difference(reference: &Value, scorer: &Scorer) -> f64 {
    let ids: Vec<u32> =
        serde_json::from_value(reference["probe_input_ids"].clone()).expect("token ids");
    let ours = scorer.next_token_logits(&ids).expect("logits");
    let theirs = reference["probe_last_logits"].as_array().expect("logits");
    ours.iter()
        .zip(theirs)
        .map(|(a, b)| (f64::from(*a) - number(b)).abs())
        .fold(0.0, f64::max)
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b)
        .and_then(|d| d.abs()?.max_all()?.to_scalar::<f32>())
        .expect("tensors of one shape")
}

#[test]
fn lora_follows_peft_step_by_step_to_the_same_adapter() {
    let folders = references("lora");
    assert!(!folders.is_empty());
    for folder in folders {
        same_adapter(&folder);
    }
}

/// DoRA, patterns of ranks and alphas, and whole modules beside the updates.
#[test]
fn further_kinds_of_adapters_follow_peft_step_by_step() {
    let folders = references("adapters");
    assert!(folders.len() >= 5);
    for folder in folders {
        same_adapter(&folder);
    }
}

fn same_adapter(folder: &Path) {
    let out = tempfile::tempdir().expect("a folder");
    follow(folder, out.path());
    let load = |path: &Path| candle_core::safetensors::load(path, &Device::Cpu).expect("tensors");
    let ours = load(&out.path().join("adapter_model.safetensors"));
    let theirs = load(&folder.join("adapter_final.safetensors"));
    assert_eq!(ours.len(), theirs.len(), "{}", folder.display());
    let mut worst = 0.0_f32;
    for (name, tensor) in &theirs {
        let difference = largest_difference(&ours[name], tensor);
        assert!(
            difference < 2e-4,
            "{}: `{name}` differs by {difference}",
            folder.display()
        );
        worst = worst.max(difference);
    }
    let reference = json(&folder.join("training.json"));
    let base = base_of(folder);
    let scorer = Scorer::load_with_adapter(base, out.path(), &Compute::cpu()).expect("a model");
    let difference = probe_difference(&reference, &scorer);
    assert!(
        difference < 5e-3,
        "{}: logits differ by {difference}",
        folder.display()
    );
    println!(
        "{}: weights within {worst:.1e}, logits within {difference:.1e}",
        folder.display()
    );
    if reference["merged_last_logits"].is_array() {
        let merged = out.path().join("merged");
        driftgauge_lm::merge(base, out.path(), &merged).expect("a merged folder");
        let scorer = Scorer::load(&merged, &Compute::cpu()).expect("the merged model");
        let difference = probe_difference(&reference, &scorer);
        assert!(
            difference < 5e-3,
            "{}: merged, logits differ by {difference}",
            folder.display()
        );
    }
}

#[test]
fn training_every_weight_follows_transformers_step_by_step() {
    let folders = references("full");
    assert!(!folders.is_empty());
    for folder in folders {
        let out = tempfile::tempdir().expect("a folder");
        follow(&folder, out.path());
        let scorer = Scorer::load(out.path(), &Compute::cpu()).expect("a model");
        let difference = probe_difference(&json(&folder.join("training.json")), &scorer);
        assert!(
            difference < 5e-3,
            "{}: logits differ by {difference}",
            folder.display()
        );
    }
}

/// Every token and every mark is where the reference has it, whatever the chat template.
#[test]
fn rows_become_the_tokens_of_the_reference() {
    for folder in references("lora") {
        let reference = json(&folder.join("training.json"));
        let base = base_of(&folder);
        let template = driftgauge_lm::ChatTemplate::from_folder(base).expect("a template");
        let tokenizer = driftgauge_lm::Tokenizer::from_folder(base).expect("a tokenizer");
        let data = examples(&reference);
        for (example, row) in data
            .examples
            .iter()
            .zip(reference["examples"].as_array().expect("examples"))
        {
            let text = template.render(&example.messages, false).expect("text");
            let ids = tokenizer.encode(&text, false).expect("token ids");
            let expected: Vec<u32> =
                serde_json::from_value(row["input_ids"].clone()).expect("token ids");
            assert!(
                ids.starts_with(&expected),
                "{}: {ids:?} against {expected:?}",
                folder.display()
            );
        }
    }
}

/// Special and added tokens from all files of a tokenizer, as transformers merges them (`tests/python/make_special_tokens.py`).
#[test]
fn special_tokens_come_from_all_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/special");
    let mut seen = 0;
    for entry in std::fs::read_dir(root).expect("golden values").flatten() {
        let folder = entry.path();
        let place = folder.display();
        let expected = json(&folder.join("expected.json"));
        let tokenizer = driftgauge_lm::Tokenizer::from_folder(&folder).expect("a tokenizer");
        let completed = tokenizer.completed_json().expect("JSON");
        let again = completed.map(|json| {
            driftgauge_lm::Tokenizer::from_bytes(json.as_bytes()).expect("a tokenizer")
        });
        for case in expected["texts"].as_array().expect("texts") {
            let text = case["text"].as_str().expect("a text");
            let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).expect("ids");
            assert_eq!(
                tokenizer.encode(text, false).expect("ids"),
                ids,
                "{place}: {text}"
            );
            if let Some(again) = &again {
                assert_eq!(
                    again.encode(text, false).expect("ids"),
                    ids,
                    "{place}: {text}"
                );
            }
            let without = tokenizer.decode(&ids, true).expect("a text");
            assert_eq!(without, case["without_special"], "{place}: {text}");
        }
        seen += 1;
    }
    assert!(seen >= 8);
}
