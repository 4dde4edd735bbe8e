//! Training and evaluation rows, encoded and checked.

use std::collections::BTreeMap;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::batch::{Batch, PackedRow, Walk, pack, unpacked};
use super::config::TrainConfig;
use super::encode::{Encoded, Encoder, Example};
use super::event::PreviewPiece;
use super::parts::parts;
use crate::error::{Error, Result};
use crate::model::Decoder;
use crate::tokenize::Tokenizer;

/// Rows that a warning names.
const NAMED_ROWS: usize = 5;

/// The rows of a training.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainData {
    /// Rows to learn from.
    pub examples: Vec<Example>,
    /// Rows to measure on, never learnt from.
    #[serde(default)]
    pub eval: Vec<Example>,
}

/// Encoded rows, ready to be batched.
pub(crate) struct Prepared {
    examples: Vec<Encoded>,
    rows: Vec<PackedRow>,
    eval: Vec<Encoded>,
    /// Longest row in tokens.
    limit: usize,
}

impl Prepared {
    /// Encodes all rows.
    pub(crate) fn new(
        data: &TrainData,
        encoder: &Encoder<'_>,
        config: &TrainConfig,
    ) -> Result<Self> {
        let encode = |examples: &[Example]| -> Result<Vec<Encoded>> {
            examples.iter().map(|e| encoder.encode(e)).collect()
        };
        let examples = encode(&data.examples)?;
        let rows = match config.settings.packing {
            true => pack(&examples, encoder.max_length),
            false => unpacked(&examples),
        };
        let (micro, accumulation) = (
            config.settings.per_device_batch_size,
            config.settings.gradient_accumulation_steps,
        );
        if micro * accumulation > rows.len() {
            return Err(Error::Config(format!(
                "a batch of {} rows (`per_device_batch_size` {micro} x `gradient_accumulation_steps` {accumulation}) is larger \
                 than the data: {} rows{}",
                micro * accumulation,
                rows.len(),
                if config.settings.packing {
                    " after packing"
                } else {
                    ""
                }
            )));
        }
        Ok(Self {
            rows,
            eval: encode(&data.eval)?,
            examples,
            limit: encoder.max_length,
        })
    }

    /// How the training walks over the rows.
    pub(crate) fn walk(&self, config: &TrainConfig) -> Walk {
        Walk {
            rows: self.rows.len(),
            batch: config.settings.per_device_batch_size,
            accumulation: config.settings.gradient_accumulation_steps,
            order: config.settings.order,
            seed: config.settings.seed,
        }
    }

    /// Number of conversations.
    pub(crate) fn len(&self) -> usize {
        self.examples.len()
    }

    /// Conversations that lost their end.
    pub(crate) fn truncated(&self) -> usize {
        self.examples.iter().filter(|e| e.truncated > 0).count()
    }

    /// Tells which rows lost their end, if any did.
    pub(crate) fn truncation(&self) -> Option<String> {
        let cut: Vec<&str> = self
            .examples
            .iter()
            .chain(&self.eval)
            .filter(|e| e.truncated > 0)
            .map(|e| e.id.as_str())
            .collect();
        if cut.is_empty() {
            return None;
        }
        let rows = self.examples.len() + self.eval.len();
        let named: Vec<String> = cut
            .iter()
            .take(NAMED_ROWS)
            .map(|id| format!("`{id}`"))
            .collect();
        let more = match cut.len().saturating_sub(NAMED_ROWS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "{} of {rows} rows ({:.1} %) are longer than {} tokens and lost their end: {}{more}",
            cut.len(),
            100.0 * cut.len() as f64 / rows as f64,
            self.limit,
            named.join(", ")
        ))
    }

    /// How many answers each token closes; `None` for those that no such token does.
    pub(crate) fn closers(&self) -> BTreeMap<Option<u32>, usize> {
        let mut counts = BTreeMap::new();
        for closer in self.examples.iter().flat_map(|e| &e.closers) {
            *counts.entry(*closer).or_insert(0) += 1;
        }
        counts
    }

    /// Supervised tokens of some rows.
    pub(crate) fn targets(&self, rows: &[usize]) -> usize {
        rows.iter()
            .map(|&row| self.rows[row].targets(&self.examples))
            .sum()
    }

    /// One micro-batch on the decoder's device, in the parts that it is computed in.
    pub(crate) fn parts(
        &self,
        decoder: &Decoder,
        rows: &[usize],
        parameters: usize,
    ) -> Result<Vec<Batch>> {
        let rows: Vec<&PackedRow> = rows.iter().map(|&row| &self.rows[row]).collect();
        if !decoder.rows_are_apart() {
            return Ok(vec![Batch::new(decoder, &self.examples, &rows)?]);
        }
        let lengths: Vec<usize> = rows.iter().map(|row| row.length(&self.examples)).collect();
        let parts = parts(&lengths, parameters).into_iter();
        parts
            .map(|places| {
                let rows: Vec<&PackedRow> = places.into_iter().map(|place| rows[place]).collect();
                Batch::new(decoder, &self.examples, &rows)
            })
            .collect()
    }

    /// The evaluation rows in micro-batches, each with its number of supervised tokens.
    pub(crate) fn eval_batches<'a>(
        &'a self,
        decoder: &'a Decoder,
        size: usize,
    ) -> impl Iterator<Item = Result<(Batch, usize)>> + 'a {
        let rows = unpacked(&self.eval);
        (0..rows.len()).step_by(size).map(move |start| {
            let chunk: Vec<&PackedRow> = rows[start..].iter().take(size).collect();
            let targets = chunk.iter().map(|row| row.targets(&self.eval)).sum();
            Ok((Batch::new(decoder, &self.eval, &chunk)?, targets))
        })
    }

    /// Whether there are evaluation rows.
    pub(crate) fn has_eval(&self) -> bool {
        !self.eval.is_empty()
    }

    /// The first conversation as runs of tokens.
    pub(crate) fn preview(
        &self,
        tokenizer: &Tokenizer,
    ) -> Result<Option<(String, Vec<PreviewPiece>)>> {
        let Some(first) = self.examples.first() else {
            return Ok(None);
        };
        let marked: Vec<(u32, bool)> = first
            .ids
            .iter()
            .copied()
            .zip(first.supervised.iter().copied())
            .collect();
        let pieces = marked
            .chunk_by(|a, b| a.1 == b.1)
            .map(|run| {
                let ids: Vec<u32> = run.iter().map(|(id, _)| *id).collect();
                Ok(PreviewPiece {
                    text: tokenizer.decode(&ids, false)?,
                    supervised: run[0].1,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Some((first.id.clone(), pieces)))
    }

    /// Digest of every token and mark, in order.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("driftgauge-lm encoded rows");
        for examples in [&self.examples, &self.eval] {
            hasher.update(&(examples.len() as u64).to_le_bytes());
            for example in examples {
                hasher.update(&(example.ids.len() as u64).to_le_bytes());
                for (id, supervised) in example.ids.iter().zip(&example.supervised) {
                    hasher.update(&id.to_le_bytes());
                    hasher.update(&[u8::from(*supervised)]);
                }
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Name of a device for people.
pub(crate) fn device_name(device: &Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}
