//! Model folders that differ from a golden one in one way each: both engines answer them as transformers does, or refuse them by
//! name while planning. A case is a file in `tests/fixtures/models`; `tests/python/make_model_cases.py` makes them.

use std::fmt::Write as _;
use std::path::PathBuf;

use driftgauge_tests::model_cases::{cases, write_case};
use serde_json::Value;

use crate::support::{Place, text};

const QUESTIONS: [&str; 3] = [
    "what is the capital of the island?",
    "who wrote to the king?",
    "the river",
];

/// Asks the questions of some folders, with one engine.
fn spec(place: &Place, engine: &str, models: &[String]) -> PathBuf {
    let mut rows = String::new();
    for (index, question) in QUESTIONS.iter().enumerate() {
        writeln!(rows, "{{\"id\": \"{index}\", \"q\": \"{question}\"}}").expect("written");
    }
    place.write("q.jsonl", &rows);
    let listed = models.iter();
    let listed: String = listed
        .map(|name| format!("  {name}: {{path: {name}, engine: {engine}}}\n"))
        .collect();
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: cases
models:
{listed}datasets:
  q: {{jsonl: q.jsonl, id: id}}
metrics:
  uncertainty: {{plugin: uncertainty}}
evaluations:
  ask:
    models: [{}]
    dataset: q
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 10}}
    metrics: [uncertainty]
",
            models.join(", ")
        ),
    )
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list").iter();
    list.map(|number| number.as_f64().expect("a number"))
        .collect()
}

/// What an engine says of each case that it has to answer as transformers does.
fn answers(engine: &str) {
    let place = Place::new();
    let cases = cases();
    let same: Vec<&(String, Value)> = cases
        .iter()
        .filter(|(_, case)| case[engine].is_null())
        .collect();
    assert!(same.len() >= 20, "{}", same.len());
    for (name, case) in &same {
        write_case(&place.path(name), case);
    }
    let names: Vec<String> = same.iter().map(|(name, _)| name.clone()).collect();
    let spec = spec(&place, engine, &names);
    place.run(&spec, "run");
    let samples = place.samples("run");
    let mut wrong = Vec::new();
    for (name, case) in same {
        let ours = samples.iter().filter(|sample| sample["model"] == **name);
        for (sample, theirs) in ours.zip(case["answers"].as_array().expect("answers")) {
            assert_eq!(
                sample["prompt_token_ids"], theirs["prompt"],
                "{engine} {name}"
            );
            if sample["completion_token_ids"] != theirs["new"] {
                wrong.push(format!(
                    "{name}: {} {}",
                    sample["completion_token_ids"], theirs["new"]
                ));
                continue;
            }
            let pairs = numbers(&sample["token_logprob"]);
            let pairs = pairs.into_iter().zip(numbers(&theirs["lp"]));
            let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            if largest > 1e-4 {
                wrong.push(format!("{name}: ln p differs by {largest:.1e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{engine}\n{}", wrong.join("\n"));
}

#[test]
fn folders_are_answered_by_mistralrs_as_transformers_does() {
    answers("mistralrs");
}

#[test]
fn folders_are_answered_by_our_decoder_as_transformers_does() {
    answers("native");
}

#[test]
fn what_an_engine_does_not_compute_is_refused_by_name_while_planning() {
    let mut wrong = Vec::new();
    for (name, case) in cases() {
        for engine in ["mistralrs", "native"] {
            let Some(words) = case[engine].as_str() else {
                continue;
            };
            let place = Place::new();
            write_case(&place.path(&name), &case);
            let spec = spec(&place, engine, std::slice::from_ref(&name));
            let output = place.output(&["plan", text(&spec)]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.code() != Some(2) || !said.contains(words) {
                wrong.push(format!(
                    "{name}, {engine}: {:?} without `{words}`: {said}",
                    output.status.code()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
