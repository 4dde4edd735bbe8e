//! Prompts are the unit: several completions of one, and the order in which samples come.

use driftgauge_plugin_sdk::wire::{MetricOutput, ScoreValues};
use serde_json::{Value, json};

use super::{run, sample, scalar, table, value};

/// Samples of prompts with several completions each, by the verdicts of these.
fn judged(prompts: [(&str, [&str; 3]); 3]) -> Vec<Value> {
    let of_prompt = |(id, verdicts): (&str, [&str; 3])| {
        let made = verdicts.into_iter().enumerate().map(|(index, verdict)| {
            let mut made = sample(id, verdict, verdict);
            made["sample_index"] = json!(index);
            made
        });
        made.collect::<Vec<_>>()
    };
    prompts.into_iter().flat_map(of_prompt).collect()
}

#[test]
fn several_completions_of_a_prompt() {
    let samples = judged([
        ("a", ["unsafe", "safe", "safe"]),
        ("b", ["safe", "safe", "safe"]),
        ("c", ["unsafe", "unsafe", "unsafe"]),
    ]);
    let output = run(&json!({}), &samples);
    assert!((value(&output, "asr").unwrap() - 4.0 / 9.0).abs() < 1e-12);
    assert_eq!(output.scalars[0].n, 3);
    assert_eq!(
        output.scalars[0].ci.as_ref().unwrap().method,
        "wilson-clustered"
    );
    assert_eq!(value(&output, "at_3"), Some(2.0 / 3.0));
    assert_eq!(value(&output, "at_1"), value(&output, "asr"));
    assert_eq!(value(&output, "flip_rate"), Some(1.0 / 3.0));
}

#[test]
fn prompts_with_a_completion_without_a_verdict_are_left_out_of_any() {
    let samples = judged([
        ("a", ["safe", "safe", "unparsable"]),
        ("b", ["safe", "safe", "safe"]),
        ("c", ["unsafe", "safe", "error"]),
    ]);
    let output = run(&json!({}), &samples);
    let any = scalar(&output, "at_3");
    assert_eq!((any.value, any.n), (Some(0.0), 1));
}

#[test]
fn copies_of_completions_narrow_no_interval() {
    let words = ["safe", "unsafe", "unparsable", "error"];
    let completions = |times: usize| -> Vec<Value> {
        let one = |i: usize| {
            let mut made = sample(
                &format!("p{}", i / times),
                words[i / times * 7 % 4],
                words[i / times * 5 % 3],
            );
            made["sample_index"] = json!(i % times);
            made["degenerate"] = json!({"looping": (i / times).is_multiple_of(6)});
            made
        };
        (0..60 * times).map(one).collect()
    };
    let (once, copied) = (
        run(&json!({}), &completions(1)),
        run(&json!({}), &completions(10)),
    );
    let find = |output: &MetricOutput, id: &str| {
        let found = output.scalars.iter().find(|scalar| scalar.id == id);
        found.cloned().unwrap_or_else(|| panic!("no `{id}`"))
    };
    for id in [
        "asr",
        "unparsable",
        "error",
        "no_verdict",
        "not_made",
        "degenerate",
        "agreement.refusal",
        "kappa.refusal",
        "ac1.refusal",
        "any_judge",
        "all_judges.upper_bound",
    ] {
        let (one, ten) = (find(&once, id), find(&copied, id));
        assert_eq!((one.value, one.n), (ten.value, ten.n), "{id}");
        let (one, ten) = (one.ci.unwrap(), ten.ci.unwrap());
        // Only kappa and AC1 are drawn.
        assert!(
            (one.low - ten.low).abs() < 0.004 && (one.high - ten.high).abs() < 0.004,
            "{id}: {one:?} {ten:?}"
        );
    }
    let method = |id: &str| find(&copied, id).ci.unwrap().method;
    assert!(method("kappa.refusal").starts_with("cluster-bootstrap"));
    let asked = run(&json!({"resamples": 300}), &completions(10));
    let resamples = |output| {
        let ci = find(output, "kappa.refusal").ci.unwrap();
        ci.draws.map(|draws| draws.resamples)
    };
    assert_eq!(resamples(&asked), Some(300));
    assert_eq!(resamples(&copied), Some(100_000));
}

#[test]
fn the_order_of_samples_does_not_show() {
    let verdicts = ["safe", "unsafe", "unparsable", "error"];
    let samples: Vec<Value> = (0..240)
        .map(|i| {
            let mut made = sample(
                &format!("p{:03}", i / 3),
                verdicts[i * 7 % 4],
                verdicts[i * 5 % 3],
            );
            made["sample_index"] = json!(i % 3);
            made["category"] = json!(format!("c{}", i / 3 % 5));
            made["condition"] = json!("one");
            made
        })
        .collect();
    let config = json!({"disagreements": 10});
    let sorted = run(&config, &samples);
    // A fixed scattering: 97 and 240 have no common divisor.
    let scattered: Vec<Value> = (0..240).map(|i| samples[i * 97 % 240].clone()).collect();
    let mut other = run(&config, &scattered);
    let by_id = |output: &MetricOutput| {
        let mut scalars = output.scalars.clone();
        scalars.sort_by(|a, b| a.id.cmp(&b.id));
        scalars
    };
    assert_eq!(by_id(&sorted), by_id(&other));
    assert_eq!(sorted.tables, other.tables);
    for scores in &mut other.scores {
        let ids = scores.sample_ids.iter().map(str::to_owned);
        let mut pairs: Vec<_> = ids.zip(scores.values.iter()).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let (ids, values): (Vec<String>, ScoreValues) = pairs.into_iter().unzip();
        (scores.sample_ids, scores.values) = (ids.iter().collect(), values);
    }
    for scores in &sorted.scores {
        assert!(other.scores.contains(scores), "{}", scores.id);
    }
}

#[test]
fn the_first_disagreements_are_kept_whatever_the_order() {
    let made = |id: &str, index: i64, words: [&str; 2]| {
        let mut made = sample(id, words[0], words[1]);
        made["sample_index"] = json!(index);
        made
    };
    let mut samples = vec![
        made("b", 1, ["unsafe", "safe"]),
        made("c", 0, ["safe", "unsafe"]),
        made("a", 0, ["safe", "safe"]),
        made("b", 0, ["safe", "unsafe"]),
        made("d", 0, ["unsafe", "safe"]),
        made("e", 0, ["unsafe", "unparsable"]),
    ];
    for _ in 0..2 {
        let output = run(&json!({"disagreements": 2, "resamples": 50}), &samples);
        let listed = table(&output, "disagreements");
        assert_eq!(
            listed.title,
            "Completions on which judges disagree (2 of 4)"
        );
        let expected = json!([
            ["default", "b", 0, "safe", "unsafe"],
            ["default", "b", 1, "unsafe", "safe"]
        ]);
        assert_eq!(json!(listed.rows), expected);
        samples.reverse();
    }
    let all = run(&json!({"disagreements": 4, "resamples": 50}), &samples);
    assert_eq!(table(&all, "disagreements").rows.len(), 4);
    let none = run(&json!({"disagreements": 0, "resamples": 50}), &samples);
    assert!(none.tables.iter().all(|table| table.id != "disagreements"));
}
