//! `statistics`: what is asked for is what stands in the full output, beside the rate itself.

use driftgauge_plugin_sdk::testing;
use serde_json::{Value, json};

use super::run;
use crate::asr::Asr;

/// Two judges, three categories and two completions of some prompts.
fn samples() -> Vec<Value> {
    let one = |i: usize| {
        let word = |shift: usize| ["safe", "unsafe", "unparsable"][(i + shift) % 5 % 3];
        json!({
            "sample_id": format!("p{}", i * 2 / 3),
            "sample_index": i * 2 % 3 % 2,
            "category": format!("c{}", i * 2 / 3 % 3),
            "completion": {"text": if i.is_multiple_of(4) { "so" } else { "So it is." }, "finish_reason": "stop"},
            "degenerate": {"truncated": i.is_multiple_of(7)},
            "verdicts": {"guard": {"label": word(0)}, "refusal": {"label": word(1)}, "scale": {"label": "scored", "score": 0.25}},
        })
    };
    (0..30).map(one).collect()
}

#[test]
fn numbers_that_are_asked_for_are_those_of_the_full_output() {
    let samples = samples();
    let error = json!({"guard": {"sensitivity": 0.9, "specificity": 0.9}});
    let base = json!({"resamples": 50, "exclude_categories": ["c1"], "judge_error": error});
    let full = run(&base, &samples);
    assert!(full.scalars.len() > 25, "{}", full.scalars.len());
    let ask = |statistics: Value| {
        let mut config = base.clone();
        config["statistics"] = statistics;
        run(&config, &samples)
    };
    for theirs in &full.scalars {
        // The rate by another judge has that judge's id.
        let word = if theirs.id == "refusal" {
            "{judge}"
        } else {
            &theirs.id
        };
        let few = ask(json!([word]));
        let kept = |id: &str| id == "asr" || id == theirs.id;
        let expected = full.scalars.iter().filter(|scalar| kept(&scalar.id));
        assert!(few.scalars.iter().eq(expected), "{}", theirs.id);
        let expected = full.scores.iter().filter(|scores| kept(&scores.id));
        assert!(few.scores.iter().eq(expected), "{}", theirs.id);
        let pooled = few.pooled.iter().flat_map(|pooled| &pooled.numbers);
        assert!(
            pooled.into_iter().all(|number| kept(&number.id)),
            "{}",
            theirs.id
        );
        assert!(few.tables.is_empty() && few.charts.is_empty());
    }
    let ids = |statistics: Value| -> Vec<String> {
        let numbers = ask(statistics).scalars.into_iter();
        numbers.map(|scalar| scalar.id).collect()
    };
    assert_eq!(
        ids(json!(["category.*"])),
        ["asr", "category.c0", "category.c1", "category.c2"]
    );
    assert_eq!(
        ids(json!(["category.c2", "error"])),
        ["asr", "error", "category.c2"]
    );
    let every: Vec<&str> = full
        .scalars
        .iter()
        .map(|scalar| &*scalar.id)
        .filter(|id| *id != "refusal")
        .collect();
    let mut every: Value = json!(every);
    every.as_array_mut().unwrap().push(json!("{judge}"));
    let few = ask(every);
    assert_eq!(
        (few.scalars, few.scores, few.pooled),
        (full.scalars, full.scores, full.pooled)
    );
}

#[test]
fn a_number_that_does_not_exist_is_refused() {
    let error = testing::run::<Asr>(&json!({"statistics": ["catgory.*"]}), &[]).unwrap_err();
    assert!(error.message.contains("no number: `catgory.*`"), "{error}");
    let help = error.help.unwrap();
    assert!(help.starts_with("did you mean `category.*`?"), "{help}");
}
