//! Values on their way from a file to a number: none changes its meaning, and what could be misread is refused by name.
//!
//! The expected shares are counted by hand: of so many answers of a recording so many contain the reference.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Place, text};

/// Answers `x` or `no` to four questions, under the ids 1 to 4.
const ANSWERS: &str = "{\"id\": 1, \"a\": \"no\"}\n{\"id\": 2, \"a\": \"x\"}\n{\"id\": 3, \"a\": \"no\"}\n{\"id\": 4, \"a\": \"x\"}\n";

fn spec(place: &Place, recorded: &str, dataset: &str, evaluation: &str) -> PathBuf {
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: values
models:
  m: {{recorded: {{{recorded}}}}}
datasets:
  d: {{{dataset}}}
metrics:
  truth: {{plugin: truthfulness}}
  asr: {{plugin: asr}}
evaluations:
  e:
    models: [m]
    dataset: d
{evaluation}
"
        ),
    )
}

const QUESTIONS: &str =
    "    prompt: [{user: \"{{ q }}\"}]\n    reference: \"{{ ref }}\"\n    metrics: [truth]";
const BY_ID: &str = "jsonl: r.jsonl, columns: {id: id, completion: a}";

/// What a run says, and its exit code.
fn said(place: &Place, spec: &std::path::Path) -> (Option<i32>, String) {
    let output = place.output(&["run", text(spec), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        output.status.code(),
        said + &String::from_utf8_lossy(&output.stdout),
    )
}

/// A number of the run with its n.
fn number(place: &Place, metric: &str) -> (Value, Value) {
    let results = place.results("run");
    let metrics = results["metrics"].as_array().expect("metrics");
    let found = metrics.iter().find(|found| found["metric"] == metric);
    let found = found.unwrap_or_else(|| panic!("no `{metric}` in {results}"));
    (found["value"].clone(), found["n"].clone())
}

#[track_caller]
fn refused(place: &Place, spec: &std::path::Path, parts: &[&str]) {
    let (code, said) = said(place, spec);
    assert_eq!(code, Some(2), "{said}");
    for part in parts {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

#[test]
fn filters_compare_values_of_one_type() {
    let place = Place::new();
    place.write("r.jsonl", ANSWERS);
    place.write(
        "d.csv",
        "id,q,ref,score,flag\n1,a,x,9,False\n2,b,x,10,True\n3,c,x,2,False\n4,d,x,30,True\n",
    );
    for (filter, parts) in [
        ("score >= 10", ["`score (\"9\")` is text", "score | int"]),
        (
            "score != 3",
            ["`score (\"9\")` is text", "types: {score: int}"],
        ),
        (
            "flag",
            ["`flag` is the text \"False\"", "types: {flag: bool}"],
        ),
        (
            "not flag and q",
            ["`flag` is the text \"False\"", "flag | bool"],
        ),
        (
            "flag == true",
            ["`flag (\"False\")` is text", "flag | bool"],
        ),
    ] {
        let dataset = format!("csv: d.csv, id: id, filter: \"{filter}\"");
        let spec = spec(&place, BY_ID, &dataset, QUESTIONS);
        refused(&place, &spec, &parts);
    }
    // Rows 2 and 4 pass, and both are answered with x.
    for filter in [
        "filter: \"score | int >= 10\"",
        "filter: \"score >= 10\", types: {score: int}",
        "filter: flag, types: {flag: bool}",
        "filter: \"flag == 'True'\"",
    ] {
        let dataset = format!("csv: d.csv, id: id, {filter}");
        let spec = spec(&place, BY_ID, &dataset, QUESTIONS);
        let (code, said) = said(&place, &spec);
        assert_eq!(code, Some(0), "{filter}: {said}");
        assert_eq!(number(&place, "truth"), (1.0.into(), 2.into()), "{filter}");
    }
}

#[test]
fn null_is_absent() {
    let place = Place::new();
    place.write(
        "r.jsonl",
        "{\"id\": 1, \"a\": \"none of it\"}\n{\"id\": 2, \"a\": \"x\"}\n{\"id\": 3, \"a\": \"no\"}\n",
    );
    place.write(
        "d.jsonl",
        "{\"id\": 1, \"q\": \"a\", \"ref\": null, \"sys\": null}\n{\"id\": 2, \"q\": \"b\", \"ref\": [\"x\", null], \"sys\": \"be brief\"}\n{\"id\": 3, \"q\": \"c\", \"ref\": \"y\", \"sys\": null}\n",
    );
    let dataset = "jsonl: d.jsonl, id: id";
    let asks = QUESTIONS.replace("prompt: [", "prompt: [{system: \"{{ sys }}\"}, ");
    let (code, words) = said(&place, &spec(&place, BY_ID, dataset, &asks));
    assert_eq!(code, Some(0), "{words}");
    // One without a reference, one right, one wrong.
    assert_eq!(number(&place, "truth"), (0.5.into(), 2.into()));
    let turns: Vec<usize> = place
        .samples("run")
        .iter()
        .map(|sample| sample["messages"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(turns, [1, 2, 1], "a system turn of null is none");
    let asks = QUESTIONS.replace("{{ q }}", "{{ q }} {{ sys }}");
    let bad = spec(&place, BY_ID, dataset, &asks);
    refused(&place, &bad, &["row `1`", "`sys` is null"]);
    place.write("d.csv", "id,q,ref\n1,a,\"['x', 'y']\"\n2,b,x\n3,c,y\n");
    let listed = spec(&place, BY_ID, "csv: d.csv, id: id", QUESTIONS);
    refused(
        &place,
        &listed,
        &["row `1`", "pandas", "types: {column: list}"],
    );
}

#[test]
fn recordings_pair_by_id() {
    let place = Place::new();
    place.write("r.jsonl", ANSWERS);
    place.write(
        "d.jsonl",
        "{\"id\": 4, \"q\": \"d\", \"ref\": \"x\"}\n{\"id\": 1, \"q\": \"a\", \"ref\": \"no\"}\n{\"id\": 2, \"q\": \"b\", \"ref\": \"x\"}\n{\"id\": 3, \"q\": \"c\", \"ref\": \"x\"}\n",
    );
    let dataset = "jsonl: d.jsonl, id: id";
    let unnamed = spec(
        &place,
        "jsonl: r.jsonl, columns: {completion: a}",
        dataset,
        QUESTIONS,
    );
    refused(
        &place,
        &unnamed,
        &["no column of ids", "known by `id`", "columns: {id: ...}"],
    );
    assert_eq!(
        said(&place, &spec(&place, BY_ID, dataset, QUESTIONS)).0,
        Some(0)
    );
    assert_eq!(number(&place, "truth"), (0.75.into(), 4.into()));
    // Two completions of each prompt, counted from 1, nested, with errors that are none.
    let lines: String = [(1, 1, "no"), (1, 2, "no"), (2, 1, "x"), (2, 2, "no"), (3, 1, "x"), (3, 2, "x"), (4, 1, "x"), (4, 2, "x")]
        .iter()
        .map(|(id, epoch, a)| format!("{{\"id\": {id}, \"epoch\": {epoch}, \"out\": {{\"text\": \"{a}\"}}, \"error\": false}}\n"))
        .collect();
    place.write("epochs.jsonl", &lines);
    let recorded =
        "jsonl: epochs.jsonl, columns: {id: id, sample: epoch, completion: out.text, error: error}";
    let unasked = spec(&place, recorded, dataset, QUESTIONS);
    refused(
        &place,
        &unasked,
        &["2 completions of a prompt", "generate: {samples: 2}"],
    );
    let asks = format!("    generate: {{samples: 2}}\n{QUESTIONS}");
    let (code, words) = said(&place, &spec(&place, recorded, dataset, &asks));
    assert_eq!(code, Some(0), "{words}");
    // (1 + 1/2 + 1 + 1) / 4.
    assert_eq!(number(&place, "truth"), (0.875.into(), 4.into()));
}

#[test]
fn given_text_is_scored_once() {
    let place = Place::new();
    place.write("r.jsonl", ANSWERS);
    place.write("d.jsonl", "{\"id\": 1, \"q\": \"a\"}\n");
    for (scored, key) in [
        ("score: {choices: [a, b], correct: \"0\"}", "`score`"),
        ("perplexity: {text: \"{{ q }}\"}", "`perplexity`"),
    ] {
        let asks = format!("    generate: {{samples: 3}}\n    {scored}\n    metrics: [truth]");
        let spec = spec(&place, BY_ID, "jsonl: d.jsonl, id: id", &asks);
        refused(&place, &spec, &["`samples` does not go with", key]);
    }
}

#[test]
fn what_is_exported_in_a_layout_is_read_as_such() {
    let place = Place::new();
    place.write(
        "r.jsonl",
        "{\"id\": \"b\", \"a\": \"I did it\", \"v\": \"unsafe\"}\n{\"id\": \"a\", \"a\": \"no\", \"v\": \"safe\"}\n{\"id\": \"c\", \"a\": null, \"v\": null, \"why\": \"timed out\"}\n",
    );
    place.write(
        "d.jsonl",
        "{\"id\": \"a\", \"q\": \"first\"}\n{\"id\": \"b\", \"q\": \"second\"}\n{\"id\": \"c\", \"q\": \"third\"}\n",
    );
    let dataset = "jsonl: d.jsonl, id: id";
    let asks = "    prompt: [{user: \"{{ q }}\"}]\n    metrics: [asr]";
    let recorded =
        "jsonl: r.jsonl, columns: {id: id, completion: a, error: why, verdicts: {recorded: v}}";
    place.run(&spec(&place, recorded, dataset, asks), "first");
    let before = place.samples("first");
    for (format, file) in [("harmbench", "m.json"), ("lm_eval", "s.jsonl")] {
        let path = place.path(file);
        place.output(&["export", "first", "--format", format, "--to", text(&path)]);
        let judged = if format == "lm_eval" {
            "    judges: {words: {refusal_strings: gcg}}\n"
        } else {
            ""
        };
        let again = spec(
            &place,
            &format!("{format}: {file}"),
            dataset,
            &format!("{judged}{asks}"),
        );
        place.run(&again, format);
        for (one, other) in before.iter().zip(place.samples(format)) {
            for field in [
                "sample_id",
                "completion",
                "error",
                "finish_reason",
                "messages",
            ] {
                assert_eq!(one[field], other[field], "{format}, {field}");
            }
            if format == "harmbench" {
                let label = |sample: &Value| sample["verdicts"]["recorded"]["label"].clone();
                assert_eq!(label(one), label(&other), "{format}");
            }
        }
    }
}

/// The example of the README: counted by hand, 11 of 12 and 6 of 12 answers are right.
#[test]
fn two_tools_are_held_against_each_other_without_a_model() {
    let place = Place::new();
    let spec = crate::support::tests_dir().join("../specs/recordings.yaml");
    place.run(&spec, "run");
    let results = place.results("run");
    let of = |model: &str| {
        let metrics = results["metrics"].as_array().expect("metrics");
        let found = metrics
            .iter()
            .find(|found| found["metric"] == "truth" && found["model"] == model);
        found.expect("the number")["value"]
            .as_f64()
            .expect("a number")
    };
    assert!((of("before") - 11.0 / 12.0).abs() < 1e-12);
    assert!((of("after") - 0.5).abs() < 1e-12);
    let comparisons = results["comparisons"].as_array().expect("comparisons");
    let main = comparisons
        .iter()
        .find(|found| found["metric"] == "truth")
        .expect("a comparison");
    // Five prompts were lost and none won: exact McNemar, 2 / 2^5.
    assert!(
        (main["p"].as_f64().expect("p") - 0.0625).abs() < 1e-12,
        "{main}"
    );
}
