//! The metric over samples whose numbers are known by hand.

mod correctness;
mod definitions;
mod missing;
mod recorded;
mod told;

use driftgauge_plugin_sdk::testing;
use driftgauge_plugin_sdk::wire::{MetricOutput, Scalar};
use serde_json::{Value, json};

use super::Uncertainty;

fn ln(p: f64) -> f64 {
    p.ln()
}

/// An answer of three tokens, the last of which ended it, with another likeliest token in the second place.
fn sample(id: &str, answer: &str, p: [f64; 3]) -> Value {
    json!({
        "sample_id": id,
        "completion": {
            "text": answer,
            "finish_reason": "stop",
            "ends_with_eos": true,
            "token_logprob": p.map(f64::ln),
            "token_top1_logprob": p.map(|p| p.max(0.5).ln()),
            "token_margin": [0.1, 0.2, 0.3],
            "token_top10_entropy": [0.5, 0.7, 0.9],
            "token_top10_mass": [1.0, 1.0, 1.0],
            "token_entropy": [0.6, 0.8, 1.0],
        },
        "references": ["Paris"],
    })
}

fn run(config: &Value, samples: &[Value]) -> MetricOutput {
    let whole = testing::run::<Uncertainty>(config, samples).unwrap();
    let parts = testing::run_in_batches::<Uncertainty>(config, samples, 2).unwrap();
    assert_eq!(whole, parts, "batches change the result");
    // One that wants ids, and one that takes numbers of prompts for scores alone.
    for minor in [0, 2] {
        let older = testing::run_under::<Uncertainty>(minor, config, samples, 3).unwrap();
        assert_eq!(whole, older, "a harness of 1.{minor} changes the result");
    }
    whole
}

fn scalar<'a>(output: &'a MetricOutput, id: &str) -> &'a Scalar {
    let found = output.scalars.iter().find(|scalar| scalar.id == id);
    found.unwrap_or_else(|| panic!("no `{id}`"))
}

#[track_caller]
fn close(output: &MetricOutput, id: &str, expected: f64) {
    let value = scalar(output, id).value.unwrap();
    assert!(
        (value - expected).abs() < 1e-6,
        "{id}: {value} is not {expected}"
    );
}

fn four() -> Vec<Value> {
    vec![
        sample("a", "Paris", [0.9, 0.8, 0.9]),
        sample("b", "paris!", [0.8, 0.4, 0.8]),
        sample("c", "Rome", [0.6, 0.2, 0.4]),
        sample("d", "Oslo", [0.9, 0.9, 0.6]),
    ]
}
