//! The plugin worker as a program of its own: for harnesses other than `driftgauge`, and for tests.
//!
//! `plugin-worker plugin-worker --lib PATH [--metric ID]` or `plugin-worker plugin-worker -- PROGRAM ARGUMENT...`, as
//! `driftgauge plugin-worker` is called.

use std::ffi::OsString;
use std::process::ExitCode;

use driftgauge_plugin_host::Work;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(2).collect();
    let words: Vec<&str> = arguments
        .iter()
        .map(|word| word.to_str().unwrap_or_default())
        .collect();
    let work = match words.as_slice() {
        ["--lib", path, "--metric", metric] => Work::Library {
            path: path.into(),
            metric: (*metric).to_owned(),
        },
        ["--lib", path] => Work::Library {
            path: path.into(),
            metric: String::new(),
        },
        ["--", ..] => Work::Program(arguments[1..].to_vec()),
        _ => {
            eprintln!(
                "usage: plugin-worker plugin-worker --lib PATH [--metric ID] | -- PROGRAM ARGUMENT..."
            );
            return ExitCode::from(2);
        }
    };
    match driftgauge_plugin_host::worker_main(&work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
