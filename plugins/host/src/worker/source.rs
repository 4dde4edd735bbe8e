//! What a worker runs, and the command that starts it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Program;

/// What a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A library.
    Library(PathBuf),
    /// A program that speaks the worker's frames.
    Program(Program),
}

impl Source {
    /// The file that errors speak of.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Library(path) => path.clone(),
            Self::Program(program) => program.file().to_owned(),
        }
    }

    pub(super) fn command(&self, executable: &Path, metric: &str) -> Command {
        let mut command = Command::new(executable);
        command.arg("plugin-worker");
        match self {
            Self::Library(path) => {
                command.arg("--lib").arg(path);
                if !metric.is_empty() {
                    command.arg("--metric").arg(metric);
                }
            }
            Self::Program(program) => {
                command
                    .arg("--")
                    .args(program.words())
                    .current_dir(program.folder());
            }
        }
        command
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Library(path) => {
                let name = path.file_stem().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
            Self::Program(program) => program.name(),
        }
    }
}
