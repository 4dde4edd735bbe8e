//! Several runs side by side, from results to the page.

use driftgauge_record::{Comparison, Flips, Metric, PairedDetail, Results};
use driftgauge_report::{AcrossRuns, NamedRun, Step, render_across};
use serde_json::Value;

fn metric(model: &str, value: f64) -> Metric {
    serde_json::from_value(serde_json::json!({
        "evaluation": "ask", "condition": "default", "model": model, "metric": "asr", "title": "Attack success rate",
        "value": value, "n": 20, "ci": null, "direction": "lower", "unit": "ratio", "primary": true,
    }))
    .expect("a metric")
}

fn run(label: &str, value: f64) -> NamedRun {
    NamedRun {
        label: label.to_owned(),
        results: Results {
            metrics: vec![metric("<m>", value)],
            ..Results::default()
        },
    }
}

fn step(delta: f64, p: f64) -> Step {
    Step {
        comparisons: vec![Comparison {
            evaluation: "ask".to_owned(),
            condition: "default".to_owned(),
            metric: "asr".to_owned(),
            baseline: "<m>".to_owned(),
            model: "<m>".to_owned(),
            delta: Some(delta),
            p: Some(p),
            n: 20,
            direction: "lower".to_owned(),
            ..Comparison::default()
        }],
        refused: vec!["x: <b>why</b>".to_owned()],
        ..Step::default()
    }
}

#[test]
fn the_newest_step_says_what_nothing_could_be_held_against() {
    let lost = |step: &Step, before: &NamedRun| {
        AcrossRuns::new(&[before.clone(), run("b", 0.6)], std::slice::from_ref(step)).lost()
    };
    let before = run("a", 0.5);
    assert_eq!(lost(&step(0.1, 0.5), &before), 0);
    let refused = Step {
        lost: 2,
        ..step(0.1, 0.5)
    };
    assert_eq!(lost(&refused, &before), 2);
    let mut unmeasured = step(0.1, 0.5);
    unmeasured.comparisons[0].delta = None;
    assert_eq!(lost(&unmeasured, &before), 1);
    // What the run before did not measure either is not lost.
    let mut undefined = before.clone();
    undefined.results.metrics[0].value = None;
    assert_eq!(lost(&unmeasured, &undefined), 0);
}

#[test]
fn the_newest_step_says_what_became_worse() {
    let runs = [run("one", 0.5), run("two", 0.2), run("two", 0.6)];
    let across = AcrossRuns::new(&runs, &[step(-0.3, 0.01), step(0.4, 0.001)]);
    assert_eq!(across.worse(), 1);
    let data: Value = serde_json::from_str(&across.to_json()).expect("JSON");
    assert_eq!(
        data["runs"],
        serde_json::json!(["one", "two (2)", "two (3)"])
    );
    assert_eq!(data["steps"][1]["rows"][0]["effect"], "better");
    let points = data["trends"][0]["chart"]["series"][0]["points"]
        .as_array()
        .expect("points");
    let values: Vec<_> = points.iter().map(|point| point["y"].as_f64()).collect();
    assert_eq!(values, [Some(0.5), Some(0.2), Some(0.6)]);
    let page = render_across(&across).expect("a page");
    assert!(page.contains("✗ worse") && page.contains("✓ better"));
    assert!(page.contains("&lt;m&gt;") && !page.contains("<b>why"));
}

#[test]
fn two_runs_have_no_trend_and_a_chance_is_no_change() {
    let across = AcrossRuns::new(&[run("a", 0.5), run("b", 0.6)], &[step(0.1, 0.4)]);
    assert_eq!(across.worse(), 0);
    let data: Value = serde_json::from_str(&across.to_json()).expect("JSON");
    assert_eq!(data["trends"], serde_json::json!([]));
    assert_eq!(data["forests"].as_array().map(Vec::len), Some(1));
    let page = render_across(&across).expect("a page");
    assert!(page.contains("– no clear difference"));
}

#[test]
fn runs_of_thousands_of_numbers_and_flips_stay_a_page() {
    let ids = |from: usize| {
        (from..from + 1_000)
            .map(|id| format!("prompt-{id:05}"))
            .collect()
    };
    let comparisons = (0..3_000).map(|at| {
        let mut found = step(
            if at == 2_999 { 0.5 } else { 0.0 },
            if at == 2_999 { 1e-6 } else { 0.9 },
        )
        .comparisons
        .remove(0);
        found.evaluation = format!("ask-{at:04}");
        found.detail = Some(PairedDetail {
            flips: Some(Flips {
                baseline_only: ids(0),
                model_only: ids(2_000),
            }),
            ..PairedDetail::default()
        });
        found
    });
    let step = Step {
        comparisons: comparisons.collect(),
        ..Step::default()
    };
    let across = AcrossRuns::new(&[run("a", 0.5), run("b", 0.6)], &[step]);
    let page = render_across(&across).expect("a page");
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
    // What changed clearly is kept, wherever it stands, and what is not there is counted.
    assert!(page.contains("ask-2999"));
    assert!(page.contains("of 3000 rows: <code>--format json</code> has all."));
    assert!(page.contains("more: <code>--format json</code> has all."));
    let data: Value = serde_json::from_str(&across.to_json()).expect("JSON");
    assert_eq!(
        data["steps"][0]["rows"].as_array().map(Vec::len),
        Some(3_000)
    );
}
