//! Tests that cannot run on a machine say so, and are counted.

use std::io::Write as _;

/// Says that the test of this thread cannot run here, and why. With `DRIFTGAUGE_SKIPPED` naming a file, a line is added to it, so that whoever
/// runs the tests can count them: the output of a test that passes is not shown.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    eprintln!("skipped: {test}: {why}");
    let Some(path) = std::env::var_os("DRIFTGAUGE_SKIPPED") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    if let Ok(mut file) = file {
        let _ = writeln!(file, "skipped: {test}: {why}");
    }
}
