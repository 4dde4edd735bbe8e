//! Generation of a model folder, with loading and self-check: prints seconds and tokens per second.
//!
//! Usage: `bench_generate MODEL PROMPTS.jsonl MAX_TOKENS [PROOF.json]`; a line of the prompts is `{"q": "..."}`, asked greedily as a
//! user's turn, or as it stands where it is `{"text": "..."}`. What was proven of the model at load is kept in the file, and found there
//! again. `--vectors` alone prints which vectors are used.

use std::error::Error;
use std::time::Instant;

use driftgauge_engine::{BatchGenerator, GenerateRequest, LoadModel, Probes};
use driftgauge_lm::worker::load_generator;
use serde_json::{Value, json};

// As the binary: see `core/cli/src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--vectors"] {
        println!("{}", json!({"vectors": driftgauge_lm::vectors()}));
        return Ok(());
    }
    let [folder, prompts, max_tokens, proof @ ..] = arguments.as_slice() else {
        return Err("usage: bench_generate MODEL PROMPTS.jsonl MAX_TOKENS [PROOF.json]".into());
    };
    let known = proof.first().and_then(|path| std::fs::read(path).ok());
    let known: Value = serde_json::from_slice(&known.unwrap_or_else(|| b"null".to_vec()))?;
    let prompts = std::fs::read_to_string(prompts)?;
    let rows = prompts.lines().map(serde_json::from_str);
    let rows: Vec<Value> = rows.collect::<Result<_, _>>()?;
    let plain = rows.iter().all(|row| row["text"].is_string());
    let max_tokens: usize = max_tokens.parse()?;
    let began = Instant::now();
    let model: LoadModel = serde_json::from_value(json!({
        "folder": folder, "engine": "native", "plain_text": plain, "proof": known,
    }))?;
    let nobody = |_: &Probes| Err("the witness is a forward pass".into());
    let mut generator = load_generator(&model, &nobody)?;
    let loaded = began.elapsed().as_secs_f64();
    if let (Some(path), Some(proof)) = (proof.first(), &generator.loaded().proof) {
        std::fs::write(path, serde_json::to_vec(proof)?)?;
    }
    for (id, row) in (0..).zip(&rows) {
        let request: GenerateRequest = serde_json::from_value(json!({
            "messages": [{"role": "user", "content": row["q"].as_str().unwrap_or_default()}],
            "text": row["text"],
            "max_tokens": max_tokens,
            "sampling": {"temperature": 0.0},
        }))?;
        generator.put(id, &request);
    }
    let mut tokens = 0;
    while generator.pending() > 0 {
        for (_, answer) in generator.advance() {
            tokens += answer?.completion_token_ids.len();
        }
    }
    let all = began.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "loading_seconds": loaded, "seconds": all - loaded, "tokens": tokens,
            "tokens_per_second": tokens as f64 / (all - loaded), "with_loading": tokens as f64 / all,
        })
    );
    Ok(())
}
