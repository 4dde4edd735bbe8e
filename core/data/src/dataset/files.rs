//! Rows of files, as objects of columns: JSON Lines, JSON, CSV and Parquet.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use indexmap::IndexMap;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::DatasetError;

pub(super) type Columns = IndexMap<String, Value>;

fn open(path: &Path) -> Result<File, DatasetError> {
    File::open(path).map_err(|source| DatasetError::Io {
        path: path.to_owned(),
        source,
    })
}

fn row_error(path: &Path, line: usize, problem: impl Into<String>) -> DatasetError {
    DatasetError::Row {
        path: path.to_owned(),
        line,
        problem: problem.into(),
    }
}

pub(super) fn read_jsonl(path: &Path) -> Result<Vec<Columns>, DatasetError> {
    let mut rows = Vec::new();
    for (index, line) in BufReader::new(open(path)?).lines().enumerate() {
        let line =
            line.map_err(|error| row_error(path, index + 1, format!("{error}\n{NOT_UTF8}")))?;
        let line = match index {
            0 => line.trim_start_matches(BOM),
            _ => &line,
        };
        if line.trim().is_empty() {
            continue;
        }
        let UniqueKeys(row) = serde_json::from_str(line).map_err(|error| {
            row_error(
                path,
                index + 1,
                format!("not a JSON object: {error}\nhint: JSON Lines has one complete object on each line"),
            )
        })?;
        rows.push(row);
    }
    Ok(rows)
}

pub(super) fn read_json(path: &Path) -> Result<Vec<Columns>, DatasetError> {
    let text = fs::read_to_string(path).map_err(|source| DatasetError::Io {
        path: path.to_owned(),
        source,
    })?;
    let rows: Vec<UniqueKeys> =
        serde_json::from_str(text.trim_start_matches(BOM)).map_err(|error| {
            row_error(
                path,
                error.line(),
                format!("not a JSON list of objects: {error}\nhint: the file is one list, with an object for each row"),
            )
        })?;
    Ok(rows.into_iter().map(|UniqueKeys(row)| row).collect())
}

pub(super) fn read_csv(path: &Path) -> Result<Vec<Columns>, DatasetError> {
    let mut reader = csv::Reader::from_reader(open(path)?);
    let position = |error: &csv::Error| {
        error
            .position()
            .and_then(|place| usize::try_from(place.line()).ok())
            .unwrap_or(1)
    };
    let header = reader
        .headers()
        .map_err(|error| row_error(path, position(&error), in_csv(&error)))?
        .clone();
    let mut names = HashSet::new();
    if let Some(twice) = header.iter().find(|name| !names.insert(*name)) {
        return Err(row_error(
            path,
            1,
            format!("two columns are called `{twice}`\nhint: give each column a name of its own"),
        ));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| row_error(path, position(&error), in_csv(&error)))?;
        rows.push(
            header
                .iter()
                .zip(&record)
                .map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())))
                .collect(),
        );
    }
    Ok(rows)
}

pub(super) fn read_parquet(path: &Path) -> Result<Vec<Columns>, DatasetError> {
    let broken = |problem: String| DatasetError::File {
        path: path.to_owned(),
        format: "Parquet",
        problem,
    };
    let reader =
        SerializedFileReader::new(open(path)?).map_err(|error| broken(error.to_string()))?;
    let mut rows = Vec::new();
    for row in reader
        .get_row_iter(None)
        .map_err(|error| broken(error.to_string()))?
    {
        let row = row.map_err(|error| row_error(path, rows.len() + 1, error.to_string()))?;
        match row.to_json_value() {
            Value::Object(map) => rows.push(map.into_iter().collect()),
            _ => return Err(row_error(path, rows.len() + 1, "not a record")),
        }
    }
    Ok(rows)
}

/// What some programs write at the start of a text.
const BOM: char = '\u{feff}';

const NOT_UTF8: &str = "hint: save the file as UTF-8";

/// What is wrong with a CSV file, and what to do.
fn in_csv(error: &csv::Error) -> String {
    let hint = match error.kind() {
        csv::ErrorKind::UnequalLengths { .. } => {
            "hint: every row has one cell for each column; put cells with commas or line breaks in double quotes"
        }
        csv::ErrorKind::Utf8 { .. } => NOT_UTF8,
        _ => "hint: look at the file around this line",
    };
    format!("{error}\n{hint}")
}

/// An object whose keys all differ: of two values of one key nobody knows which is meant.
struct UniqueKeys(Columns);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Columns;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut columns = Columns::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if columns.contains_key(&key) {
                        return Err(A::Error::custom(format!("the key `{key}` occurs twice")));
                    }
                    columns.insert(key, value);
                }
                Ok(columns)
            }
        }

        deserializer.deserialize_map(Keys).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(
        name: &str,
        bytes: &[u8],
        read: fn(&Path) -> Result<Vec<Columns>, DatasetError>,
    ) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        read(&path).unwrap_err().to_string()
    }

    #[test]
    fn what_is_ambiguous_or_torn_is_refused_with_a_next_step() {
        for (name, bytes, words) in [
            (
                "a.csv",
                &b"id,v,v\n1,2,3\n"[..],
                ["a.csv:1", "two columns are called `v`", "hint: "],
            ),
            (
                "a.csv",
                b"id,v\n1,2\n3\n",
                ["a.csv:3", "", "hint: every row has one cell"],
            ),
            (
                "a.csv",
                b"id,v\n1,\xff\n",
                ["a.csv:2", "", "save the file as UTF-8"],
            ),
        ] {
            let error = error(name, bytes, read_csv);
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        for (bytes, words) in [
            (
                &b"{\"k\": 1}\n{\"v\": 1, \"v\": 2}\n"[..],
                ["a.jsonl:2", "`v` occurs twice", "hint: "],
            ),
            (
                b"{\"k\": \"\xff\"}\n",
                ["a.jsonl:1", "", "save the file as UTF-8"],
            ),
        ] {
            let error = error("a.jsonl", bytes, read_jsonl);
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "\u{feff}{\"k\": 1}\n").unwrap();
        assert_eq!(read_jsonl(&path).unwrap()[0]["k"], 1);
        fs::write(&path, "\u{feff}[{\"k\": 1}]").unwrap();
        assert_eq!(read_json(&path).unwrap()[0]["k"], 1);
        fs::write(&path, "\u{feff}k\n1\n").unwrap();
        assert_eq!(read_csv(&path).unwrap()[0]["k"], "1");
    }
}
