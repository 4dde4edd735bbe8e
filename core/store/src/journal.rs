//! The journal of a node that makes many small results: one line per finished item, appended as it finishes.
//!
//! Every process appends to a file of its own and reads those of all. A killed one leaves at most one torn last line, which is
//! passed over; so at most the items in flight are lost, and none is ever counted twice. A line begins with a digest of the rest
//! of it: one in which a byte changed is passed over as well, and its item is made again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Digest, Process, StoreError, io_error};

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
        let done = read_all(folder)?;
        let path = folder.join(format!("{NAME}-{}{ENDING}", Process::this().fresh()));
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        Ok(Self { path, file, done })
    }

    /// Reads what other processes finished since this was opened.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        for (index, item) in read_all(folder)? {
            self.done.entry(index).or_insert(item);
        }
        Ok(())
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
        let line = sealed(&serde_json::to_string(&(index, &item)).unwrap_or_default());
        self.file
            .write_all(line.as_bytes())
            .map_err(io_error("append to", &self.path))?;
        self.done.insert(index, item);
        Ok(())
    }
}

/// What all journals of a folder hold.
fn read_all<T: DeserializeOwned>(folder: &Path) -> Result<BTreeMap<u64, T>, StoreError> {
    let mut journals = Vec::new();
    for file in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = file.map_err(io_error("list", folder))?.path();
        if is_journal(&path) {
            journals.push(path);
        }
    }
    // In one order, whoever reads.
    journals.sort();
    let mut done = BTreeMap::new();
    for path in journals {
        read(&path, &mut done)?;
    }
    Ok(done)
}

/// A line: `["digest",[index,item]]`.
fn sealed(entry: &str) -> String {
    let digest = Digest::of(entry.as_bytes());
    format!("[\"{}\",{entry}]\n", &digest.as_str()[..DIGITS])
}

/// Hexadecimal digits of a line's digest: it tells damage, and nobody's intent.
const DIGITS: usize = 16;

/// What a line holds; `None` when it is not what was written.
fn opened(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let entry = line.get(DIGITS + 4..)?.strip_suffix("]\n")?;
    (line == sealed(entry)).then_some(entry)
}

/// Takes what is whole in a journal.
fn read<T: DeserializeOwned>(path: &Path, done: &mut BTreeMap<u64, T>) -> Result<(), StoreError> {
    for_each_line(path, |line| {
        let entry = opened(line).and_then(|entry| serde_json::from_str::<(u64, T)>(entry).ok());
        if let Some((index, item)) = entry {
            done.entry(index).or_insert(item);
        }
    })
}

/// Numbers of the lines of a journal that are not what was written. The last one may be torn.
pub(crate) fn damaged_lines(path: &Path) -> Result<Vec<u64>, StoreError> {
    let (mut number, mut damaged) = (0, Vec::new());
    for_each_line(path, |line| {
        number += 1;
        // A torn one has no end; one whose end changed is whole but for that.
        let whole = match line {
            [.., b'\n'] => opened(line).is_some(),
            [rest @ .., _] => opened(&[rest, b"\n"].concat()).is_none(),
            [] => true,
        };
        if !whole {
            damaged.push(number);
        }
    })?;
    Ok(damaged)
}

/// Whether a file is a journal.
pub(crate) fn is_journal(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(NAME) && name.ends_with(ENDING)
}

fn for_each_line(path: &Path, mut each: impl FnMut(&[u8])) -> Result<(), StoreError> {
    let mut reader = BufReader::new(File::open(path).map_err(io_error("read", path))?);
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .map_err(io_error("read", path))?
        > 0
    {
        each(&line);
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

    #[test]
    fn what_others_finish_meanwhile_is_seen_when_it_is_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut one = Journal::open(dir.path()).unwrap();
        let mut other = Journal::open(dir.path()).unwrap();
        one.record(0, "a".to_owned()).unwrap();
        other.record(1, "b".to_owned()).unwrap();
        assert!(!one.contains(1) && !other.contains(0));
        one.refresh().unwrap();
        assert!(one.done().values().eq(["a", "b"]));
    }

    #[test]
    fn a_flipped_bit_costs_its_line_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        for (index, item) in ["a", "bc", "d"].into_iter().enumerate() {
            journal.record(index as u64, item.to_owned()).unwrap();
        }
        let path = journal.path.clone();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for byte in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[byte] ^= 2;
            fs::write(&path, bytes).unwrap();
            let found = damaged_lines(&path).unwrap();
            assert!(!found.is_empty(), "byte {byte}");
            let mut done = BTreeMap::<u64, String>::new();
            read(&path, &mut done).unwrap();
            let right = [(0, "a"), (1, "bc"), (2, "d")];
            assert!(done.len() < 3, "byte {byte}");
            assert!(
                done.iter()
                    .all(|(index, item)| right[*index as usize] == (*index, item)),
                "byte {byte}: {done:?}"
            );
        }
    }
}
