//! An answer is the same to its last bit, whatever was asked before it.

use driftgauge_engine::{GenerateRequest, Generator, Sampling};
use driftgauge_record::{Completion, FinishReason};

use crate::support::{self, golden};

/// Answers that end at their first token, at their second, at an end token and while they are drawn.
fn requests() -> Vec<GenerateRequest> {
    let mut requests = Vec::new();
    for (seed, question) in (0..).zip([
        "name a king",
        "who wrote the river?",
        "what is the capital?",
    ]) {
        let asked = |max_tokens| support::request(&support::user(question), max_tokens);
        requests.extend([asked(1), asked(24), asked(2), asked(1)]);
        requests.push(GenerateRequest {
            sampling: Sampling {
                temperature: 1.4,
                top_p: Some(0.95),
                seed,
                ..Sampling::greedy()
            },
            ..asked(12)
        });
    }
    requests
}

/// Each answer of a freshly loaded model, which is asked in the given order.
fn answers(requests: &[GenerateRequest], order: &[usize]) -> Vec<Completion> {
    let mut engine = support::load(&golden("llama"));
    let mut answers = vec![None; requests.len()];
    for &index in order {
        let answer = engine.generate(&requests[index..=index]).remove(0);
        answers[index] = Some(answer.unwrap());
    }
    answers.into_iter().flatten().collect()
}

#[test]
fn another_order_changes_no_bit() {
    let requests = requests();
    let forwards: Vec<usize> = (0..requests.len()).collect();
    let expected = answers(&requests, &forwards);
    for (request, answer) in requests.iter().zip(&expected) {
        let tokens = answer.completion_token_ids.len();
        assert!(tokens == request.max_tokens || answer.finish_reason == FinishReason::Stop);
    }
    for start in 1..requests.len() {
        let mut order = forwards.clone();
        order.rotate_left(start);
        assert!(
            answers(&requests, &order) == expected,
            "beginning with {start}"
        );
        order.reverse();
        assert!(
            answers(&requests, &order) == expected,
            "ending with {start}"
        );
    }
}
