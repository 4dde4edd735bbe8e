//! One answer of a GGUF file, written token by token, against the memory: prints tokens per second, and how many there could be if the
//! weights were read as fast as a plain sum reads them, in this run and on as many threads.
//!
//! Usage: `bench_gguf FILE.gguf TOKENS [PROOF.json]`; what was proven of the file at load is kept, and found there again.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use driftgauge_engine::{BatchGenerator, GenerateRequest, LoadModel, Probes, Rounding};
use driftgauge_lm::GgufFile;
use driftgauge_lm::worker::{load_generator, weight_bytes};
use rayon::prelude::*;
use serde_json::{Value, json};

// As the binary: see `core/cli/src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, tokens, proof @ ..] = arguments.as_slice() else {
        return Err("usage: bench_gguf FILE.gguf TOKENS [PROOF.json]".into());
    };
    let path = Path::new(path);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Err("no path of a file".into());
    };
    let known = proof.first().and_then(|path| std::fs::read(path).ok());
    let known: Value = serde_json::from_slice(&known.unwrap_or_else(|| b"null".to_vec()))?;
    let model: LoadModel = serde_json::from_value(json!({
        "folder": folder, "gguf": name, "engine": "native", "plain_text": true, "proof": known,
    }))?;
    let before = read_speed(path)?;
    let nobody = |_: &Probes| Err("the witness is a forward pass".into());
    let began = Instant::now();
    let mut generator = load_generator(&model, &nobody)?;
    let loading = began.elapsed().as_secs_f64();
    if let (Some(path), Some(proof)) = (proof.first(), &generator.loaded().proof) {
        std::fs::write(path, serde_json::to_vec(proof)?)?;
    }
    let request: GenerateRequest = serde_json::from_value(json!({
        "messages": [], "text": "the king of the island", "max_tokens": tokens.parse::<usize>()?,
        "sampling": {"temperature": 0.0},
    }))?;
    generator.put(0, &request);
    // The prompt is read in the first step.
    generator.advance();
    let mut steps = Vec::new();
    while generator.pending() > 0 {
        let began = Instant::now();
        for (_, answer) in generator.advance() {
            answer?;
        }
        steps.push(began.elapsed().as_secs_f64());
    }
    drop(generator);
    let file = GgufFile::open(path)?;
    // Of an embedding that is not the head, one row is read.
    let apart = file.bytes_of("output.weight").is_some();
    let embedding = file.bytes_of("token_embd.weight").filter(|_| apart);
    let bytes = (weight_bytes(folder, Some(name), Rounding::None)? - embedding.unwrap_or(0)) as f64;
    let read = before.max(read_speed(path)?);
    let speed = steps.len() as f64 / steps.iter().sum::<f64>();
    steps.sort_by(f64::total_cmp);
    let fastest = steps.first().map_or(0.0, |seconds| 1.0 / seconds);
    println!(
        "{}",
        json!({
            "loading_seconds": loading, "tokens": steps.len(), "tokens_per_second": speed, "fastest_step": fastest, "bytes": bytes,
            "read_bytes_per_second": read, "limit": read / bytes, "share": speed * bytes / read, "best_share": fastest * bytes / read,
            "threads": rayon::current_num_threads(), "vectors": driftgauge_lm::vectors(),
        })
    );
    Ok(())
}

/// Bytes per second of a sum over the bytes of a file in memory, the best of five times.
fn read_speed(path: &Path) -> Result<f64, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let began = Instant::now();
        let sum = bytes
            .par_chunks(1 << 20)
            .map(|bytes| {
                let (words, _) = bytes.as_chunks::<8>();
                let words = words.iter().map(|word| u64::from_le_bytes(*word));
                words.fold(0_u64, u64::wrapping_add)
            })
            .reduce(|| 0, u64::wrapping_add);
        std::hint::black_box(sum);
        best = best.max(bytes.len() as f64 / began.elapsed().as_secs_f64());
    }
    Ok(best)
}
