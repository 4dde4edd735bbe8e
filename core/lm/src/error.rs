//! What can go wrong, said so that the reader knows the next step.

use std::path::{Path, PathBuf};

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a model could not be loaded, trained, merged or scored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{path}`: {reason}{}", disk_full_hint(reason))]
    Io {
        /// What was tried: `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason. It is told above, so it is no `source` that would be told again.
        reason: std::io::Error,
    },
    /// A file's content is not what it has to be.
    #[error("`{path}`: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model is of a kind this crate does not compute.
    #[error("unsupported model: {0}")]
    Unsupported(String),
    /// The chat template is missing or failed.
    #[error("chat template: {0}")]
    Template(String),
    /// The tokenizer failed.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A training setting makes no sense.
    #[error("{0}")]
    Config(String),
    /// A row of the training data cannot be used.
    #[error("row `{id}`: {reason}")]
    Row {
        /// Id of the example.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The loss or the gradient is not a finite number any more, the gradient is gone, or the model is no better than blind
    /// guessing.
    #[error(
        "training diverged at step {step}: loss {loss}, gradient norm {grad_norm}{}; hint: lower `learning_rate` or add \
         `warmup_steps`",
        checkpoint_note(.checkpoint)
    )]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// Its loss.
        loss: f64,
        /// Its gradient norm.
        grad_norm: f64,
        /// The last checkpoint.
        checkpoint: Option<PathBuf>,
    },
    /// A check made while training failed: the result would not be what it claims to be.
    #[error("self-check failed: {0}")]
    Guard(String),
    /// A checkpoint belongs to another training.
    #[error(
        "cannot resume from `{path}`: {reason}; hint: choose another output folder or delete this one"
    )]
    Resume {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// The caller asked to stop; what was done so far is in the last checkpoint.
    #[error("stopped after step {step}")]
    Cancelled {
        /// Optimiser steps done.
        step: u64,
    },
    /// The text to score is unusable.
    #[error("cannot score: {0}")]
    Score(String),
    /// The tensor library failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// An I/O error with its place.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::Io {
            action,
            path,
            reason,
        }
    }

    /// A malformed file.
    pub(crate) fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }
}

fn disk_full_hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull
        | std::io::ErrorKind::QuotaExceeded
        | std::io::ErrorKind::FileTooLarge => {
            "; hint: free some space and run again, finished work is kept"
        }
        _ => "",
    }
}

fn checkpoint_note(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("; the last checkpoint is `{}`", path.display()),
        None => String::new(),
    }
}
