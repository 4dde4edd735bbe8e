//! Log-likelihoods of given text.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use driftgauge_engine::Rounding;

use crate::compute::Compute;
use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::gguf::GgufWeights;
use crate::lora::AdapterFolder;
use crate::model::{Decoder, Precision};
use crate::ops::on_pool;
use crate::tensors::Shards;

/// A model that says how likely given tokens are. Natural logarithms; distributions at temperature 1.
pub struct Scorer {
    decoder: Decoder,
}

impl Scorer {
    /// Loads a model folder.
    ///
    /// # Errors
    /// When the folder is incomplete or the model is not one this crate computes.
    pub fn load(model_dir: &Path, compute: &Compute) -> Result<Self> {
        let (device, dtype) = compute.resolve()?;
        let config = DecoderConfig::from_folder(model_dir)?;
        let shards = Shards::open(model_dir)?;
        let (decoder, _) =
            Decoder::from_shards(&config, &shards, &device, Precision::frozen(dtype))?;
        Ok(Self { decoder })
    }

    /// Loads a model folder on the processor, its weights rounded as the batched decoder rounds them.
    ///
    /// # Errors
    /// As [`Self::load`], and when the rows of a weight are no whole number of blocks.
    pub(crate) fn rounded(model_dir: &Path, rounding: Rounding) -> Result<Self> {
        let config = DecoderConfig::from_folder(model_dir)?;
        let shards = Shards::open(model_dir)?;
        let decoder = Decoder::rounded(&config, &shards, rounding)?;
        Ok(Self { decoder })
    }

    /// Loads a GGUF file, on the processor and in f32.
    pub(crate) fn of_gguf(weights: &GgufWeights) -> Result<Self> {
        let decoder = Decoder::from_gguf(weights)?;
        Ok(Self { decoder })
    }

    /// Loads a model folder with an adapter beside its weights, not merged into them.
    ///
    /// # Errors
    /// As [`Self::load`], and when the adapter does not fit.
    pub fn load_with_adapter(
        model_dir: &Path,
        adapter_dir: &Path,
        compute: &Compute,
    ) -> Result<Self> {
        let (device, dtype) = compute.resolve()?;
        let config = DecoderConfig::from_folder(model_dir)?;
        let shards = Shards::open(model_dir)?;
        let adapter = AdapterFolder::open(adapter_dir, shards.weights())?;
        let settings = adapter.settings();
        let precision = Precision {
            whole: settings.modules_to_save.clone(),
            ..Precision::frozen(dtype)
        };
        let (mut decoder, whole) = Decoder::from_shards(&config, &shards, &device, precision)?;
        let mut used = decoder.attach_lora(settings, |tensor| adapter.read(tensor.name))?;
        adapter.take_whole(whole, &mut used)?;
        adapter.check_all_used(&used)?;
        Ok(Self { decoder })
    }

    /// The longest prompt and continuation together, in tokens.
    #[must_use]
    pub fn longest_sequence(&self) -> usize {
        self.decoder.config.longest_sequence()
    }

