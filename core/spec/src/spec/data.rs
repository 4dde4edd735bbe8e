//! Datasets: rows to ask, to train on, to compare with.

use driftgauge_ranges as ranges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Named;
use crate::in_range::InRange;
use crate::located::{Located, Text};

/// A dataset: exactly one of `jsonl`, `json`, `csv`, `tsv`, `parquet` and `hub`, and which of its rows are used.
///
/// A path names a file, packed with gzip or zstd or not, a folder of such files, or a pattern as `data/part-*.jsonl`. Rows are
/// filtered, then shuffled, then limited.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::DATASET))]
pub struct Dataset {
    /// A file with one JSON object a line.
    #[serde(default)]
    pub jsonl: Option<Text>,
    /// A file with a JSON list of objects.
    #[serde(default)]
    pub json: Option<Text>,
    /// A file of comma-separated values with a header line.
    #[serde(default)]
    pub csv: Option<Text>,
    /// A file of values that tabs separate, with a header line.
    #[serde(default)]
    pub tsv: Option<Text>,
    /// An Apache Parquet file.
    #[serde(default)]
    pub parquet: Option<Text>,
    /// A dataset repository of the hub, `organisation/name`.
    #[serde(default)]
    pub hub: Option<Text>,
    /// Branch, tag or commit of the repository; `main` when absent. Only with `hub`.
    #[serde(default)]
    pub revision: Option<Text>,
    /// Split of the repository; `train` when absent. Only with `hub`.
    #[serde(default)]
    pub split: Option<Text>,
    /// A file inside the repository, instead of a split. Only with `hub`.
    #[serde(default)]
    pub file: Option<Text>,
    /// Column that identifies a row, and pairs it over models and conditions; the row number when absent.
    #[serde(default)]
    pub id: Option<Text>,
    /// What the cells of columns are, where the file does not say it: those of CSV files are text.
    #[serde(default)]
    pub types: Named<ColumnType>,
    /// Columns of another file, put beside those of the rows with the same value in a column that both have.
    #[serde(default)]
    pub join: Option<Join>,
    /// A minijinja expression over the columns; rows for which it is true are used.
    #[serde(default)]
    pub filter: Option<Text>,
    /// Shuffle the rows before `limit`.
    #[serde(default)]
    pub shuffle: Option<Shuffle>,
    /// Use at most so many rows.
    #[serde(default)]
    pub limit: Option<Located<usize>>,
}

/// Further columns from another file: exactly one of `jsonl`, `json`, `csv`, `tsv` and `parquet`. Every row has to have exactly one
/// partner there; partners that nobody has are left out.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// A file with one JSON object a line.
    #[serde(default)]
    pub jsonl: Option<Text>,
    /// A file with a JSON list of objects.
    #[serde(default)]
    pub json: Option<Text>,
    /// A file of comma-separated values with a header line.
    #[serde(default)]
    pub csv: Option<Text>,
    /// A file of values that tabs separate, with a header line.
    #[serde(default)]
    pub tsv: Option<Text>,
    /// An Apache Parquet file.
    #[serde(default)]
    pub parquet: Option<Text>,
    /// The column that both have.
    pub on: Text,
}

impl Join {
    /// Every file that is given. A spec that passes [`crate::check()`] has exactly one.
    #[must_use]
    pub fn files(&self) -> Vec<(DatasetFormat, &Text)> {
        [
            (DatasetFormat::Jsonl, &self.jsonl),
            (DatasetFormat::Json, &self.json),
            (DatasetFormat::Csv, &self.csv),
            (DatasetFormat::Tsv, &self.tsv),
            (DatasetFormat::Parquet, &self.parquet),
        ]
        .into_iter()
        .filter_map(|(format, path)| Some((format, path.as_ref()?)))
        .collect()
    }
}

/// A seeded shuffle.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::SHUFFLE))]
pub struct Shuffle {
    /// Seed; the experiment's when absent.
    #[serde(default)]
    pub seed: Option<Located<u64>>,
}

/// Where the rows of a dataset are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DatasetSource<'a> {
    /// A file, relative to the spec.
    File {
        /// How it is written.
        format: DatasetFormat,
        /// The path.
        path: &'a Text,
    },
    /// A dataset repository of the hub.
    Hub {
        /// `organisation/name`.
        repository: &'a Text,
    },
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A truth value: `true`, `false`, `yes`, `no`, 1 or 0.
    Bool,
    /// A list, written as JSON or Python write it.
    List,
}

impl ColumnType {
    /// The word of the spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::List => "list",
        }
    }
}

/// How a file of rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetFormat {
    /// One JSON object a line.
    Jsonl,
    /// A JSON list of objects.
    Json,
    /// Comma-separated values with a header line.
    Csv,
    /// Values separated by tabs, with a header line.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

impl Dataset {
    /// Every source that is given. A spec that passes [`crate::check()`] has exactly one.
    #[must_use]
    pub fn sources(&self) -> Vec<DatasetSource<'_>> {
        [
            file(&self.jsonl, DatasetFormat::Jsonl),
            file(&self.json, DatasetFormat::Json),
            file(&self.csv, DatasetFormat::Csv),
            file(&self.tsv, DatasetFormat::Tsv),
            file(&self.parquet, DatasetFormat::Parquet),
            self.hub
                .as_ref()
                .map(|repository| DatasetSource::Hub { repository }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> Option<DatasetSource<'_>> {
        self.sources().first().copied()
    }
}

fn file(path: &Option<Text>, format: DatasetFormat) -> Option<DatasetSource<'_>> {
    path.as_ref()
        .map(|path| DatasetSource::File { format, path })
}
