//! What can go wrong between a run folder and its report.

use std::path::PathBuf;

use driftgauge_record::SampleTableError;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder has no results.
    #[error("`{}` is not a run folder: it has no `results.json`\nhint: give the folder named by `--out` of `driftgauge run`", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A file is there and cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{}` does not hold what a report needs: {detail}\nhint: the file may be cut short or come from another version; run the experiment again", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause in words.
        detail: String,
    },
    /// A file of a format that this build does not know.
    #[error("`{}` has format version {found}, and this build reads version {supported}\nhint: use the driftgauge that made the run", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u64,
        /// Version read by this build.
        supported: u64,
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

impl driftgauge_problem::Explained for ReportError {}
