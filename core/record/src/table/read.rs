//! Reading whole samples.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{BATCH, SampleTableError};
use crate::{Completion, Degeneracy, FinishReason, Sample};

/// Reads all samples of a table into memory; [`SampleReader`] streams them.
///
/// # Errors
/// When the file is missing or not a sample table.
pub fn read_samples(path: &Path) -> Result<Vec<Sample>, SampleTableError> {
    SampleReader::open(path)?.collect()
}

/// Streams samples from Parquet in file order.
pub struct SampleReader {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    ready: std::vec::IntoIter<Sample>,
}

impl SampleReader {
    /// Opens a table.
    ///
    /// # Errors
    /// When the file is missing or not Parquet.
    pub fn open(path: &Path) -> Result<Self, SampleTableError> {
        let file = File::open(path).map_err(|source| SampleTableError::Io {
            path: path.to_owned(),
            source,
        })?;
        let batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(BATCH).build())
            .map_err(|error| SampleTableError::parquet(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            batches,
            ready: Vec::new().into_iter(),
        })
    }
}

impl Iterator for SampleReader {
    type Item = Result<Sample, SampleTableError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(sample) = self.ready.next() {
                return Some(Ok(sample));
            }
            let batch = match self.batches.next()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(SampleTableError::parquet(&self.path, &error))),
            };
            match from_batch(&batch) {
                Ok(samples) => self.ready = samples.into_iter(),
                Err(column) => {
                    return Some(Err(SampleTableError::Column {
                        path: self.path.clone(),
                        column,
                    }));
                }
            }
        }
    }
}

/// A column of one batch, its type known: what is looked up and checked once is not looked up for every row.
pub(super) type Text<'a> = &'a StringArray;

fn column<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a ArrayRef, &'static str> {
    batch.column_by_name(name).ok_or(name)
}

pub(super) fn text<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<Text<'a>, &'static str> {
    column(batch, name)?.as_string_opt().ok_or(name)
}

fn flags<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a BooleanArray, &'static str> {
    column(batch, name)?.as_boolean_opt().ok_or(name)
}

fn optional(column: Text<'_>, row: usize) -> Option<String> {
    (!column.is_null(row)).then(|| column.value(row).to_owned())
}

/// JSON of a column; most objects and lists are empty.
fn parsed<T: serde::de::DeserializeOwned + Default>(
    column: Text<'_>,
    name: &'static str,
    row: usize,
) -> Result<T, &'static str> {
    match column.value(row) {
        "{}" | "[]" => Ok(T::default()),
        text => serde_json::from_str(text).map_err(|_| name),
    }
}

/// A column of lists: all their items one after the other, and where each list starts.
pub(super) struct Lists<'a, A> {
    starts: &'a [i32],
    items: &'a A,
}

impl<'a, A: Array + 'static> Lists<'a, A> {
    pub(super) fn new(batch: &'a RecordBatch, name: &'static str) -> Result<Self, &'static str> {
        let lists = column(batch, name)?.as_list_opt::<i32>().ok_or(name)?;
        Ok(Self {
            starts: lists.value_offsets(),
            items: lists.values().as_any().downcast_ref().ok_or(name)?,
        })
    }

    /// Places of a row's items. Offsets of a valid array are in order and within its items.
    fn places(&self, row: usize) -> std::ops::Range<usize> {
        self.starts[row] as usize..self.starts[row + 1] as usize
    }
}

impl<T: ArrowPrimitiveType> Lists<'_, PrimitiveArray<T>> {
    fn numbers(&self, row: usize) -> Vec<T::Native> {
        self.items.values()[self.places(row)].to_vec()
    }
}

impl Lists<'_, StringArray> {
    pub(super) fn texts(&self, row: usize) -> Vec<String> {
        let item = |place| self.items.value(place).to_owned();
        self.places(row).map(item).collect()
    }
}

