//! Samples in a table, as plugins read them: column by column, and only the columns that are asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{
    Array, BooleanArray, Float32Array, ListArray, RecordBatch, StringArray, UInt32Array,
};
use driftgauge_plugin_protocol::field::{Field, Integer, Text, Tokens};
use driftgauge_plugin_protocol::rows::{BatchError, Batches, Lookup, Rows};
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
use crate::rows::cell;
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
    batch: Batch,
}

/// Reads some columns in order.
struct Reader {
    batches: ParquetRecordBatchReader,
    /// Place of the sample it gives next.
    next: usize,
}

/// What has been read of the batch.
#[derive(Default)]
struct Batch {
    len: usize,
    samples: Column<Vec<Sample>>,
    sample_id: Column<StringArray>,
    evaluation: Column<StringArray>,
    condition: Column<StringArray>,
    model: Column<StringArray>,
    completion: Column<StringArray>,
    finish_reason: Column<StringArray>,
    category: Column<StringArray>,
    wrong_answer: Column<StringArray>,
    error: Column<StringArray>,
    sample_index: Column<UInt32Array>,
    ends_with_eos: Column<BooleanArray>,
    empty: Column<BooleanArray>,
    looping: Column<BooleanArray>,
    truncated: Column<BooleanArray>,
    token_logprob: Column<ListArray>,
    token_top1_logprob: Column<ListArray>,
    token_margin: Column<ListArray>,
    token_top10_entropy: Column<ListArray>,
    token_top10_mass: Column<ListArray>,
    token_entropy: Column<ListArray>,
    token_top_logprobs: Column<ListArray>,
    references: Column<ListArray>,
    row: Column<Parsed<IndexMap<String, Value>>>,
    verdicts: Column<Parsed<IndexMap<String, Verdict>>>,
    values: Column<Parsed<IndexMap<String, Vec<f64>>>>,
}

type Column<A> = OnceLock<Result<A, String>>;

/// What a column's cells become.
trait Decode: Sized {
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
struct Parsed<T> {
    distinct: Vec<T>,
    of_row: Vec<usize>,
}

impl<T> Parsed<T> {
    fn get(&self, row: usize) -> &T {
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
    fn column<'a, A: Decode>(
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

    fn has(&self, column: &str) -> bool {
        self.metadata.schema().index_of(column).is_ok()
    }

    fn unusable(&self, column: &'static str) -> SampleTableError {
        SampleTableError::Column {
            path: self.path.clone(),
            column,
        }
    }

    fn flag(
        &self,
        name: &'static str,
        column: &Column<BooleanArray>,
        row: usize,
    ) -> Result<i64, String> {
        Ok(i64::from(self.column(name, column)?.value(row)))
    }

    fn row(&self, row: usize) -> Result<&IndexMap<String, Value>, String> {
        Ok(self.column("row", &self.batch.row)?.get(row))
    }

    /// The verdicts on a sample of the batch, by judge.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn verdicts(&self, row: usize) -> Result<&IndexMap<String, Verdict>, String> {
        Ok(self.column("verdicts", &self.batch.verdicts)?.get(row))
    }

    fn values(&self, row: usize, name: &str) -> Result<Option<&[f64]>, String> {
        let values = self.column("values", &self.batch.values)?.get(row);
        let found = values.get(name).filter(|values| !values.is_empty());
        Ok(found.map(Vec::as_slice))
    }

    fn tokens(&self, row: usize, list: Tokens) -> Result<&[f32], String> {
        let batch = &self.batch;
        let (name, column) = match list {
            Tokens::Logprob => ("token_logprob", &batch.token_logprob),
            Tokens::Top1Logprob => ("token_top1_logprob", &batch.token_top1_logprob),
            Tokens::Margin => ("token_margin", &batch.token_margin),
            Tokens::Top10Entropy => ("token_top10_entropy", &batch.token_top10_entropy),
            Tokens::Top10Mass => ("token_top10_mass", &batch.token_top10_mass),
            Tokens::Entropy => ("token_entropy", &batch.token_entropy),
            // Tables of versions that knew no such column hold none of it.
            Tokens::TopLogprobs if !self.has("token_top_logprobs") => return Ok(&[]),
            Tokens::TopLogprobs => ("token_top_logprobs", &batch.token_top_logprobs),
        };
        let lists = self.column(name, column)?;
        let items: Option<&Float32Array> = lists.values().as_primitive_opt::<Float32Type>();
        let items = items.ok_or_else(|| self.unusable(name).to_string())?;
        Ok(&items.values()[places(lists, row)])
    }
}

/// Where a row's items are. Offsets of a valid array are in order and within its items.
fn places(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    let starts = lists.value_offsets();
    starts[row] as usize..starts[row + 1] as usize
}

impl Batches for TableRows {
    fn next_batch(&mut self) -> Result<Option<&dyn Rows>, BatchError> {
        Ok(if self.advance() { Some(self) } else { None })
    }
}

fn borrow<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Cow<'a, str>> {
    texts.map(Cow::Borrowed).collect()
}

