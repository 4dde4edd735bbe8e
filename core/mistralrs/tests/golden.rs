//! Greedy decoding against values computed by `transformers`.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Golden, assert_close, golden};
use driftgauge_graph::engine::Generator;

fn matches_reference(name: &str) {
    let folder = golden(name);
    let golden = Golden::read(&folder);
    let mut engine = common::load(&folder);
    let check = |engine: &mut driftgauge_mistralrs::MistralRsEngine, i: usize| {
        let sample = &golden.samples[i];
        let request = common::request(&sample.messages, golden.max_new_tokens);
        let answer = engine.generate(&[request]).remove(0).unwrap();
        assert_eq!(
            answer.prompt_token_ids, sample.prompt_token_ids,
            "{name} {i}"
        );
        assert_eq!(
            answer.completion_token_ids, sample.completion_token_ids,
            "{name} {i}"
        );
        assert_eq!(answer.text, sample.completion, "{name} {i}");
        assert_eq!(answer.ends_with_eos, sample.stopped == "eos", "{name} {i}");
        assert_close(&answer.token_logprob, &sample.token_logprob, 1e-4);
        assert_close(&answer.token_top1_logprob, &sample.token_logprob, 1e-4);
        assert_close(&answer.token_top10_entropy, &sample.top10_entropy, 1e-4);
        assert_close(&answer.token_entropy, &sample.full_entropy, 1e-4);
        answer
    };
    let n = golden.samples.len();
    let forwards: Vec<_> = (0..n).map(|i| check(&mut engine, i)).collect();
    let backwards: Vec<_> = (0..n).rev().map(|i| check(&mut engine, i)).collect();
    // The last bits of a statistic depend on how the engine's buffers lie in memory; tokens and six decimals do not.
    for (forwards, backwards) in forwards.iter().zip(backwards.iter().rev()) {
        assert_eq!(
            forwards.completion_token_ids,
            backwards.completion_token_ids
        );
        for (ours, theirs) in [
            (&forwards.token_logprob, &backwards.token_logprob),
            (
                &forwards.token_top10_entropy,
                &backwards.token_top10_entropy,
            ),
            (&forwards.token_entropy, &backwards.token_entropy),
        ] {
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 5e-6;
            assert!(
                ours.iter().zip(theirs).all(close),
                "{name}: another order, another number"
            );
        }
    }
}

#[test]
fn llama_matches_the_reference() {
    matches_reference("llama");
}

#[test]
fn qwen2_matches_the_reference() {
    matches_reference("qwen2");
}
