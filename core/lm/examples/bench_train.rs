//! Our side of the training benchmark (`tests/python/bench_training.py` runs both sides): trains a model folder on rows of
//! words and prints one JSON object with the seconds of every measured step, the losses and the peak memory.
//!
//! Usage: `bench_train MODEL ROWS.json BATCH WARMUP RANK OUT [BASE_QUANTIZATION]`; `ROWS.json` holds a list of strings, each a
//! row of the batch size's share; rank 0 trains every weight.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use driftgauge_lm::train::{
    Example, LrScheduler, Method, Order, TrainConfig, TrainData, TrainEvent, TrainOn,
    TrainingSettings, finetune,
};
use driftgauge_lm::{LoraConfig, Message};

// As the binary: see `core/cli/src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, batch, warmup, rank, out, quantization @ ..] = arguments.as_slice() else {
        return Err(
            "usage: bench_train MODEL ROWS.json BATCH WARMUP RANK OUT [BASE_QUANTIZATION]".into(),
        );
    };
    let base_quantization = match quantization.first() {
        Some(name) => Some(serde_json::from_value(name.as_str().into())?),
        None => None,
    };
    let (batch, warmup, rank): (usize, usize, usize) =
        (batch.parse()?, warmup.parse()?, rank.parse()?);
    let rows: Vec<String> = serde_json::from_slice(&std::fs::read(rows)?)?;
    let steps = rows.len() / batch;
    let settings = TrainingSettings {
        method: match rank {
            0 => Method::Full,
            rank => Method::Lora(LoraConfig {
                rank,
                alpha: rank as f64,
                ..LoraConfig::default()
            }),
        },
        learning_rate: 1e-4,
        lr_scheduler: LrScheduler::Constant,
        weight_decay: 0.01,
        per_device_batch_size: batch,
        max_steps: Some(steps as u64),
        order: Order::Sequential,
        train_on: TrainOn::All,
        base_quantization,
        ..TrainingSettings::default()
    };
    let config = TrainConfig {
        device: Some("cpu".to_owned()),
        ..TrainConfig::from(settings)
    };
    let example = |(number, text): (usize, &String)| Example {
        id: number.to_string(),
        messages: vec![Message {
            role: "user".to_owned(),
            content: text.clone(),
        }],
    };
    let data = TrainData {
        examples: rows.iter().enumerate().map(example).collect(),
        eval: Vec::new(),
    };
    let (mut seconds, mut losses, mut tokens, mut peak) = (Vec::new(), Vec::new(), 0, 0);
    let mut on_event = |event: TrainEvent| {
        if let TrainEvent::Step { record, timing, .. } = event {
            losses.push(record.loss);
            tokens = record.tokens;
            peak = timing.peak_memory_bytes;
            if record.step as usize > warmup {
                seconds.push(timing.seconds);
            }
        }
    };
    let summary = finetune(
        Path::new(model),
        &data,
        &config,
        Path::new(out),
        &mut on_event,
        &AtomicBool::new(false),
    )?;
    let result = serde_json::json!({
        "seconds": seconds,
        "losses": losses,
        "peak_mib": peak as f64 / f64::from(1 << 20),
        "tokens_per_step": tokens,
        "trainable": summary.trainable_parameters,
    });
    println!("{result}");
    Ok(())
}
