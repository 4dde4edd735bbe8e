//! What the tests of the engine share.

use std::path::{Path, PathBuf};

use driftgauge_engine::{GenerateRequest, LoadModel, LocalEngine, LongPrompt, Sampling, Witness};
use driftgauge_mistralrs::MistralRsEngine;
use driftgauge_record::Message;
use serde::Deserialize;

/// A golden model with reference values from `transformers`; see `tests/python/make_golden.py`.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(name)
}

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) max_new_tokens: usize,
    pub(crate) samples: Vec<GoldenSample>,
}

#[derive(Deserialize)]
pub(crate) struct GoldenSample {
    pub(crate) messages: Vec<Message>,
    pub(crate) prompt_token_ids: Vec<u32>,
    pub(crate) completion_token_ids: Vec<u32>,
    pub(crate) completion: String,
    pub(crate) stopped: String,
    pub(crate) token_logprob: Vec<f64>,
    pub(crate) top10_entropy: Vec<f64>,
    pub(crate) full_entropy: Vec<f64>,
}

impl Golden {
    pub(crate) fn read(folder: &Path) -> Self {
        serde_json::from_slice(&std::fs::read(folder.join("greedy.json")).unwrap()).unwrap()
    }
}

pub(crate) fn model(folder: &Path) -> LoadModel {
    LoadModel {
        folder: folder.to_owned(),
        gguf: None,
        tokenizer: None,
        quantization: None,
        chat_template: None,
        dtype: "auto".to_owned(),
        device: "auto".to_owned(),
        plain_text: false,
        longest: None,
        engine: LocalEngine::Mistralrs,
        witness: Witness::Mistralrs,
        proof: None,
        strict: false,
    }
}

pub(crate) fn load(folder: &Path) -> MistralRsEngine {
    driftgauge_mistralrs::load(&model(folder)).unwrap()
}

pub(crate) fn request(messages: &[Message], max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        messages: messages.to_vec(),
        text: None,
        max_tokens,
        sampling: Sampling::greedy(),
        stop: Vec::new(),
        watch_first_token: Vec::new(),
        top_logprobs: 0,
        on_long_prompt: LongPrompt::Error,
        strip_thinking: false,
        prefill_tokens: None,
    }
}

pub(crate) fn user(content: &str) -> Vec<Message> {
    vec![Message {
        role: "user".to_owned(),
        content: content.to_owned(),
    }]
}

#[track_caller]
pub(crate) fn assert_close(got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*g) - e).abs() <= tolerance,
            "entry {i}: {g} instead of {e}"
        );
    }
}
