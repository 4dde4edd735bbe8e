//! What every sample was asked, read without what was answered.

use std::fs::File;
use std::path::Path;

use arrow_array::{Array, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::read::{Lists, text};
use super::{BATCH, SampleTableError};

/// The columns that are read.
const COLUMNS: [&str; 7] = [
    "condition",
    "sample_id",
    "messages",
    "references",
    "wrong_answer",
    "category",
    "row",
];

/// What a sample was asked, and what its answer is held against.
#[derive(Debug, PartialEq)]
pub struct AskedSample<'a> {
    /// Condition id.
    pub condition: &'a str,
    /// Id of the dataset row.
    pub sample_id: &'a str,
    /// The conversation, as JSON.
    pub messages: &'a str,
    /// Accepted answers.
    pub references: Vec<String>,
    /// The answer that a false context suggests.
    pub wrong_answer: Option<&'a str>,
    /// Value of the category column.
    pub category: Option<&'a str>,
    /// The dataset row, as JSON.
    pub row: &'a str,
}

/// Shows what every sample of the table at `path` was asked.
///
/// # Errors
/// When the file is missing or not a sample table.
pub fn each_asked(
    path: &Path,
    mut look: impl FnMut(AskedSample<'_>),
) -> Result<(), SampleTableError> {
    let file = File::open(path).map_err(|source| SampleTableError::Io {
        path: path.to_owned(),
        source,
    })?;
    let broken = |error: parquet::errors::ParquetError| SampleTableError::parquet(path, &error);
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(broken)?;
    let places = COLUMNS
        .iter()
        .filter_map(|name| builder.schema().index_of(name).ok());
    let wanted = ProjectionMask::roots(builder.parquet_schema(), places);
    let batches = builder
        .with_projection(wanted)
        .with_batch_size(BATCH)
        .build()
        .map_err(broken)?;
    for batch in batches {
        let batch = batch.map_err(|error| SampleTableError::parquet(path, &error))?;
        look_at(&batch, &mut look).map_err(|column| SampleTableError::Column {
            path: path.to_owned(),
            column,
        })?;
    }
    Ok(())
}

fn look_at(
    batch: &RecordBatch,
    look: &mut impl FnMut(AskedSample<'_>),
) -> Result<(), &'static str> {
    let condition = text(batch, "condition")?;
    let sample_id = text(batch, "sample_id")?;
    let messages = text(batch, "messages")?;
    let references: Lists<'_, StringArray> = Lists::new(batch, "references")?;
    let wrong_answer = text(batch, "wrong_answer")?;
    let category = text(batch, "category")?;
    let columns = text(batch, "row")?;
    for row in 0..batch.num_rows() {
        look(AskedSample {
            condition: condition.value(row),
            sample_id: sample_id.value(row),
            messages: messages.value(row),
            references: references.texts(row),
            wrong_answer: wrong_answer.is_valid(row).then(|| wrong_answer.value(row)),
            category: category.is_valid(row).then(|| category.value(row)),
            row: columns.value(row),
        });
    }
    Ok(())
}
