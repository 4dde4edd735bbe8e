//! Recordings that were read: a file is read once, however many models, conditions and evaluations it serves.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Recorded, layouts};
use crate::dataset::Row;

/// Files up to so many bytes stay in memory until the run ends; the rows of a larger one only while someone reads them.
const KEPT: u64 = 256 << 20;

/// The rows of recordings, by file and layout. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readings(Arc<Mutex<HashMap<(PathBuf, String), Reading>>>);

#[derive(Debug)]
struct Reading {
    rows: Weak<Vec<Row>>,
    /// Holds the rows of a file that is not large.
    _kept: Option<Arc<Vec<Row>>>,
}

impl Readings {
    /// The rows of a recording's file, in one form whatever tool wrote them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows(&self, recorded: &Recorded) -> Result<Arc<Vec<Row>>, String> {
        let mapping = &recorded.mapping;
        let path = &recorded.file.path;
        let key = (
            path.clone(),
            format!("{} {:?}", mapping.layout, mapping.format),
        );
        // Held while reading, so that nodes which want the same file wait for it instead of reading it as well.
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = readings.get(&key).and_then(|known| known.rows.upgrade()) {
            return Ok(rows);
        }
        let rows = Arc::new(layouts::read(path, mapping)?);
        let is_small = std::fs::metadata(path).is_ok_and(|file| file.len() <= KEPT);
        let reading = Reading {
            rows: Arc::downgrade(&rows),
            _kept: is_small.then(|| Arc::clone(&rows)),
        };
        readings.insert(key, reading);
        Ok(rows)
    }
}
