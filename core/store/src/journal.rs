//! The journal of a node that makes many small results: one line per finished item, appended as it finishes.
//!
//! Every process appends to a file of its own and reads those of all. A killed one leaves at most one torn last line, which is
//! passed over; so at most the items in flight are lost, and none is ever counted twice.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Process, StoreError, io_error};

/// How the names of journals begin and end.
const NAME: &str = "journal";
const ENDING: &str = ".jsonl";

/// An append-only list of `(item index, result)`.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    file: File,
    done: BTreeMap<u64, T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens the journal in `folder`, reading what earlier runs finished.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(io_error("make", folder))?;
        let mut journals = Vec::new();
        for file in fs::read_dir(folder).map_err(io_error("list", folder))? {
            let path = file.map_err(io_error("list", folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(NAME) && name.ends_with(ENDING) {
                journals.push(path);
            }
        }
        // In one order, whoever reads.
        journals.sort();
        let mut done = BTreeMap::new();
        for path in journals {
            read(&path, &mut done)?;
        }
        let path = folder.join(format!("{NAME}-{}{ENDING}", Process::this().fresh()));
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        Ok(Self { path, file, done })
    }

    /// Results so far, by item index.
    #[must_use]
    pub fn done(&self) -> &BTreeMap<u64, T> {
        &self.done
    }

    /// Whether item `index` is finished.
    #[must_use]
    pub fn contains(&self, index: u64) -> bool {
        self.done.contains_key(&index)
    }

    /// Records the result of item `index`; a second result for the same item is ignored.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn record(&mut self, index: u64, item: T) -> Result<(), StoreError> {
        if self.contains(index) {
            return Ok(());
        }
        let mut line = serde_json::to_string(&(index, &item)).unwrap_or_default();
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(io_error("append to", &self.path))?;
        self.done.insert(index, item);
        Ok(())
    }
}

/// Takes what is whole in a journal.
fn read<T: DeserializeOwned>(path: &Path, done: &mut BTreeMap<u64, T>) -> Result<(), StoreError> {
    let mut reader = BufReader::new(File::open(path).map_err(io_error("read", path))?);
    let mut line = String::new();
    while reader
        .read_line(&mut line)
        .is_ok_and(|read| read > 0 && line.ends_with('\n'))
    {
        let Ok((index, item)) = serde_json::from_str::<(u64, T)>(&line) else {
            break;
        };
        done.entry(index).or_insert(item);
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_passed_over_and_nothing_is_doubled() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        journal.record(1, "b".to_owned()).unwrap();
        journal.record(0, "a".to_owned()).unwrap();
        journal.record(0, "z".to_owned()).unwrap();
        drop(journal);
        let mut files = fs::read_dir(dir.path()).unwrap();
        let path = files.next().unwrap().unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"[2,\"c");
        fs::write(&path, bytes).unwrap();
        let mut journal = Journal::<String>::open(dir.path()).unwrap();
        assert!(!journal.contains(2));
        journal.record(2, "c".to_owned()).unwrap();
        drop(journal);
        let journal = Journal::<String>::open(dir.path()).unwrap();
        assert!(journal.done().values().eq(["a", "b", "c"]));
    }
}
