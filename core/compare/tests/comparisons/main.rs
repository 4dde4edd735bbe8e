//! Comparisons against values that `tests/python/make_comparisons.py` computes with numpy and scipy, and small cases by hand.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod areas;
mod clusters;
mod moves;
mod scores;
mod trainings;

use driftgauge_compare::{Clusters, PairComparison, between_models};
use driftgauge_plugin_protocol::wire::{
    Interval, MetricOutput, Pooled, PooledNumber, PooledStatistic, Scalar, ScoreKind, Scores,
};
use driftgauge_stats::bootstrap::Options;
use serde_json::Value;

fn expected() -> Value {
    serde_json::from_str(include_str!("../comparisons.json")).unwrap()
}

fn numbers(of: &Value) -> Vec<f64> {
    serde_json::from_value(of.clone()).unwrap()
}

fn ids() -> Vec<String> {
    serde_json::from_value(expected()["ids"].clone()).unwrap()
}

fn options() -> Options {
    Options {
        resamples: 400,
        ..Options::default()
    }
}

fn clusters() -> Clusters {
    let names: Vec<String> = serde_json::from_value(expected()["clusters"].clone()).unwrap();
    Clusters::new(ids().into_iter().zip(names))
}

fn close(ours: Option<f64>, theirs: &Value) {
    match (ours, theirs.as_f64()) {
        (Some(ours), Some(theirs)) => assert!((ours - theirs).abs() < 1e-9, "{ours} for {theirs}"),
        (ours, theirs) => assert_eq!(ours, theirs),
    }
}

/// Takes a value out of the first scores.
fn forget(output: &mut MetricOutput, place: usize) {
    let mut values: Vec<_> = output.scores[0].values.iter().collect();
    values[place] = None;
    output.scores[0].values = values.into();
}

fn column(id: &str, condition: &str, kind: ScoreKind, values: &[f64]) -> Scores {
    Scores {
        id: id.into(),
        condition: condition.into(),
        kind,
        sample_ids: ids()[..values.len()].iter().map(String::as_str).collect(),
        values: values.iter().copied().map(Some).collect(),
    }
}

/// An output with one number, primary, of these scores.
fn output(kind: ScoreKind, values: &[f64]) -> MetricOutput {
    let mut output = MetricOutput::new();
    let scalar = Scalar::new("x", "title of x", "default").unit("ratio");
    output.scalars.push(scalar.higher_is_better().primary());
    output.scores.push(column("x", "default", kind, values));
    output
}

fn interval(method: &str) -> Interval {
    Interval {
        level: 0.95,
        low: 0.0,
        high: 1.0,
        method: method.to_owned(),
        draws: None,
    }
}

fn compared(baseline: &MetricOutput, model: &MetricOutput) -> Vec<PairComparison> {
    between_models(baseline, model, (options(), &Clusters::default())).unwrap()
}

fn one(found: Vec<PairComparison>) -> PairComparison {
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

fn pooled(condition: &str, ids: &[String], values: &[f64], truths: &[bool]) -> Pooled {
    Pooled {
        condition: condition.to_owned(),
        numbers: vec![PooledNumber {
            id: "auroc".to_owned(),
            statistic: PooledStatistic::Auroc,
        }],
        sample_ids: ids.to_vec(),
        prompts: Vec::new(),
        values: values.to_vec(),
        truths: truths.to_vec(),
    }
}

fn ranked(of: &[(&str, &str)]) -> MetricOutput {
    let data = expected();
    let truths: Vec<bool> = numbers(&data["ones"])
        .iter()
        .map(|one| *one == 1.0)
        .collect();
    let mut output = MetricOutput::new();
    for (condition, name) in of {
        output
            .pooled
            .push(pooled(condition, &ids(), &numbers(&data[*name]), &truths));
        let ci = interval("bootstrap-percentile");
        output
            .scalars
            .push(Scalar::new("auroc", "", condition).value(0.5, 12).ci(ci));
    }
    output
}
