//! What is configured: whose probability, which tokens, how many likeliest, whose definitions.

use driftgauge_plugin_sdk::testing;
use serde_json::{Value, json};

use super::{close, ln, run, sample, scalar};
use crate::Uncertainty;

#[test]
fn the_end_token_and_the_token_meant_are_options() {
    let one = [sample("a", "Paris", [0.8, 0.2, 0.9])];
    let kept = run(&json!({}), &one);
    close(&kept, "mean_token_probability", (0.8 + 0.2 + 0.9) / 3.0);
    close(&kept, "min_token_probability", 0.2);
    close(&kept, "sequence_logprob", ln(0.8 * 0.2 * 0.9));
    close(&kept, "perplexity", (0.8_f64 * 0.2 * 0.9).powf(-1.0 / 3.0));
    close(&kept, "top10_entropy", 0.7);
    close(&kept, "token_entropy", 0.8);
    close(&kept, "margin", 0.2);
    assert!(scalar(&kept, "top10_entropy").primary);

    let dropped = run(&json!({"eos": "drop"}), &one);
    close(&dropped, "mean_token_probability", 0.5);
    close(&dropped, "top10_entropy", 0.6);
    let top1 = run(&json!({"token": "top1"}), &one);
    close(&top1, "mean_token_probability", (0.8 + 0.5 + 0.9) / 3.0);
}

#[test]
fn another_k_is_taken_from_the_listed_tokens() {
    // Two likeliest tokens each; those of the end token are dropped with it.
    let mut one = sample("a", "Paris", [0.5, 0.25, 0.9]);
    one["completion"]["token_top_logprobs"] =
        json!([0.5, 0.25, 0.25, 0.125, 0.9, 0.1].map(f64::ln));
    let config = json!({"top_k": 2, "eos": "drop", "vocabulary": 6, "measures": ["top2_entropy_renormalised"]});
    let output = run(
        &config,
        &[one.clone(), sample("b", "Rome", [0.5, 0.5, 0.5])],
    );
    let h = |p: f64| -p * p.ln();
    close(
        &output,
        "top2_entropy",
        f64::midpoint(h(0.5) + h(0.25), h(0.25) + h(0.125)),
    );
    let two = |p: f64| h(p) + h(1.0 - p);
    close(&output, "top2_entropy_renormalised", two(2.0 / 3.0));
    let even = |rest: f64| h(0.25) + h(0.125) + rest * (4.0 / rest).ln();
    let upper = f64::midpoint(h(0.5) + h(0.25) + 0.25 * 16_f64.ln(), even(0.625));
    close(&output, "entropy_upper_bound", upper);
    assert!(scalar(&output, "top2_entropy").primary);
    assert!(
        scalar(&output, "top2_entropy")
            .formula
            .contains("the 2 likeliest")
    );
    let notes = output.notes.join(" ");
    assert!(
        notes.contains("1 of 2 completions do not tell their top-2 entropy"),
        "{notes}"
    );

    one["completion"]["token_top_logprobs"] = json!([-0.1, -0.2]);
    let error = testing::run::<Uncertainty>(&config, &[one]).unwrap_err();
    assert!(error.message.contains("2 numbers for 3 tokens"), "{error}");
}

#[test]
fn definitions_of_others_are_one_line() {
    let one = [sample("a", "Paris", [0.8, 0.2, 0.9])];
    let paper = run(&json!({"definitions": "paper"}), &one);
    // The last position dropped, the likeliest token, ten likeliest tokens not renormalised.
    close(&paper, "mean_token_probability", f64::midpoint(0.8, 0.5));
    close(&paper, "perplexity", (0.8_f64 * 0.5).powf(-0.5));
    close(&paper, "top10_entropy", 0.6);
    assert!(scalar(&paper, "top10_entropy").primary);
    assert_eq!(scalar(&paper, "ece10").n, 1);

    let polygraph = run(&json!({"definitions": "lm-polygraph"}), &one);
    close(&polygraph, "mean_nll", -ln(0.8 * 0.2 * 0.9) / 3.0);
    assert!(scalar(&polygraph, "mean_nll").primary);
    assert_eq!(scalar(&polygraph, "ece20").n, 1);

    // Single keys outrank them.
    let mixed = run(
        &json!({"definitions": "paper", "eos": "keep", "ece_bins": 15}),
        &one,
    );
    close(&mixed, "top10_entropy", 0.7);
    assert_eq!(scalar(&mixed, "ece15").n, 1);
}

#[test]
fn an_end_token_that_is_not_marked_is_not_dropped_in_silence() {
    let mut unmarked = sample("a", "Paris", [0.8, 0.2, 0.9]);
    unmarked["completion"]["ends_with_eos"] = json!(false);
    let mut cut = unmarked.clone();
    cut["sample_id"] = json!("b");
    cut["completion"]["finish_reason"] = json!("length");
    let samples = [unmarked, cut, sample("c", "Rome", [0.8, 0.2, 0.9])];
    let output = run(&json!({"eos": "drop"}), &samples);
    assert!(
        output.notes[0].contains("nothing was dropped of 1 of 3 completions"),
        "{:?}",
        output.notes
    );
    assert!(run(&json!({}), &samples).notes.is_empty());
}

#[test]
fn wrong_configuration_is_named() {
    let fails = |config: Value| {
        testing::run::<Uncertainty>(&config, &[])
            .unwrap_err()
            .message
    };
    assert!(fails(json!({"top_k": 0})).contains("`top_k` is 0"));
    assert!(fails(json!({"top_k": 5, "primary": "top10_entropy"})).contains("`top10_entropy`"));
    assert!(fails(json!({"ece_bins": 0})).contains("`ece_bins` is 0"));
    assert!(fails(json!({"recorded": {"entropie": "x"}})).contains("`entropie`"));
    assert!(fails(json!({"eos": "dropp"})).contains("dropp"));
}
