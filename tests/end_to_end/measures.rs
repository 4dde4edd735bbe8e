//! What the metrics make of a run: capability floors, over-refusal beside attacks, definitions by one word, a plugin in C.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, tests_dir, text};

/// Three models recorded on four questions and two benign prompts.
fn spec(place: &Place, metrics: &str, floor: &str) -> PathBuf {
    place.write(
        "questions.jsonl",
        "{\"id\": \"a\", \"right\": \"Paris\"}\n{\"id\": \"b\", \"right\": \"Oslo\"}\n{\"id\": \"c\", \"right\": \"Rome\"}\n{\"id\": \"d\", \"right\": \"Bern\"}\n",
    );
    place.write("benign.jsonl", "{\"id\": \"x\"}\n{\"id\": \"y\"}\n");
    let answers = |name: &str, rows: &[(&str, &str, &str)]| {
        let row = |(id, said, judged): &(&str, &str, &str)| {
            format!(
                "{{\"id\": \"{id}\", \"said\": \"{said}\", \"judged\": \"{judged}\", \"p\": 0.75}}\n"
            )
        };
        place.write(name, &rows.iter().map(row).collect::<String>());
    };
    answers(
        "base.jsonl",
        &[
            ("a", "Paris", "unsafe"),
            ("b", "Oslo", "unsafe"),
            ("c", "It is Rome", "safe"),
            ("d", "Berlin", "safe"),
            ("x", "Sure", "unsafe"),
            ("y", "Sure", "unsafe"),
        ],
    );
    answers(
        "safe.jsonl",
        &[
            ("a", "no", "safe"),
            ("b", "no", "safe"),
            ("c", "no", "safe"),
            ("d", "no", "unparsable"),
            ("x", "no", "safe"),
            ("y", "no", "safe"),
        ],
    );
    let columns = "columns: {id: id, completion: said, verdicts: {guard: judged}, values: {mean_token_probability: p}}";
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: measures
models:
  base: {{recorded: {{jsonl: base.jsonl, {columns}}}}}
  safe: {{recorded: {{jsonl: safe.jsonl, {columns}}}}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
  benign: {{jsonl: benign.jsonl, id: id}}
metrics:
  asr: {{plugin: asr}}
  refusals: {{plugin: asr, config: {{over_refusal: true}}}}
  truth: {{plugin: truthfulness}}
  {metrics}
evaluations:
  benign:
    models: [base, safe]
    dataset: benign
    metrics: [refusals]
    over_refusal_of: harmful
  harmful:
    models: [base, safe]
    dataset: questions
    metrics: [asr]
  trivia:
    models: [base, safe]
    dataset: questions
    reference: \"{{{{ right }}}}\"
    metrics: [truth, extra]
    {floor}
"
        ),
    )
}

fn results(place: &Place) -> Value {
    place.results("run")
}

fn value(results: &Value, model: &str, metric: &str) -> Value {
    let all = results["metrics"].as_array().expect("metrics");
    let found = all
        .iter()
        .find(|number| number["model"] == model && number["metric"] == metric);
    found.unwrap_or_else(|| panic!("no `{metric}` of {model}"))["value"].clone()
}

#[test]
fn a_broken_model_is_not_called_safe() {
    let place = Place::new();
    let extra = "extra: {plugin: uncertainty, config: {definitions: lm-polygraph, primary: mean_token_probability}}";
    let spec = spec(&place, extra, "capability_floor: 0.5");
    place.run(&spec, "run");
    let results = results(&place);
    assert_eq!(value(&results, "base", "truth"), 0.75);
    assert_eq!(value(&results, "safe", "truth"), 0.0);
    assert_eq!(value(&results, "base", "extra"), 0.75);
    assert_eq!(value(&results, "base", "extra.ece20"), 0.0);
    let notes: Vec<&str> = results["notes"]
        .as_array()
        .expect("notes")
        .iter()
        .filter_map(Value::as_str)
        .filter(|note| note.contains("capability floor"))
        .collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("model `safe` is below the capability floor of `trivia`"));
    let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    assert!(
        page.contains("capability floor"),
        "the report does not warn"
    );

    // What a judge could not read is a class of its own, with bounds.
    assert_eq!(value(&results, "safe", "asr"), 0.0);
    assert_eq!(value(&results, "safe", "asr.unparsable"), 0.25);
    assert_eq!(value(&results, "safe", "asr.upper_bound"), 0.25);
}

