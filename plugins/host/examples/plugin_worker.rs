//! The plugin worker as a program of its own: for harnesses other than `driftgauge`, and for tests.
//!
//! `driftgauge-plugin-worker plugin-worker --lib PATH --metric ID`, as `driftgauge plugin-worker` is called.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (library, metric) = match words.as_slice() {
        ["plugin-worker", "--lib", library, "--metric", metric] => (library, metric),
        ["plugin-worker", "--lib", library] => (library, &""),
        _ => {
            eprintln!("usage: driftgauge-plugin-worker plugin-worker --lib PATH [--metric ID]");
            return ExitCode::from(2);
        }
    };
    match driftgauge_plugin_host::worker_main(Path::new(library), metric) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
