//! Datasets: files of rows in the formats the field uses, read into one form.

mod access;
mod files;
mod join;
mod json;
mod parquet;
mod parquet_types;
mod quotes;
mod text;
mod types;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use driftgauge_problem::Explained;
use driftgauge_record::value;
use driftgauge_spec::files_of;
use driftgauge_spec::spec::DatasetFormat;
use driftgauge_store::Digest;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::access::Columns;
pub use self::join::join;
pub(crate) use self::json::parse as parse_json;
pub(crate) use self::text::whole_text;
pub use self::types::{is_written_list, truth, typed};
use crate::random::Random;

/// One row: a stable id and its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Id that pairs samples over models and conditions.
    pub id: String,
    /// Columns by name, in file order.
    pub columns: IndexMap<String, Value>,
}

impl Row {
    /// Its number in the file, counted from 1, or its id where that is another one.
    #[must_use]
    pub fn number(&self) -> String {
        let index = self.id.parse::<usize>();
        index.map_or_else(|_| self.id.clone(), |index| (index + 1).to_string())
    }
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
    /// A line is not what the format asks for.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A row is not what it has to be, whatever line of the file it stands in.
    #[error("`{}`, row {row}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Number of the row, from 1.
        row: usize,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: Option<String>,
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
        /// What to do.
        hint: Option<String>,
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
            Self::Line { .. } | Self::Row { .. } | Self::File { .. } => "bad-dataset",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Id { hint, .. } => Some(hint.clone()),
            Self::Line { hint, .. } | Self::Row { hint, .. } | Self::File { hint, .. } => {
                hint.clone()
            }
            Self::Io { .. } => None,
        }
    }
}

/// Rows that were read, and what has to be said of them.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The rows; their ids are their numbers, from 0, over all files.
    pub rows: Vec<Row>,
    /// What was read otherwise than it is written.
    pub notes: Vec<String>,
}

/// Reads all rows of a file, of the files of a folder, or of those that a pattern matches.
///
/// # Errors
/// When there is no file, or a file or a row is unusable; the message names the file and the line.
pub fn read_table(path: &Path, format: DatasetFormat) -> Result<Table, DatasetError> {
    let files = files_of(path, format).map_err(|error| access::io_error(path, error))?;
    let mut table = Table::default();
    let mut schema = join::OneSchema::default();
    for file in files {
        let read = files::read(&file, format)?;
        schema.add(&file, &read.rows)?;
        table.notes.extend(nulls_note(&file, read.nulls));
        table.notes.extend(read.notes);
        for columns in read.rows {
            let id = table.rows.len().to_string();
            table.rows.push(Row { id, columns });
        }
    }
    Ok(table)
}

/// What is said of numbers that are not finite, where there are some.
pub(crate) fn nulls_note(path: &Path, nulls: usize) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    (nulls > 0)
        .then(|| format!("`{name}`: {nulls} values are NaN or infinite, and were read as null"))
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
    with_ids(path, numbered, id)
}

