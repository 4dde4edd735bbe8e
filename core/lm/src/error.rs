//! What can go wrong, said so that the reader knows the next step.

use std::path::{Path, PathBuf};

use driftgauge_problem::{Explained, Problem};

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a model could not be loaded, trained, merged or scored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{path}`: {reason}")]
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
    /// A folder says nothing, or two things, where one is needed.
    #[error(transparent)]
    Folder(#[from] driftgauge_folder::Error),
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
        "training diverged at step {step}: loss {loss}, gradient norm {grad_norm}{}",
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
    /// A model that is loaded to answer cannot be asked, or a check of it failed.
    #[error("{}", .0.message)]
    Check(Problem),
    /// A checkpoint belongs to another training.
    #[error("cannot resume from `{path}`: {reason}")]
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
    /// Any of these, with what to do about it.
    #[error("{error}")]
    Advised {
        /// What went wrong.
        error: Box<Error>,
        /// What to do.
        help: String,
    },
    /// The tensor library failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Explained for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::File { .. } => "bad-model-file",
            Self::Folder(error) => error.code(),
            Self::Unsupported(_) => "unsupported-model",
            Self::Template(_) => "chat-template",
            Self::Tokenizer(_) => "tokenizer",
            Self::Config(_) => "training-settings",
            Self::Row { .. } => "training-row",
            Self::Diverged { .. } => "training-diverged",
            Self::Guard(_) | Self::Check(_) => "self-check",
            Self::Resume { .. } => "cannot-resume",
            Self::Cancelled { .. } => "interrupted",
            Self::Score(_) => "cannot-score",
            Self::Advised { error, .. } => error.code(),
            Self::Tensor(_) => "tensor",
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Io { reason, .. } if is_full(reason) => {
                "free some space and run again, finished work is kept"
            }
            Self::Folder(error) => return error.help(),
            Self::Check(problem) => return problem.help.clone(),
            Self::Advised { help, .. } => help,
            Self::Diverged { .. } => "lower `learning_rate` or add `warmup_steps`",
            Self::Resume { .. } => "choose another output folder or delete this one",
            _ => return None,
        };
        Some(help.to_owned())
    }
}

fn is_full(reason: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        reason.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
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

    /// Whether the model is of a kind that this crate does not compute.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::Unsupported(_) => true,
            Self::Advised { error, .. } => error.is_unsupported(),
            _ => false,
        }
    }

    /// Adds what to do.
    pub(crate) fn hint(self, help: impl Into<String>) -> Self {
        Self::Advised {
            error: Box::new(self),
            help: help.into(),
        }
    }

    /// Adds what to do, where there is something.
    pub(crate) fn maybe_hint(self, help: Option<String>) -> Self {
        match help {
            Some(help) => self.hint(help),
            None => self,
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

fn checkpoint_note(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("; the last checkpoint is `{}`", path.display()),
        None => String::new(),
    }
}
