//! Numbers and lists that a recording brings: scored choices, tokens, and which of them are right.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::recorded::spec;
use crate::support::{Place, text};

/// A number of a run by its metric.
fn number<'a>(results: &'a Value, name: &str) -> &'a Value {
    let mut metrics = results["metrics"].as_array().expect("metrics").iter();
    let found = metrics.find(|metric| metric["metric"] == name);
    &found.unwrap_or_else(|| panic!("no `{name}` in {results}"))["value"]
}

fn lists(place: &Place, columns: &str) -> PathBuf {
    place.write("questions.jsonl", "{\"id\": \"a\"}\n{\"id\": \"b\"}\n");
    place.write(
        "lists.yaml",
        &format!(
            "version: 1
name: lists
models:
  m: {{recorded: {{jsonl: r.jsonl, columns: {{id: id, {columns}}}}}}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  truth: {{plugin: truthfulness}}
  sure: {{plugin: uncertainty, config: {{eos: drop, primary: mean_token_probability}}}}
evaluations:
  ask: {{models: [m], dataset: questions, metrics: [truth, sure]}}
"
        ),
    )
}

#[test]
fn lists_of_choices_and_tokens_are_read() {
    let place = Place::new();
    let row = |id: &str, likelihoods: [f64; 3], tokens: &[f64], ended: bool| {
        let tokens: Vec<f64> = tokens.iter().map(|p| p.ln()).collect();
        json!({"id": id, "l": likelihoods, "true": [1, 0, 0], "tokens": tokens, "ended": ended})
            .to_string()
            + "\n"
    };
    let first = row("a", [-1.0, -2.0, -3.0], &[0.5, 0.75, 0.25], true);
    place.write(
        "r.jsonl",
        &(first.clone() + &row("b", [-2.0, -1.0, -3.0], &[0.5, 0.25], false)),
    );
    let choices = "values: {choice_loglik: l, choice_correct: \"true\"}, token_logprob: tokens";
    let marked = lists(&place, &format!("{choices}, ends_with_eos: ended"));
    place.run(&marked, "run");
    let results = place.results("run");
    assert_eq!(*number(&results, "truth"), json!(0.5), "MC1");
    let e = [-1.0_f64, -2.0, -3.0].map(f64::exp);
    let mc2 = f64::midpoint(e[0], e[1]) / e.iter().sum::<f64>();
    let ours = number(&results, "truth.mc2").as_f64().expect("MC2");
    assert!((ours - mc2).abs() < 1e-12, "{ours}");
    // The end token of the first answer is dropped, and of the second nothing, which is said.
    let sure = number(&results, "sure").as_f64().expect("a mean");
    assert!((sure - f64::midpoint(0.625, 0.375)).abs() < 1e-6, "{sure}");
    let notes = results["notes"].to_string();
    assert!(
        notes.contains("nothing was dropped of 1 of 2 completions"),
        "{notes}"
    );

    place.run(&lists(&place, choices), "unmarked");
    let notes = place.results("unmarked")["notes"].to_string();
    assert!(
        notes.contains("nothing was dropped of 2 of 2 completions"),
        "{notes}"
    );

    place.write(
        "r.jsonl",
        &(first
            + "{\"id\": \"b\", \"l\": [], \"true\": [1, 0], \"tokens\": [-0.5], \"ended\": 0}\n"),
    );
    let output = place.output(&["plan", text(&lists(&place, choices))]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("row 2") && said.contains("holds an empty list for `choice_loglik`"),
        "{said}"
    );
}

#[test]
fn what_was_not_made_is_told_alike_by_the_metric_and_the_page() {
    let place = Place::new();
    // Two prompts of two completions: a good one, an empty one that the judge could not read, and two that were never made.
    place.write(
        "r.jsonl",
        "{\"id\": \"a\", \"n\": 0, \"text\": \"one\", \"why\": null, \"v\": \"unsafe\"}
{\"id\": \"a\", \"n\": 1, \"text\": \"\", \"why\": null, \"v\": \"unparsable\"}
{\"id\": \"b\", \"n\": 0, \"text\": null, \"why\": \"no answer in time\", \"v\": null}
{\"id\": \"b\", \"n\": 1, \"text\": null, \"why\": \"no answer in time\", \"v\": null}
",
    );
    let spec = spec(
        &place,
        "jsonl: r.jsonl, columns: {id: id, sample: n, completion: text, error: why, verdicts: {people: v}}",
        "generate: {samples: 2, temperature: 1.0}",
    );
    place.run(&spec, "run");
    let results = place.results("run");
    let value = |id: &str| {
        let metrics = results["metrics"].as_array().expect("metrics");
        let found = metrics.iter().find(|metric| metric["metric"] == id);
        found.unwrap_or_else(|| panic!("no `{id}`"))["value"].clone()
    };
    assert_eq!(value("asr"), 1.0);
    assert_eq!(value("asr.not_made"), 0.5);
    assert_eq!(value("asr.degenerate"), 0.25);
    assert_eq!(value("asr.unparsable"), 0.25);
    assert_eq!(value("asr.error"), 0.0);
    assert_eq!(value("asr.unjudged"), 1.0);
    let page: Value = serde_json::from_slice(&place.read("run/report.json")).expect("JSON");
    let page = page.to_string();
    for told in [
        "Completions that were not made: 2 of 4 of m in ask",
        "cut at the limit): 1 of 4 of m in ask",
        "people on 1 of 4 of m in ask",
        "2 of 4 completions were not made",
        "1 of 4 completions are degenerate (1 empty, 0 looping, 0 cut at the limit)",
        "1 of 4 completions have no verdict of `people`",
    ] {
        assert!(page.contains(told), "the report does not say: {told}");
    }
}

#[test]
fn which_recorded_choices_are_right_is_said_by_the_spec() {
    let place = Place::new();
    place.write(
        "d.jsonl",
        "{\"id\": \"a\", \"q\": \"A?\", \"c\": [\"x\", \"y\", \"z\"], \"r\": 1}\n{\"id\": \"b\", \"q\": \"B?\", \"c\": [\"x\", \"y\", \"z\"], \"r\": 0}\n",
    );
    let spec = |columns: &str| {
        place.write(
            "spec.yaml",
            &format!(
                "version: 1
name: choices
models: {{m: {{recorded: {{jsonl: r.jsonl, columns: {{id: id, error: e, values: {{{columns}}}}}}}}}}}
datasets: {{d: {{jsonl: d.jsonl, id: id}}}}
metrics: {{truth: {{plugin: truthfulness}}}}
evaluations:
  e: {{models: [m], dataset: d, prompt: [{{text: \"{{{{ q }}}}\"}}], score: {{choices: \"{{{{ c }}}}\", correct: r}}, metrics: [truth]}}
"
            ),
        )
    };
    let rows = |first: &str, second: &str| {
        place.write(
            "r.jsonl",
            &format!("{{\"id\": \"a\", \"e\": null, {first}}}\n{{\"id\": \"b\", {second}}}\n"),
        )
    };
    // The likeliest is the second choice of both, right in the first question alone.
    rows("\"l\": [-2, -1, -3]", "\"l\": [-2, -1, -3]");
    place.run(&spec("choice_loglik: l"), "run");
    assert_eq!(*number(&place.results("run"), "truth"), json!(0.5));
    let labels = |sample: &Value| sample["values"]["choice_correct"].clone();
    let samples = place.samples("run");
    assert_eq!(labels(&samples[0]), json!([0.0, 1.0, 0.0]));
    assert_eq!(labels(&samples[1]), json!([1.0, 0.0, 0.0]));
    let both = "choice_loglik: l, choice_correct: k";
    for (columns, first, second, part) in [
        (
            "choice_loglik: l",
            "\"l\": [-2, -1]",
            "\"l\": [-2, -1, -3]",
            "row 1 (sample `a`): `choice_loglik` has 2 entries, and by `score.choices` there are 3",
        ),
        (
            both,
            "\"l\": [-2, -1, -3], \"k\": [0, 1, 0]",
            "\"l\": [-2, -1, -3], \"k\": [0, 1, 0]",
            "row 2 (sample `b`): its right choices are 1, and by `score.correct` they are 0",
        ),
        (
            both,
            "\"l\": [-2, -1, -3], \"k\": [0, 0.2, 0]",
            "\"l\": [-2, -1, -3], \"k\": [1, 0, 0]",
            "row 1: `choice_correct` holds 0.2",
        ),
        (
            "choice_loglik: l",
            "\"l\": [-2, 1, -3]",
            "\"l\": [-2, -1, -3]",
            "row 1: a log-likelihood in `choice_loglik` is 1, which is above 0",
        ),
        (
            "choice_loglik: l",
            "\"l\": null",
            "\"l\": [-2, -1, -3]",
            "row 1 (sample `a`): there is no `choice_loglik`",
        ),
    ] {
        rows(first, second);
        let output = place.output(&["plan", text(&spec(columns))]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{part}: {said}");
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    // Answers that were generated are no choices.
    rows(
        "\"l\": [-2, -1, -3], \"k\": 1",
        "\"l\": [-2, -1, -3], \"k\": 0",
    );
    let output = place.output(&["check", text(&spec("correct: k"))]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("has no `choice_loglik`, and the evaluation scores choices"),
        "{said}"
    );
    // What was not made has no choices.
    rows("\"l\": [-2, -1, -3]", "\"e\": \"timed out\", \"l\": null");
    place.run(&spec("choice_loglik: l"), "failed");
    assert_eq!(*number(&place.results("failed"), "truth"), json!(1.0));
}
