//! A golden model, rows to train it on, and short trainings.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use driftgauge_lm::train::{
    Example, LrScheduler, Method, Order, StepRecord, TrainConfig, TrainData, TrainEvent,
    TrainingSettings, finetune,
};
use driftgauge_lm::{Error, LoraConfig};

/// A folder under `tests/golden`.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(name)
}

/// The first rows of a golden training.
pub(crate) fn rows(name: &str, count: usize) -> TrainData {
    let path = golden(name).join("lora/training.json");
    let text = std::fs::read_to_string(path).expect("golden values");
    let reference: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rows = reference["examples"].as_array().expect("examples");
    TrainData {
        examples: rows
            .iter()
            .take(count)
            .enumerate()
            .map(|(index, row)| Example {
                id: format!("row-{index}"),
                messages: serde_json::from_value(row["messages"].clone()).expect("messages"),
            })
            .collect(),
        eval: Vec::new(),
    }
}

/// A short LoRA training.
pub(crate) fn settings() -> TrainingSettings {
    TrainingSettings {
        method: Method::Lora(LoraConfig {
            rank: 4,
            alpha: 8.0,
            ..LoraConfig::default()
        }),
        learning_rate: 2e-3,
        lr_scheduler: LrScheduler::Constant,
        max_steps: Some(4),
        per_device_batch_size: 2,
        order: Order::Sequential,
        seed: 3,
        ..TrainingSettings::default()
    }
}

/// A training on the CPU.
pub(crate) fn on_cpu(settings: TrainingSettings) -> TrainConfig {
    TrainConfig {
        device: Some("cpu".to_owned()),
        ..TrainConfig::from(settings)
    }
}

/// The short training, on the CPU.
pub(crate) fn config() -> TrainConfig {
    on_cpu(settings())
}

/// What a training said and how it ended.
pub(crate) struct Trained {
    pub(crate) steps: Vec<StepRecord>,
    pub(crate) events: Vec<TrainEvent>,
    pub(crate) result: Result<driftgauge_lm::train::TrainSummary, Error>,
}

/// Trains, and stops after `stop_after` steps where that is given.
pub(crate) fn train(
    base: &str,
    data: &TrainData,
    config: &TrainConfig,
    out: &Path,
    stop_after: Option<u64>,
) -> Trained {
    let cancel = AtomicBool::new(false);
    let (mut steps, mut events) = (Vec::new(), Vec::new());
    let result = finetune(
        &golden(base),
        data,
        config,
        out,
        &mut |event| {
            if let TrainEvent::Step { record, .. } = &event {
                steps.push(record.clone());
                if Some(record.step) == stop_after {
                    cancel.store(true, std::sync::atomic::Ordering::Relaxed);
                }
            }
            events.push(event);
        },
        &cancel,
    );
    Trained {
        steps,
        events,
        result,
    }
}

/// Trains to the end in a folder of its own.
pub(crate) fn train_whole(
    base: &str,
    data: &TrainData,
    config: &TrainConfig,
) -> (tempfile::TempDir, Trained) {
    let out = tempfile::tempdir().expect("a folder");
    let trained = train(base, data, config, out.path(), None);
    if let Err(error) = &trained.result {
        panic!("{error}");
    }
    (out, trained)
}

/// The bytes of a file.
pub(crate) fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
