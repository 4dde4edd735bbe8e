//! What a store holds, and how it gets smaller.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::{Alone, Store, StoreError, io_error, sealed};
use crate::Digest;

/// One artifact, or the unfinished work of a node.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Node key.
    pub key: Digest,
    /// Ids of nodes with this key, in the last plan of any experiment.
    pub nodes: BTreeSet<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// When it was made or last gone on with.
    #[serde(skip)]
    pub modified: SystemTime,
    /// `finished`, `provisional` (answers are missing) or `unfinished`.
    pub state: &'static str,
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

impl Store {
    /// Everything in the store, the largest first.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let names = self.node_names();
        let mut entries = Vec::new();
        for shelf in folders(&self.root.join("artifacts"))? {
            for folder in folders(&shelf)? {
                if let Some(mut entry) = entry(folder, &names, "finished")? {
                    if self.provisional(&entry.key).is_some() {
                        entry.state = "provisional";
                    }
                    entries.push(entry);
                }
            }
        }
        for folder in folders(&self.root.join("partial"))? {
            entries.extend(entry(folder, &names, "unfinished")?);
        }
        entries.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.folder.cmp(&b.folder)));
        Ok(entries)
    }

    /// Removes an entry, and what was remembered of it. A node that needs it is made again.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self, _: &Alone, entry: &Entry) -> Result<(), StoreError> {
        fs::remove_dir_all(&entry.folder).map_err(io_error("remove", &entry.folder))?;
        if entry.state == "finished" {
            // A fact is read for provenance only.
            let _ = fs::remove_file(self.fact_path(&entry.key));
        }
        Ok(())
    }

    /// Node ids by key, of the last plan of each experiment.
    fn node_names(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let files = fs::read_dir(self.root.join("history"))
            .into_iter()
            .flatten();
        for file in files.flatten() {
            // A history that cannot be read costs names.
            let text = sealed::read(&file.path()).unwrap_or_default();
            let plan: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            for (id, node) in plan["nodes"].as_object().into_iter().flatten() {
                if let Some(key) = node["key"].as_str() {
                    names.entry(key.to_owned()).or_default().insert(id.clone());
                }
            }
        }
        names
    }
}

fn entry(
    folder: PathBuf,
    names: &BTreeMap<String, BTreeSet<String>>,
    state: &'static str,
) -> Result<Option<Entry>, StoreError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let Some(key) = Digest::parse(&name) else {
        return Ok(None);
    };
    let mut found = Entry {
        nodes: names.get(key.as_str()).cloned().unwrap_or_default(),
        key,
        bytes: 0,
        modified: SystemTime::UNIX_EPOCH,
        state,
        folder,
    };
    let folder = found.folder.clone();
    measure(&folder, &mut found)?;
    Ok(Some(found))
}

fn measure(folder: &Path, found: &mut Entry) -> Result<(), StoreError> {
    for item in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = item.map_err(io_error("list", folder))?.path();
        if path.is_dir() {
            measure(&path, found)?;
        } else if let Ok(file) = path.metadata() {
            found.bytes += file.len();
            found.modified = found
                .modified
                .max(file.modified().unwrap_or(found.modified));
        }
    }
    Ok(())
}

pub(crate) fn folders(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    let items = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        items => items.map_err(io_error("list", folder))?,
    };
    for item in items {
        let path = item.map_err(io_error("list", folder))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let keys = [Digest::of(b"one"), Digest::of(b"two"), Digest::of(b"three")];
        for (key, text) in keys[..2]
            .iter()
            .zip(["some", "some more text, to be the larger one"])
        {
            let folder = store.scratch(key).unwrap();
            fs::write(folder.join("a.txt"), text).unwrap();
            store.commit(key, &folder).unwrap();
        }
        let partial = store.partial_dir(&keys[2]);
        fs::create_dir_all(&partial).unwrap();
        fs::write(partial.join("journal.jsonl"), "").unwrap();

        let entries = store.entries().unwrap();
        let found: Vec<(&Digest, &str)> = entries.iter().map(|e| (&e.key, e.state)).collect();
        assert_eq!(
            found,
            [
                (&keys[1], "finished"),
                (&keys[0], "finished"),
                (&keys[2], "unfinished")
            ]
        );
        let lock = store.alone().unwrap();
        store.remove(&lock, &entries[1]).unwrap();
        store.remove(&lock, &entries[2]).unwrap();
        assert!(!store.contains(&keys[0]) && store.contains(&keys[1]));
        assert_eq!(store.entries().unwrap().len(), 1);
    }
}
