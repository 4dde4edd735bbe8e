//! Reads every byte of a store and says which files are not what was written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::inventory::folders;
use super::{Digest, Store, StoreError, artifact, io_error, journal, sealed};

/// A file that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub help: String,
    /// The node that it is of.
    pub key: Option<Digest>,
}

/// What came of reading everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Files that were read and held against their digests.
    pub files: u64,
    /// Those that are not what was written.
    pub damaged: Vec<Damage>,
    /// Files that have no digest: each run makes them anew, or they are not ours.
    pub unsealed: Vec<PathBuf>,
}

/// What helps where the next run makes good what was lost.
const REMADE: &str = "run again: this node is made anew, and nothing that is whole";
const UNFINISHED: &str =
    "run again: what is whole of this unfinished node is taken up, and the rest made anew";
const FACT: &str = "remove it: only what it told of speed and of the checks of a model is lost";

impl Store {
    /// Reads every byte of the store: artifacts, unfinished work, facts, the last plans and remembered digests. With `only`, of
    /// the nodes with these keys, and what belongs to no node.
    ///
    /// # Errors
    /// When a folder cannot be listed, or a file that is there not be read.
    pub fn verify_all(&self, only: Option<&BTreeSet<String>>) -> Result<Verified, StoreError> {
        let mut found = Verified::default();
        let wanted = |name: &str| only.is_none_or(|only| only.contains(name));
        for shelf in folders(&self.root().join("artifacts"))? {
            for folder in folders(&shelf)? {
                match key_of(&folder) {
                    Some(key) if wanted(key.as_str()) => {
                        found.folder(&folder, Some(&key), REMADE)?;
                    }
                    Some(_) => {}
                    None => found.files_without(&folder)?,
                }
            }
        }
        for folder in folders(&self.root().join("partial"))? {
            match key_of(&folder) {
                Some(key) if wanted(key.as_str()) => found.unfinished(&folder, &key)?,
                Some(_) => {}
                None => found.files_without(&folder)?,
            }
        }
        for (place, help) in [
            ("facts", FACT),
            (
                "history",
                "remove it: only the reasons that `plan` gives for a change are lost",
            ),
        ] {
            for file in files(&self.root().join(place))? {
                let key = file
                    .file_stem()
                    .and_then(|name| Digest::parse(&name.to_string_lossy()));
                // Proofs have keys of their own.
                found.sealed(file, key.as_ref(), help);
            }
        }
        let memory = self.root().join("digests.json");
        if memory.exists() {
            let help = "remove it: large files are read once more";
            found.sealed(memory, None, help);
        }
        Ok(found)
    }
}

impl Verified {
    fn damaged(&mut self, file: PathBuf, problem: String, help: &str, key: Option<&Digest>) {
        self.damaged.push(Damage {
            file,
            problem,
            help: help.to_owned(),
            key: key.cloned(),
        });
    }

    /// A folder with a manifest.
    fn folder(
        &mut self,
        folder: &Path,
        key: Option<&Digest>,
        help: &str,
    ) -> Result<(), StoreError> {
        let (manifest, wrong) = artifact::read(folder, &|path| Digest::of_file(path))?;
        for (file, problem) in wrong {
            self.damaged(folder.join(file), problem, help, key);
        }
        let Some(manifest) = manifest else {
            return Ok(());
        };
        self.files += 1 + manifest.files.len() as u64;
        for file in files_below(folder)? {
            let name = file.strip_prefix(folder).unwrap_or(&file);
            let name = name.to_string_lossy().replace('\\', "/");
            let listed = manifest.files.iter().any(|listed| listed.path == name);
            if !listed && name != artifact::MANIFEST {
                self.damaged(file, "is no part of it".to_owned(), help, key);
            }
        }
        Ok(())
    }

