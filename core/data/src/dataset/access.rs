//! What every reader of a file begins with and ends with: the open file, its rows, and what is wrong with them.

use std::fs::File;
use std::path::Path;

use driftgauge_problem::Problem;
use indexmap::IndexMap;
use serde_json::Value;

use super::DatasetError;

pub(crate) type Columns = IndexMap<String, Value>;

/// What was read of one file.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) rows: Vec<Columns>,
    /// Numbers that were not finite, and are null.
    pub(crate) nulls: usize,
    /// What else has to be said of the file.
    pub(crate) notes: Vec<String>,
}

pub(super) fn open(path: &Path) -> Result<File, DatasetError> {
    File::open(path).map_err(|source| io_error(path, source))
}

pub(super) fn io_error(path: &Path, source: std::io::Error) -> DatasetError {
    DatasetError::Io {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn line_error(path: &Path, line: usize, problem: impl Into<Problem>) -> DatasetError {
    let problem = problem.into();
    DatasetError::Line {
        path: path.to_owned(),
        line,
        problem: problem.message,
        hint: problem.help,
    }
}

pub(super) fn row_error(path: &Path, row: usize, problem: impl Into<Problem>) -> DatasetError {
    let problem = problem.into();
    DatasetError::Row {
        path: path.to_owned(),
        row,
        problem: problem.message,
        hint: problem.help,
    }
}
