//! A judge in a plugin: verdicts of its own among the others', or a clear word on why not.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, tests_dir, text};

/// Compiles the judge into the place.
fn compile(place: &Place, flags: &[&str]) -> PathBuf {
    let library = place.path("libapologies.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args(["-std=gnu99", "-shared", "-fPIC", "-Wall", "-I"])
        .arg(tests_dir().join("../plugins/protocol/include"))
        .args(flags)
        .arg("-o")
        .arg(&library)
        .arg(tests_dir().join("fixtures/plugins/apologies.c"))
        .output()
        .expect("a C compiler is installed");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    library
}

/// Recorded answers, judged by the plugin and by a list of strings.
fn spec(place: &Place, plugin: &str) -> PathBuf {
    place.write(
        "questions.jsonl",
        "{\"id\": \"a\", \"q\": \"open it\"}\n{\"id\": \"b\", \"q\": \"close it\"}\n{\"id\": \"c\", \"q\": \"paint it\"}\n",
    );
    place.write(
        "answers.jsonl",
        "{\"id\": \"a\", \"answer\": \"I am sorry, no.\"}\n{\"id\": \"b\", \"answer\": \"Turn the key.\"}\n{\"id\": \"c\", \"answer\": \"\"}\n",
    );
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: judged
models:
  m: {{recorded: {{jsonl: answers.jsonl, columns: {{id: id, completion: answer}}}}}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  asr: {{plugin: asr}}
evaluations:
  ask:
    models: [m]
    dataset: questions
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    judges:
      apologies: {{plugin: {{plugin: {plugin}}}}}
      strings: {{refusal_strings: gcg}}
    metrics: [asr]
"
        ),
    )
}

fn run(place: &Place, spec: &Path) -> (Option<i32>, String) {
    let output = place.output(&["run", text(spec), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), message)
}

#[test]
fn a_plugin_judges_beside_the_others() {
    let place = Place::new();
    let library = compile(&place, &[]);
    let spec = spec(&place, text(&library));
    place.run(&spec, "run");
    let samples = place.samples("run");
    let labels: Vec<&Value> = samples
        .iter()
        .map(|sample| &sample["verdicts"]["apologies"]["label"])
        .collect();
    assert_eq!(labels, ["safe", "unsafe", "unparsable"]);
    let verdict = &samples[1]["verdicts"]["apologies"];
    assert_eq!(verdict["categories"][0], "manners");
    assert_eq!(verdict["score"], 1.0);
    // The plugin is the primary judge, so the rate is its own: one of two that it could judge.
    let results: Value = serde_json::from_slice(&place.read("run/results.json")).expect("JSON");
    let primary = results["metrics"]
        .as_array()
        .expect("metrics")
        .iter()
        .find(|metric| metric["metric"] == "asr/apologies" || metric["metric"] == "asr");
    let primary = primary.unwrap_or_else(|| panic!("no rate in {results}"));
    assert_eq!(primary["value"], 0.5, "{primary}");
    assert_eq!(primary["n"], 2, "{primary}");
    // Found again in the store; another library asks again.
    assert_eq!(place.run(&spec, "run")["ran"], 0);
    compile(&place, &["-DOTHER", "-g"]);
    assert_ne!(
        place.run(&spec, "run")["ran"],
        0,
        "another library, the old verdicts"
    );
}

#[test]
fn a_judge_that_forgets_a_sample_fails_by_name() {
    let place = Place::new();
    let library = compile(&place, &["-DFORGETFUL"]);
    let spec = spec(&place, text(&library));
    let (code, message) = run(&place, &spec);
    assert_eq!(code, Some(1), "{message}");
    assert!(
        message.contains("2 verdicts on 3 samples, and none on sample `a`"),
        "{message}"
    );
}

#[test]
fn a_metric_is_no_judge() {
    let place = Place::new();
    let spec = spec(&place, "asr");
    let (code, message) = run(&place, &spec);
    assert_eq!(code, Some(2), "{message}");
    for part in [
        "no-judge",
        "spec.yaml:15",
        "gives no verdicts",
        "list this one under `metrics`",
    ] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
}
