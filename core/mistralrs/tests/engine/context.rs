//! A model answers up to the end of its context, whatever number that is.

use driftgauge_graph::engine::{GenerateRequest, Generator, Sampling};
use driftgauge_record::FinishReason;
use serde_json::{Value, json};

use crate::support::{self, golden};

/// A copy of the golden Llama that says it reads so many tokens.
fn model_of(context: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(golden("llama").join(name), dir.path().join(name)).unwrap();
    }
    let config = std::fs::read(golden("llama").join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["max_position_embeddings"] = json!(context);
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

#[test]
fn a_context_of_no_round_number_is_used_to_its_end() {
    const CONTEXT: usize = 700;
    let dir = model_of(CONTEXT);
    let mut engine = support::load(dir.path());
    // Drawn nearly at random, and again until an answer goes on for long enough.
    let ask = |seed| GenerateRequest {
        sampling: Sampling {
            temperature: 8.0,
            seed,
            ..Sampling::greedy()
        },
        ..support::request(&support::user(&"name a king ".repeat(150)), 1000)
    };
    let answer = (0..200)
        .map(|seed| engine.generate(&[ask(seed)]).remove(0).unwrap())
        .find(|answer| answer.finish_reason == FinishReason::Length)
        .unwrap();
    let prompt = answer.prompt_token_ids.len();
    assert!(prompt < 512, "{prompt}");
    assert_eq!(prompt + answer.completion_token_ids.len(), CONTEXT);
    let long = support::user(&"name a king ".repeat(300));
    let refused = engine.generate(&[support::request(&long, 5)]).remove(0);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("context holds 700"), "{refused}");
}
