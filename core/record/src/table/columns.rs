//! Reading a table column by column, and only the columns that are asked for.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, BooleanArray, ListArray, RecordBatch, StringArray, UInt32Array};
use indexmap::IndexMap;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::read::from_batch;
use super::{BATCH, SampleTableError};
use crate::{Sample, Verdict};

/// A table of samples, a batch of it at a time. A column is read from the file when something of it is first asked for.
pub struct TableRows {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// Samples in the table.
    total: usize,
    /// Place of the first sample of the batch.
    start: usize,
    readers: Mutex<HashMap<&'static str, Reader>>,
    pub(super) batch: Batch,
}

/// Reads some columns in order.
struct Reader {
    batches: ParquetRecordBatchReader,
    /// Place of the sample it gives next.
    next: usize,
}

/// What has been read of the batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) len: usize,
    pub(super) samples: Column<Vec<Sample>>,
    pub(super) sample_id: Column<StringArray>,
    pub(super) evaluation: Column<StringArray>,
    pub(super) condition: Column<StringArray>,
    pub(super) model: Column<StringArray>,
    pub(super) completion: Column<StringArray>,
    pub(super) finish_reason: Column<StringArray>,
    pub(super) category: Column<StringArray>,
    pub(super) wrong_answer: Column<StringArray>,
    pub(super) error: Column<StringArray>,
    pub(super) sample_index: Column<UInt32Array>,
    pub(super) ends_with_eos: Column<BooleanArray>,
    pub(super) empty: Column<BooleanArray>,
    pub(super) looping: Column<BooleanArray>,
    pub(super) truncated: Column<BooleanArray>,
    pub(super) token_logprob: Column<ListArray>,
    pub(super) token_top1_logprob: Column<ListArray>,
    pub(super) token_margin: Column<ListArray>,
    pub(super) token_top10_entropy: Column<ListArray>,
    pub(super) token_top10_mass: Column<ListArray>,
    pub(super) token_entropy: Column<ListArray>,
    pub(super) token_top_logprobs: Column<ListArray>,
    pub(super) references: Column<ListArray>,
    pub(super) row: Column<Parsed<IndexMap<String, Value>>>,
    pub(super) verdicts: Column<Parsed<IndexMap<String, Verdict>>>,
    pub(super) values: Column<Parsed<IndexMap<String, Vec<f64>>>>,
}

pub(super) type Column<A> = OnceLock<Result<A, String>>;

/// What a column's cells become.
pub(super) trait Decode: Sized {
    fn decode(column: &dyn Array) -> Option<Self>;
}

impl Decode for StringArray {
    fn decode(column: &dyn Array) -> Option<Self> {
        column.as_string_opt().cloned()
    }
}

impl Decode for UInt32Array {
    fn decode(column: &dyn Array) -> Option<Self> {
        column.as_primitive_opt::<UInt32Type>().cloned()
    }
}

impl Decode for BooleanArray {
    fn decode(column: &dyn Array) -> Option<Self> {
        column.as_boolean_opt().cloned()
    }
}

impl Decode for ListArray {
    fn decode(column: &dyn Array) -> Option<Self> {
        column.as_list_opt().cloned()
    }
}

/// Cells of JSON. Many samples share one text (verdicts, say), which is read once.
pub(super) struct Parsed<T> {
    distinct: Vec<T>,
    of_row: Vec<usize>,
}

impl<T> Parsed<T> {
    pub(super) fn get(&self, row: usize) -> &T {
        &self.distinct[self.of_row[row]]
    }
}

impl<T: DeserializeOwned> Decode for Parsed<T> {
    fn decode(column: &dyn Array) -> Option<Self> {
        let texts = column.as_string_opt::<i32>()?;
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut parsed = Self {
            distinct: Vec::new(),
            of_row: Vec::with_capacity(texts.len()),
        };
        for text in texts {
            let text = text?;
            let place = match places.get(text) {
                Some(&place) => place,
                None => {
                    parsed.distinct.push(serde_json::from_str(text).ok()?);
                    places.insert(text, parsed.distinct.len() - 1);
                    parsed.distinct.len() - 1
                }
            };
            parsed.of_row.push(place);
        }
        Some(parsed)
    }
}

