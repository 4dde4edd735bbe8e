//! Values that a recording has instead of tokens.

use driftgauge_plugin_sdk::testing;
use serde_json::json;

use super::{close, run, scalar};
use crate::Uncertainty;

#[test]
fn recorded_values_stand_in_for_tokens() {
    let recorded = |id: &str, p: f64| json!({"sample_id": id, "completion": {"text": "", "finish_reason": "stop"}, "values": {"avg_probability": [p], "correct": [1.0]}});
    let config = json!({"recorded": {"mean_token_probability": "avg_probability"}});
    let output = run(&config, &[recorded("a", 0.25), recorded("b", 0.75)]);
    close(&output, "mean_token_probability", 0.5);
    close(&output, "brier", f64::midpoint(0.5625, 0.0625));
    // One class only: no AUROC, and no interval of one.
    let auroc = scalar(&output, "auroc");
    assert!(auroc.value.is_none() && auroc.ci.is_none());

    let error = testing::run::<Uncertainty>(&config, &[recorded("b", 1.5)]).unwrap_err();
    assert!(
        error.message.contains("`avg_probability` is 1.5"),
        "{error}"
    );
    assert_eq!(error.sample_id.as_deref(), Some("b"));
    assert!(error.help.unwrap().contains("between 0 and 1"));
}

#[test]
fn what_was_recorded_is_within_its_range_but_for_rounding() {
    let recorded = |name: &str, value: f64| {
        let mut made = json!({"sample_id": "a", "completion": {"text": "", "finish_reason": "stop"}, "values": {"correct": [1.0]}});
        made["values"][name] = json!([value]);
        testing::run::<Uncertainty>(&json!({"resamples": 9}), &[made])
    };
    for (value, held) in [(-5e-7, 0.0), (1.0 + 5e-7, 1.0), (0.25, 0.25)] {
        let output = recorded("mean_token_probability", value).unwrap();
        assert_eq!(scalar(&output, "mean_token_probability").value, Some(held));
    }
    for (name, value, says) in [
        ("mean_token_probability", -0.1, "at least 0"),
        ("mean_token_probability", 1.1, "at most 1"),
        ("perplexity", 0.9, "at least 1"),
        ("sequence_logprob", 0.2, "at most 0"),
    ] {
        let error = recorded(name, value).unwrap_err();
        assert!(error.message.contains(says), "{error}");
    }
    // As many tokens as are likeliest are a vocabulary; one fewer is none.
    let of = |size: u32| testing::run::<Uncertainty>(&json!({"top_k": 5, "vocabulary": size}), &[]);
    assert!(of(5).is_ok() && of(4).is_err());
}

#[test]
fn the_columns_of_a_recording_need_no_second_key() {
    let recorded = |id: &str, p: f64, h: f64| json!({"sample_id": id, "completion": {"text": "", "finish_reason": "stop"}, "values": {"probability": [p], "entropy": [h], "correct": [1.0]}});
    let samples = [recorded("a", 0.25, 1.5), recorded("b", 0.75, 0.5)];
    let number = |config: &serde_json::Value, id: &str| {
        let output = run(config, &samples);
        assert!(
            output
                .notes
                .iter()
                .all(|note| !note.contains("no token statistics"))
        );
        let found = output.scalars.iter().find(|scalar| scalar.id == id);
        found.and_then(|scalar| scalar.value)
    };
    assert_eq!(number(&json!({}), "mean_token_probability"), Some(0.5));
    assert_eq!(number(&json!({}), "token_entropy"), Some(1.0));
    // What the configuration gives to another measure is that one alone.
    let named = json!({"recorded": {"top10_entropy": "entropy"}});
    assert_eq!(number(&named, "top10_entropy"), Some(1.0));
    assert_eq!(number(&named, "token_entropy"), None);
}

#[test]
fn given_texts_have_a_loss() {
    let text = |id: &str, l: &[f64]| json!({"sample_id": id, "completion": {"text": "", "finish_reason": "error"}, "values": {"text_logprob": l}});
    let output = run(&json!({}), &[text("a", &[-1.0, -2.0]), text("b", &[-0.5])]);
    assert!(output.scalars[0].primary);
    assert_eq!(output.scalars[0].id, "loss");
    close(&output, "loss", 1.0);
    close(&output, "token_loss", 3.5 / 3.0);
    close(&output, "corpus_perplexity", (3.5_f64 / 3.0).exp());
    assert_eq!(scalar(&output, "token_loss").n, 2, "samples, not tokens");
    let error = testing::run::<Uncertainty>(&json!({}), &[text("a", &[0.5])]).unwrap_err();
    assert_eq!(error.sample_id.as_deref(), Some("a"));
}
