//! What can be wrong with a folder, said so that the reader knows the next step.

use std::path::{Path, PathBuf};

use driftgauge_problem::Explained;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a folder cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{path}`: {reason}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason. It is told above, so it is no `source` that would be told again.
        reason: std::io::Error,
    },
    /// The content of a file or folder is not what it has to be.
    #[error("`{path}`: {reason}")]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to do.
        help: Option<String>,
    },
}

impl Explained for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Content { .. } => "bad-model-file",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Content { help, .. } => help.clone(),
        }
    }
}

/// What is wrong with some content, and what to do: an [`Error`] without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub help: Option<String>,
}

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            help: Some(help.into()),
        }
    }
}

impl<T: std::fmt::Display> From<T> for Refusal {
    fn from(reason: T) -> Self {
        Self {
            reason: reason.to_string(),
            help: None,
        }
    }
}

impl Error {
    /// A file that cannot be read.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::Io { path, reason }
    }

    /// Content that cannot be used.
    pub(crate) fn content(path: &Path, refusal: impl Into<Refusal>) -> Self {
        let Refusal { reason, help } = refusal.into();
        Self::Content {
            path: path.to_path_buf(),
            reason,
            help,
        }
    }
}

/// Reads a JSON file; null when there is none.
pub(crate) fn optional_json(path: &Path) -> Result<serde_json::Value> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| Error::content(path, format!("is no JSON: {e}"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(serde_json::Value::Null),
        Err(e) => Err(Error::io(path)(e)),
    }
}