    /// Journals, and folders with a manifest in them.
    fn unfinished(&mut self, folder: &Path, key: &Digest) -> Result<(), StoreError> {
        if folder.join(artifact::MANIFEST).exists() {
            return self.folder(folder, Some(key), UNFINISHED);
        }
        for file in files(folder)? {
            if !journal::is_journal(&file) {
                self.unsealed.push(file);
                continue;
            }
            self.files += 1;
            let lines = journal::damaged_lines(&file)?;
            if !lines.is_empty() {
                let lines: Vec<String> = lines.iter().map(u64::to_string).collect();
                let problem = format!(
                    "has other bytes than were written in line {}",
                    lines.join(", ")
                );
                self.damaged(file, problem, UNFINISHED, Some(key));
            }
        }
        folders(folder)?
            .iter()
            .try_for_each(|folder| self.unfinished(folder, key))
    }

    fn sealed(&mut self, file: PathBuf, key: Option<&Digest>, help: &str) {
        self.files += 1;
        if sealed::read(&file).is_none() && file.exists() {
            self.damaged(file, artifact::OTHER_BYTES.to_owned(), help, key);
        }
    }

    fn files_without(&mut self, folder: &Path) -> Result<(), StoreError> {
        self.unsealed.extend(files_below(folder)?);
        Ok(())
    }
}

fn key_of(folder: &Path) -> Option<Digest> {
    Digest::parse(&folder.file_name()?.to_string_lossy())
}

/// The files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error("list", folder))?,
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = files(folder)?;
    for folder in folders(folder)? {
        found.extend(files_below(&folder)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Journal;

    /// A store with something of everything that a byte can change in.
    fn store(dir: &Path) -> Store {
        let store = Store::open(dir).unwrap();
        let keys = [Digest::of(b"one"), Digest::of(b"two")];
        let folder = store.scratch(&keys[0]).unwrap();
        fs::create_dir(folder.join("model")).unwrap();
        fs::write(folder.join("model/weights"), [0, 1, 2, 3]).unwrap();
        fs::write(folder.join("a.json"), "{\"a\": 1}").unwrap();
        store.commit(&keys[0], &folder).unwrap();
        store.remember(&keys[0], &serde_json::json!({"seconds": 1.25}));
        store.remember_plan("study", "{\"nodes\": {}}");
        let partial = store.partial_dir(&keys[1]);
        let mut journal = Journal::open(&partial).unwrap();
        journal.record(0, "a".to_owned()).unwrap();
        journal.record(1, "b".to_owned()).unwrap();
        let checkpoint = partial.join("out/step-1");
        fs::create_dir_all(&checkpoint).unwrap();
        fs::write(checkpoint.join("weights"), [4, 5]).unwrap();
        crate::seal_folder(&checkpoint).unwrap();
        let large = dir.join("tmp/large");
        fs::write(&large, vec![0; 17 << 20]).unwrap();
        store.digests().of(&large).unwrap();
        fs::remove_file(large).unwrap();
        store
    }

    #[test]
    fn a_flip_of_any_byte_of_any_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let whole = store.verify_all(None).unwrap();
        assert_eq!(
            (&whole.damaged[..], &whole.unsealed[..]),
            (&[][..], &[][..])
        );
        let files = files_below(store.root()).unwrap();
        assert_eq!(files.len() as u64, whole.files);
        assert_eq!(files.len(), 9);
        for file in files {
            let bytes = fs::read(&file).unwrap();
            for place in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << (place % 8);
                fs::write(&file, changed).unwrap();
                let found = store.verify_all(None).unwrap().damaged;
                assert_eq!(found.len(), 1, "byte {place} of {}", file.display());
                assert_eq!(found[0].file, file, "byte {place}");
            }
            fs::write(&file, bytes).unwrap();
        }
        assert!(store.verify_all(None).unwrap().damaged.is_empty());
    }

    #[test]
    fn only_the_nodes_that_are_asked_for_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let one = Digest::of(b"one");
        fs::write(store.artifact_dir(&one).join("a.json"), "{}").unwrap();
        let of = |key: &Digest| {
            let only = BTreeSet::from([key.as_str().to_owned()]);
            store.verify_all(Some(&only)).unwrap().damaged.len()
        };
        assert_eq!((of(&one), of(&Digest::of(b"two"))), (1, 0));
        fs::remove_file(store.artifact_dir(&one).join(artifact::MANIFEST)).unwrap();
        assert_eq!(of(&one), 1);
    }
}
