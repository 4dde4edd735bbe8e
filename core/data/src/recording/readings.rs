//! Recordings that were read: a file is read once, however many models, conditions and evaluations it serves.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use driftgauge_problem::Problem;
use indexmap::IndexSet;

use super::{Recorded, layouts};
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

    /// The rows of a recording's file, in one form whatever tool wrote them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows(&self, recorded: &Recorded) -> Result<Arc<Vec<Row>>, Problem> {
        let mapping = &recorded.mapping;
        let path = &recorded.file.path;
        let key = (
            path.clone(),
            format!("{:?} {:?}", mapping.format, mapping.types),
        );
        // Held while reading, so that nodes which want the same file wait for it instead of reading it as well.
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = readings.get(&key).and_then(|known| known.rows.upgrade()) {
            return Ok(rows);
        }
        let table = layouts::read(path, mapping)?;
        let mut notes = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        notes.extend(table.notes);
        let rows = Arc::new(table.rows);
        let is_small = std::fs::metadata(path).is_ok_and(|file| file.len() <= KEPT);
        let reading = Reading {
            rows: Arc::downgrade(&rows),
            _kept: is_small.then(|| Arc::clone(&rows)),
        };
        readings.insert(key, reading);
        Ok(rows)
    }
}
