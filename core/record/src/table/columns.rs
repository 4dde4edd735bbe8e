//! Reading a table column by column, and only the columns that are asked for.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, RecordBatch, StringArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema};
use indexmap::IndexMap;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use serde_json::Value;

use super::constant::constant;
use super::decode::{Decode, Parsed, Words};
use super::read::from_batch;
use super::{BATCH, SampleTableError};
use crate::{Sample, Verdict};

/// A table of samples, a batch of it at a time. A column is read from the file when something of it is first asked for.
pub struct TableRows {
    path: PathBuf,
    /// For whole samples.
    metadata: ArrowReaderMetadata,
    /// For single columns: text of which few are different is read as such.
    by_column: ArrowReaderMetadata,
    /// Samples in the table.
    total: usize,
    /// Place of the first sample of the batch.
    start: usize,
    readers: Mutex<HashMap<&'static str, Reader>>,
    /// Of columns that were asked for: a batch of those that are the same in every row.
    same: Mutex<HashMap<&'static str, Option<ArrayRef>>>,
    /// A place for each row of a batch: the first, whose value such a column has everywhere.
    first: Vec<u32>,
    pub(super) batch: Batch,
    /// Of the batch before, what is not read twice.
    pub(super) before: Batch,
}

/// Reads some columns in order.
struct Reader {
    batches: ParquetRecordBatchReader,
    /// Place of the sample it gives next.
    next: usize,
}

/// Columns of text that is often the same from row to row.
const WORDS: [&str; 10] = [
    "evaluation",
    "condition",
    "model",
    "finish_reason",
    "error",
    "wrong_answer",
    "category",
    "row",
    "verdicts",
    "values",
];

/// What has been read of the batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) len: usize,
    pub(super) samples: Column<Vec<Sample>>,
    pub(super) sample_id: Column<StringArray>,
    pub(super) evaluation: Column<Words>,
    pub(super) condition: Column<Words>,
    pub(super) model: Column<Words>,
    pub(super) completion: Column<StringArray>,
    pub(super) finish_reason: Column<Words>,
    pub(super) category: Column<Words>,
    pub(super) wrong_answer: Column<Words>,
    pub(super) error: Column<Words>,
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
        let by_column =
            by_column(&metadata).map_err(|error| SampleTableError::parquet(path, &error))?;
        let total = metadata.metadata().file_metadata().num_rows();
        Ok(Self {
            path: path.to_owned(),
            metadata,
            by_column,
            total: usize::try_from(total).unwrap_or_default(),
            start: 0,
            readers: Mutex::default(),
            same: Mutex::default(),
            first: vec![0; BATCH],
            batch: Batch::default(),
            before: Batch::default(),
        })
    }

    /// Goes on to the next samples; says whether there are any.
    pub fn advance(&mut self) -> bool {
        self.start += self.batch.len;
        let batch = Batch {
            len: BATCH.min(self.total - self.start),
            ..Batch::default()
        };
        let before = std::mem::replace(&mut self.batch, batch);
        self.before = Batch {
            row: before.row,
            verdicts: before.verdicts,
            values: before.values,
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
        self.column_after(name, column, &Column::new())
    }

    /// As [`Self::column`], with the same column of the batch before.
    pub(super) fn column_after<'a, A: Decode>(
        &self,
        name: &'static str,
        column: &'a Column<A>,
        before: &Column<A>,
    ) -> Result<&'a A, String> {
        let read = || {
            let array = self.array(name).map_err(|error| error.to_string())?;
            let before = before.get().and_then(|before| before.as_ref().ok());
            A::decode(&*array, before).ok_or_else(|| self.unusable(name).to_string())
        };
        column.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// How many samples there are in all batches.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// For each row of the batch the first one, if a column is the same in all of them.
    pub(super) fn all_alike(&self, name: &'static str) -> Option<&[u32]> {
        let same = self.same(name, Option::is_some).ok()?;
        same.then(|| &self.first[..self.batch.len])
    }

    /// Looks at a batch of a column that is the same in every row of the table, `None` where it is not.
    fn same<T>(
        &self,
        name: &'static str,
        look: impl FnOnce(&Option<ArrayRef>) -> T,
    ) -> Result<T, SampleTableError> {
        let place = self.place(name)?;
        let mut same = self.same.lock().unwrap_or_else(PoisonError::into_inner);
        let found = same.entry(name).or_insert_with(|| {
            let data_type = self.by_column.schema().field(place).data_type();
            constant(self.by_column.metadata(), place, data_type, BATCH)
        });
        Ok(look(found))
    }

    /// A column of the batch.
    fn array(&self, name: &'static str) -> Result<ArrayRef, SampleTableError> {
        match self.same(name, Clone::clone)? {
            Some(rows) => Ok(rows.slice(0, self.batch.len)),
            None => {
                let batch = self.read(name)?;
                let column = batch.columns().first();
                column.cloned().ok_or_else(|| self.unusable(name))
            }
        }
    }

    fn place(&self, name: &'static str) -> Result<usize, SampleTableError> {
        let place = self.by_column.schema().index_of(name);
        place.map_err(|_| self.unusable(name))
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
            .unwrap_or_else(|| Ok(RecordBatch::new_empty(Arc::clone(self.metadata.schema()))))
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
        let (metadata, wanted) = if name.is_empty() {
            (&self.metadata, ProjectionMask::all())
        } else {
            let columns = self.by_column.parquet_schema();
            let wanted = ProjectionMask::roots(columns, [self.place(name)?]);
            (&self.by_column, wanted)
        };
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
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

/// How single columns are read.
fn by_column(metadata: &ArrowReaderMetadata) -> Result<ArrowReaderMetadata, ParquetError> {
    let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let field = |field: &Arc<Field>| {
        let is_words =
            WORDS.contains(&field.name().as_str()) && *field.data_type() == DataType::Utf8;
        match is_words {
            true => Arc::new(field.as_ref().clone().with_data_type(words.clone())),
            false => Arc::clone(field),
        }
    };
    let fields: Vec<_> = metadata.schema().fields().iter().map(field).collect();
    let schema = Schema::new_with_metadata(fields, metadata.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
}
