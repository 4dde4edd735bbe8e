//! The store: finished artifacts by node key, and unfinished work beside them.
//!
//! ```text
//! artifacts/<2 digits>/<key>/   files of a finished node, with `artifact.json` listing their digests; a file `unanswered`
//!                               among them marks a provisional one
//! partial/<key>/                journal or checkpoints of a node that is not finished
//! tmp/                          artifacts being written, each by the process in its name; renamed when complete
//! writers/                      processes that write here, each with its beat
//! claims/                       what is being made, and by whom
//! facts/                        what engines and trainers said of themselves; read for provenance only
//! history/                      the last plan of each experiment, to explain what changed
//! digests.json                  digests of large files, remembered by size, mtime and inode
//! ```
//! A byte that changed is found in each of them: artifacts and checkpoints have manifests, the lines of journals and the small
//! files their digest within. See [`Store::verify_all`].
//!
//! An artifact appears by one rename of a folder whose files are on disk, so a kill at any moment leaves either the whole
//! artifact or none. Any number of runs, on any number of machines that share the folder, write to it at once: see
//! [`Writer`]. Nothing here needs a lock of the file system.

mod artifact;
mod digest;
mod digests;
mod inventory;
mod journal;
mod process;
mod sealed;
mod verify;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driftgauge_problem::Explained;

