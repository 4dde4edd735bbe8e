//! What can go wrong between a run folder and its report.

use std::path::PathBuf;

use driftgauge_problem::{Blame, Explained};
use driftgauge_record::{FolderError, SampleTableError};

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of the folder is missing, damaged or of another version.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file is there and cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A sample table cannot be read.
    #[error(transparent)]
    Samples(#[from] SampleTableError),
    /// A chart cannot be drawn.
    #[error("cannot draw figure `{figure}`: {detail}")]
    Draw {
        /// Id of the figure.
        figure: String,
        /// The cause in words.
        detail: String,
    },
    /// Two parts of the page have one id: a mistake of this program, which would show one thing as another.
    #[error("two parts of the report have the id `{id}`")]
    SameId {
        /// The id.
        id: String,
    },
    /// The page cannot be put together.
    #[error("cannot render the report: {0:#}")]
    Render(#[from] minijinja::Error),
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl Explained for ReportError {
    fn code(&self) -> &'static str {
        match self {
            Self::Folder(error) => error.code(),
            _ => "failed",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Folder(error) => error.help(),
            Self::SameId { .. } => {
                Some("this is a mistake of driftgauge; please report it".to_owned())
            }
            _ => None,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Folder(error) => error.blame(),
            _ => Blame::Run,
        }
    }
}
