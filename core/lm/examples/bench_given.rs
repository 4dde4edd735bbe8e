//! Scoring of choices, or the divergence of two models, with loading and self-check: prints seconds and texts per second.
//!
//! Usage: `bench_given ROWS.jsonl MODEL [REFERENCE]`; a row is `{"prompt": "...", "choices": ["...", ..]}`. With a reference, how far
//! the model is from it on the first choice. What was proven of a model is kept beside the rows.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use driftgauge_engine::{
    DivergenceMeter, DivergenceRequest, LoadModel, LoadPair, Loaded, ScoreRequest, TextScorer,
};
use driftgauge_lm::worker::{load_pair, load_scorer};
use serde_json::{Value, json};

// As the binary: see `core/cli/src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, model, reference @ ..] = arguments.as_slice() else {
        return Err("usage: bench_given ROWS.jsonl MODEL [REFERENCE]".into());
    };
    let text = std::fs::read_to_string(rows)?;
    let asked = text.lines().map(serde_json::from_str);
    let asked: Vec<Value> = asked.collect::<Result<_, _>>()?;
    let began = Instant::now();
    let (loaded, texts, sum) = match reference.first() {
        None => choices(rows, model, &asked)?,
        Some(reference) => divergences(rows, model, reference, &asked)?,
    };
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "loading_seconds": loaded, "seconds": seconds - loaded, "texts": texts, "sum": sum,
            "with_loading": texts as f64 / seconds,
        })
    );
    Ok(())
}

/// Seconds of loading, how many choices, and the sum of all ln p.
fn choices(rows: &str, model: &str, asked: &[Value]) -> Result<(f64, usize, f64), Box<dyn Error>> {
    let began = Instant::now();
    let mut scorer = load_scorer(&load(rows, model)?)?;
    let loading = began.elapsed().as_secs_f64();
    keep(rows, model, scorer.loaded())?;
    let requests = asked.iter().map(|row| {
        let texts = row["choices"].as_array().into_iter().flatten();
        let texts: Vec<Value> = texts.map(|text| json!({"text": text})).collect();
        serde_json::from_value(json!({
            "prompt": {"text": row["prompt"]}, "continuations": texts, "choices": true,
        }))
    });
    let requests: Vec<ScoreRequest> = requests.collect::<Result<_, _>>()?;
    let (mut texts, mut sum) = (0, 0.0);
    for some in requests.chunks(scorer.loaded().max_in_flight) {
        for response in scorer.score(some) {
            let scores = response?.token_logprob;
            texts += scores.len();
            sum += scores.iter().flatten().sum::<f64>();
        }
    }
    Ok((loading, texts, sum))
}

/// Seconds of loading, how many texts, and the sum of all divergences.
fn divergences(
    rows: &str,
    model: &str,
    reference: &str,
    asked: &[Value],
) -> Result<(f64, usize, f64), Box<dyn Error>> {
    let began = Instant::now();
    let mut pair = load_pair(&LoadPair {
        reference: load(rows, reference)?,
        model: load(rows, model)?,
    })?;
    let loading = began.elapsed().as_secs_f64();
    keep(rows, model, pair.loaded())?;
    let requests = asked.iter().map(|row| {
        serde_json::from_value(json!({
            "prompt": {"text": row["prompt"]}, "continuation": {"text": row["choices"][0]},
        }))
    });
    let requests: Vec<DivergenceRequest> = requests.collect::<Result<_, _>>()?;
    let (mut texts, mut sum) = (0, 0.0);
    for some in requests.chunks(pair.loaded().max_in_flight) {
        for response in pair.compare(some) {
            texts += 1;
            sum += response?.kl.iter().sum::<f64>();
        }
    }
    Ok((loading, texts, sum))
}

fn proof_of(rows: &str, model: &str) -> String {
    let name = Path::new(model).file_name().unwrap_or_default();
    format!("{rows}.{}.proof", name.to_string_lossy())
}

fn load(rows: &str, model: &str) -> Result<LoadModel, Box<dyn Error>> {
    let known = std::fs::read(proof_of(rows, model)).unwrap_or_else(|_| b"null".to_vec());
    let known: Value = serde_json::from_slice(&known)?;
    Ok(serde_json::from_value(
        json!({"folder": model, "proof": known}),
    )?)
}

fn keep(rows: &str, model: &str, loaded: &Loaded) -> Result<(), Box<dyn Error>> {
    if let Some(proof) = &loaded.proof {
        std::fs::write(proof_of(rows, model), serde_json::to_vec(proof)?)?;
    }
    Ok(())
}
