//! Reading and writing the JSON files of a run folder. Each is one type with one schema number; nothing else reads or writes
//! them, so that a renamed field is a compile error here and never a blank in a report.

use std::path::{Path, PathBuf};

use driftgauge_problem::{Blame, Explained};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::RunDir;

/// Where a file of a run folder stands while it is written. One that was left behind is nothing.
const PART: &str = ".part";

/// Writes a file as a whole or not at all: whoever is killed, or finds the disk full, leaves it as it was.
///
/// # Errors
/// When the file system refuses.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_file_name(PART);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        // A part that stays takes room and is nothing.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// The number of a file's format, its first field. Reads no other number than its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Schema<const N: u32>;

impl<const N: u32> Serialize for Schema<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(N)
    }
}

impl<'de, const N: u32> Deserialize<'de> for Schema<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u32::deserialize(deserializer)?;
        if found == N {
            Ok(Self)
        } else {
            Err(D::Error::custom(format!(
                "format version {found} instead of {N}"
            )))
        }
    }
}

/// A JSON file of a run folder.
pub trait RunFile: Serialize + DeserializeOwned {
    /// Its name in the folder.
    const NAME: &'static str;
    /// The number of its format, raised whenever a reader of the older one would misread it.
    const SCHEMA: u32;
}

/// Why a file of a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder is no run folder, or its run did not end.
    #[error("`{}` is no folder of a finished run: it has no `{file}`", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The file that is not there.
        file: &'static str,
    },
    /// The file system refused to read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file system refused to write.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Another version of driftgauge wrote the folder.
    #[error("`{}` has {}, and driftgauge {} reads format version {supported}", path.display(), version(*found), env!("CARGO_PKG_VERSION"))]
    Version {
        /// The file.
        path: PathBuf,
        /// The number found; `None` in files from before there were numbers.
        found: Option<u64>,
        /// The number that this build reads and writes.
        supported: u32,
    },
    /// The file is not what its number says.
    #[error("`{}` is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause in words.
        detail: String,
    },
}

fn version(found: Option<u64>) -> String {
    found.map_or_else(
        || "no format version (an older driftgauge wrote it)".to_owned(),
        |found| format!("format version {found}"),
    )
}

impl Explained for FolderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "not-a-run",
            Self::Version { .. } => "other-version",
            Self::Damaged { .. } => "damaged",
            Self::Read { .. } | Self::Write { .. } => "io",
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Missing { .. } => {
                "name the folder given to `driftgauge run --out`, of a run that ended"
            }
            Self::Version { .. } => {
                "run its spec again with this driftgauge (finished nodes are reused), or use the one that made the folder"
            }
            Self::Damaged { .. } => {
                "the file may be cut short or edited; run its spec again, finished nodes are reused"
            }
            Self::Read { .. } | Self::Write { .. } => return None,
        };
        Some(help.to_owned())
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Missing { .. } | Self::Version { .. } | Self::Damaged { .. } => Blame::Input,
            Self::Read { .. } | Self::Write { .. } => Blame::Run,
        }
    }
}

impl FolderError {
    pub(crate) fn damaged(path: &Path, error: impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            detail: error.to_string(),
        }
    }
}

/// The one field that says which version of driftgauge can read the others.
#[derive(Deserialize)]
struct Numbered {
    schema: Option<u64>,
}

/// Holds the number of a document against `supported`.
pub(crate) fn check_schema(path: &Path, text: &str, supported: u32) -> Result<(), FolderError> {
    let numbered: Numbered =
        serde_json::from_str(text).map_err(|error| FolderError::damaged(path, error))?;
    if numbered.schema == Some(u64::from(supported)) {
        Ok(())
    } else {
        Err(FolderError::Version {
            path: path.to_owned(),
            found: numbered.schema,
            supported,
        })
    }
}

impl RunDir {
    /// Where a file lies.
    #[must_use]
    pub fn file<T: RunFile>(&self) -> PathBuf {
        self.path().join(T::NAME)
    }

    /// Reads a file of a finished run.
    ///
    /// # Errors
    /// When it is missing, damaged, or of another version.
    pub fn read<T: RunFile>(&self) -> Result<T, FolderError> {
        self.read_if_there()?.ok_or_else(|| FolderError::Missing {
            path: self.path().to_owned(),
            file: T::NAME,
        })
    }

    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// When it is damaged, or of another version.
    pub fn read_if_there<T: RunFile>(&self) -> Result<Option<T>, FolderError> {
        let path = self.file::<T>();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FolderError::Read { path, source }),
        };
        // An older file says so before anything else is held against it.
        check_schema(&path, &text, T::SCHEMA)?;
        self.check_sealed(&path)?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| FolderError::damaged(&path, error))
    }

    /// Writes a file, and its folder where there is none.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write<T: RunFile>(&self, file: &T) -> Result<(), FolderError> {
        let path = self.file::<T>();
        let failed = |path: &Path, source| FolderError::Write {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(self.path()).map_err(|source| failed(self.path(), source))?;
        let mut text =
            serde_json::to_string_pretty(file).map_err(|error| failed(&path, error.into()))?;
        text.push('\n');
        write_whole(&path, text.as_bytes()).map_err(|source| failed(&path, source))
    }

    /// Whether the folder has nothing but what a run that was killed at its start left there.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn is_hardly_begun(&self) -> std::io::Result<bool> {
        for entry in std::fs::read_dir(self.path())? {
            let path = entry?.path();
            // A run that is a job itself has a folder of jobs before it begins.
            let of_a_run = [self.events(), self.jobs(), self.path().join(PART)];
            if !of_a_run.contains(&path) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Results;

    #[test]
    fn a_file_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path().join("new"));
        assert!(matches!(
            run.read::<Results>(),
            Err(FolderError::Missing {
                file: "results.json",
                ..
            })
        ));
        let results = Results {
            notes: vec!["one".to_owned()],
            ..Results::default()
        };
        run.write(&results).unwrap();
        assert_eq!(run.read::<Results>().unwrap(), results);
        let text = std::fs::read_to_string(run.file::<Results>()).unwrap();
        assert!(text.starts_with("{\n  \"schema\": 1,\n"), "{text}");
    }

    #[test]
    fn a_folder_of_another_version_names_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        for (text, found) in [
            ("{\"schema\": 7, \"unknown\": {}}", "has format version 7,"),
            ("{\"metrics\": []}", "has no format version"),
        ] {
            std::fs::write(run.file::<Results>(), text).unwrap();
            let error = run.read::<Results>().unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
            assert!(error.contains("reads format version 1"), "{error}");
        }
        std::fs::write(run.file::<Results>(), "{\"schema\": 1, \"metr").unwrap();
        let error = run.read::<Results>().unwrap_err().to_string();
        assert!(error.contains("is damaged: "), "{error}");
    }
}
