//! The decoder: every family as one set of layers.

mod build;
mod layer;
mod linear;
mod mlp;
mod rope;

use candle_core::{DType, Device, Tensor};

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::ops::{self, Traced, Weight};

pub(crate) use build::{Fresh, Parameters, Precision, expected_weights, module_names, modules_of};
pub(crate) use layer::{Layer, Projections};
pub(crate) use linear::{Adapter, Linear};
pub(crate) use mlp::{GateAndUp, Gated, Mlp};
pub(crate) use rope::RopeTables;

/// A linear module: the part of the layer it stands in, its name there, and itself.
pub(crate) type Named<L> = (&'static str, &'static str, L);

/// A decoder with its weights on a device.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    pub(crate) config: DecoderConfig,
    device: Device,
    dtype: DType,
    embed_tokens: Traced,
    layers: Vec<Layer>,
    norm: Traced,
    lm_head: Traced,
    /// Of each rotation, where it does not depend on the length of a sequence.
    ropes: Vec<Option<RopeTables>>,
}

/// What a decoder is made of.
pub(crate) struct Parts {
    pub(crate) config: DecoderConfig,
    pub(crate) embed_tokens: Traced,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Traced,
    pub(crate) lm_head: Traced,
}

/// What one forward pass is about.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    /// Rows of the batch.
    pub(crate) batch: usize,
    /// Tokens per row, padding included.
    pub(crate) time: usize,
    /// Number of the sequence each token belongs to `[batch, time]`: attention does not cross sequences.
    pub(crate) segments: Option<Tensor>,
    /// Key of the dropout masks; absent when nothing is dropped.
    pub(crate) dropout: Option<DropoutKey>,
    /// Tables of each rotation, `[time, width / 2]`, or `[batch, time, width / 2]` where rows hold several sequences.
    ropes: Vec<RopeTables>,
}

/// With the module's number, the name of a dropout mask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DropoutKey {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    pub(crate) micro_batch: u64,
    pub(crate) part: u64,
}

impl Decoder {
    /// The device the weights are on.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The type that is computed in.
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Whether rows can be computed apart, side by side: not where a rotation depends on the longest row, nor where a weight in blocks
    /// would be whole in memory once for each of them.
    pub(crate) fn rows_are_apart(&self) -> bool {
        let in_blocks = |weight: &Weight| matches!(weight, Weight::Quantized(_));
        self.device.is_cpu()
            && self.ropes.iter().all(Option::is_some)
            && !self.frozen_weights().iter().any(in_blocks)
    }

    /// Number of layers.
    pub(crate) fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Takes it apart.
    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            config: self.config,
            embed_tokens: self.embed_tokens,
            layers: self.layers,
            norm: self.norm,
            lm_head: self.lm_head,
        }
    }

    /// The tables of each rotation, as long as they do not depend on the length of a sequence.
    pub(crate) fn fixed_rotations(&self) -> Result<Vec<RopeTables>> {
        self.rope_tables(self.config.fixed_length())
    }

    /// A pass over `batch` rows of `time` tokens.
    pub(crate) fn pass(&self, batch: usize, time: usize) -> Result<Pass> {
        Ok(Pass {
            batch,
            time,
            segments: None,
            dropout: None,
            ropes: self.rope_tables(time)?,
        })
    }

    /// Tables of a sequence of `length` tokens.
    fn rope_tables(&self, length: usize) -> Result<Vec<RopeTables>> {
        let tables = self.config.ropes.iter().zip(&self.ropes);
        tables
            .map(|(rope, tables)| match tables {
                Some(tables) => tables.first(length),
                None => RopeTables::new(rope, length, self.dtype, &self.device),
            })
            .collect()
    }

    /// A pass over rows that hold several sequences each; `positions` within a sequence and `segments` are `[batch, time]`
    /// of u32.
    pub(crate) fn packed_pass(&self, positions: &Tensor, segments: Tensor) -> Result<Pass> {
        let (batch, time) = positions.dims2()?;
        let last: u32 = positions.flatten_all()?.max(0)?.to_scalar()?;
        let tables = self.rope_tables(last as usize + 1)?;
        Ok(Pass {
            batch,
            time,
            segments: Some(segments),
            dropout: None,
            ropes: tables
                .iter()
                .map(|tables| tables.at(positions))
                .collect::<Result<_>>()?,
        })
    }

    /// Embeds token ids `[batch * time]` into the residual stream `[batch * time, hidden]`.
    pub(crate) fn embed(&self, ids: &Tensor) -> Result<Traced> {
        let x = ops::embedding(ids, &self.embed_tokens)?.to_dtype(self.dtype)?;
        match self.config.embedding_scale {
            Some(scale) => Ok(x.scale(scale)?),
            None => Ok(x),
        }
    }

    /// Applies one layer to the residual stream.
    pub(crate) fn layer(&self, index: usize, h: &Traced, pass: &Pass) -> Result<Traced> {
        self.layers[index].forward(h, &self.config, pass)
    }

    /// Logits `[n, vocab]` of rows of the residual stream `[n, hidden]`.
    pub(crate) fn logits(&self, h: &Tensor) -> Result<Tensor> {
        let x = layer::norm(&Traced::constant(h.clone()), &self.norm, &self.config)?;
        let weight = Weight::from(self.lm_head.clone()).to_dtype(self.dtype)?;
        let logits = ops::linear(&x, &weight, None)?.tensor().clone();
        match self.config.logit_softcap {
            Some(cap) => Ok(((logits / cap)?.tanh()? * cap)?),
            None => Ok(logits),
        }
    }

    /// Sum over rows `[n, hidden]` of the residual stream of the negative log-likelihood of the `targets [n]` after them.
    pub(crate) fn loss(&self, h: &Traced, targets: &Tensor) -> Result<Traced> {
        let x = layer::norm(h, &self.norm, &self.config)?;
        let weight = match ops::is_read_whole(self.lm_head.tensor(), self.dtype) {
            true => self.lm_head.clone(),
            false => self.lm_head.to_dtype(self.dtype)?,
        };
        Ok(ops::linear_cross_entropy(
            &x,
            &weight,
            targets,
            self.config.logit_softcap,
        )?)
    }

    /// The residual stream after all layers, without a graph for gradients.
    pub(crate) fn forward(&self, ids: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut h = self.embed(ids)?.detach();
        for layer in 0..self.depth() {
            // Without a graph, a layer's intermediate results are freed at its end.
            h = self.layer(layer, &h, pass)?.detach();
        }
        Ok(h.tensor().clone())
    }
}
