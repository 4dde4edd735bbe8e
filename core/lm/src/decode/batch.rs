//! Continuous batching: answers are written side by side, and one that ends makes room at once.

use std::collections::VecDeque;
use std::path::Path;

use candle_core::Device;
use driftgauge_engine::{LocalEngine, Rounding};
use driftgauge_problem::Problem;
use rayon::prelude::*;

use super::attention::Span;
use super::cache::{Cache, Pages};
use super::forward::{Network, Rows, Scratch};
use super::stored;
#[cfg(test)]
use super::stored::Source;
use crate::answer::{Asked, Recording, Text};
use crate::config::DecoderConfig;
use crate::error::Result;
use crate::gguf::GgufWeights;
#[cfg(test)]
use crate::model::Decoder;
use crate::ops::on_pool;
use crate::tensors::Shards;

/// How much is done at a time. No result depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Answers that are written side by side.
    pub(crate) answers: usize,
    /// Tokens that are read in one step, beside one of each answer.
    pub(crate) tokens: usize,
    /// Bytes of keys and values.
    pub(crate) cache: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answers: 64,
            tokens: 256,
            cache: LocalEngine::NATIVE_CACHE as usize,
        }
    }
}

/// An answer that came to an end, or why there is none.
pub(crate) struct Finished {
    /// What was asked.
    pub(crate) asked: Asked,
    /// Number given with the question.
    pub(crate) id: u64,
    pub(crate) outcome: std::result::Result<Recording, Problem>,
}

/// A decoder with the answers it works on.
pub(crate) struct Batch {
    pub(super) network: Network,
    pub(super) cache: Cache,
    pub(super) scratch: Scratch,
    pub(super) limits: Limits,
    waiting: VecDeque<(u64, Asked)>,
    /// In the order in which they came.
    running: Vec<Sequence>,
}

/// A prompt and as much of its answer as is written.
struct Sequence {
    id: u64,
    asked: Asked,
    tokens: Vec<u32>,
    /// Tokens that are in the cache, or will be after the step that is put together.
    read: usize,
    pages: Pages,
    recording: Recording,
    failure: Option<Problem>,
}

impl Batch {
    /// Packs the weights of a model folder, rounded.
    ///
    /// # Errors
    /// When the folder is incomplete or the model is not one this crate computes.
    pub(crate) fn open(folder: &Path, rounding: Rounding, limits: Limits) -> Result<Self> {
        let config = DecoderConfig::from_folder(folder)?;
        let shards = Shards::open(folder)?;
        let (decoder, source) = stored::of_folder(&config, &shards, rounding)?;
        let network = Network::new(decoder, &source)?;
        Ok(Self::of(network, limits))
    }

