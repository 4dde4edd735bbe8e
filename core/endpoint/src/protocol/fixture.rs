//! What the tests ask, and whom.

use driftgauge_engine::{Endpoint, GenerateRequest, LongPrompt, Sampling};
use driftgauge_record::Message;

pub(super) fn endpoint() -> Endpoint {
    Endpoint {
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        model: "m".to_owned(),
        api_key_env: None,
        concurrency: 1,
        requests_per_minute: None,
        timeout_seconds: 1,
        retries: 0,
        logprobs: true,
    }
}

pub(super) fn request() -> GenerateRequest {
    GenerateRequest {
        messages: vec![Message {
            role: "user".to_owned(),
            content: "hello".to_owned(),
        }],
        text: None,
        max_tokens: 5,
        sampling: Sampling::greedy(),
        stop: Vec::new(),
        watch_first_token: Vec::new(),
        top_logprobs: 0,
        on_long_prompt: LongPrompt::Error,
        strip_thinking: false,
        prefill_tokens: None,
    }
}