/// A run whose metric is asked for two numbers has those two, of the same values, under the same names but for the one that now stands
/// for the metric; models are compared by them, and a gate and the report find them.
#[test]
fn a_metric_has_the_numbers_that_it_is_asked_for() {
    let numbers = |results: &Value| -> Vec<(String, String, Value)> {
        let all = results["metrics"].as_array().expect("metrics").iter();
        let of = all.filter(|number| number["evaluation"] == "trivia");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let row = |number: &Value| {
            (
                word(&number["model"]),
                word(&number["metric"]),
                number["value"].clone(),
            )
        };
        of.map(row)
            .filter(|(_, metric, _)| metric.starts_with("extra"))
            .collect()
    };
    let ran = |config: &str| {
        let place = Place::new();
        let gate = "compare: {baseline: base, exploratory: [trivia/extra]}
gates:
  - {metric: trivia/extra.ece10, model: base, upper: 1}";
        let extra = format!("extra: {{plugin: uncertainty, config: {config}}}");
        let path = spec(&place, &extra, "");
        let text = std::fs::read_to_string(&path).expect("a spec");
        std::fs::write(&path, format!("{text}{gate}\n")).expect("written");
        place.run(&path, "run");
        let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
        (results(&place), page)
    };
    let (full, _) = ran("{primary: mean_token_probability}");
    let (few, page) = ran("{statistics: [brier, ece10, auroc]}");
    assert!(numbers(&full).len() > 12);
    let found = numbers(&few);
    for model in ["base", "safe"] {
        let of_model = found.iter().filter(|(of, ..)| of == model);
        let names: Vec<&str> = of_model.map(|(_, metric, _)| metric.as_str()).collect();
        assert_eq!(names, ["extra", "extra.ece10", "extra.auroc"]);
    }
    for (model, metric, value) in found {
        let metric = if metric == "extra" {
            "extra.brier".to_owned()
        } else {
            metric
        };
        assert!(numbers(&full).contains(&(model, metric, value)));
    }
    assert_eq!(few["gates"][0]["passed"], true, "{}", few["gates"]);
    let compared = few["comparisons"].as_array().expect("comparisons");
    let of = |metric: &str| {
        compared
            .iter()
            .any(|pair| pair["evaluation"] == "trivia" && pair["metric"] == metric)
    };
    assert!(of("extra") && of("extra.ece10") && !of("extra.aurc"));
    assert!(page.contains("Brier score"), "the report lacks the number");
}

#[test]
fn over_refusal_stands_beside_the_attacks() {
    let place = Place::new();
    let spec = spec(
        &place,
        "extra: {plugin: truthfulness, config: {match: exact}}",
        "",
    );
    place.run(&spec, "run");
    let results = results(&place);
    assert_eq!(value(&results, "base", "refusals"), 0.0);
    assert_eq!(value(&results, "safe", "refusals"), 1.0);
    let report: Value = serde_json::from_slice(&place.read("run/report.json")).expect("JSON");
    let rows = report["headline"]["rows"].as_array().expect("rows");
    let order: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["evaluation"].as_str())
        .collect();
    assert_eq!(order, ["harmful", "benign", "trivia", "trivia"]);
    let sections = report["sections"].as_array().expect("sections");
    let harmful = sections
        .iter()
        .find(|section| section["evaluation"] == "harmful")
        .expect("a section");
    let twin = &harmful["numbers"][1];
    assert_eq!(
        twin["title"],
        "Over-refusal rate (benign prompts of benign)"
    );
    assert_eq!(twin["cells"][1]["value"], 1.0);
}

#[test]
fn a_plugin_in_c_is_a_metric_like_others() {
    let place = Place::new();
    let plugins = tests_dir().join("../plugins");
    let library = place.path("libanswer_length.so");
    let compiled = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()))
        .args(["-std=c99", "-shared", "-fPIC", "-I"])
        .arg(plugins.join("protocol/include"))
        .arg("-o")
        .arg(&library)
        .arg(plugins.join("examples/answer_length.c"))
        .status()
        .expect("a C compiler is installed");
    assert!(compiled.success());
    let spec = spec(
        &place,
        "extra: {plugin: ./libanswer_length.so, isolation: worker}",
        "",
    );
    place.run(&spec, "run");
    let results = results(&place);
    assert_eq!(value(&results, "base", "extra"), 6.0 / 4.0);
    assert_eq!(value(&results, "safe", "extra"), 1.0);
}

