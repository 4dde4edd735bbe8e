//! The store: finished artifacts by node key, and unfinished work beside them.
//!
//! ```text
//! artifacts/<2 digits>/<key>/   files of a finished node, with `artifact.json` listing their digests; a file `unanswered`
//!                               among them marks a provisional one
//! partial/<key>/                journal or checkpoints of a node that is not finished
//! tmp/                          artifacts being written; renamed when complete
//! facts/                        what engines and trainers said of themselves; read for provenance only
//! history/                      the last plan of each experiment, to explain what changed
//! digests.json                  digests of large files, remembered by size, mtime and inode
//! lock                          held by the run that writes
//! ```
//! An artifact appears by one rename of a folder whose files are on disk, so a kill at any moment leaves either the whole
//! artifact or none.

mod artifact;
mod digest;
mod digests;
mod inventory;
mod journal;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use driftgauge_problem::Explained;

pub use artifact::{Artifact, ArtifactFile, Manifest};
pub use digest::{Digest, canonical_json, node_key};
pub use digests::FileDigests;
pub use inventory::Entry;
pub use journal::Journal;

/// File of a provisional artifact: how many answers of its own it lacks.
const UNANSWERED: &str = "unanswered";

/// Why the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A stored file is not what was written.
    #[error("artifact `{key}` is damaged: `{file}` {problem}")]
    Damaged {
        /// The node key.
        key: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
        /// The artifact's folder.
        folder: PathBuf,
    },
    /// Another run holds the store.
    #[error("the store `{}` is in use by another run", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
    },
}

impl Explained for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Damaged { .. } => "damaged-artifact",
            Self::Locked { .. } => "store-in-use",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Damaged { folder, .. } => Some(format!(
                "remove `{}` and run again; only this node is repeated",
                folder.display()
            )),
            Self::Locked { .. } => {
                Some("wait for it to end, or name another store with `--store DIR`".to_owned())
            }
        }
    }
}

