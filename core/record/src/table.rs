//! The table of samples in Parquet.
#![doc = include_str!("../../../docs/samples.md")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, ListBuilder, StringBuilder, UInt32Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::{Completion, Degeneracy, FinishReason, Sample};

/// Rows per record batch: bounds memory while streaming.
pub(crate) const BATCH: usize = 1024;

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
    #[error("`{}` has no usable column `{column}`\nhint: the file may come from another version; run the experiment again", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
}

impl SampleTableError {
    pub(crate) fn parquet(path: &Path, error: &impl std::fmt::Display) -> Self {
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

/// Writes samples to Parquet, batch by batch. The bytes depend on the samples alone.
pub struct SampleWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    pending: Vec<Sample>,
}

impl<W: Write + Send> SampleWriter<W> {
    /// Starts a table on `sink`.
    ///
    /// # Errors
    /// When the Parquet layer refuses the sink.
    pub fn new(sink: W) -> Result<Self, parquet::errors::ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by("driftgauge".to_owned())
            .build();
        Ok(Self {
            writer: ArrowWriter::try_new(sink, schema(), Some(properties))?,
            pending: Vec::new(),
        })
    }

    /// Appends one sample.
    ///
    /// # Errors
    /// When writing a full batch fails.
    pub fn push(&mut self, sample: Sample) -> Result<(), parquet::errors::ParquetError> {
        self.pending.push(sample);
        if self.pending.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is left and the footer.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> Result<W, parquet::errors::ParquetError> {
        self.flush()?;
        self.writer.into_inner()
    }

    fn flush(&mut self) -> Result<(), parquet::errors::ParquetError> {
        if !self.pending.is_empty() {
            let batch = to_batch(&self.pending)?;
            self.writer.write(&batch)?;
            self.pending.clear();
        }
        Ok(())
    }
}

/// Writes `samples` to a new file at `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_samples(
    path: &Path,
    samples: impl IntoIterator<Item = Sample>,
) -> Result<(), SampleTableError> {
    let parquet = |error: parquet::errors::ParquetError| SampleTableError::Parquet {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    let file = File::create(path).map_err(|source| SampleTableError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut writer = SampleWriter::new(file).map_err(parquet)?;
    for sample in samples {
        writer.push(sample).map_err(parquet)?;
    }
    writer.finish().map_err(parquet)?;
    Ok(())
}

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
            .map_err(|error| SampleTableError::Parquet {
                path: path.to_owned(),
                detail: error.to_string(),
            })?;
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
                Err(error) => {
                    return Some(Err(SampleTableError::Parquet {
                        path: self.path.clone(),
                        detail: error.to_string(),
                    }));
                }
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

fn json<T: serde::Serialize>(value: &T) -> String {
    // Plain data with string keys always serialises.
    serde_json::to_string(value).unwrap_or_default()
}

fn to_batch(samples: &[Sample]) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let text = |get: &dyn Fn(&Sample) -> String| -> ArrayRef {
        let mut builder = StringBuilder::new();
        samples
            .iter()
            .for_each(|sample| builder.append_value(get(sample)));
        Arc::new(builder.finish())
    };
    let optional = |get: &dyn Fn(&Sample) -> Option<String>| -> ArrayRef {
        let mut builder = StringBuilder::new();
        samples
            .iter()
            .for_each(|sample| builder.append_option(get(sample)));
        Arc::new(builder.finish())
    };
    let flag = |get: &dyn Fn(&Sample) -> bool| -> ArrayRef {
        let mut builder = BooleanBuilder::new();
        samples
            .iter()
            .for_each(|sample| builder.append_value(get(sample)));
        Arc::new(builder.finish())
    };
    let ids = |get: &dyn Fn(&Sample) -> &[u32]| -> ArrayRef {
        let mut builder = ListBuilder::new(UInt32Builder::new());
        for sample in samples {
            builder.values().append_slice(get(sample));
            builder.append(true);
        }
        Arc::new(builder.finish())
    };
    let floats = |get: &dyn Fn(&Completion) -> &[f32]| -> ArrayRef {
        let mut builder = ListBuilder::new(Float32Builder::new());
        for sample in samples {
            builder.values().append_slice(get(&sample.completion));
            builder.append(true);
        }
        Arc::new(builder.finish())
    };
    let mut indices = UInt32Builder::new();
    let mut references = ListBuilder::new(StringBuilder::new());
    for sample in samples {
        indices.append_value(sample.sample_index);
        for reference in &sample.references {
            references.values().append_value(reference);
        }
        references.append(true);
    }
    RecordBatch::try_new(
        schema(),
        vec![
            text(&|s| s.evaluation.clone()),
            text(&|s| s.condition.clone()),
            text(&|s| s.model.clone()),
            text(&|s| s.sample_id.clone()),
            Arc::new(indices.finish()),
            text(&|s| json(&s.messages)),
            ids(&|s| &s.completion.prompt_token_ids),
            ids(&|s| &s.completion.completion_token_ids),
            text(&|s| s.completion.text.clone()),
            text(&|s| s.completion.finish_reason.as_str().to_owned()),
            flag(&|s| s.completion.ends_with_eos),
            floats(&|c| &c.token_logprob),
            floats(&|c| &c.token_top1_logprob),
            floats(&|c| &c.token_margin),
            floats(&|c| &c.token_top10_entropy),
            floats(&|c| &c.token_top10_mass),
            floats(&|c| &c.token_entropy),
            floats(&|c| &c.token_top_logprobs),
            text(&|s| json(&s.completion.first_token_logprob)),
            optional(&|s| s.error.clone()),
            flag(&|s| s.degenerate.empty),
            flag(&|s| s.degenerate.looping),
            flag(&|s| s.degenerate.truncated),
            Arc::new(references.finish()),
            optional(&|s| s.wrong_answer.clone()),
            optional(&|s| s.category.clone()),
            text(&|s| json(&s.row)),
            text(&|s| json(&s.verdicts)),
            text(&|s| json(&s.values)),
        ],
    )
}

/// A column of one batch, its type known: what is looked up and checked once is not looked up for every row.
type Text<'a> = &'a StringArray;

fn column<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a ArrayRef, &'static str> {
    batch.column_by_name(name).ok_or(name)
}

fn text<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<Text<'a>, &'static str> {
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
struct Lists<'a, A> {
    starts: &'a [i32],
    items: &'a A,
}

impl<'a, A: Array + 'static> Lists<'a, A> {
    fn new(batch: &'a RecordBatch, name: &'static str) -> Result<Self, &'static str> {
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
    fn texts(&self, row: usize) -> Vec<String> {
        let item = |place| self.items.value(place).to_owned();
        self.places(row).map(item).collect()
    }
}

pub(crate) fn from_batch(batch: &RecordBatch) -> Result<Vec<Sample>, &'static str> {
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
    let finish_reason = text(batch, "finish_reason")?;
    let ends_with_eos = flags(batch, "ends_with_eos")?;
    let token_logprob = Floats::new(batch, "token_logprob")?;
    let token_top1_logprob = Floats::new(batch, "token_top1_logprob")?;
    let token_margin = Floats::new(batch, "token_margin")?;
    let token_top10_entropy = Floats::new(batch, "token_top10_entropy")?;
    let token_top10_mass = Floats::new(batch, "token_top10_mass")?;
    let token_entropy = Floats::new(batch, "token_entropy")?;
    // Tables of versions that knew no such column hold none of it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Verdict, VerdictLabel};

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
