//! Samples of which something is missing or cannot be.

use driftgauge_plugin_sdk::testing;
use serde_json::json;

use super::{four, run, sample, scalar};
use crate::Uncertainty;

#[test]
fn prompts_without_a_value_keep_their_place_among_the_scores() {
    // The first answer is its end token alone, the second was not made.
    let mut samples = four();
    for list in samples[0]["completion"]
        .as_object_mut()
        .unwrap()
        .values_mut()
    {
        if let Some(list) = list.as_array_mut() {
            list.truncate(1);
        }
    }
    samples[1]["completion"] = json!({ "text": "", "finish_reason": "error" });
    let output = run(&json!({ "eos": "drop" }), &samples);
    let scores = output
        .scores
        .iter()
        .find(|scores| scores.id == "top10_entropy");
    let scores = scores.expect("scores of the primary number");
    let ids: Vec<&str> = scores.sample_ids.iter().collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    let there: Vec<bool> = scores.values.iter().map(|value| value.is_some()).collect();
    assert_eq!(there, [false, false, true, true]);
    assert_eq!(scalar(&output, "top10_entropy").n, 2);
}

#[test]
fn nothing_and_one_are_defined() {
    assert_eq!(run(&json!({}), &[]).scalars, []);
    let mut empty = sample("a", "", [0.5, 0.5, 0.5]);
    for list in [
        "token_logprob",
        "token_top1_logprob",
        "token_margin",
        "token_top10_entropy",
        "token_top10_mass",
        "token_entropy",
    ] {
        empty["completion"][list] = json!([]);
    }
    let output = run(&json!({}), &[empty]);
    assert_eq!((output.scalars[0].value, output.scalars[0].n), (None, 0));
    assert!(output.notes[0].contains("1 of 1 completions have no token statistics"));
    let one = run(&json!({}), &[sample("a", "Paris", [0.5, 0.5, 0.5])]);
    assert!(
        one.scalars
            .iter()
            .all(|s| s.value.is_none_or(f64::is_finite))
    );
}

#[test]
fn impossible_tokens_are_named() {
    let mut wrong = sample("a", "Paris", [0.5, 0.5, 0.5]);
    wrong["completion"]["token_logprob"] = json!([-0.1, 0.7, -0.1]);
    let error = testing::run::<Uncertainty>(&json!({}), &[wrong]).unwrap_err();
    assert!(error.message.contains("0.7 at token 1"), "{error}");
    assert_eq!(error.sample_id.as_deref(), Some("a"));
}