    /// Packs the weights of a GGUF file: blocks stay blocks.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn open_gguf(weights: &GgufWeights, limits: Limits) -> Result<Self> {
        let (decoder, source) = stored::of_gguf(weights)?;
        let network = Network::new(decoder, &source)?;
        Ok(Self::of(network, limits))
    }

    /// Packs a decoder on the processor.
    ///
    /// # Errors
    /// When it holds quantised weights or adapters.
    #[cfg(test)]
    pub(crate) fn new(decoder: Decoder, limits: Limits) -> Result<Self> {
        let network = Network::new(decoder, &Source::memory())?;
        Ok(Self::of(network, limits))
    }

    fn of(network: Network, limits: Limits) -> Self {
        Self {
            cache: Cache::new(network.shape(), limits.cache),
            network,
            scratch: Scratch::default(),
            limits,
            waiting: VecDeque::new(),
            running: Vec::new(),
        }
    }

    /// Tokens of a prompt and its answer that the model can read.
    pub(crate) fn context(&self) -> usize {
        self.network.config.fixed_length()
    }

    /// Bytes of weights and cache.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.network.bytes(), self.cache.bytes())
    }

    /// Bytes of the keys and values of a page.
    #[cfg(test)]
    pub(crate) fn page_bytes(&self) -> usize {
        self.network.shape().page_bytes()
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// How many questions were put and not answered.
    pub(crate) fn pending(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Puts a question behind those that wait.
    pub(crate) fn put(&mut self, id: u64, asked: Asked) {
        self.waiting.push_back((id, asked));
    }

    /// One pass of the decoder: every answer gets a token further, or closer to its first one. Returns the answers that ended.
    pub(crate) fn step(&mut self, text: &Text) -> Vec<Finished> {
        on_pool(&Device::Cpu, || {
            let rows = self.rows();
            let logits = self.network.read(&rows, &mut self.cache, &mut self.scratch);
            let vocabulary = self.network.config.vocab_size;
            let ready = self.running.iter_mut().filter(|s| s.read == s.tokens.len());
            let ready: Vec<&mut Sequence> = ready.collect();
            ready
                .into_par_iter()
                .zip(logits.par_chunks_exact(vocabulary))
                .for_each(|(sequence, logits)| sequence.write(logits, text));
        });
        self.finished()
    }

    /// The rows of the next step: one for each answer that is being written, then prompts, as many tokens as are to be read.
    fn rows(&mut self) -> Rows {
        let mut rows = Rows::default();
        let mut left = self.limits.tokens;
        for sequence in &mut self.running {
            sequence.plan(&mut self.cache, &mut rows, &mut left);
        }
        while left > 0 && self.running.len() < self.limits.answers {
            let Some((_, asked)) = self.waiting.front() else {
                break;
            };
            let all = asked.prompt.len() + asked.plan.max_tokens;
            let alone = self.running.is_empty();
            let Some(pages) = self.cache.open(&asked.prompt, all, alone) else {
                break;
            };
            let Some((id, asked)) = self.waiting.pop_front() else {
                break;
            };
            let mut sequence = Sequence {
                id,
                tokens: asked.prompt.clone(),
                asked,
                read: pages.tokens(),
                pages,
                recording: Recording::default(),
                failure: None,
            };
            // What it reads now, the next one may already share.
            sequence.plan(&mut self.cache, &mut rows, &mut left);
            self.running.push(sequence);
        }
        rows
    }

    fn finished(&mut self) -> Vec<Finished> {
        let mut finished = Vec::new();
        for sequence in std::mem::take(&mut self.running) {
            if sequence.recording.finish.is_none() && sequence.failure.is_none() {
                self.running.push(sequence);
                continue;
            }
            self.cache.close(sequence.pages);
            finished.push(Finished {
                id: sequence.id,
                asked: sequence.asked,
                outcome: match sequence.failure {
                    Some(why) => Err(why),
                    None => Ok(sequence.recording),
                },
            });
        }
        finished
    }
}

impl Sequence {
    /// Puts its next tokens into the step: the last of an answer always, of a prompt as many as are `left`.
    fn plan(&mut self, cache: &mut Cache, rows: &mut Rows, left: &mut usize) {
        let unread = self.tokens.len() - self.read;
        let is_answer = !self.recording.tokens.is_empty();
        let count = if is_answer { unread } else { unread.min(*left) };
        if count == 0 {
            return;
        }
        if !is_answer {
            *left -= count;
        }
        let (first, until) = (self.read, self.read + count);
        cache.extend(&mut self.pages, until);
        cache.show(&mut self.pages, &self.asked.prompt, until);
        let start = rows.tokens.len();
        rows.tokens.extend_from_slice(&self.tokens[first..until]);
        rows.positions.extend(first..until);
        rows.spans.push(Span {
            rows: start..rows.tokens.len(),
            position: first,
            pages: self.pages.ids.clone(),
        });
        self.read = until;
        if until == self.tokens.len() {
            rows.wanted.push(rows.tokens.len() - 1);
        }
    }

    /// Writes the next token.
    fn write(&mut self, logits: &[f32], text: &Text) {
        match self.recording.read(logits, &self.asked.plan, text) {
            Ok(()) => self.tokens.extend(self.recording.tokens.last()),
            Err(why) => self.failure = Some(why),
        }
    }
}