pub use artifact::{Artifact, ArtifactFile, Manifest, damage_of_folder, seal_folder};
pub use digest::{Digest, canonical_json, node_key};
pub use digests::FileDigests;
pub use inventory::Entry;
pub use journal::Journal;
pub use process::Process;
pub use verify::{Damage, Verified};
pub use writer::{Alone, Claim, Claimed, Writer};

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
    /// Another process writes to the store or has it for itself.
    #[error("the store `{}` is in use by {by}", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
        /// The process.
        by: String,
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
            Self::Damaged { .. } => {
                Some("run again: this node is made anew, and nothing that is whole".to_owned())
            }
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
    /// Whether nothing is written, not even what would save work the next time.
    looked_at: bool,
}

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
        Ok(Self {
            root,
            looked_at: false,
        })
    }

    /// The store at `root` to look at: nothing is made, also where there is none.
    #[must_use]
    pub fn look(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let root = fs::canonicalize(&root).unwrap_or(root);
        Self {
            root,
            looked_at: true,
        }
    }

    /// The store's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
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
        let open = || Artifact::open(key, self.artifact_dir(key), &self.digests());
        if !self.contains(key) {
            return Ok(None);
        }
        match open() {
            Ok(artifact) => Ok(Some(artifact)),
            // A provisional one may just have been replaced.
            Err(_) if !self.contains(key) => Ok(None),
            Err(_) => open().map(Some),
        }
    }

    /// Like [`Self::get`] where another machine may just have made it: its folder is listed first, so that nothing that was
    /// remembered of a shared file system answers.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_fresh(&self, key: &Digest) -> Result<Option<Artifact>, StoreError> {
        let folder = self.artifact_dir(key);
        for listed in [folder.parent().unwrap_or(&self.root), &folder] {
            fs::read_dir(listed).into_iter().flatten().for_each(drop);
        }
        self.get(key)
    }

    /// A fresh folder to write an artifact into before [`Self::commit`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.aside(key.short());
        fs::create_dir_all(&path).map_err(io_error("make", &path))?;
        Ok(path)
    }

    /// A place that nobody else has, named after this process.
    fn aside(&self, what: &str) -> PathBuf {
        let own = Process::this().fresh();
        self.root.join("tmp").join(format!("{own}.{what}"))
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
        artifact::seal_folder(folder)?;
        let parent = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(io_error("make", parent))?;
        // A folder is never renamed onto one that holds files: of two writers one sees the artifact of the other.
        while let Err(error) = fs::rename(folder, &target) {
            if !target.exists() {
                return Err(io_error("rename into", &target)(error));
            }
            // Both are the same; only one that is not finished or damaged makes room.
            if self.is_finished(key)
                && let Ok(artifact) = Artifact::open(key, target.clone(), &self.digests())
            {
                fs::remove_dir_all(folder).map_err(io_error("remove", folder))?;
                return Ok(artifact);
            }
            self.discard(key)?;
        }
        artifact::sync_dir(parent)?;
        Artifact::open(key, target, &self.digests())
    }

    /// Removes the artifact of `key`, so that it is made again.
    ///
    /// # Errors
    /// When it cannot be moved out of the way.
    pub fn discard(&self, key: &Digest) -> Result<(), StoreError> {
        let (target, old) = (self.artifact_dir(key), self.aside(key.short()));
        match fs::rename(&target, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            moved => moved.map_err(io_error("replace", &target))?,
        }
        // It is swept later where it cannot be removed now.
        let _ = fs::remove_dir_all(&old);
        Ok(())
    }

    /// What the artifact of `key` holds, its files not looked at; `None` where there is none or its manifest is damaged.
    #[must_use]
    pub fn manifest(&self, key: &Digest) -> Option<Manifest> {
        let nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
        artifact::read(&self.artifact_dir(key), &nothing).ok()?.0
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
        let _ = self.write_whole(&self.fact_path(key), &sealed::seal(&fact.to_string()));
    }

    /// The fact kept for `key`. One that is damaged is none.
    #[must_use]
    pub fn recall(&self, key: &Digest) -> Option<serde_json::Value> {
        serde_json::from_str(&sealed::read(&self.fact_path(key))?).ok()
    }

    /// Keeps a fact that belongs to no node.
    pub fn remember_named(&self, name: &str, fact: &serde_json::Value) {
        let path = self.root.join("facts").join(format!("{name}.json"));
        let _ = self.write_whole(&path, &sealed::seal(&fact.to_string()));
    }

    /// The fact of that name.
    #[must_use]
    pub fn recall_named(&self, name: &str) -> Option<serde_json::Value> {
        let path = self.root.join("facts").join(format!("{name}.json"));
        serde_json::from_str(&sealed::read(&path)?).ok()
    }

    /// Remembers the last plan of an experiment.
    pub fn remember_plan(&self, experiment: &str, text: &str) {
        // Losing it costs an explanation.
        let _ = self.write_whole(&self.history_path(experiment), &sealed::seal(text));
    }

    /// The last plan of an experiment, where one is remembered.
    #[must_use]
    pub fn recall_plan(&self, experiment: &str) -> Option<String> {
        sealed::read(&self.history_path(experiment))
    }

    /// A file is there whole or as it was before, whoever reads it.
    fn write_whole(&self, path: &Path, text: &str) -> io::Result<()> {
        let whole = self.aside("file");
        fs::write(&whole, text)?;
        fs::rename(&whole, path)
    }

    fn history_path(&self, experiment: &str) -> PathBuf {
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
        let digests = FileDigests::at(self.root.join("digests.json"));
        match self.looked_at {
            true => digests.that_learn_nothing(),
            false => digests,
        }
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
    fn of_two_writers_the_second_finds_the_artifact_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"node");
        let (first, second) = (store.scratch(&key).unwrap(), store.scratch(&key).unwrap());
        assert_ne!(first, second);
        for folder in [&first, &second] {
            fs::write(folder.join("a.txt"), "same").unwrap();
        }
        store.commit(&key, &second).unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let made = inode(&store.artifact_dir(&key));
        store.commit(&key, &first).unwrap();
        assert_eq!(inode(&store.artifact_dir(&key)), made);
        assert!(!first.exists());
    }

    #[test]
    fn a_damaged_artifact_makes_room_for_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"node");
        let artifact = commit(&store, &key, "whole");
        fs::write(artifact.path("model/a.txt"), "whale").unwrap();
        let artifact = commit(&store, &key, "whole");
        let text = fs::read_to_string(artifact.path("model/a.txt")).unwrap();
        assert_eq!(text, "whole");
    }
}