pub(crate) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A folder of artifacts. Reading needs no lock: what is there is complete.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// Held while a run writes to the store; released when dropped.
#[derive(Debug)]
pub struct StoreLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Store {
    /// Opens the store at `root`, making the folder when it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        for folder in ["artifacts", "facts", "history", "partial", "tmp"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(io_error("make", &folder))?;
        }
        let root = fs::canonicalize(&root).map_err(io_error("open", &root))?;
        Ok(Self { root })
    }

    /// The store's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the store for writing and clears what a killed run left half-written.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn lock(&self) -> Result<StoreLock, StoreError> {
        let path = self.root.join("lock");
        let file = File::create(&path).map_err(io_error("open", &path))?;
        file.try_lock().map_err(|_| StoreError::Locked {
            path: self.root.clone(),
        })?;
        let tmp = self.root.join("tmp");
        if tmp.exists() {
            fs::remove_dir_all(&tmp).map_err(io_error("clear", &tmp))?;
        }
        fs::create_dir_all(&tmp).map_err(io_error("make", &tmp))?;
        Ok(StoreLock(file))
    }

    /// Where the artifact of `key` is or will be.
    #[must_use]
    pub fn artifact_dir(&self, key: &Digest) -> PathBuf {
        self.root
            .join("artifacts")
            .join(&key.as_str()[..2])
            .join(key.as_str())
    }

    /// Whether the artifact of `key` is there.
    #[must_use]
    pub fn contains(&self, key: &Digest) -> bool {
        self.artifact_dir(key).join(artifact::MANIFEST).is_file()
    }

    /// The artifact of `key`, its files checked against their digests; `None` when it was never made.
    ///
    /// # Errors
    /// When a file is missing or not what was written.
    pub fn get(&self, key: &Digest) -> Result<Option<Artifact>, StoreError> {
        if !self.contains(key) {
            return Ok(None);
        }
        Artifact::open(key, self.artifact_dir(key), &self.digests()).map(Some)
    }

    /// A fresh folder to write an artifact into before [`Self::commit`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.root.join("tmp").join(key.as_str());
        if path.exists() {
            fs::remove_dir_all(&path).map_err(io_error("clear", &path))?;
        }
        fs::create_dir_all(&path).map_err(io_error("make", &path))?;
        Ok(path)
    }

    /// Makes the files in `folder` the artifact of `key`: digests, fsync, rename. Drops the node's partial work.
    ///
    /// # Errors
    /// When a file cannot be read, synced or renamed.
    pub fn commit(&self, key: &Digest, folder: &Path) -> Result<Artifact, StoreError> {
        let artifact = self.put(key, folder)?;
        let partial = self.partial_dir(key);
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(io_error("remove", &partial))?;
        }
        Ok(artifact)
    }

    /// Like [`Self::commit`] for an artifact that lacks answers which a later run may get: it can be read, but counts as
    /// unfinished, and the partial work stays for the run that finishes it.
    ///
    /// # Errors
    /// When a file cannot be read, synced or renamed.
    pub fn commit_provisional(
        &self,
        key: &Digest,
        folder: &Path,
        unanswered: u64,
    ) -> Result<Artifact, StoreError> {
        let path = folder.join(UNANSWERED);
        fs::write(&path, unanswered.to_string()).map_err(io_error("write", &path))?;
        self.put(key, folder)
    }

    /// For a provisional artifact, how many answers of its own it lacks: 0 when only what it was made from lacks some.
    /// `None` for a finished artifact, and when there is none.
    #[must_use]
    pub fn provisional(&self, key: &Digest) -> Option<u64> {
        let count = fs::read_to_string(self.artifact_dir(key).join(UNANSWERED)).ok()?;
        Some(count.trim().parse().unwrap_or(0))
    }

    /// Whether the artifact of `key` is there and lacks nothing.
    #[must_use]
    pub fn is_finished(&self, key: &Digest) -> bool {
        self.contains(key) && self.provisional(key).is_none()
    }

    fn put(&self, key: &Digest, folder: &Path) -> Result<Artifact, StoreError> {
        let target = self.artifact_dir(key);
        artifact::seal(folder)?;
        if target.exists() {
            fs::remove_dir_all(&target).map_err(io_error("replace", &target))?;
        }
        let parent = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(io_error("make", parent))?;
        fs::rename(folder, &target).map_err(io_error("rename into", &target))?;
        artifact::sync_dir(parent)?;
        Artifact::open(key, target, &self.digests())
    }

    /// Where unfinished work of `key` is kept between runs.
    #[must_use]
    pub fn partial_dir(&self, key: &Digest) -> PathBuf {
        self.root.join("partial").join(key.as_str())
    }

    /// Keeps a fact for the provenance of later runs that reuse the artifact. Facts may hold timings, so they are no
    /// part of any artifact.
    pub fn remember(&self, key: &Digest, fact: &serde_json::Value) {
        // Losing a fact costs a line of provenance, never a result.
        let _ = fs::write(self.fact_path(key), fact.to_string());
    }

    /// The fact kept for `key`.
    #[must_use]
    pub fn recall(&self, key: &Digest) -> Option<serde_json::Value> {
        serde_json::from_str(&fs::read_to_string(self.fact_path(key)).ok()?).ok()
    }

    /// Where the last plan of an experiment is remembered.
    #[must_use]
    pub fn history_path(&self, experiment: &str) -> PathBuf {
        let name = Digest::of(experiment.as_bytes());
        self.root
            .join("history")
            .join(format!("{}.json", name.short()))
    }

    fn fact_path(&self, key: &Digest) -> PathBuf {
        self.root.join("facts").join(format!("{key}.json"))
    }

    /// Digests of files outside and inside of the store, remembered between runs.
    #[must_use]
    pub fn digests(&self) -> FileDigests {
        FileDigests::at(self.root.join("digests.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(store: &Store, key: &Digest, text: &str) -> Artifact {
        let folder = store.scratch(key).unwrap();
        fs::create_dir(folder.join("model")).unwrap();
        fs::write(folder.join("model/a.txt"), text).unwrap();
        store.commit(key, &folder).unwrap()
    }

    #[test]
    fn an_artifact_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"node");
        let _lock = store.lock().unwrap();
        assert!(store.get(&key).unwrap().is_none());
        let scratch = store.scratch(&key).unwrap();
        fs::write(scratch.join("half.txt"), "half").unwrap();
        assert!(!store.contains(&key));
        let artifact = commit(&store, &key, "whole");
        assert_eq!(
            fs::read_to_string(artifact.path("model/a.txt")).unwrap(),
            "whole"
        );
        assert_eq!(artifact.manifest().files.len(), 1);
    }

    #[test]
    fn a_provisional_artifact_is_read_and_then_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"node");
        let partial = store.partial_dir(&key);
        fs::create_dir_all(&partial).unwrap();
        let folder = store.scratch(&key).unwrap();
        fs::write(folder.join("a.txt"), "some").unwrap();
        store.commit_provisional(&key, &folder, 3).unwrap();
        assert!(store.get(&key).unwrap().is_some());
        assert_eq!(store.provisional(&key), Some(3));
        assert!(!store.is_finished(&key));
        assert!(partial.exists());
        commit(&store, &key, "all");
        assert_eq!(store.provisional(&key), None);
        assert!(store.is_finished(&key));
        assert!(!partial.exists());
    }

    #[test]
    fn one_flipped_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"node");
        let artifact = commit(&store, &key, "whole");
        fs::write(artifact.path("model/a.txt"), "whale").unwrap();
        let error = store.get(&key).unwrap_err().to_string();
        assert!(error.contains("`model/a.txt` has other bytes"), "{error}");
        fs::remove_file(artifact.path("model/a.txt")).unwrap();
        assert!(
            store
                .get(&key)
                .unwrap_err()
                .to_string()
                .contains("is missing")
        );
    }

    #[test]
    fn a_second_writer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let lock = store.lock().unwrap();
        assert!(matches!(store.lock(), Err(StoreError::Locked { .. })));
        drop(lock);
        assert!(store.lock().is_ok());
    }
}