pub(super) fn from_batch(batch: &RecordBatch) -> Result<Vec<Sample>, &'static str> {
    let evaluation = text(batch, "evaluation")?;
    let condition = text(batch, "condition")?;
    let model = text(batch, "model")?;
    let sample_id = text(batch, "sample_id")?;
    let sample_index = column(batch, "sample_index")?
        .as_primitive_opt::<UInt32Type>()
        .ok_or("sample_index")?;
    let messages = text(batch, "messages")?;
    type Ids<'a> = Lists<'a, PrimitiveArray<UInt32Type>>;
    type Floats<'a> = Lists<'a, PrimitiveArray<Float32Type>>;
    let prompt_token_ids = Ids::new(batch, "prompt_token_ids")?;
    let completion_token_ids = Ids::new(batch, "completion_token_ids")?;
    let completion = text(batch, "completion")?;
    // Tables of versions that knew no such columns hold none of them.
    let thinking = match batch.column_by_name("thinking") {
        Some(_) => Some(text(batch, "thinking")?),
        None => None,
    };
    let finish_reason = text(batch, "finish_reason")?;
    let ends_with_eos = flags(batch, "ends_with_eos")?;
    let token_logprob = Floats::new(batch, "token_logprob")?;
    let token_top1_logprob = Floats::new(batch, "token_top1_logprob")?;
    let token_margin = Floats::new(batch, "token_margin")?;
    let token_top10_entropy = Floats::new(batch, "token_top10_entropy")?;
    let token_top10_mass = Floats::new(batch, "token_top10_mass")?;
    let token_entropy = Floats::new(batch, "token_entropy")?;
    let token_top_logprobs = match batch.column_by_name("token_top_logprobs") {
        Some(_) => Some(Floats::new(batch, "token_top_logprobs")?),
        None => None,
    };
    let first_token_logprob = text(batch, "first_token_logprob")?;
    let error = text(batch, "error")?;
    let empty = flags(batch, "empty")?;
    let looping = flags(batch, "looping")?;
    let truncated = flags(batch, "truncated")?;
    let references: Lists<'_, StringArray> = Lists::new(batch, "references")?;
    let wrong_answer = text(batch, "wrong_answer")?;
    let category = text(batch, "category")?;
    let columns = text(batch, "row")?;
    let verdicts = text(batch, "verdicts")?;
    let values = text(batch, "values")?;
    (0..batch.num_rows())
        .map(|row| {
            Ok(Sample {
                evaluation: evaluation.value(row).to_owned(),
                condition: condition.value(row).to_owned(),
                model: model.value(row).to_owned(),
                sample_id: sample_id.value(row).to_owned(),
                sample_index: sample_index.value(row),
                messages: parsed(messages, "messages", row)?,
                completion: Completion {
                    prompt_token_ids: prompt_token_ids.numbers(row),
                    completion_token_ids: completion_token_ids.numbers(row),
                    text: completion.value(row).to_owned(),
                    thinking: thinking.and_then(|column| optional(column, row)),
                    prefill: None,
                    finish_reason: FinishReason::parse(finish_reason.value(row))
                        .ok_or("finish_reason")?,
                    ends_with_eos: ends_with_eos.value(row),
                    token_logprob: token_logprob.numbers(row),
                    token_top1_logprob: token_top1_logprob.numbers(row),
                    token_margin: token_margin.numbers(row),
                    token_top10_entropy: token_top10_entropy.numbers(row),
                    token_top10_mass: token_top10_mass.numbers(row),
                    token_entropy: token_entropy.numbers(row),
                    token_top_logprobs: token_top_logprobs
                        .as_ref()
                        .map_or_else(Vec::new, |lists| lists.numbers(row)),
                    first_token_logprob: parsed(first_token_logprob, "first_token_logprob", row)?,
                },
                error: optional(error, row),
                degenerate: Degeneracy {
                    empty: empty.value(row),
                    looping: looping.value(row),
                    truncated: truncated.value(row),
                },
                references: references.texts(row),
                wrong_answer: optional(wrong_answer, row),
                category: optional(category, row),
                row: parsed(columns, "row", row)?,
                verdicts: parsed(verdicts, "verdicts", row)?,
                values: parsed(values, "values", row)?,
            })
        })
        .collect()
}
