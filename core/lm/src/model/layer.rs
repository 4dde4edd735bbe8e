//! One decoder layer.

use super::{Linear, Pass};
use crate::config::DecoderConfig;
use crate::error::Result;
use crate::ops::{self, Traced};

/// Self-attention and a gated MLP, each behind a normalisation and added to the residual stream.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(super) input_norm: Traced,
    pub(super) q_proj: Linear,
    pub(super) k_proj: Linear,
    pub(super) v_proj: Linear,
    pub(super) o_proj: Linear,
    /// Per-head normalisation of queries and keys (Qwen3), `[head_dim]` each.
    pub(super) qk_norm: Option<(Traced, Traced)>,
    pub(super) post_attention_norm: Traced,
    pub(super) gate_proj: Linear,
    pub(super) up_proj: Linear,
    pub(super) down_proj: Linear,
}

impl Layer {
    /// `h` is the residual stream, `[batch * time, hidden]`.
    pub(super) fn forward(
        &self,
        h: &Traced,
        config: &DecoderConfig,
        pass: &Pass,
    ) -> Result<Traced> {
        let x = norm(h, &self.input_norm, config)?;
        let h = h.add(&self.attention(&x, config, pass)?)?;
        let x = norm(&h, &self.post_attention_norm, config)?;
        let gated = ops::swiglu(
            &self.gate_proj.forward(&x, pass)?,
            &self.up_proj.forward(&x, pass)?,
        )?;
        Ok(h.add(&self.down_proj.forward(&gated, pass)?)?)
    }

    /// The linear modules, in the order of PEFT's names.
    pub(super) fn linears(&self) -> [&Linear; 7] {
        [
            &self.q_proj,
            &self.k_proj,
            &self.v_proj,
            &self.o_proj,
            &self.gate_proj,
            &self.up_proj,
            &self.down_proj,
        ]
    }

    /// The linear modules, to be given adapters.
    pub(super) fn linears_mut(&mut self) -> [&mut Linear; 7] {
        [
            &mut self.q_proj,
            &mut self.k_proj,
            &mut self.v_proj,
            &mut self.o_proj,
            &mut self.gate_proj,
            &mut self.up_proj,
            &mut self.down_proj,
        ]
    }

    fn attention(&self, x: &Traced, config: &DecoderConfig, pass: &Pass) -> Result<Traced> {
        let width = config.head_dim;
        let heads = |x: Traced, heads: usize| x.reshape((pass.batch, pass.time, heads, width));
        let mut q = heads(self.q_proj.forward(x, pass)?, config.num_attention_heads)?;
        let mut k = heads(self.k_proj.forward(x, pass)?, config.num_key_value_heads)?;
        let v = heads(self.v_proj.forward(x, pass)?, config.num_key_value_heads)?;
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            q = norm(&q, q_norm, config)?;
            k = norm(&k, k_norm, config)?;
        }
        let q = ops::rope(&q, &pass.rope.cos, &pass.rope.sin)?;
        let k = ops::rope(&k, &pass.rope.cos, &pass.rope.sin)?;
        let scale = 1.0 / (width as f64).sqrt();
        let mixed = ops::causal_attention(&q, &k, &v, scale, pass.segments.as_ref())?;
        let tokens = pass.batch * pass.time;
        let mixed = mixed.reshape((tokens, config.num_attention_heads * width))?;
        self.o_proj.forward(&mixed, pass)
    }
}

/// RMS normalisation over the last dimension. A trained weight is f32 and cast to the compute type.
pub(super) fn norm(x: &Traced, weight: &Traced, config: &DecoderConfig) -> Result<Traced> {
    let weight = weight.to_dtype(x.tensor().dtype())?;
    Ok(ops::rms_norm(x, &weight, config.rms_norm_eps)?)
}