fn with_ids(
    path: &Path,
    rows: impl Iterator<Item = (usize, Columns)>,
    column: &str,
) -> Result<Vec<Row>, DatasetError> {
    let id_error = |problem: String, hint: String| DatasetError::Id {
        path: path.to_owned(),
        problem,
        hint,
    };
    let mut seen = HashMap::new();
    let mut out = Vec::with_capacity(rows.size_hint().0);
    for (index, columns) in rows {
        if value::is_ambiguous(&columns, column) {
            return Err(id_error(
                format!("row {}: {}", index + 1, twice(column)),
                ONE_OF_TWO.to_owned(),
            ));
        }
        let id = value::column(&columns, column).and_then(value::scalar_text);
        let id = id.filter(|id| !id.trim().is_empty()).ok_or_else(|| {
            id_error(
                format!("row {} has no usable id in column `{column}`", index + 1),
                format!("columns are {}", names(&columns)),
            )
        })?;
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

/// What a path says of a row in which it names two cells.
#[must_use]
pub fn twice(path: &str) -> String {
    format!("`{path}` is a column, and a path into another one as well")
}

/// What to do about it.
pub const ONE_OF_TWO: &str = "rename one of the two, or leave one out of the file";

/// Digest of the rows themselves, whatever their order and the file they stand in. A value is another one when its type is:
/// templates write 1 and 1.0 in different ways.
#[must_use]
pub fn content(rows: &[Row]) -> Digest {
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let mut columns: Vec<_> = row.columns.iter().collect();
            columns.sort_unstable_by_key(|(name, _)| *name);
            json!([row.id, columns]).to_string()
        })
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

    fn rows_of(path: &Path, format: DatasetFormat, id: &str) -> Result<Vec<Row>, DatasetError> {
        identify(path, read_table(path, format)?.rows, id)
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
        let (_d, tsv) = file("a.tsv", "k\tq\nx\t1\ny\t2\n");
        let rows = rows_of(&jsonl, DatasetFormat::Jsonl, "k").unwrap();
        assert_eq!(rows[1].id, "y");
        assert_eq!(rows, rows_of(&json, DatasetFormat::Json, "k").unwrap());
        assert_eq!(rows, rows_of(&csv, DatasetFormat::Csv, "k").unwrap());
        assert_eq!(rows, rows_of(&tsv, DatasetFormat::Tsv, "k").unwrap());
    }

    #[test]
    fn shards_are_read_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.jsonl"), "{\"k\": NaN}\n").unwrap();
        fs::write(dir.path().join("a.jsonl"), "{\"k\":1}\n{\"k\":2}\n").unwrap();
        let table = read_table(dir.path(), DatasetFormat::Jsonl).unwrap();
        let seen: Vec<_> = table
            .rows
            .iter()
            .map(|row| (&*row.id, &row.columns["k"]))
            .collect();
        assert_eq!(
            seen,
            [("0", &json!(1)), ("1", &json!(2)), ("2", &Value::Null)]
        );
        assert_eq!(
            table.notes,
            ["`b.jsonl`: 1 values are NaN or infinite, and were read as null"]
        );
    }

    #[test]
    fn content_is_whatever_the_order() {
        let rows = |text: &str| {
            let (_dir, path) = file("a.jsonl", text);
            content(&rows_of(&path, DatasetFormat::Jsonl, "k").unwrap())
        };
        let one = rows("{\"k\":1,\"q\":\"a\"}\n{\"k\":2,\"q\":\"b\"}\n");
        assert_eq!(one, rows("{\"q\":\"b\",\"k\":2}\n{\"k\":1,\"q\":\"a\"}\n"));
        assert_ne!(one, rows("{\"k\":1,\"q\":\"b\"}\n{\"k\":2,\"q\":\"a\"}\n"));
        assert_ne!(rows("{\"k\":1,\"q\":1}\n"), rows("{\"k\":1,\"q\":1.0}\n"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let (_dir, path) = file("a.jsonl", "{\"k\":1}\n{\"k\":\n");
        let error = read_table(&path, DatasetFormat::Jsonl).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("a.jsonl:2: not a JSON object"), "{error}");
    }

    #[test]
    fn ids_are_unique() {
        let (_dir, path) = file("a.jsonl", "{\"k\":1}\n{\"k\":1}\n");
        let error = rows_of(&path, DatasetFormat::Jsonl, "k").unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("rows 1 and 2 have the same id `1`"),
            "{error}"
        );
        let error = rows_of(&path, DatasetFormat::Jsonl, "id").unwrap_err();
        let said = driftgauge_problem::Problem::from(error).to_string();
        assert!(said.contains("columns are `k`"), "{said}");
        // Of nested columns by their path, and of null or blank ones never.
        let (_dir, path) = file("a.jsonl", "{\"m\":{\"k\":7}}\n{\"m\":{\"k\":\" \"}}\n");
        let error = rows_of(&path, DatasetFormat::Jsonl, "m.k").unwrap_err();
        assert!(
            error.to_string().contains("row 2 has no usable id"),
            "{error}"
        );
        let (_dir, path) = file("a.jsonl", "{\"m.k\":1,\"m\":{\"k\":7}}\n");
        let error = rows_of(&path, DatasetFormat::Jsonl, "m.k").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`m.k` is a column, and a path"), "{error}");
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

    #[test]
    fn every_order_is_as_likely() {
        let rows = || -> Vec<Row> {
            let row = |id: &str| Row {
                id: id.to_owned(),
                columns: IndexMap::new(),
            };
            ["a", "b", "c"].map(row).into()
        };
        let mut seen: IndexMap<String, u32> = IndexMap::new();
        for seed in 0..1200 {
            let order: String = shuffled(rows(), seed)
                .into_iter()
                .map(|row| row.id)
                .collect();
            *seen.entry(order).or_default() += 1;
        }
        // Six orders, 200 each with a standard deviation of 13.
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert!(
            seen.values().all(|count| (140..260).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn what_is_wrong_with_a_dataset_has_a_code() {
        let missing = read_table(Path::new("no/such.jsonl"), DatasetFormat::Jsonl).unwrap_err();
        assert_eq!(missing.code(), "missing-file");
        let (_dir, path) = file("a.jsonl", "{\"x\": \n");
        assert_eq!(
            read_table(&path, DatasetFormat::Jsonl).unwrap_err().code(),
            "bad-dataset"
        );
        let (_dir, path) = file("a.jsonl", "{\"id\": 1}\n{\"id\": 1}\n");
        let twice = rows_of(&path, DatasetFormat::Jsonl, "id").unwrap_err();
        assert_eq!(twice.code(), "bad-id");
    }
}
