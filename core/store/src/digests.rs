//! Digests of files, remembered by size, inode and the times of the last modification and of the last change of anything, so that planning over many gigabytes of weights
//! is instant. Small files are always read.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Digest, sealed};

/// Files up to this size are hashed every time: it costs nothing and trusts nothing.
const ALWAYS_READ: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    size: u64,
    mtime_ns: u128,
    /// Which no tool sets back, as some do with the time of modification.
    ctime_ns: i128,
    inode: u64,
    blake3: Digest,
}

/// The memory of file digests. It is a hint: when it is lost, files are read again.
#[derive(Debug, Clone)]
pub struct FileDigests {
    memory: PathBuf,
    learns: bool,
}

impl FileDigests {
    pub(super) fn at(memory: PathBuf) -> Self {
        Self {
            memory,
            learns: true,
        }
    }

    /// What is remembered stays as it is.
    pub(super) fn that_learn_nothing(self) -> Self {
        Self {
            learns: false,
            ..self
        }
    }

    /// Without a memory: every file is read each time it is asked for.
    #[must_use]
    pub fn forgetful() -> Self {
        Self::at(PathBuf::new()).that_learn_nothing()
    }

    /// Digest of the file's bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(&self, path: &Path) -> io::Result<Digest> {
        let metadata = fs::metadata(path)?;
        if metadata.len() <= ALWAYS_READ {
            return Digest::of_file(path);
        }
        let path = fs::canonicalize(path)?;
        let name = path.to_string_lossy().into_owned();
        let mut entries = self.read();
        let current = |blake3: Digest| Remembered {
            size: metadata.len(),
            mtime_ns: mtime_ns(&metadata),
            ctime_ns: ctime_ns(&metadata),
            inode: inode(&metadata),
            blake3,
        };
        if let Some(known) = entries.get(&name)
            && *known == current(known.blake3.clone())
        {
            return Ok(known.blake3.clone());
        }
        let digest = Digest::of_file(&path)?;
        if self.learns {
            entries.insert(name, current(digest.clone()));
            self.write(&entries);
        }
        Ok(digest)
    }

    fn read(&self) -> BTreeMap<String, Remembered> {
        // A memory with a byte that changed would give a file the digest of another.
        sealed::read(&self.memory)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    fn write(&self, entries: &BTreeMap<String, Remembered>) {
        let temporary = self
            .memory
            .with_extension(format!("{}.tmp", std::process::id()));
        let text = serde_json::to_string_pretty(entries).unwrap_or_default();
        if fs::write(&temporary, sealed::seal(&text)).is_ok() {
            // Losing the memory costs time, never truth.
            let _ = fs::rename(&temporary, &self.memory);
        }
    }
}

fn mtime_ns(metadata: &fs::Metadata) -> u128 {
    metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |elapsed| elapsed.as_nanos())
}

#[cfg(unix)]
fn ctime_ns(metadata: &fs::Metadata) -> i128 {
    use std::os::unix::fs::MetadataExt as _;
    i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn ctime_ns(_metadata: &fs::Metadata) -> i128 {
    0
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &fs::Metadata) -> u64 {
    0
}
