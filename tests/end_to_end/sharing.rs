//! Several runs at once on one store: nothing is made twice, nothing is lost, and no lock of the file system is needed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Place, smoke_spec, text};

/// What both runs have to agree on.
const SAME: [&str; 3] = [
    "results.json",
    "samples/harmfulness.parquet",
    "models/tuned/adapter_model.safetensors",
];

#[test]
fn two_runs_at_once_make_every_node_once() {
    let straight = Place::new();
    let alone = straight.run(&smoke_spec(), "run");
    let place = Place::new();
    let runs = ["one", "two"].map(|out| start(&place, out, None));
    let [one, two] = runs.map(ended);
    assert_eq!(
        number(&one, "ran") + number(&two, "ran"),
        number(&alone, "ran"),
        "{one} {two}"
    );
    assert!(number(&one, "reused") + number(&two, "reused") > 0);
    for out in ["one", "two"] {
        same(&place, out, &straight);
    }
    nothing_is_left(&place);
}

#[test]
fn where_there_are_no_locks_runs_are_killed_and_others_go_on() {
    let straight = Place::new();
    straight.run(&smoke_spec(), "run");
    let place = Place::new();
    let nolock = without_locks(&place);
    for step in 0..6_u64 {
        let [mut killed, mut other] =
            ["killed", "other"].map(|out| start(&place, out, Some(&nolock)));
        std::thread::sleep(Duration::from_millis(150 + (step * 7919) % 600));
        killed.kill().expect("it can be killed");
        killed.wait().expect("a status");
        if step % 2 == 0 {
            other.kill().expect("it can be killed");
        }
        other.wait_with_output().expect("a status");
    }
    let [one, two] = ["killed", "other"].map(|out| start(&place, out, Some(&nolock)));
    ended(one);
    ended(two);
    for out in ["killed", "other"] {
        same(&place, out, &straight);
    }
    nothing_is_left(&place);
}

#[test]
fn one_folder_has_one_run_and_a_store_in_use_is_not_pruned() {
    let place = Place::new();
    let run = start(&place, "run", None);
    let path = place.path("store/claims");
    let claimed = || std::fs::read_dir(&path).is_ok_and(|files| files.count() > 1);
    while !claimed() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = place.output(&["run", text(&smoke_spec()), "--out", "run"]);
    let pruned = place.output(&["cache", "prune", "--older-than", "0"]);
    ended(run);
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(second.status.code(), Some(2), "{}", said(&second));
    assert!(
        said(&second).contains("is being written by process"),
        "{}",
        said(&second)
    );
    assert_eq!(pruned.status.code(), Some(1), "{}", said(&pruned));
    assert!(
        said(&pruned).contains("is in use by process"),
        "{}",
        said(&pruned)
    );
}

/// A library that makes `flock` fail, as on a file system that has none.
fn without_locks(place: &Place) -> PathBuf {
    let source = place.write(
        "nolock.c",
        "#include <errno.h>\nint flock(int file, int how) { (void)file; (void)how; errno = ENOLCK; return -1; }\n",
    );
    let library = place.path("nolock.so");
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .status();
    assert!(done.is_ok_and(|status| status.success()), "a C compiler");
    library
}

fn start(place: &Place, out: &str, preload: Option<&Path>) -> Child {
    let spec = smoke_spec();
    let mut command = place.command(&["run", text(&spec), "--out", out, "--format", "json"]);
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// The summary of a run that succeeds.
fn ended(run: Child) -> Value {
    let output = run.wait_with_output().expect("a status");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("a JSON summary")
}

fn number(summary: &Value, name: &str) -> u64 {
    summary[name].as_u64().expect("a number")
}

fn same(place: &Place, out: &str, straight: &Place) {
    for file in SAME {
        let read = |path: PathBuf| std::fs::read(path.join(file)).expect(file);
        assert!(
            read(place.path(out)) == read(straight.path("run")),
            "{file} of `{out}` differs"
        );
    }
}

/// Neither claims nor writers nor halves stay behind.
fn nothing_is_left(place: &Place) {
    for folder in ["claims", "writers", "tmp", "partial"] {
        let files: Vec<_> = std::fs::read_dir(place.path("store").join(folder))
            .expect(folder)
            .flatten()
            .map(|file| file.file_name())
            .collect();
        assert!(files.is_empty(), "{folder} holds {files:?}");
    }
}
