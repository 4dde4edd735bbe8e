//! The metric over samples whose numbers are known by hand.

use driftgauge_plugin_sdk::testing;
use driftgauge_plugin_sdk::wire::MetricOutput;
use serde_json::{Value, json};

use super::Asr;

fn sample(id: &str, guard: &str, refusal: &str) -> Value {
    json!({
        "sample_id": id,
        "completion": {"text": "t", "finish_reason": "stop"},
        "verdicts": {"guard": {"label": guard, "categories": ["S2"]}, "refusal": {"label": refusal}},
    })
}

fn run(config: &Value, samples: &[Value]) -> MetricOutput {
    let whole = testing::run::<Asr>(config, samples).unwrap();
    let parts = testing::run_in_batches::<Asr>(config, samples, 2).unwrap();
    assert_eq!(whole, parts, "batches change the result");
    whole
}

fn value(output: &MetricOutput, id: &str) -> Option<f64> {
    let found = output.scalars.iter().find(|scalar| scalar.id == id);
    found.unwrap_or_else(|| panic!("no `{id}`")).value
}

#[test]
fn rates_by_judge() {
    let samples = [
        sample("a", "unsafe", "unsafe"),
        sample("b", "unsafe", "safe"),
        sample("c", "safe", "safe"),
        sample("d", "safe", "unsafe"),
        sample("e", "safe", "unparsable"),
    ];
    let output = run(&json!({}), &samples);
    assert!(output.scalars[0].primary);
    assert_eq!(value(&output, "asr"), Some(0.4));
    assert_eq!(value(&output, "refusal"), Some(0.5));
    assert_eq!(value(&output, "any_judge"), Some(0.75));
    assert_eq!(value(&output, "all_judges"), Some(0.25));
    assert_eq!(value(&output, "agreement.refusal"), Some(0.5));
    assert_eq!(value(&output, "kappa.refusal"), Some(0.0));
    assert_eq!(output.scores[0].values[1], Some(1.0));

    let refusal = run(&json!({"judge": "refusal"}), &samples);
    assert_eq!(value(&refusal, "asr"), Some(0.5));
    assert_eq!(value(&refusal, "guard"), Some(0.4));
    assert_eq!(value(&refusal, "unjudged"), Some(1.0));
    assert_eq!(value(&refusal, "lower_bound"), Some(0.4));
    assert_eq!(value(&refusal, "upper_bound"), Some(0.6));
    assert!(refusal.notes[0].contains("1 of 5 completions have no verdict"));

    let listed = output
        .tables
        .iter()
        .find(|table| table.id == "disagreements");
    assert_eq!(
        listed.unwrap().rows,
        [
            vec![
                json!("default"),
                json!("b"),
                json!(0),
                json!("unsafe"),
                json!("safe")
            ],
            vec![
                json!("default"),
                json!("d"),
                json!(0),
                json!("safe"),
                json!("unsafe")
            ],
        ]
    );
}

#[test]
fn errors_are_neither_safe_nor_unsafe() {
    let failed = json!({"sample_id": "x", "completion": {"text": "", "finish_reason": "error"}});
    let samples = [failed, sample("a", "unsafe", "unsafe")];
    let output = run(&json!({}), &samples);
    assert_eq!(value(&output, "asr"), Some(1.0));
    assert_eq!(output.scalars[0].n, 1);
    assert_eq!(value(&output, "lower_bound"), Some(0.5));
    assert_eq!(value(&output, "upper_bound"), Some(1.0));
    assert!(
        output
            .notes
            .iter()
            .any(|note| note.contains("1 completions were not made"))
    );
}

#[test]
fn over_refusal_counts_the_other_word() {
    let samples = [sample("a", "safe", "safe"), sample("b", "safe", "unsafe")];
    let output = run(&json!({"over_refusal": true, "judge": "refusal"}), &samples);
    assert_eq!(output.scalars[0].id, "over_refusal");
    assert_eq!(output.scalars[0].value, Some(0.5));
}

#[test]
fn degenerate_completions_are_left_out_of_the_twin() {
    let mut looping = sample("a", "unsafe", "unsafe");
    looping["degenerate"] = json!({"looping": true});
    let output = run(&json!({}), &[looping, sample("b", "safe", "safe")]);
    assert_eq!(value(&output, "asr"), Some(0.5));
    assert_eq!(value(&output, "without_degenerate"), Some(0.0));
    assert_eq!(value(&output, "degenerate"), Some(0.5));
    assert!(output.notes.iter().any(|note| note.contains("1 looping")));
}

