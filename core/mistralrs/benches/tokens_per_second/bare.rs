//! mistral.rs as one would use it without driftgauge: its own sampler, one prompt after the other.

use std::path::Path;
use std::time::Instant;

use mistralrs::{
    ModelDType, NormalRequest, Request, RequestMessage, Response, SamplingParams, TextModelBuilder,
    TokenSource,
};

use crate::Result;

/// Answers every prompt and gives the tokens per second, loading left out.
pub(crate) fn run(folder: &str, prompts: &Path, max_tokens: usize) -> Result<f64> {
    let prompts: Vec<Vec<u32>> = serde_json::from_slice(&std::fs::read(prompts)?)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(answer(folder, prompts, max_tokens))
}

async fn answer(folder: &str, prompts: Vec<Vec<u32>>, max_tokens: usize) -> Result<f64> {
    let model = TextModelBuilder::new(folder)
        .with_force_cpu()
        .with_dtype(ModelDType::F32)
        // No prompt begins like another one, so the cache would only cost time.
        .with_prefix_cache_n(None)
        .with_token_source(TokenSource::None)
        .build()
        .await?;
    let engine = model.inner().get_sender(None)?;
    let (begin, mut tokens) = (Instant::now(), 0);
    for (id, prompt) in prompts.into_iter().enumerate() {
        let (sender, mut answers) = tokio::sync::mpsc::channel(8);
        let sampling = SamplingParams {
            temperature: Some(0.0),
            max_len: Some(max_tokens),
            ..SamplingParams::neutral()
        };
        let prompt = RequestMessage::CompletionTokens(prompt);
        let request = NormalRequest::new_simple(prompt, sampling, sender, id, None, None);
        engine.send(Request::Normal(Box::new(request))).await?;
        match answers.recv().await {
            Some(Response::CompletionDone(answer)) => tokens += answer.usage.completion_tokens,
            _ => return Err("mistral.rs did not answer".into()),
        }
    }
    Ok(tokens as f64 / begin.elapsed().as_secs_f64())
}
