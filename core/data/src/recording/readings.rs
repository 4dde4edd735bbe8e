//! Recordings that were read: a file is read once, however many models, conditions and evaluations it serves.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use driftgauge_problem::Problem;
use driftgauge_spec::spec::RecordedFormat;
use indexmap::IndexSet;

use super::settings::Settings;
use super::{Recorded, RecordedMapping, layouts, said, scores, select};
use crate::dataset::Row;

/// Files up to so many bytes stay in memory until the run ends; the rows of a larger one only while someone reads them.
const KEPT: u64 = 256 << 20;

/// The rows of recordings, by file and layout, and what has to be said of them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readings(
    Arc<Mutex<HashMap<(PathBuf, String), Reading>>>,
    Arc<Mutex<IndexSet<String>>>,
);

#[derive(Debug)]
struct Reading {
    rows: Weak<Vec<Row>>,
    head: Settings,
    /// Holds the rows of a file that is not large.
    _kept: Option<Arc<Vec<Row>>>,
}

impl Readings {
    /// What was read otherwise than it is written, in the files that were read so far.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let notes = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().cloned().collect()
    }

    /// How the rows of a recording were made and marked, as far as its file says so.
    ///
    /// # Errors
    /// When the file cannot be read, or its filter cannot be asked.
    pub fn settings(&self, recorded: &Recorded, judged: bool) -> Result<Settings, Problem> {
        let all = self.rows(recorded)?;
        let rows = select(&recorded.file.path, &recorded.mapping, &all)?;
        let mapping = layouts::with_columns(recorded.mapping.clone(), &rows, judged);
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let head = readings.get(&key(recorded)).map(|reading| &reading.head);
        let head = head.cloned().unwrap_or_default();
        Ok(of_recording(&head, &mapping, &rows))
    }

    /// The rows of a recording's file, in one form whatever tool wrote them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows(&self, recorded: &Recorded) -> Result<Arc<Vec<Row>>, Problem> {
        let mapping = &recorded.mapping;
        let path = &recorded.file.path;
        let key = key(recorded);
        // Held while reading, so that nodes which want the same file wait for it instead of reading it as well.
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = readings.get(&key).and_then(|known| known.rows.upgrade()) {
            return Ok(rows);
        }
        let file = layouts::read(path, mapping)?;
        let mut notes = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        notes.extend(file.notes);
        let rows = Arc::new(file.rows);
        let is_small = std::fs::metadata(path).is_ok_and(|file| file.len() <= KEPT);
        let reading = Reading {
            rows: Arc::downgrade(&rows),
            head: file.settings,
            _kept: is_small.then(|| Arc::clone(&rows)),
        };
        readings.insert(key, reading);
        Ok(rows)
    }
}

fn key(recorded: &Recorded) -> (PathBuf, String) {
    let mapping = &recorded.mapping;
    let read_as = format!("{:?} {:?}", mapping.format, mapping.types);
    (recorded.file.path.clone(), read_as)
}

/// How a model's recording was made and marked, with the fields that tell right from wrong and safe from unsafe, where a tool has them.
fn of_recording(head: &Settings, mapping: &RecordedMapping, rows: &[&Row]) -> Settings {
    let mut settings = said::of_rows(head, mapping, rows);
    if matches!(mapping.format, RecordedFormat::Rows(_)) {
        return settings;
    }
    for (measure, source, _) in scores::measures(mapping.format, mapping, rows) {
        let what = match &measure {
            scores::Measure::Accuracy => "what marks answers".to_owned(),
            scores::Measure::Unsafe(judge) => format!("what gave the verdicts of `{judge}`"),
            scores::Measure::Other(_) => continue,
        };
        let by = format!("{source} of {}", mapping.format.name());
        settings.say(&what, &by.into());
    }
    settings
}