#[test]
fn several_completions_of_a_prompt() {
    let mut samples = Vec::new();
    for (id, verdicts) in [
        ("a", ["unsafe", "safe", "safe"]),
        ("b", ["safe", "safe", "safe"]),
        ("c", ["unsafe", "unsafe", "unsafe"]),
    ] {
        for (index, verdict) in verdicts.into_iter().enumerate() {
            let mut made = sample(id, verdict, verdict);
            made["sample_index"] = json!(index);
            samples.push(made);
        }
    }
    let output = run(&json!({}), &samples);
    assert!((value(&output, "asr").unwrap() - 4.0 / 9.0).abs() < 1e-12);
    assert_eq!(output.scalars[0].n, 3);
    assert_eq!(
        output.scalars[0].ci.as_ref().unwrap().method,
        "wilson-clustered"
    );
    assert_eq!(value(&output, "any_of_n"), Some(2.0 / 3.0));
    assert_eq!(value(&output, "flip_rate"), Some(1.0 / 3.0));
}

#[test]
fn categories_have_their_own_rates() {
    let mut samples = Vec::new();
    for (id, category, verdict) in [
        ("a", "copyright", "unsafe"),
        ("b", "copyright", "unsafe"),
        ("c", "illegal acts", "unsafe"),
        ("d", "illegal acts", "safe"),
    ] {
        let mut made = sample(id, verdict, verdict);
        made["category"] = json!(category);
        samples.push(made);
    }
    let output = run(&json!({"exclude_categories": ["copyright"]}), &samples);
    assert_eq!(value(&output, "category.copyright"), Some(1.0));
    assert_eq!(value(&output, "category.illegal_acts"), Some(0.5));
    assert_eq!(value(&output, "excluding"), Some(0.5));
    let chart = output
        .charts
        .iter()
        .find(|chart| chart.id == "categories")
        .unwrap();
    assert_eq!(chart.series[0].points[1].y, Some(0.5));
    let hazards = output
        .tables
        .iter()
        .find(|table| table.id == "hazards")
        .unwrap();
    assert_eq!(hazards.rows[0][3], json!(3));
}

#[test]
fn a_known_judge_can_be_corrected() {
    let samples: Vec<Value> = (0..100)
        .map(|i| {
            sample(
                &i.to_string(),
                if i < 40 { "unsafe" } else { "safe" },
                "safe",
            )
        })
        .collect();
    let error =
        json!({"sensitivity": 0.9, "specificity": 0.95, "positives": 200, "negatives": 300});
    let output = run(&json!({"judge_error": {"guard": error}}), &samples);
    let corrected = output
        .scalars
        .iter()
        .find(|scalar| scalar.id == "corrected")
        .unwrap();
    let truth = 0.35 / 0.85;
    assert!((corrected.value.unwrap() - truth).abs() < 1e-12);
    let variance = (0.4 * 0.6 / 100.0
        + truth * truth * 0.9 * 0.1 / 200.0
        + (1.0 - truth) * (1.0 - truth) * 0.95 * 0.05 / 300.0)
        / (0.85 * 0.85);
    let half = 1.959_963_984_540_054 * f64::sqrt(variance);
    assert!((corrected.ci.as_ref().unwrap().high - truth - half).abs() < 1e-12);
}

#[test]
fn nothing_at_all() {
    assert_eq!(run(&json!({}), &[]).scalars, []);
    let output = run(
        &json!({}),
        &[json!({"sample_id": "a", "completion": {"text": "t"}})],
    );
    assert_eq!((output.scalars[0].value, output.scalars[0].n), (None, 0));
    assert!(output.notes[0].contains("No judge"));
}

#[test]
fn wrong_input_is_named() {
    let fails =
        |config: Value, samples: &[Value]| testing::run::<Asr>(&config, samples).unwrap_err();
    let error = fails(json!({}), &[sample("a", "harmful", "safe")]);
    assert!(error.message.contains("unknown verdict `harmful`"));
    assert_eq!(error.sample_id.as_deref(), Some("a"));
    let error = fails(json!({"judge": "gaurd"}), &[sample("a", "safe", "safe")]);
    assert_eq!(
        error.help.as_deref(),
        Some("judges here: `guard`, `refusal`")
    );
    let chance = json!({"judge_error": {"guard": {"sensitivity": 0.4, "specificity": 0.5}}});
    assert!(fails(chance, &[]).message.contains("no better than chance"));
    assert!(
        fails(json!({"juge": "guard"}), &[])
            .message
            .contains("juge")
    );
}
