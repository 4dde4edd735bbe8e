//! Spans of time in words.

use std::time::Duration;

use driftgauge_graph::forecast::Foreseen;

/// What a run took, and what had been foreseen of it.
pub(super) fn how_far(run: &Foreseen) -> String {
    let kinds: Vec<String> = run
        .kinds
        .iter()
        .map(|(kind, [foreseen, took])| {
            format!("{kind} {} for {}", seconds(*took), seconds(*foreseen))
        })
        .collect();
    format!(
        "{} of node time where {} were foreseen, {} of them by measurements ({})",
        seconds(run.took),
        seconds(run.foreseen),
        seconds(run.measured),
        kinds.join(", ")
    )
}

/// A span of time, no more exact than it is known.
pub(crate) fn seconds(seconds: f64) -> String {
    let span = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    match span.as_secs() {
        0..10 => format!("{seconds:.1} s"),
        10..120 => format!("{seconds:.0} s"),
        120..7200 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