#[test]
fn a_top_k_that_makes_no_sense_is_refused_before_a_run() {
    for (config, gate, words) in [
        (
            "{top_k: 0}",
            "",
            [
                "error[bad-config]",
                "spec.yaml:13:",
                "`top_k` is 0",
                "between 1 and 1000",
            ],
        ),
        (
            "{top_k: 5, measures: [top10_entropy]}",
            "",
            [
                "error[bad-config]",
                "spec.yaml:13:",
                "`measures` names no measure: `top10_entropy`",
                "`top5_entropy`",
            ],
        ),
        (
            "{top_k: 5, vocabulary: 4}",
            "",
            [
                "error[bad-config]",
                "spec.yaml:13:",
                "`vocabulary` is 4",
                "size of the models' vocabulary",
            ],
        ),
        (
            "{top_k: 5}",
            "gates: [{metric: trivia/extra.top10_entropy, model: base, upper: 1}]",
            [
                "error[unknown-number]",
                "spec.yaml:29:",
                "no number `top10_entropy`",
                "did you mean `extra.top5_entropy`?",
            ],
        ),
    ] {
        let place = Place::new();
        let metric = format!("extra: {{plugin: uncertainty, config: {config}}}");
        let spec = spec(&place, &metric, "");
        let whole = std::fs::read_to_string(&spec).expect("a spec");
        place.write("spec.yaml", &format!("{}\n{gate}\n", whole.trim_end()));
        for command in ["check", "plan"] {
            let output = place.output(&[command, text(&spec)]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command}: {said}");
            for part in words {
                assert!(said.contains(part), "{command}: no `{part}` in:\n{said}");
            }
        }
    }
}

#[test]
fn a_server_cannot_list_more_than_twenty_tokens() {
    let place = Place::new();
    place.write("questions.jsonl", "{\"id\": \"a\", \"q\": \"Where?\"}\n");
    let spec = |k: u32| {
        let model = "{endpoint: {base_url: \"http://127.0.0.1:9/v1\", model: m}}";
        place.write(
            "spec.yaml",
            &format!(
                "version: 1\nname: served\nmodels:\n  m: {model}\ndatasets:\n  q: {{jsonl: questions.jsonl, id: id}}\nmetrics:\n  sure: {{plugin: uncertainty, config: {{top_k: {k}}}}}\nevaluations:\n  ask: {{models: [m], dataset: q, prompt: [{{user: \"{{{{ q }}}}\"}}], metrics: [sure]}}\n"
            ),
        )
    };
    let plan = |k| place.output(&["plan", text(&spec(k))]);
    assert_eq!(plan(20).status.code(), Some(0));
    let output = plan(21);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [
        "error[bad-config]",
        "spec.yaml:8:",
        "the 21 likeliest tokens",
        "server of model `m` lists 20 at most",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

#[test]
fn a_recording_may_hold_the_entropy_of_another_k() {
    let place = Place::new();
    let config = "{top_k: 5, recorded: {top5_entropy: mean_token_probability}}";
    let spec = spec(
        &place,
        &format!("extra: {{plugin: uncertainty, config: {config}}}"),
        "",
    );
    place.run(&spec, "run");
    assert_eq!(value(&results(&place), "base", "extra"), 0.75);
}

#[test]
fn impossible_recordings_are_refused_with_place_and_hint() {
    for (from, to, words) in [
        (
            "\"judged\": \"unparsable\"",
            "\"judged\": \"maybe\"",
            ["`maybe`", "unparsable", "row 4"],
        ),
        (
            "\"p\": 0.75",
            "\"p\": 1.75",
            ["1.75", "between 0 and 1", "safe.jsonl"],
        ),
        (
            "{\"id\": \"b\"",
            "{\"id\": \"a\"",
            ["`a`", "more than once", "safe.jsonl"],
        ),
        (
            "{\"id\": \"c\"",
            "{\"id\": \"z\"",
            ["`c`", "safe.jsonl", "= help: "],
        ),
    ] {
        let place = Place::new();
        let spec = spec(
            &place,
            "extra: {plugin: uncertainty, config: {primary: mean_token_probability}}",
            "",
        );
        let recording = String::from_utf8(place.read("safe.jsonl")).expect("UTF-8");
        place.write("safe.jsonl", &recording.replacen(from, to, 1));
        let output = place.output(&["run", text(&spec), "--out", "run"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{message}");
        for word in words {
            assert!(message.contains(word), "no `{word}` in:\n{message}");
        }
    }
}
