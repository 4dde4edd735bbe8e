//! Whole answers as servers document them: none of what they say beside the text is a reason to refuse it.

use driftgauge_engine::GenerateRequest;
use driftgauge_record::FinishReason::{self, Length, Stop};
use serde_json::{Value, json};

use super::answer::read;
use super::fixture::request;
use crate::logprobs::Unfit;

/// An answer with one choice.
fn answer(choice: Value, beside: Value) -> Value {
    let mut whole = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]});
    for (key, value) in beside.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    whole
}

fn usage() -> Value {
    json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
}

#[test]
fn answers_of_usual_servers_are_read() {
    let passed = json!({"filtered": false, "severity": "safe"});
    let cases: [(&str, Value, FinishReason); 11] = [
        (
            "a hosted service",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": "a tree", "refusal": null, "annotations": []},
                    "logprobs": null, "finish_reason": "stop"}),
                json!({"usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 0}}, "service_tier": "default", "system_fingerprint": null}),
            ),
            Stop,
        ),
        (
            "filters that did not act",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": "a tree"}, "finish_reason": "length",
                    "content_filter_results": {"hate": passed, "custom_blocklists": {"filtered": false, "details": []},
                    "protected_material_text": {"filtered": false, "detected": true}}}),
                json!({"usage": usage(), "prompt_filter_results": [{"prompt_index": 0, "content_filter_results":
                    {"hate": passed, "jailbreak": {"filtered": false, "detected": false}}}]}),
            ),
            Length,
        ),
        (
            "empty lists of calls, reasons of its own",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": "a tree", "reasoning_content": null, "tool_calls": [],
                    "function_call": null, "audio": null}, "logprobs": null, "finish_reason": "stop", "stop_reason": 128009}),
                json!({"usage": usage(), "prompt_logprobs": null, "kv_transfer_params": null}),
            ),
            Stop,
        ),
        (
            "timings",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": "a tree"}, "finish_reason": "length"}),
                json!({"usage": usage(), "timings": {"predicted_n": 2}, "system_fingerprint": "b1"}),
            ),
            Length,
        ),
        (
            "a fingerprint for all",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": "a tree", "reasoning": ""}, "finish_reason": "stop"}),
                json!({"usage": usage(), "system_fingerprint": "fp"}),
            ),
            Stop,
        ),
        (
            "the end token as a reason",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": "a tree", "tool_calls": null},
                    "finish_reason": "eos_token", "logprobs": null}),
                json!({"usage": usage()}),
            ),
            Stop,
        ),
        (
            "its short name",
            answer(
                json!({"index": 0, "seed": 7, "text": null, "message": {"role": "assistant", "content": "a tree", "tool_calls": []},
                    "finish_reason": "eos", "logprobs": null}),
                json!({"usage": usage(), "prompt": []}),
            ),
            Stop,
        ),
        (
            "the end of the context",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": "a tree", "prefix": false},
                    "finish_reason": "model_length"}),
                json!({"usage": usage()}),
            ),
            Length,
        ),
        (
            "parts",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": [{"type": "text", "text": "a "},
                    {"type": "text", "text": "tree"}]},
                    "finish_reason": "end_turn"}),
                json!({}),
            ),
            Stop,
        ),
        (
            "a reason of another service",
            answer(
                json!({"index": 0, "message": {"role": "assistant", "content": "a tree", "refusal": null, "reasoning": null},
                    "finish_reason": "stop", "native_finish_reason": "STOP", "error": null}),
                json!({"provider": "p", "usage": usage()}),
            ),
            Stop,
        ),
        (
            "a plain completion",
            answer(
                json!({"index": 0, "text": "a tree", "logprobs": null, "finish_reason": "stop", "matched_stop": null}),
                json!({"usage": usage(), "object": "text_completion"}),
            ),
            Stop,
        ),
    ];
    for (name, body, finish) in cases {
        let read = read(&body.to_string(), &request());
        let read = read.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(read.completion.text, "a tree", "{name}");
        assert_eq!(read.completion.finish_reason, finish, "{name}");
    }
}

#[test]
fn log_probabilities_are_those_of_the_answer() {
    let of = |message: Value, tokens: &[&str], stop: &str| {
        let token = |(place, text): (usize, &&str)| json!({ "token": text, "logprob": -1.0 - place as f64 });
        let tokens: Vec<Value> = tokens.iter().enumerate().map(token).collect();
        let body = json!({ "choices": [{
            "message": message, "finish_reason": "stop", "logprobs": { "content": tokens }
        }] });
        let request = GenerateRequest {
            stop: vec![stop.to_owned()],
            strip_thinking: true,
            ..request()
        };
        let answer = read(&body.to_string(), &request).unwrap();
        (answer.completion.token_logprob, answer.unfit)
    };
    let own = |list: &[f32]| (list.to_vec(), None);
    let said = |text: &str| json!({ "content": text });
    assert_eq!(of(said("Hello"), &["Hel", "lo"], ""), own(&[-1.0, -2.0]));
    assert_eq!(of(said("Hello"), &[], ""), own(&[]));
    let apart = json!({ "content": "Hello", "reasoning_content": "r" });
    let thought = ["<think>", "r", "</think>", "Hello", "</s>"];
    assert_eq!(of(apart, &thought, ""), own(&[-4.0, -5.0]));
    let within = said("<think>r</think>Hello");
    assert_eq!(of(within, &thought, ""), own(&[-4.0, -5.0]));
    let cut = said("Hello STOP more");
    assert_eq!(of(cut, &["Hello", " STOP", " more"], " STOP"), own(&[-1.0]));
    for tokens in [&["foo", "bar"][..], &["Hel"], &["Hello", " more"]] {
        assert_eq!(
            of(said("Hello"), tokens, ""),
            (Vec::new(), Some(Unfit::OtherText)),
            "{tokens:?}"
        );
    }
}

#[test]
fn the_token_of_a_verdict_is_watched_where_the_list_ends_behind_it() {
    let top = json!([{"token": "unsafe", "logprob": -0.01}, {"token": "safe", "logprob": -4.6}]);
    let token = json!({"token": "unsafe", "logprob": -0.01, "top_logprobs": top});
    let body = json!({"choices": [{
        "message": {"content": "unsafe\nS1"}, "finish_reason": "stop", "logprobs": {"content": [token]}
    }]});
    let request = GenerateRequest {
        watch_first_token: vec!["safe".to_owned(), "unsafe".to_owned()],
        ..request()
    };
    let answer = read(&body.to_string(), &request).unwrap();
    assert!((answer.completion.first_token_logprob["safe"] + 4.6).abs() < 1e-6);
    assert!(answer.completion.token_logprob.is_empty());
    assert_eq!(answer.unfit, Some(Unfit::OtherText));
}
