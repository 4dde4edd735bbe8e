//! Writing the table.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, ListBuilder, StringBuilder, UInt32Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::{BATCH, SampleTableError, schema};
use crate::{Completion, Sample};

/// Up to here a table is not compressed. A compressor is set up anew for every column, which takes longer than all else that is
/// done with a small table, and once more for who reads it.
const SMALL: usize = 64 << 10;

/// Writes samples to Parquet, batch by batch. The bytes depend on the samples alone.
pub struct SampleWriter<W: Write + Send> {
    /// Not begun while the first batch is not full: how it is compressed depends on what there is.
    table: Table<W>,
    pending: Vec<Sample>,
}

enum Table<W: Write + Send> {
    Ahead(W),
    Begun(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> Table<W> {
    fn begin(self, compression: Compression) -> Result<Box<ArrowWriter<W>>, ParquetError> {
        match self {
            Self::Begun(writer) => Ok(writer),
            Self::Ahead(sink) => {
                let properties = WriterProperties::builder()
                    .set_compression(compression)
                    .set_created_by("driftgauge".to_owned())
                    .build();
                Ok(Box::new(ArrowWriter::try_new(
                    sink,
                    schema(),
                    Some(properties),
                )?))
            }
        }
    }
}

impl<W: Write + Send> SampleWriter<W> {
    /// Starts a table on `sink`.
    pub fn new(sink: W) -> Self {
        Self {
            table: Table::Ahead(sink),
            pending: Vec::new(),
        }
    }

    /// Appends one sample.
    ///
    /// # Errors
    /// When writing a full batch fails.
    pub fn push(mut self, sample: Sample) -> Result<Self, ParquetError> {
        self.pending.push(sample);
        if self.pending.len() < BATCH {
            return Ok(self);
        }
        let batch = to_batch(&self.pending)?;
        self.pending.clear();
        let mut writer = self.table.begin(zstd()?)?;
        writer.write(&batch)?;
        self.table = Table::Begun(writer);
        Ok(self)
    }

    /// Writes what is left and the footer.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(self) -> Result<W, ParquetError> {
        let batch = to_batch(&self.pending)?;
        let compression = if bytes(&batch)? < SMALL {
            Compression::UNCOMPRESSED
        } else {
            zstd()?
        };
        let mut writer = self.table.begin(compression)?;
        if batch.num_rows() > 0 {
            writer.write(&batch)?;
        }
        writer.into_inner()
    }
}

/// Bytes of the values, without room that is kept for more.
fn bytes(batch: &RecordBatch) -> Result<usize, ParquetError> {
    let mut bytes = 0;
    for column in batch.columns() {
        bytes += column.to_data().get_slice_memory_size()?;
    }
    Ok(bytes)
}

fn zstd() -> Result<Compression, ParquetError> {
    Ok(Compression::ZSTD(ZstdLevel::try_new(3)?))
}

/// Writes `samples` to a new file at `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_samples(
    path: &Path,
    samples: impl IntoIterator<Item = Sample>,
) -> Result<(), SampleTableError> {
    let parquet = |error| SampleTableError::parquet(path, &error);
    let file = File::create(path).map_err(|source| SampleTableError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut writer = SampleWriter::new(file);
    for sample in samples {
        writer = writer.push(sample).map_err(parquet)?;
    }
    writer.finish().map_err(parquet)?;
    Ok(())
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
            optional(&|s| s.completion.thinking.clone()),
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
