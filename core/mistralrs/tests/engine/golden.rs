//! Greedy decoding against values computed by `transformers`.

use driftgauge_engine::Generator;

use crate::support::{self, Golden, assert_close, golden};

fn matches_reference(name: &str) {
    let folder = golden(name);
    let golden = Golden::read(&folder);
    let mut engine = support::load(&folder);
    let check = |engine: &mut driftgauge_mistralrs::MistralRsEngine, i: usize| {
        let sample = &golden.samples[i];
        let request = support::request(&sample.messages, golden.max_new_tokens);
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
    assert!(
        forwards.iter().eq(backwards.iter().rev()),
        "{name}: another order, another number"
    );
}

#[test]
fn llama_matches_the_reference() {
    matches_reference("llama");
}

#[test]
fn qwen2_matches_the_reference() {
    matches_reference("qwen2");
}
