//! What a worker writes to its standard error: shown line by line, cut where it has no end, its last lines kept.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftgauge_plugin_protocol::clean::clean_line;

use crate::Log;
use crate::limits::{self, ShortLog};

/// Reads a worker's standard error in a thread of its own.
pub(super) struct Stderr {
    kept: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Stderr {
    pub(super) fn read(from: impl Read + Send + 'static, log: Log) -> Self {
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let lines = Arc::clone(&kept);
        let log = ShortLog::new(log);
        Self {
            kept,
            reader: std::thread::spawn(move || read(from, &log, &lines)),
        }
    }

    /// The end of it; the process is dead by now. Something it started may still hold the pipe: no long wait.
    pub(super) fn last_words(&self) -> String {
        let deadline = Instant::now() + Duration::from_millis(500);
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

fn read(mut from: impl Read, log: &ShortLog, kept: &Mutex<VecDeque<String>>) {
    const INFO: i32 = 2;
    let end = |line: &mut Vec<u8>| {
        let text = clean_line(&String::from_utf8_lossy(line), limits::LINE);
        line.clear();
        log.line(INFO, &text);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == limits::KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(text);
    };
    let (mut line, mut chunk) = (Vec::new(), [0; 1 << 13]);
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        for part in chunk[..n].split_inclusive(|&byte| byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            // One byte more than is shown, so that it is seen to be cut.
            let room = (limits::LINE + 1).saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                end(&mut line);
            }
        }
    }
    if !line.is_empty() {
        end(&mut line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_only_the_last_are_kept() {
        let mut text = "x".repeat(1 << 20).into_bytes();
        text.extend(b"\n\x1b[31mred\n");
        (0..20).for_each(|i| text.extend(format!("line {i}\n").into_bytes()));
        text.extend(b"no end");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&shown);
        let log: Log = Arc::new(move |_, line| log.lock().unwrap().push(line.to_owned()));
        let stderr = Stderr::read(std::io::Cursor::new(text), log);
        let words = stderr.last_words();
        assert_eq!(words.lines().count(), limits::KEPT_LINES);
        assert!(words.ends_with("line 19\nno end"), "{words}");
        let shown = shown.lock().unwrap();
        assert!(shown[0].len() < limits::LINE + 40, "{}", shown[0]);
        assert_eq!(shown[1], "\\u{1b}[31mred");
    }
}