    /// The type that is computed in: `f32` or `bf16`.
    #[must_use]
    pub fn dtype_name(&self) -> &'static str {
        self.decoder.dtype().as_str()
    }

    /// Entries of a distribution.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.decoder.config.vocab_size
    }

    /// ln p of each token of `continuation`, given the prompt and the tokens before it.
    ///
    /// # Errors
    /// When one of both is empty, a token is not in the vocabulary, or they are too long for the model.
    pub fn token_logprobs(&self, prompt: &[u32], continuation: &[u32]) -> Result<Vec<f64>> {
        let rows = self.logits(prompt, continuation)?;
        Ok(rows
            .iter()
            .zip(continuation)
            .map(|(row, &token)| f64::from(row[token as usize]) - log_sum_exp(row))
            .collect())
    }

    /// For each token of `continuation`: ln p over the whole vocabulary at its position.
    ///
    /// # Errors
    /// As [`Self::token_logprobs`].
    pub fn distributions(&self, prompt: &[u32], continuation: &[u32]) -> Result<Vec<Vec<f64>>> {
        let rows = self.logits(prompt, continuation)?;
        Ok(rows.iter().map(|row| log_softmax(row)).collect())
    }

    /// Entropies in nats of the distributions at the positions of `continuation`.
    ///
    /// # Errors
    /// As [`Self::token_logprobs`].
    pub fn entropies(
        &self,
        prompt: &[u32],
        continuation: &[u32],
        top_k: usize,
    ) -> Result<Vec<Entropies>> {
        let rows = self.logits(prompt, continuation)?;
        Ok(rows
            .iter()
            .map(|row| Entropies::of(log_softmax(row), top_k))
            .collect())
    }

    /// Logits after the last token of `ids`.
    ///
    /// # Errors
    /// As [`Self::token_logprobs`].
    pub fn next_token_logits(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let mut rows = self.rows(ids, ids.len().saturating_sub(1))?;
        rows.pop()
            .ok_or_else(|| Error::Score("no tokens".to_owned()))
    }

    /// Logits at the positions that predict `continuation`.
    pub(crate) fn logits(&self, prompt: &[u32], continuation: &[u32]) -> Result<Vec<Vec<f32>>> {
        let ids = read_for(prompt, continuation, self.vocab_size())?;
        self.rows(&ids, prompt.len() - 1)
    }

    /// Logits after each token of `ids` from position `first` on.
    fn rows(&self, ids: &[u32], first: usize) -> Result<Vec<Vec<f32>>> {
        if ids.is_empty() {
            return Err(Error::Score("no tokens".to_owned()));
        }
        if ids.len() > self.longest_sequence() {
            return Err(Error::Score(format!(
                "{} tokens are longer than the {} the model reads",
                ids.len(),
                self.longest_sequence()
            )));
        }
        if let Some(bad) = ids.iter().find(|&&id| id as usize >= self.vocab_size()) {
            return Err(Error::Score(format!(
                "token {bad} is not in the vocabulary"
            )));
        }
        on_pool(self.decoder.device(), || self.logits_from(ids, first))
    }

    fn logits_from(&self, ids: &[u32], first: usize) -> Result<Vec<Vec<f32>>> {
        let tensor = Tensor::from_slice(ids, ids.len(), self.decoder.device())?;
        let pass = self.decoder.pass(1, ids.len())?;
        let h = self.decoder.forward(&tensor, &pass)?;
        let logits = self
            .decoder
            .logits(&h.narrow(0, first, ids.len() - first)?)?;
        let rows: Vec<Vec<f32>> = logits
            .to_dtype(DType::F32)?
            .to_device(&Device::Cpu)?
            .to_vec2()?;
        match rows.iter().position(|row| row.iter().any(|x| x.is_nan())) {
            Some(position) => Err(no_numbers(first + position + 1)),
            None => Ok(rows),
        }
    }
}

/// The tokens that are read so that each of `continuation` can be scored; the last one need not be.
pub(crate) fn read_for(
    prompt: &[u32],
    continuation: &[u32],
    vocabulary: usize,
) -> Result<Vec<u32>> {
    if prompt.is_empty() {
        return Err(Error::Score("the prompt is empty".to_owned()));
    }
    if continuation.is_empty() {
        return Err(Error::Score("the continuation is empty".to_owned()));
    }
    let ids = [prompt, continuation].concat();
    if let Some(bad) = ids.iter().find(|&&id| id as usize >= vocabulary) {
        return Err(Error::Score(format!(
            "token {bad} is not in the vocabulary"
        )));
    }
    Ok(ids[..ids.len() - 1].to_vec())
}

/// That a row of logits holds what is none.
pub(crate) fn no_numbers(position: usize) -> Error {
    Error::Score(format!(
        "the model's logits after token {position} are not numbers (NaN)"
    ))
    .hint(
        "its weights are damaged or overflow their number format, check the folder or its training",
    )
}

/// Uncertainty of a next-token distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entropies {
    /// `-sum p ln p` over the k most likely tokens, whose probabilities are not renormalised.
    pub top_k: f64,
    /// `-sum p ln p` over the whole vocabulary.
    pub full: f64,
}

impl Entropies {
    /// Entropies of a distribution given as ln p.
    #[must_use]
    pub fn of(mut log_probabilities: Vec<f64>, top_k: usize) -> Self {
        let term = |lp: &f64| if lp.is_finite() { -lp.exp() * lp } else { 0.0 };
        let full = log_probabilities.iter().map(term).sum();
        log_probabilities.sort_unstable_by(|a, b| b.total_cmp(a));
        Self {
            top_k: log_probabilities.iter().take(top_k).map(term).sum(),
            full,
        }
    }
}

/// `ln(sum(exp(row)))`, in f64.
fn log_sum_exp(row: &[f32]) -> f64 {
    let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = row.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
    largest + sum.ln()
}

pub(crate) fn log_softmax(row: &[f32]) -> Vec<f64> {
    let total = log_sum_exp(row);
    row.iter().map(|&x| f64::from(x) - total).collect()
}
