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
fn project(lang: &str, metric: &str, expected: [f64; 2], steps: impl Fn(&Path)) {
    let place = Place::new();
    succeed(&mut place.command(&["plugin", "new", "mine", "--lang", lang]));
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
    let again = place.output(&["plugin", "new", "mine", "--lang", lang]);
    assert_eq!(again.status.code(), Some(2));
}

#[test]
fn a_project_in_python() {
    project("python", "mine", [0.1, 0.5], |folder| {
        succeed(
            Command::new("python3")
                .args(["mine.py", "test"])
                .current_dir(folder),
        );
        let check = Command::new(env!("CARGO_BIN_EXE_driftgauge"))
            .args(["plugin", "check", "mine.py"])
            .current_dir(folder)
            .output()
            .expect("the binary");
        let said = String::from_utf8_lossy(&check.stdout);
        assert!(check.status.success(), "{said}");
    });
}

#[test]
fn a_project_in_c() {
    // Words per answer: `NO, NEVER!` has two, `That is fine.` three.
    project("c", "mine", [2.9, 2.5], |folder| {
        let make = format!("DRIFTGAUGE={}", env!("CARGO_BIN_EXE_driftgauge"));
        let said = succeed(
            Command::new("make")
                .args(["test", &make])
                .current_dir(folder),
        );
        assert!(said.contains("passed"), "{said}");
    });
}

#[test]
fn a_project_in_rust() {
    project("rust", "mine", [0.1, 0.5], |folder| {
        for command in ["test", "build"] {
            succeed(
                Command::new("cargo")
                    .args([command, "--offline", "--quiet"])
                    .env("CARGO_TARGET_DIR", folder.join("target"))
                    .current_dir(folder),
            );
        }
    });
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
