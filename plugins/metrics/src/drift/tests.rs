use driftgauge_plugin_sdk::testing;
use serde_json::{Value, json};

use super::*;

fn sample(id: &str, kl: &[f64], agree: &[f64], eos: f64, exact: f64) -> Value {
    json!({"sample_id": id, "completion": {"text": "t", "finish_reason": "stop"}, "values": {
        "kl": kl, "kl_top1_agree": agree, "kl_eos": [eos], "kl_exact_match": [exact]}})
}

fn run(config: &Value, samples: &[Value]) -> MetricOutput {
    let whole = testing::run::<Drift>(config, samples).unwrap();
    let parts = testing::run_in_batches::<Drift>(config, samples, 1).unwrap();
    assert_eq!(whole, parts, "batches change the result");
    whole
}

fn value(output: &MetricOutput, id: &str) -> Option<f64> {
    let found = output.scalars.iter().find(|scalar| scalar.id == id);
    found.unwrap_or_else(|| panic!("no `{id}`")).value
}

fn two() -> [Value; 2] {
    [
        sample("a", &[1.0, 0.5, 0.0], &[0.0, 1.0, 1.0], 1.0, 0.0),
        sample("b", &[0.5, 0.0], &[1.0, 1.0], 0.0, 1.0),
    ]
}

#[test]
fn the_manifest_and_the_defaults_are_as_documented() {
    let ranges = Drift::manifest().ranges;
    assert_eq!(ranges["top1_agreement"], [0.0, 1.0]);
    assert_eq!(ranges["exact_match"], [0.0, 1.0]);
    assert_eq!(ranges["*"][0], 0.0);
    let config = DriftConfig::default();
    assert_eq!((config.first, config.positions), (5, 64));
}

#[test]
fn what_is_asked_for_is_returned_alone() {
    let few = run(&json!({"statistics": ["exact_match"]}), &two());
    let ids: Vec<&str> = few
        .scalars
        .iter()
        .map(|scalar| scalar.id.as_str())
        .collect();
    assert_eq!(ids, ["kl", "exact_match"]);
    assert_eq!(
        value(&few, "exact_match"),
        value(&run(&json!({}), &two()), "exact_match")
    );
    assert!(few.tables.is_empty() && few.charts.is_empty());
    let error = testing::run::<Drift>(&json!({"statistics": ["exact"]}), &two()).unwrap_err();
    assert_eq!(error.key.as_deref(), Some("statistics[0]"));
}

#[test]
fn by_hand() {
    let output = run(&json!({"first": 1}), &two());
    assert!(output.scalars[0].primary);
    assert_eq!(value(&output, "kl"), Some(0.375));
    assert_eq!(value(&output, "kl_first"), Some(0.75));
    assert_eq!(
        value(&output, "top1_agreement"),
        Some(f64::midpoint(2.0 / 3.0, 1.0))
    );
    assert_eq!(value(&output, "exact_match"), Some(0.5));
    let curve = &output.charts[0].series[0].points;
    let heights: Vec<Option<f64>> = curve.iter().map(|point| point.y).collect();
    assert_eq!(heights, [Some(0.75), Some(0.25), Some(0.0)]);
    assert_eq!((curve[0].x, curve[2].n), (Some(1.0), Some(1)));
    assert_eq!(output.charts[1].series[0].points[0].y, Some(0.5));
    assert_eq!(output.tables[0].rows.len(), 3);
}

#[test]
fn the_end_token_can_be_dropped() {
    let output = run(&json!({"eos": "drop"}), &two());
    // Only the first response ended with one.
    assert_eq!(value(&output, "kl"), Some(f64::midpoint(0.75, 0.25)));
    assert_eq!(output.tables[0].rows.len(), 2);
    let short = run(&json!({"positions": 1}), &two());
    assert_eq!(short.tables[0].rows.len(), 1);
    assert_eq!(value(&short, "kl"), Some(0.375));
}

#[test]
fn missing_divergences_are_no_zeros() {
    let missing = json!({"sample_id": "c", "completion": {"text": "", "finish_reason": "error"}});
    let output = run(&json!({}), &[two()[0].clone(), missing.clone()]);
    assert_eq!((value(&output, "kl"), output.scalars[0].n), (Some(0.5), 1));
    assert!(output.notes[0].contains("1 of 2 samples"));
    assert_eq!(run(&json!({}), &[]).scalars, []);
    let none = run(&json!({}), &[missing]);
    assert_eq!((none.scalars[0].value, none.scalars[0].n), (None, 0));
}

#[test]
fn the_reference_itself_has_not_moved() {
    let same = [
        sample("a", &[0.0, 0.0], &[1.0, 1.0], 0.0, 1.0),
        sample("b", &[0.0], &[1.0], 0.0, 1.0),
    ];
    let output = run(&json!({}), &same);
    assert_eq!(value(&output, "kl"), Some(0.0));
    // Nothing varies: a divergence has no upper bound then, a share has one.
    assert_eq!(output.scalars[0].ci, None);
    assert_eq!(value(&output, "top1_agreement"), Some(1.0));
    let agreement = output.scalars.iter().find(|s| s.id == "top1_agreement");
    let ci = agreement.unwrap().ci.as_ref().unwrap();
    assert!(ci.low < 0.4 && ci.high == 1.0, "{ci:?}");
}

#[test]
fn what_is_not_told_is_no_number() {
    let one = json!({"sample_id": "a", "completion": {"text": "t", "finish_reason": "stop"}, "values": {"kl": [0.5, -1e-6]}});
    let output = run(&json!({"resamples": 9}), &[one]);
    let ids: Vec<&str> = output.scalars.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["kl", "kl_first"]);
}

#[test]
fn impossible_divergences_are_named() {
    let fails = |made: Value| testing::run::<Drift>(&json!({}), &[made]).unwrap_err();
    let error = fails(sample("a", &[0.1, -0.5], &[1.0, 1.0], 0.0, 0.0));
    assert!(error.message.contains("-0.5 at position 2"), "{error}");
    assert_eq!(error.sample_id.as_deref(), Some("a"));
    let error = fails(sample("a", &[0.1, 0.5], &[1.0], 0.0, 0.0));
    assert!(error.message.contains("2 positions and `kl_top1_agree` 1"));
    let error = testing::run::<Drift>(&json!({"first": 0}), &[]).unwrap_err();
    assert!(error.message.contains("count from 1"));
}
