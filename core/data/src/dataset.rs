//! Datasets: files of rows in the formats the field uses, read into one form.

mod files;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use driftgauge_problem::Explained;
use driftgauge_store::{Digest, canonical_json};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::files::{Columns, read_csv, read_json, read_jsonl, read_parquet};
use crate::random::Random;

/// One row: a stable id and its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Id that pairs samples over models and conditions.
    pub id: String,
    /// Columns by name, in file order.
    pub columns: IndexMap<String, Value>,
}

/// File formats of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// One JSON list of objects.
    Json,
    /// Comma-separated, with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Why a dataset could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A row is not what the format asks for.
    #[error("{}:{line}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1 (row number for Parquet and JSON lists).
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The file as a whole is not of its format.
    #[error("`{}` is not readable as {format}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The format asked for.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The id column is unusable.
    #[error("{}: {problem}", path.display())]
    Id {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
}

impl Explained for DatasetError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "missing-file",
            Self::Id { .. } => "bad-id",
            Self::Row { .. } | Self::File { .. } => "bad-dataset",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Id { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }
}

/// Reads all rows of a file. Without an `id` column, ids are row numbers from 0.
///
/// # Errors
/// When the file, a row or an id is unusable; the message names the file and the line.
pub fn read_rows(path: &Path, format: Format, id: Option<&str>) -> Result<Vec<Row>, DatasetError> {
    let rows = match format {
        Format::Jsonl => read_jsonl(path)?,
        Format::Json => read_json(path)?,
        Format::Csv => read_csv(path)?,
        Format::Parquet => read_parquet(path)?,
    };
    with_ids(path, rows.into_iter().enumerate(), id)
}

/// Gives rows that were read without an id column, and of which some were dropped since, the ids of a column: only those that
/// are left have to differ.
///
/// # Errors
/// When an id is missing or occurs twice; the message names the rows of the file.
pub fn identify(path: &Path, rows: Vec<Row>, id: &str) -> Result<Vec<Row>, DatasetError> {
    let numbered = rows
        .into_iter()
        .map(|row| (row.id.parse().unwrap_or_default(), row.columns));
    with_ids(path, numbered, Some(id))
}

/// The text of a scalar cell; `None` for null, lists and objects.
#[must_use]
pub fn cell_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn with_ids(
    path: &Path,
    rows: impl Iterator<Item = (usize, Columns)>,
    id: Option<&str>,
) -> Result<Vec<Row>, DatasetError> {
    let id_error = |problem: String, hint: String| DatasetError::Id {
        path: path.to_owned(),
        problem,
        hint,
    };
    let mut seen = HashMap::new();
    let mut out = Vec::with_capacity(rows.size_hint().0);
    for (index, columns) in rows {
        let id = match id {
            None => index.to_string(),
            Some(column) => columns.get(column).and_then(cell_text).ok_or_else(|| {
                id_error(
                    format!("row {} has no usable id in column `{column}`", index + 1),
                    format!("columns are {}", names(&columns)),
                )
            })?,
        };
        if let Some(first) = seen.insert(id.clone(), index) {
            return Err(id_error(
                format!(
                    "rows {} and {} have the same id `{id}`",
                    first + 1,
                    index + 1
                ),
                "ids pair samples between models, so each may occur only once".to_owned(),
            ));
        }
        out.push(Row { id, columns });
    }
    Ok(out)
}

/// Digest of the rows themselves, whatever their order and the file they stand in.
#[must_use]
pub fn content(rows: &[Row]) -> Digest {
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| canonical_json(&json!([row.id, row.columns])))
        .collect();
    lines.sort_unstable();
    Digest::of(lines.join("\n").as_bytes())
}

/// Column names for messages.
#[must_use]
pub fn names(columns: &IndexMap<String, Value>) -> String {
    columns
        .keys()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Which row stands in for each row as `shuffled`: one random cycle through all rows (Sattolo's algorithm), so that with
/// two rows or more none keeps its own.
#[must_use]
pub fn derangement(rows: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    let mut random = Random::new(seed, "shuffled");
    for last in (1..rows).rev() {
        order.swap(last, random.below(last));
    }
    order
}

/// A seeded permutation of the rows.
#[must_use]
pub fn shuffled(rows: Vec<Row>, seed: u64) -> Vec<Row> {
    let mut rows = rows;
    let mut random = Random::new(seed, "row-order");
    for last in (1..rows.len()).rev() {
        rows.swap(last, random.below(last + 1));
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn the_formats_agree() {
        let (_a, jsonl) = file(
            "a.jsonl",
            "{\"k\":\"x\",\"q\":\"1\"}\n\n{\"k\":\"y\",\"q\":\"2\"}\n",
        );
        let (_b, json) = file(
            "a.json",
            "[{\"k\":\"x\",\"q\":\"1\"},{\"k\":\"y\",\"q\":\"2\"}]",
        );
        let (_c, csv) = file("a.csv", "k,q\nx,1\ny,2\n");
        let rows = read_rows(&jsonl, Format::Jsonl, Some("k")).unwrap();
        assert_eq!(rows[1].id, "y");
        assert_eq!(rows, read_rows(&json, Format::Json, Some("k")).unwrap());
        assert_eq!(rows, read_rows(&csv, Format::Csv, Some("k")).unwrap());
    }

    #[test]
    fn content_is_whatever_the_order() {
        let rows = |text: &str| {
            let (_dir, path) = file("a.jsonl", text);
            content(&read_rows(&path, Format::Jsonl, Some("k")).unwrap())
        };
        let one = rows("{\"k\":1,\"q\":\"a\"}\n{\"k\":2,\"q\":\"b\"}\n");
        assert_eq!(one, rows("{\"q\":\"b\",\"k\":2}\n{\"k\":1,\"q\":\"a\"}\n"));
        assert_ne!(one, rows("{\"k\":1,\"q\":\"b\"}\n{\"k\":2,\"q\":\"a\"}\n"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let (_dir, path) = file("a.jsonl", "{\"k\":1}\n{\"k\":\n");
        let error = read_rows(&path, Format::Jsonl, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("a.jsonl:2: not a JSON object"), "{error}");
    }

    #[test]
    fn ids_are_unique() {
        let (_dir, path) = file("a.jsonl", "{\"k\":1}\n{\"k\":1}\n");
        let error = read_rows(&path, Format::Jsonl, Some("k"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("rows 1 and 2 have the same id `1`"),
            "{error}"
        );
        let error = read_rows(&path, Format::Jsonl, Some("id")).unwrap_err();
        let error = driftgauge_problem::Problem::from(error).to_string();
        assert!(error.contains("columns are `k`"), "{error}");
    }

    #[test]
    fn no_row_stands_in_for_itself() {
        for rows in 2..40 {
            let order = derangement(rows, 7);
            assert!(order.iter().enumerate().all(|(a, b)| a != *b));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..rows).collect::<Vec<_>>());
            assert_eq!(order, derangement(rows, 7));
        }
    }
}
