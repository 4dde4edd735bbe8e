//! `events.jsonl`: what happened while a run went, one JSON object a line. A line `run` opens each run.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::plan::NodeStatus;
use crate::folder::Schema;

/// What happened. Node ids are those of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum EventRecord {
    /// A run begins: the first line of a file, and of each further run into the same folder.
    Run {
        /// Number of the format of the lines that follow.
        schema: Schema<1>,
        /// Version of driftgauge.
        driftgauge: String,
    },
    /// A node begins.
    Started {
        /// Node id.
        node: String,
    },
    /// A worker process has loaded a model and checked it.
    Loaded {
        /// Ids of the nodes that this load serves.
        nodes: Vec<String>,
        /// Seconds from the start of the process.
        seconds: f64,
    },
    /// Something worth the log.
    Note {
        /// Node id.
        node: String,
        /// The note.
        text: String,
    },
    /// A node ended.
    Ended {
        /// Node id.
        node: String,
        /// How.
        outcome: NodeStatus,
        /// Seconds it took.
        seconds: f64,
        /// Why it failed or was skipped.
        error: Option<String>,
    },
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    /// What happened.
    #[serde(flatten)]
    pub event: EventRecord,
    /// When, in seconds since 1970.
    pub unix: f64,
}

/// Appends to `events.jsonl`. The file is a convenience: a full disk shows elsewhere.
#[derive(Debug)]
pub struct EventLog(Option<File>);

impl EventLog {
    /// Opens the file and says that a run begins.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut log = Self(file.ok());
        log.append(EventRecord::Run {
            schema: Schema,
            driftgauge: env!("CARGO_PKG_VERSION").to_owned(),
        });
        log
    }

    /// Adds a line.
    pub fn append(&mut self, event: EventRecord) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let line = EventLine {
            event,
            unix: now.as_millis() as f64 / 1000.0,
        };
        if let (Some(file), Ok(text)) = (&mut self.0, serde_json::to_string(&line)) {
            let _ = writeln!(file, "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_opens_with_its_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        for _ in 0..2 {
            EventLog::open(&path).append(EventRecord::Started {
                node: "model base".to_owned(),
            });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<EventLine> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].event, lines[2].event);
        assert!(
            text.starts_with("{\"event\":\"run\",\"schema\":1,"),
            "{text}"
        );
        let other = text.replace("\"schema\":1", "\"schema\":2");
        assert!(serde_json::from_str::<EventLine>(other.lines().next().unwrap()).is_err());
    }
}
