//! A model answers up to the end of its context, whatever number that is.

use driftgauge_engine::{CheckOutcome, GenerateRequest, Generator, Sampling};
use driftgauge_record::FinishReason;
use driftgauge_tests::gguf::write_qwen2;
use serde_json::{Value, json};

use crate::support::{self, golden};

/// A copy of a golden model that says it reads so many tokens.
fn model_of(context: usize, name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in [
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(golden(name).join(file), dir.path().join(file)).unwrap();
    }
    let config = std::fs::read(golden(name).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["max_position_embeddings"] = json!(context);
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

#[test]
fn a_context_of_no_round_number_is_used_to_its_end() {
    const CONTEXT: usize = 700;
    let dir = model_of(CONTEXT, "llama");
    fills(&mut support::load(dir.path()), CONTEXT);
}

/// Of a GGUF file's context mistral.rs can use whole blocks, and says so.
#[test]
fn a_gguf_context_is_used_in_whole_blocks() {
    let dir = model_of(700, "qwen2");
    write_qwen2(dir.path(), &dir.path().join("model.gguf"), false);
    let mut model = support::model(dir.path());
    model.gguf = Some("model.gguf".to_owned());
    model.tokenizer = Some(golden("qwen2"));
    let mut engine = driftgauge_mistralrs::load(&model).unwrap();
    let checks = &engine.loaded().checks;
    let check = checks.iter().find(|check| check.name == "context").unwrap();
    assert_eq!(check.outcome, CheckOutcome::Avoided);
    assert!(check.detail.contains("512 of 700"), "{}", check.detail);
    fills(&mut engine, 512);
}

/// An answer goes on to the end of the context, and a prompt beyond it is refused.
fn fills(engine: &mut impl Generator, context: usize) {
    // Drawn nearly at random, and again until an answer goes on for long enough.
    let ask = |seed| GenerateRequest {
        sampling: Sampling {
            temperature: 8.0,
            seed,
            ..Sampling::greedy()
        },
        ..support::request(&support::user(&"name a king ".repeat(90)), 1000)
    };
    let answer = (0..200)
        .map(|seed| engine.generate(&[ask(seed)]).remove(0).unwrap())
        .find(|answer| answer.finish_reason == FinishReason::Length)
        .unwrap();
    let prompt = answer.prompt_token_ids.len();
    assert!(prompt < 512, "{prompt}");
    assert_eq!(prompt + answer.completion_token_ids.len(), context);
    let long = support::user(&"name a king ".repeat(300));
    let refused = engine.generate(&[support::request(&long, 5)]).remove(0);
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains(&format!("context holds {context}")),
        "{refused}"
    );
}
