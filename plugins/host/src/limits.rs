//! What a plugin may use and say; plugins/README.md states the same.

use std::sync::atomic::{AtomicUsize, Ordering};

use driftgauge_plugin_protocol::clean::{clean, clean_line};
use driftgauge_plugin_protocol::wire::PluginErrorPayload;

use crate::Log;

/// Bytes of a library.
pub(crate) const LIBRARY: u64 = 1 << 30;
/// Bytes of a manifest.
pub(crate) const MANIFEST: usize = 1 << 20;
/// Bytes of a result.
pub(crate) const RESULT: usize = 256 << 20;
/// Bytes of an error, of which [`TEXT`] are shown.
pub(crate) const ERROR: usize = 64 << 20;
/// Bytes shown of an error's message or help.
pub(crate) const TEXT: usize = 2048;
/// Bytes shown of a line of a log.
pub(crate) const LINE: usize = 512;
/// Lines shown of a plugin's log and of its standard error, each.
pub(crate) const LINES: usize = 200;
/// Lines of standard error kept for error messages.
pub(crate) const KEPT_LINES: usize = 12;
/// Open files of a worker.
pub(crate) const FILES: u64 = 256;
/// Processes of a worker.
pub(crate) const PROCESSES: usize = 64;
/// Metrics of a library: a larger number is garbage.
pub(crate) const METRICS: u32 = 256;

/// What a plugin said of an error, fit to be shown.
pub(crate) fn fit(payload: PluginErrorPayload) -> PluginErrorPayload {
    let text = |text: String| clean(&text, TEXT);
    let word = |text: String| clean_line(&text, LINE);
    PluginErrorPayload {
        message: text(payload.message),
        help: payload.help.map(text),
        code: payload.code.map(word),
        sample_id: payload.sample_id.map(word),
        key: payload.key.map(word),
    }
}

/// A log that shows the first [`LINES`] lines and says when it leaves the others out.
pub(crate) struct ShortLog {
    log: Log,
    lines: AtomicUsize,
}

impl ShortLog {
    pub(crate) fn new(log: Log) -> Self {
        Self {
            log,
            lines: AtomicUsize::new(0),
        }
    }

    pub(crate) fn line(&self, level: i32, text: &str) {
        const WARNING: i32 = 1;
        match self.lines.fetch_add(1, Ordering::Relaxed) {
            before if before < LINES => (self.log)(level, &clean_line(text, LINE)),
            LINES => (self.log)(
                WARNING,
                &format!("after {LINES} lines the rest is left out"),
            ),
            _ => {}
        }
    }
}

/// The memory that a worker has where the spec says nothing: half of the machine's.
#[must_use]
pub fn default_memory() -> u64 {
    const UNKNOWN: u64 = 4 << 30;
    const LEAST: u64 = 1 << 30;
    let total = || {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    };
    total().map_or(UNKNOWN, |bytes: u64| (bytes / 2).max(LEAST))
}
