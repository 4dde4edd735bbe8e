//! The table of samples in Parquet.
#![doc = include_str!("../../../docs/samples.md")]

mod asked;
mod columns;
mod constant;
mod decode;
mod read;
mod rows;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use driftgauge_problem::Explained;

pub use asked::{AskedSample, each_asked};
pub use columns::TableRows;
pub use read::{SampleReader, read_samples};
pub use write::{SampleWriter, write_samples};

/// Rows per record batch: bounds memory while streaming.
const BATCH: usize = 1024;

/// Why a sample table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SampleTableError {
    /// The file system refused.
    #[error("cannot access `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The Parquet layer refused.
    #[error("`{}` is not a readable sample table: {detail}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The cause in words.
        detail: String,
    },
    /// A column is missing or holds something else.
    #[error("`{}` has no usable column `{column}`", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
}

impl Explained for SampleTableError {
    fn code(&self) -> &'static str {
        "unreadable-samples"
    }

    fn help(&self) -> Option<String> {
        let other_version = matches!(self, Self::Column { .. });
        other_version
            .then(|| "the file may come from another version; run the experiment again".to_owned())
    }
}

impl SampleTableError {
    fn parquet(path: &Path, error: &impl std::fmt::Display) -> Self {
        Self::Parquet {
            path: path.to_owned(),
            detail: error.to_string(),
        }
    }
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let optional = |name: &str| Field::new(name, DataType::Utf8, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, false);
    let list = |name: &str, item: DataType| {
        Field::new(
            name,
            DataType::List(Arc::new(Field::new("item", item, true))),
            false,
        )
    };
    Arc::new(Schema::new(vec![
        text("evaluation"),
        text("condition"),
        text("model"),
        text("sample_id"),
        Field::new("sample_index", DataType::UInt32, false),
        text("messages"),
        list("prompt_token_ids", DataType::UInt32),
        list("completion_token_ids", DataType::UInt32),
        text("completion"),
        optional("thinking"),
        text("finish_reason"),
        flag("ends_with_eos"),
        list("token_logprob", DataType::Float32),
        list("token_top1_logprob", DataType::Float32),
        list("token_margin", DataType::Float32),
        list("token_top10_entropy", DataType::Float32),
        list("token_top10_mass", DataType::Float32),
        list("token_entropy", DataType::Float32),
        list("token_top_logprobs", DataType::Float32),
        text("first_token_logprob"),
        optional("error"),
        flag("empty"),
        flag("looping"),
        flag("truncated"),
        list("references", DataType::Utf8),
        optional("wrong_answer"),
        optional("category"),
        text("row"),
        text("verdicts"),
        text("values"),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Completion, Degeneracy, FinishReason, Message, Sample, Verdict, VerdictLabel};

    fn sample(id: &str) -> Sample {
        Sample {
            evaluation: "harmfulness".into(),
            condition: "default".into(),
            model: "base".into(),
            sample_id: id.into(),
            sample_index: 1,
            messages: vec![Message {
                role: "user".into(),
                content: "open the \"door\"\n".into(),
            }],
            completion: Completion {
                prompt_token_ids: vec![0, 3],
                completion_token_ids: vec![7, 2],
                text: "no".into(),
                thinking: Some("hm".into()),
                prefill: None,
                finish_reason: FinishReason::Stop,
                ends_with_eos: true,
                token_logprob: vec![-0.1, -0.25],
                token_top1_logprob: vec![-0.1, -0.2],
                token_margin: vec![0.5, 0.25],
                token_top10_entropy: vec![0.3, 0.1],
                token_top10_mass: vec![0.99, 1.0],
                token_entropy: vec![0.31, 0.11],
                token_top_logprobs: vec![-0.1, -2.5, -0.2, f32::MIN],
                first_token_logprob: [("safe".to_owned(), -0.5)].into_iter().collect(),
            },
            error: None,
            degenerate: Degeneracy {
                truncated: true,
                ..Degeneracy::default()
            },
            references: vec!["Ada".into(), "Ada L.".into()],
            wrong_answer: Some("Bob".into()),
            category: None,
            row: [("q".to_owned(), serde_json::json!({"a": [1, null]}))]
                .into_iter()
                .collect(),
            verdicts: [(
                "guard".to_owned(),
                Verdict {
                    label: VerdictLabel::Unsafe,
                    categories: vec!["S2".into()],
                    p_unsafe: Some(0.75),
                    score: None,
                    points: None,
                    output: "unsafe\nS2".into(),
                },
            )]
            .into_iter()
            .collect(),
            values: [("kl".to_owned(), vec![0.5])].into_iter().collect(),
        }
    }

    #[test]
    fn samples_survive_the_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.parquet");
        let samples: Vec<_> = (0..3000).map(|i| sample(&format!("r{i}"))).collect();
        write_samples(&path, samples.clone()).unwrap();
        assert_eq!(read_samples(&path).unwrap(), samples);
        let first = std::fs::read(&path).unwrap();
        write_samples(&path, samples).unwrap();
        assert_eq!(first, std::fs::read(&path).unwrap());
    }

    #[test]
    fn the_page_on_samples_describes_every_column() {
        let page = include_str!("../../../docs/samples.md");
        let described: Vec<(&str, &str)> = page
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split(" | ");
                Some((cells.next()?.trim_end_matches('`'), cells.next()?))
            })
            .collect();
        let name = |data_type: &DataType| match data_type {
            DataType::Utf8 => "string".to_owned(),
            DataType::UInt32 => "uint32".to_owned(),
            DataType::Float32 => "float".to_owned(),
            DataType::Boolean => "bool".to_owned(),
            other => format!("{other}"),
        };
        let schema = schema();
        let columns: Vec<(&str, String)> = schema
            .fields()
            .iter()
            .map(|field| {
                let described = match field.data_type() {
                    DataType::List(item) => format!("list of {}", name(item.data_type())),
                    other if field.is_nullable() => format!("{}, null", name(other)),
                    other => name(other),
                };
                (field.name().as_str(), described)
            })
            .collect();
        let columns: Vec<(&str, &str)> = columns.iter().map(|(n, t)| (*n, t.as_str())).collect();
        assert_eq!(described, columns);
    }

    #[test]
    fn a_file_that_is_no_table_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.parquet");
        std::fs::write(&path, "no parquet").unwrap();
        let error = read_samples(&path).unwrap_err();
        assert!(error.to_string().contains("not a readable sample table"));
    }
}
