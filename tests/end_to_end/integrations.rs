//! The shell of the recipes for CI, as the files have it: with gates that hold, gates that fail, and a spec that is wrong.
#![cfg(unix)]

use std::process::Command;

use crate::support::{Place, path_with_program, tests_dir};

/// The blocks of shell behind `run: |` or `- |` of a recipe, in order.
fn blocks(file: &str, opens: &str) -> Vec<String> {
    let path = tests_dir().join("../integrations").join(file);
    let text = std::fs::read_to_string(path).expect("the recipe");
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = text.lines().collect();
    let starts = lines.iter().enumerate();
    let starts = starts.filter(|(_, line)| line.trim_start() == opens);
    starts
        .map(|(at, opener)| {
            let body = lines[at + 1..].iter();
            let body = body.take_while(|line| line.is_empty() || indent(line) > indent(opener));
            body.map(|line| format!("{}\n", line.trim_start()))
                .collect()
        })
        .collect()
}

/// A spec over the recordings of this repository, with a gate on the accuracy of a model.
fn spec(place: &Place, gate: &str) {
    let specs = tests_dir().join("../specs").canonicalize().expect("specs");
    let text = std::fs::read_to_string(specs.join("recordings.yaml")).expect("a spec");
    let text = text.replace(
        "data/recordings",
        &specs.join("data/recordings").display().to_string(),
    );
    place.write("evals/spec.yaml", &format!("{text}\n{gate}"));
}

const HOLDS: &str = "gates: [{metric: facts/truth, model: before, lower: 0.2}]\n";
const FAILS: &str = "gates: [{metric: facts/truth, model: after, lower: 0.9}]\n";

/// Runs a block as a runner does, with the program on the path.
fn shell(place: &Place, block: &str) -> Option<i32> {
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", block])
        .current_dir(place.dir.path())
        .env("PATH", path_with_program())
        .env("SPEC", "evals/spec.yaml")
        .env("OUT", "runs/ci")
        .env("ARGUMENTS", "--limit 12")
        .env("DRIFTGAUGE_STORE", place.path("store"))
        .env("RUNNER_TEMP", place.dir.path())
        .env("GITHUB_OUTPUT", place.path("output"))
        .env("GITHUB_STEP_SUMMARY", place.path("summary.md"))
        .output()
        .expect("bash");
    // Shown where a test fails.
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.code()
}

fn read(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path(name)).unwrap_or_default()
}

#[test]
fn a_workflow_of_github_fails_where_a_gate_does() {
    let blocks = blocks("github/action.yml", "run: |");
    let [_, plan, run] = blocks.as_slice() else {
        panic!("three blocks: {blocks:?}");
    };
    let place = Place::new();
    spec(&place, HOLDS);
    assert_eq!(shell(&place, plan), Some(0));
    assert_eq!(shell(&place, run), Some(0));
    let output = read(&place, "output");
    let keys = output
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("keys="));
    let keys = keys.expect("the keys").to_owned();
    assert_eq!(keys.len(), 32, "{output}");
    assert!(output.contains("code=0"), "{output}");
    let summary = read(&place, "summary.md");
    assert!(
        summary.contains("before") && summary.contains("91.7"),
        "{summary}"
    );
    assert!(read(&place, "runs/ci/junit.xml").contains("failures=\"0\""));

    // A store that is full gives the same key, another spec another one.
    std::fs::remove_file(place.path("output")).expect("a file");
    assert_eq!(shell(&place, plan), Some(0));
    assert_eq!(read(&place, "output"), format!("keys={keys}\n"));

    spec(&place, FAILS);
    assert_eq!(shell(&place, run), Some(100));
    assert!(read(&place, "output").contains("code=100"));
    assert!(read(&place, "runs/ci/junit.xml").contains("failures=\"1\""));

    // What an earlier run left is not shown as this one's.
    std::fs::remove_file(place.path("summary.md")).expect("a file");
    place.write("evals/spec.yaml", "version: 1\nname: wrong\nmodels: {}\n");
    assert_eq!(shell(&place, run), Some(2));
    let summary = read(&place, "summary.md");
    assert_eq!(
        summary,
        "driftgauge ended with exit code 2 and left no results.\n"
    );
}

#[test]
fn a_job_of_gitlab_fails_where_a_gate_does() {
    let blocks = blocks("gitlab/driftgauge.yml", "- |");
    let [run] = blocks.as_slice() else {
        panic!("one block: {blocks:?}");
    };
    let place = Place::new();
    spec(&place, HOLDS);
    assert_eq!(shell(&place, run), Some(0));
    assert!(read(&place, "runs/ci/report.md").contains("91.7"));
    spec(&place, FAILS);
    assert_eq!(shell(&place, run), Some(100));
    assert!(read(&place, "runs/ci/junit.xml").contains("failures=\"1\""));
}
