//! Samples as Parquet: the schema of `samples/<evaluation>.parquet`.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `evaluation`, `condition`, `model`, `sample_id` | string | identity of the sample |
//! | `sample_index` | uint32 | which completion of the prompt, from 0 |
//! | `messages` | string | the conversation as a JSON list of `{role, content}` |
//! | `prompt_token_ids`, `completion_token_ids` | list of uint32 | exactly what the model read and wrote |
//! | `completion`, `finish_reason` | string | the text, and `stop`, `length` or `error` |
//! | `ends_with_eos` | bool | whether the last token entry is the end token |
//! | `token_logprob`, `token_top1_logprob`, `token_margin`, `token_top10_entropy`, `token_top10_mass`, `token_entropy` | list of float | one entry per completion token; natural logs, nats |
//! | `first_token_logprob` | string | JSON object: ln p at the first position of watched strings |
//! | `error` | string, null | why there is no completion |
//! | `empty`, `looping`, `truncated` | bool | degeneracy flags |
//! | `references` | list of string | accepted answers |
//! | `wrong_answer`, `category` | string, null | as declared by the evaluation |
//! | `row`, `verdicts`, `values` | string | JSON objects: dataset row, verdict by judge, named numbers |

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, ListBuilder, StringBuilder, UInt32Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::{Completion, Degeneracy, FinishReason, Sample};

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
    #[error("`{}` has no usable column `{column}`\nhint: the file may come from another version; run the experiment again", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
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

/// Columns of one batch, by name.
struct Columns<'a>(&'a RecordBatch);

impl Columns<'_> {
    fn get(&self, name: &'static str) -> Result<&ArrayRef, &'static str> {
        self.0.column_by_name(name).ok_or(name)
    }

    fn text(&self, name: &'static str, row: usize) -> Result<&str, &'static str> {
        let column = self.get(name)?.as_string_opt::<i32>().ok_or(name)?;
        Ok(column.value(row))
    }

    fn optional(&self, name: &'static str, row: usize) -> Result<Option<String>, &'static str> {
        let column = self.get(name)?.as_string_opt::<i32>().ok_or(name)?;
        Ok((!column.is_null(row)).then(|| column.value(row).to_owned()))
    }

    fn flag(&self, name: &'static str, row: usize) -> Result<bool, &'static str> {
        Ok(self.get(name)?.as_boolean_opt().ok_or(name)?.value(row))
    }

    fn list(&self, name: &'static str, row: usize) -> Result<ArrayRef, &'static str> {
        Ok(self.get(name)?.as_list_opt::<i32>().ok_or(name)?.value(row))
    }

    fn ids(&self, name: &'static str, row: usize) -> Result<Vec<u32>, &'static str> {
        let list = self.list(name, row)?;
        let values = list.as_primitive_opt::<UInt32Type>().ok_or(name)?;
        Ok(values.values().to_vec())
    }

    fn floats(&self, name: &'static str, row: usize) -> Result<Vec<f32>, &'static str> {
        let list = self.list(name, row)?;
        let values = list.as_primitive_opt::<Float32Type>().ok_or(name)?;
        Ok(values.values().to_vec())
    }

    fn texts(&self, name: &'static str, row: usize) -> Result<Vec<String>, &'static str> {
        let list = self.list(name, row)?;
        let values = list.as_string_opt::<i32>().ok_or(name)?;
        Ok((0..values.len())
            .map(|index| values.value(index).to_owned())
            .collect())
    }

    fn json<T: serde::de::DeserializeOwned>(
        &self,
        name: &'static str,
        row: usize,
    ) -> Result<T, &'static str> {
        serde_json::from_str(self.text(name, row)?).map_err(|_| name)
    }
}

fn from_batch(batch: &RecordBatch) -> Result<Vec<Sample>, &'static str> {
    let columns = Columns(batch);
    let indices = columns
        .get("sample_index")?
        .as_primitive_opt::<UInt32Type>()
        .ok_or("sample_index")?;
    (0..batch.num_rows())
        .map(|row| {
            Ok(Sample {
                evaluation: columns.text("evaluation", row)?.to_owned(),
                condition: columns.text("condition", row)?.to_owned(),
                model: columns.text("model", row)?.to_owned(),
                sample_id: columns.text("sample_id", row)?.to_owned(),
                sample_index: indices.value(row),
                messages: columns.json("messages", row)?,
                completion: Completion {
                    prompt_token_ids: columns.ids("prompt_token_ids", row)?,
                    completion_token_ids: columns.ids("completion_token_ids", row)?,
                    text: columns.text("completion", row)?.to_owned(),
                    finish_reason: FinishReason::parse(columns.text("finish_reason", row)?)
                        .ok_or("finish_reason")?,
                    ends_with_eos: columns.flag("ends_with_eos", row)?,
                    token_logprob: columns.floats("token_logprob", row)?,
                    token_top1_logprob: columns.floats("token_top1_logprob", row)?,
                    token_margin: columns.floats("token_margin", row)?,
                    token_top10_entropy: columns.floats("token_top10_entropy", row)?,
                    token_top10_mass: columns.floats("token_top10_mass", row)?,
                    token_entropy: columns.floats("token_entropy", row)?,
                    first_token_logprob: columns.json("first_token_logprob", row)?,
                },
                error: columns.optional("error", row)?,
                degenerate: Degeneracy {
                    empty: columns.flag("empty", row)?,
                    looping: columns.flag("looping", row)?,
                    truncated: columns.flag("truncated", row)?,
                },
                references: columns.texts("references", row)?,
                wrong_answer: columns.optional("wrong_answer", row)?,
                category: columns.optional("category", row)?,
                row: columns.json("row", row)?,
                verdicts: columns.json("verdicts", row)?,
                values: columns.json("values", row)?,
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
    fn a_file_that_is_no_table_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.parquet");
        std::fs::write(&path, "no parquet").unwrap();
        let error = read_samples(&path).unwrap_err();
        assert!(error.to_string().contains("not a readable sample table"));
    }
}
