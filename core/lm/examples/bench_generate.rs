//! Generation of a model folder, with loading and self-check: prints seconds and tokens per second.
//!
//! Usage: `bench_generate MODEL PROMPTS.jsonl MAX_TOKENS`; a line of the prompts is `{"q": "..."}`, asked as a user's turn, greedily.

use std::error::Error;
use std::time::Instant;

use driftgauge_engine::{BatchGenerator, GenerateRequest, LoadModel};
use driftgauge_lm::worker::load_generator;
use serde_json::{Value, json};

// As the binary: see `core/cli/src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, prompts, max_tokens] = arguments.as_slice() else {
        return Err("usage: bench_generate MODEL PROMPTS.jsonl MAX_TOKENS".into());
    };
    let max_tokens: usize = max_tokens.parse()?;
    let began = Instant::now();
    let model: LoadModel = serde_json::from_value(json!({"folder": folder, "engine": "native"}))?;
    let mut generator = load_generator(&model)?;
    let loaded = began.elapsed().as_secs_f64();
    for (id, line) in (0..).zip(std::fs::read_to_string(prompts)?.lines()) {
        let row: Value = serde_json::from_str(line)?;
        let request: GenerateRequest = serde_json::from_value(json!({
            "messages": [{"role": "user", "content": row["q"]}],
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