/// Found, found to be nothing, or not readable.
fn lookup<T>(found: Result<Option<T>, String>) -> Lookup<T> {
    found.map_or_else(Lookup::Failed, Lookup::from)
}

impl Rows for TableRows {
    fn len(&self) -> usize {
        self.batch.len
    }

    fn text(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, str>> {
        let batch = &self.batch;
        let (name, column) = match field {
            Field::Text(Text::SampleId) => ("sample_id", &batch.sample_id),
            Field::Text(Text::Evaluation) => ("evaluation", &batch.evaluation),
            Field::Text(Text::Condition) => ("condition", &batch.condition),
            Field::Text(Text::Model) => ("model", &batch.model),
            Field::Text(Text::Completion) => ("completion", &batch.completion),
            Field::Text(Text::FinishReason) => ("finish_reason", &batch.finish_reason),
            Field::Text(Text::Category) => ("category", &batch.category),
            Field::Text(Text::WrongAnswer) => ("wrong_answer", &batch.wrong_answer),
            Field::Text(Text::Error) => ("error", &batch.error),
            Field::Verdict(judge) => {
                let verdict = self.verdicts(row).map(|verdicts| verdicts.get(judge));
                return lookup(verdict).map(|verdict| Cow::Borrowed(verdict.label.as_str()));
            }
            Field::JudgeOutput(judge) => {
                let verdict = self.verdicts(row).map(|verdicts| verdicts.get(judge));
                return lookup(verdict).map(|verdict| Cow::Borrowed(verdict.output.as_str()));
            }
            Field::Row(column) => {
                return match self.row(row) {
                    Ok(columns) => cell(columns.get(column)),
                    Err(problem) => Lookup::Failed(problem),
                };
            }
            _ => return Lookup::OtherType,
        };
        lookup(self.column(name, column).map(|column| {
            let present = !column.is_null(row);
            present.then(|| Cow::Borrowed(column.value(row)))
        }))
    }

    fn number(&self, row: usize, field: Field<'_>) -> Lookup<f64> {
        lookup(match field {
            Field::PUnsafe(judge) => self
                .verdicts(row)
                .map(|verdicts| verdicts.get(judge)?.p_unsafe),
            Field::Score(judge) => self
                .verdicts(row)
                .map(|verdicts| verdicts.get(judge)?.score),
            Field::Row(column) => self
                .row(row)
                .map(|columns| columns.get(column).and_then(Value::as_f64)),
            Field::Value(name) => self
                .values(row, name)
                .map(|values| values.map(|values| values[0])),
            _ => return Lookup::OtherType,
        })
    }

    fn integer(&self, row: usize, field: Field<'_>) -> Lookup<i64> {
        let batch = &self.batch;
        let found = match field {
            Field::Integer(Integer::SampleIndex) => self
                .column("sample_index", &batch.sample_index)
                .map(|column| i64::from(column.value(row))),
            Field::Integer(Integer::EndsWithEos) => {
                self.flag("ends_with_eos", &batch.ends_with_eos, row)
            }
            Field::Integer(Integer::Empty) => self.flag("empty", &batch.empty, row),
            Field::Integer(Integer::Looping) => self.flag("looping", &batch.looping, row),
            Field::Integer(Integer::Truncated) => self.flag("truncated", &batch.truncated, row),
            _ => return Lookup::OtherType,
        };
        lookup(found.map(Some))
    }

    fn floats(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f32]>> {
        match field {
            Field::Tokens(list) => lookup(
                self.tokens(row, list)
                    .map(|list| (!list.is_empty()).then_some(Cow::Borrowed(list))),
            ),
            Field::Value(name) => lookup(self.values(row, name))
                .map(|values| values.iter().map(|&value| value as f32).collect()),
            _ => Lookup::OtherType,
        }
    }

    fn doubles(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f64]>> {
        match field {
            Field::Value(name) => lookup(self.values(row, name)).map(Cow::Borrowed),
            _ => Lookup::OtherType,
        }
    }

    fn texts(&self, row: usize, field: Field<'_>) -> Lookup<Vec<Cow<'_, str>>> {
        match field {
            Field::References => {
                lookup(self.column("references", &self.batch.references).map(Some)).map(|lists| {
                    let items = lists.values().as_string_opt::<i32>();
                    let place = |place| items.map_or("", |items| items.value(place));
                    borrow(places(lists, row).map(place))
                })
            }
            Field::Judges => lookup(self.verdicts(row).map(Some))
                .map(|verdicts| borrow(verdicts.keys().map(String::as_str))),
            Field::Categories(judge) => {
                lookup(self.verdicts(row).map(|verdicts| verdicts.get(judge))).map(|verdict| {
                    let categories = verdict.categories.iter();
                    borrow(categories.map(String::as_str))
                })
            }
            _ => Lookup::OtherType,
        }
    }

    fn json(&self, row: usize) -> Result<String, String> {
        // Plain data with string keys always serialises.
        let sample = self.sample(row)?;
        Ok(serde_json::to_string(sample).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SampleRows, write_samples};

    const FIELDS: [&str; 36] = [
        "sample_id",
        "evaluation",
        "condition",
        "model",
        "completion",
        "finish_reason",
        "category",
        "wrong_answer",
        "error",
        "references",
        "judges",
        "verdict.guard",
        "verdict.other",
        "judge_output.guard",
        "categories.guard",
        "p_unsafe.guard",
        "score.guard",
        "row.text",
        "row.number",
        "row.list",
        "row.null",
        "row.missing",
        "value.kl",
        "value.none",
        "value.missing",
        "token_logprob",
        "token_top1_logprob",
        "token_margin",
        "token_top10_entropy",
        "token_top10_mass",
        "token_entropy",
        "token_top_logprobs",
        "sample_index",
        "ends_with_eos",
        "looping",
        "truncated",
    ];

    /// Samples of which no two are alike, some of them without what others have.
    fn sample(i: usize) -> Sample {
        let (every_third, number) = (i.is_multiple_of(3), i as f32);
        let verdict = serde_json::json!({"label": "unsafe", "categories": ["S2"], "p_unsafe": 0.75, "output": "unsafe\nS2"});
        serde_json::from_value(serde_json::json!({
            "evaluation": "e", "condition": format!("c{}", i % 2), "model": "m", "sample_id": format!("s{i}"),
            "sample_index": i % 4, "messages": [{"role": "user", "content": "open the \"door\"\n"}],
            "completion": {"prompt_token_ids": [0, i], "completion_token_ids": [7], "text": format!("answer {i}"),
                "finish_reason": if every_third { "error" } else { "stop" }, "ends_with_eos": !every_third,
                "token_logprob": vec![-number; i % 5], "token_top1_logprob": [-0.5, -number], "token_margin": [],
                "token_top10_entropy": vec![number; i % 2], "token_top10_mass": [0.5], "token_entropy": [number, 2.0],
                "token_top_logprobs": [-0.1, -number]},
            "error": every_third.then_some("none"),
            "degenerate": {"empty": false, "looping": every_third, "truncated": i % 2 == 1},
            "references": vec!["Ada"; i % 3], "wrong_answer": every_third.then_some("Bob"), "category": format!("k{}", i % 7),
            "row": {"text": "t", "number": i, "list": [1, null], "null": null},
            "verdicts": if every_third { serde_json::json!({}) } else { serde_json::json!({"guard": verdict}) },
            "values": {"kl": vec![f64::from(number); i % 3], "none": []},
        }))
        .unwrap()
    }

    fn table(samples: &[Sample]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.parquet");
        write_samples(&path, samples.to_vec()).unwrap();
        (dir, path)
    }

    #[test]
    fn a_table_gives_what_its_samples_have() {
        let samples: Vec<Sample> = (0..BATCH * 2 + 7).map(sample).collect();
        let (_dir, path) = table(&samples);
        let mut rows = TableRows::open(&path).unwrap();
        let (mut seen, mut batches) = (0, 0);
        while rows.advance() {
            let expected = SampleRows(samples[seen..seen + rows.len()].to_vec());
            for (place, name) in FIELDS.into_iter().enumerate() {
                // Some columns are first asked for in the middle of the table, some are left out there.
                if place % 3 == batches {
                    continue;
                }
                let field = Field::parse(name).unwrap();
                for row in 0..rows.len() {
                    assert_eq!(rows.text(row, field), expected.text(row, field), "{name}");
                    assert_eq!(
                        rows.number(row, field),
                        expected.number(row, field),
                        "{name}"
                    );
                    assert_eq!(
                        rows.integer(row, field),
                        expected.integer(row, field),
                        "{name}"
                    );
                    assert_eq!(
                        rows.floats(row, field),
                        expected.floats(row, field),
                        "{name}"
                    );
                    assert_eq!(
                        rows.doubles(row, field),
                        expected.doubles(row, field),
                        "{name}"
                    );
                    assert_eq!(rows.texts(row, field), expected.texts(row, field), "{name}");
                }
            }
            assert_eq!(rows.json(3), expected.json(3));
            seen += rows.len();
            batches += 1;
        }
        assert_eq!((seen, batches), (samples.len(), 3));
    }

    #[test]
    fn what_is_asked_of_a_broken_table_fails_with_its_name() {
        let (_dir, path) = table(&[sample(1)]);
        let mut rows = TableRows::open(&path).unwrap();
        assert!(rows.advance());
        std::fs::remove_file(&path).unwrap();
        let field = Field::parse("completion").unwrap();
        let Lookup::Failed(problem) = rows.text(0, field) else {
            panic!("a file that is gone was read");
        };
        assert!(problem.contains("s.parquet"), "{problem}");
    }
}
