//! A linear layer: a frozen or trainable weight, and perhaps a LoRA adapter beside it.

use candle_core::Tensor;

use super::Pass;
use crate::error::Result;
use crate::ops::{self, LoraFactors, Traced, Weight};
use crate::random::Stream;

/// `y = x W^T + bias + scale * B(A(dropout(x)))`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    /// `[out, in]`
    pub(crate) weight: Weight,
    /// `[out]`
    pub(crate) bias: Option<Traced>,
    pub(crate) adapter: Option<Adapter>,
}

/// A low-rank update, in f32.
#[derive(Debug, Clone)]
pub(crate) struct Adapter {
    /// `[rank, in]`
    pub(super) a: Traced,
    /// `[out, rank]`
    pub(super) b: Traced,
    /// Learnt lengths of the updated weight's rows (DoRA), `[out]`.
    pub(super) lengths: Option<Traced>,
    /// `alpha / rank`, or `alpha / sqrt(rank)`.
    pub(super) scale: f64,
    /// Probability that an input element is dropped while training.
    pub(super) dropout: f64,
    /// Number of the module in the model: part of the key of its dropout masks.
    pub(super) module: u64,
}

impl Linear {
    /// `x` is `[n, in]`.
    pub(super) fn forward(&self, x: &Traced, pass: &Pass) -> Result<Traced> {
        // Trained weights are f32; on a GPU they are cast to the compute type.
        let dtype = x.tensor().dtype();
        let weight = self.weight.to_dtype(dtype)?;
        let bias = self.bias.as_ref().map(|b| b.to_dtype(dtype)).transpose()?;
        let Some(adapter) = &self.adapter else {
            return Ok(ops::linear(x, &weight, bias.as_ref())?);
        };
        let mask = adapter.dropout_mask(x.tensor(), pass)?;
        let factors = LoraFactors {
            a: &adapter.a,
            b: &adapter.b,
            scale: adapter.scale,
            dropout_mask: mask.as_ref(),
        };
        match &adapter.lengths {
            None => Ok(ops::lora_linear(x, &weight, bias.as_ref(), &factors)?),
            Some(lengths) => Ok(ops::dora_linear(
                x,
                &weight,
                bias.as_ref(),
                &factors,
                lengths,
            )?),
        }
    }

    /// `(out, in)`
    pub(super) fn shape(&self) -> Result<(usize, usize)> {
        Ok(self.weight.dims2()?)
    }

    /// Weight and bias.
    pub(super) fn weights(&self) -> impl Iterator<Item = Weight> {
        let bias = self.bias.clone().map(Weight::Plain);
        std::iter::once(self.weight.clone()).chain(bias)
    }
}

impl Adapter {
    /// Zero where an element is dropped, `1 / (1 - p)` elsewhere. A function of its key alone, so that a layer computed
    /// again for gradient checkpointing drops the same elements.
    fn dropout_mask(&self, x: &Tensor, pass: &Pass) -> Result<Option<Tensor>> {
        let Some(key) = pass.dropout.filter(|_| self.dropout > 0.0) else {
            return Ok(None);
        };
        let index = [key.step, key.micro_batch, key.part, self.module];
        let mut stream = Stream::new(key.seed, "dropout", &index);
        let (p, keep) = (self.dropout as f32, 1.0 / (1.0 - self.dropout) as f32);
        let mask: Vec<f32> = (0..x.elem_count())
            .map(|_| if stream.uniform() < p { 0.0 } else { keep })
            .collect();
        Ok(Some(Tensor::from_vec(mask, x.shape(), x.device())?))
    }
}
