//! `--offline` opens no socket: the binary and its workers run under a filter of system calls that kills a process at its
//! first socket.
//!
//! The filter needs no rights. The test binary starts itself, takes the filter upon itself, and turns into `driftgauge`;
//! whatever that starts inherits the filter.

use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output};

use driftgauge_tests::server::Server;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::json;

use crate::support::{Place, smoke_spec, tests_dir, text};

/// Arguments of the `driftgauge` that the filtered process turns into, one a line.
const ARGUMENTS: &str = "DRIFTGAUGE_TEST_FILTERED";
/// What the filtered process says when it cannot be one.
const NO_FILTER: &str = "this kernel takes no filter of system calls";

/// Turns into a filtered `driftgauge` when it is told to; otherwise checks that the filter lets other things pass.
#[test]
fn filtered_process() {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        take_filter();
        let error = Command::new(env!("CARGO_BIN_EXE_driftgauge"))
            .args(arguments.lines())
            .env_remove(ARGUMENTS)
            .exec();
        panic!("it does not start: {error}");
    }
    let place = Place::new();
    let output = filtered(&place, &["--version"], &[]);
    assert!(output.status.success(), "{}", log(&output));
}

/// Kills this process and its children at the first socket, and at what could make one unseen.
fn take_filter() {
    let forbidden = [
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_io_uring_setup,
    ];
    let rules: BTreeMap<i64, Vec<_>> = forbidden
        .into_iter()
        .map(|call| (call, Vec::new()))
        .collect();
    let architecture = std::env::consts::ARCH.try_into().expect("an architecture");
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        architecture,
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
    if let Err(error) = seccompiler::apply_filter(&program) {
        panic!("{NO_FILTER}: {error}");
    }
}

fn filtered(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this test's own file"));
    command
        .args(["--exact", "offline::filtered_process", "--nocapture"])
        .env(ARGUMENTS, arguments.join("\n"))
        .env("DRIFTGAUGE_STORE", place.path("store"))
        .current_dir(place.dir.path());
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "HTTP_PROXY",
        "http_proxy",
    ] {
        command.env_remove(name);
    }
    command.env("HF_HOME", place.path("hf"));
    command.envs(variables.iter().copied());
    let output = command.output().expect("it starts");
    assert!(
        !log(&output).contains(NO_FILTER),
        "the proof cannot be made here: {}",
        log(&output)
    );
    output
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn a_whole_experiment_opens_no_socket() {
    let place = Place::new();
    let spec = smoke_spec();
    let output = filtered(
        &place,
        &["run", text(&spec), "--out", "run", "--offline"],
        &[],
    );
    assert!(output.status.success(), "{}", log(&output));
    assert!(place.path("run/report.html").is_file());
    for arguments in [
        vec!["check", text(&spec)],
        vec!["plan", text(&spec)],
        vec!["report", "run"],
        vec!["export", "run"],
    ] {
        let output = filtered(&place, &arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {}", log(&output));
    }
}

/// The other way round: where a socket has to be opened, the filter bites.
#[test]
fn the_filter_notices_a_socket() {
    let place = Place::new();
    let spec = place.write(
        "spec.yaml",
        "version: 1
name: fetched
models:
  m: {hub: org/golden}
datasets:
  rows: {jsonl: rows.jsonl}
metrics:
  uncertainty: {plugin: uncertainty}
evaluations:
  ask: {models: [m], dataset: rows, prompt: [{user: \"{{ q }}\"}], metrics: [uncertainty]}
",
    );
    place.write("rows.jsonl", "{\"q\": \"hello\"}\n");
    let server = Server::hub(&json!({ "models": { "org/golden": {
        "folder": tests_dir().join("golden/llama"), "commit": "0123456789abcdef0123456789abcdef01234567"
    } } }));
    let url = server.url();
    let output = filtered(
        &place,
        &["run", text(&spec), "--out", "run"],
        &[("HF_ENDPOINT", &url)],
    );
    assert_eq!(
        output.status.signal(),
        Some(libc::SIGSYS),
        "{}",
        log(&output)
    );
    assert!(server.requests().is_empty());
    let offline = filtered(
        &place,
        &["run", text(&spec), "--out", "run", "--offline"],
        &[("HF_ENDPOINT", &url)],
    );
    assert_eq!(offline.status.code(), Some(2), "{}", log(&offline));
}
