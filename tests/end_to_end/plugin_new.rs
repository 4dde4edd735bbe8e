//! A plugin as a stranger begins one: written into an empty folder, built and tested there without a network, and in the report.

use std::path::Path;
use std::process::Command;

use crate::support::Place;

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}\n{said}");
    said
}

/// Writes a project, runs `steps` in it, then its spec; the share of loud answers of both models has to come out.
fn project(args: &[&str], metric: &str, expected: [f64; 2], steps: impl Fn(&Path)) {
    let place = Place::new();
    let new = [&["plugin", "new", "mine", "--lang"], args].concat();
    succeed(&mut place.command(&new));
    let folder = place.path("mine");
    steps(&folder);
    let mut run = place.command(&["run", "spec.yaml", "--out", "run"]);
    succeed(run.current_dir(&folder));
    let results = place.results("mine/run");
    let numbers: Vec<f64> = results["metrics"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|found| found["metric"] == metric)
        .filter_map(|found| found["value"].as_f64())
        .collect();
    assert_eq!(numbers, expected);
    let page = String::from_utf8(place.read("mine/run/report.html")).expect("UTF-8");
    assert!(page.contains("role=\"img\""), "a chart");
    // It is there now.
    let again = place.output(&new);
    assert_eq!(again.status.code(), Some(2));
}

/// Tests and checks a program.
fn python(folder: &Path) {
    succeed(
        Command::new("python3")
            .args(["mine.py", "test"])
            .current_dir(folder),
    );
    succeed(
        Command::new(env!("CARGO_BIN_EXE_driftgauge"))
            .args(["plugin", "check", "mine.py"])
            .current_dir(folder),
    );
}

/// Builds a library from C and checks it.
fn c(folder: &Path) {
    let make = format!("DRIFTGAUGE={}", env!("CARGO_BIN_EXE_driftgauge"));
    let said = succeed(
        Command::new("make")
            .args(["test", &make])
            .current_dir(folder),
    );
    assert!(said.contains("passed"), "{said}");
}

/// Tests a library in Rust and builds it.
fn rust(folder: &Path) {
    for command in ["test", "build"] {
        succeed(
            Command::new("cargo")
                .args([command, "--offline", "--quiet"])
                .env("CARGO_TARGET_DIR", folder.join("target"))
                .current_dir(folder),
        );
    }
}

#[test]
fn a_project_in_python() {
    project(&["python"], "mine", [0.1, 0.5], python);
}

#[test]
fn a_project_in_c() {
    // Words per answer: `NO, NEVER!` has two, `That is fine.` three.
    project(&["c"], "mine", [2.9, 2.5], c);
}

#[test]
fn a_project_in_rust() {
    project(&["rust"], "mine", [0.1, 0.5], rust);
}

/// `NO, NEVER!` is safe by each judge, `That is fine.` is not: 18 and 10 of 20.
#[test]
fn judges_in_three_languages() {
    project(&["python", "--judge"], "asr", [0.9, 0.5], python);
    project(&["c", "--judge"], "asr", [0.9, 0.5], c);
    project(&["rust", "--judge"], "asr", [0.9, 0.5], rust);
}

#[test]
fn names_that_are_none_are_refused() {
    let place = Place::new();
    for name in ["Mine", "../x", "a-b", "9"] {
        let output = place.output(&["plugin", "new", name, "--lang", "c"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("is no name of a plugin"), "{said}");
    }
}