impl TableRows {
    /// Opens the table at `path`, before its first batch.
    ///
    /// # Errors
    /// When the file is missing or not Parquet.
    pub fn open(path: &Path) -> Result<Self, SampleTableError> {
        let file = File::open(path).map_err(|source| SampleTableError::Io {
            path: path.to_owned(),
            source,
        })?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())
            .map_err(|error| SampleTableError::parquet(path, &error))?;
        let total = metadata.metadata().file_metadata().num_rows();
        Ok(Self {
            path: path.to_owned(),
            metadata,
            total: usize::try_from(total).unwrap_or_default(),
            start: 0,
            readers: Mutex::default(),
            batch: Batch::default(),
        })
    }

    /// Goes on to the next samples; says whether there are any.
    pub fn advance(&mut self) -> bool {
        self.start += self.batch.len;
        self.batch = Batch {
            len: BATCH.min(self.total - self.start),
            ..Batch::default()
        };
        self.batch.len > 0
    }

    /// A whole sample of the batch.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn sample(&self, row: usize) -> Result<&Sample, String> {
        let read = || {
            let batch = self.read("").map_err(|error| error.to_string())?;
            from_batch(&batch).map_err(|column| self.unusable(column).to_string())
        };
        let samples = self.batch.samples.get_or_init(read);
        samples
            .as_ref()
            .map(|samples| &samples[row])
            .map_err(Clone::clone)
    }

    /// A column of the batch, read now if it was not.
    pub(super) fn column<'a, A: Decode>(
        &self,
        name: &'static str,
        column: &'a Column<A>,
    ) -> Result<&'a A, String> {
        let read = || {
            let batch = self.read(name).map_err(|error| error.to_string())?;
            let array = batch.columns().first().map(|array| &**array);
            array
                .and_then(A::decode)
                .ok_or_else(|| self.unusable(name).to_string())
        };
        column.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// Reads a column of the batch, or all of them where the name is empty.
    fn read(&self, name: &'static str) -> Result<RecordBatch, SampleTableError> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match readers.remove(name) {
            Some(reader) if reader.next == self.start => reader,
            _ => self.reader(name)?,
        };
        let Reader { mut batches, next } = reader;
        let batch = batches
            .next()
            .unwrap_or_else(|| Ok(RecordBatch::new_empty(self.metadata.schema().clone())))
            .map_err(|error| SampleTableError::parquet(&self.path, &error))?;
        if batch.num_rows() != self.batch.len {
            return Err(self.unusable(name));
        }
        let next = next + batch.num_rows();
        readers.insert(name, Reader { batches, next });
        Ok(batch)
    }

    fn reader(&self, name: &'static str) -> Result<Reader, SampleTableError> {
        // A file of its own: duplicates of one share their place in it.
        let file = File::open(&self.path).map_err(|source| SampleTableError::Io {
            path: self.path.clone(),
            source,
        })?;
        let columns = self.metadata.parquet_schema();
        let wanted = if name.is_empty() {
            ProjectionMask::all()
        } else {
            let place = self.metadata.schema().index_of(name);
            ProjectionMask::roots(columns, [place.map_err(|_| self.unusable(name))?])
        };
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_projection(wanted)
                .with_batch_size(BATCH)
                .with_offset(self.start);
        Ok(Reader {
            batches: builder
                .build()
                .map_err(|error| SampleTableError::parquet(&self.path, &error))?,
            next: self.start,
        })
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.metadata.schema().index_of(column).is_ok()
    }

    pub(super) fn unusable(&self, column: &'static str) -> SampleTableError {
        SampleTableError::Column {
            path: self.path.clone(),
            column,
        }
    }
}
