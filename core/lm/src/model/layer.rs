//! One decoder layer.

use super::mlp::Mlp;
use super::{Linear, Named, Pass};
use crate::config::{DecoderConfig, LayerConfig};
use crate::error::Result;
use crate::ops::{self, Scores, Traced, Weight};

/// Self-attention and an MLP, each behind a normalisation and added to the residual stream.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) config: LayerConfig,
    pub(crate) input_norm: Traced,
    pub(crate) attention: Attention,
    /// Normalises what attention adds (Gemma 2 and 3, GLM-4).
    pub(crate) after_attention: Option<Traced>,
    pub(crate) mlp_norm: Traced,
    pub(crate) mlp: Mlp,
    /// Normalises what the MLP adds.
    pub(crate) after_mlp: Option<Traced>,
}

/// Projections of the attention.
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    pub(crate) input: Projections,
    pub(crate) output: Linear,
    /// Per-head normalisation of queries and keys, `[head_dim]` each.
    pub(crate) qk_norm: Option<(Traced, Traced)>,
}

/// What makes queries, keys and values.
#[derive(Debug, Clone)]
pub(crate) enum Projections {
    /// A matrix each.
    Apart(Box<[Linear; 3]>),
    /// One for all.
    Fused(Box<Linear>),
}

impl Layer {
    /// `h` is the residual stream, `[batch * time, hidden]`.
    pub(super) fn forward(
        &self,
        h: &Traced,
        config: &DecoderConfig,
        pass: &Pass,
    ) -> Result<Traced> {
        let behind = |x: Traced, weight: &Option<Traced>| match weight {
            Some(weight) => norm(&x, weight, config),
            None => Ok(x),
        };
        let x = norm(h, &self.input_norm, config)?;
        let mixed = self.attention.forward(&x, self.config, config, pass)?;
        let h = h.add(&behind(mixed, &self.after_attention)?)?;
        let x = norm(&h, &self.mlp_norm, config)?;
        let x = self.mlp.forward(&x, config, pass)?;
        Ok(h.add(&behind(x, &self.after_mlp)?)?)
    }

    /// The linear modules that can have an adapter, in the order of PEFT's names.
    pub(super) fn linears_mut(&mut self) -> Vec<Named<&mut Linear>> {
        let mut linears: Vec<Named<&mut Linear>> = Vec::new();
        match &mut self.attention.input {
            Projections::Apart(three) => {
                let names = ["q_proj", "k_proj", "v_proj"];
                let named = names.into_iter().zip(three.iter_mut());
                linears.extend(named.map(|(name, linear)| ("self_attn", name, linear)));
            }
            Projections::Fused(one) => linears.push(("self_attn", "qkv_proj", &mut **one)),
        }
        linears.push(("self_attn", "o_proj", &mut self.attention.output));
        linears.extend(self.mlp.linears_mut());
        linears
    }

    /// Every weight, in a fixed order.
    pub(super) fn weights(&self) -> Vec<Weight> {
        let plain = |weight: &Traced| Weight::Plain(weight.clone());
        let mut weights = vec![plain(&self.input_norm), plain(&self.mlp_norm)];
        let behind = [&self.after_attention, &self.after_mlp];
        weights.extend(behind.into_iter().flatten().map(plain));
        let attention = &self.attention;
        weights.extend(
            attention
                .qk_norm
                .iter()
                .flat_map(|(q, k)| [plain(q), plain(k)]),
        );
        match &attention.input {
            Projections::Apart(three) => weights.extend(three.iter().flat_map(Linear::weights)),
            Projections::Fused(one) => weights.extend(one.weights()),
        }
        weights.extend(attention.output.weights());
        weights.extend(self.mlp.weights());
        weights
    }
}

impl Attention {
    fn forward(
        &self,
        x: &Traced,
        layer: LayerConfig,
        config: &DecoderConfig,
        pass: &Pass,
    ) -> Result<Traced> {
        let width = config.head_dim;
        let (query_heads, key_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let heads = |x: Traced, heads: usize| x.reshape((pass.batch, pass.time, heads, width));
        let [q, k, v] = match &self.input {
            Projections::Apart(three) => {
                let [q, k, v] = &**three;
                [
                    q.forward(x, pass)?,
                    k.forward(x, pass)?,
                    v.forward(x, pass)?,
                ]
            }
            Projections::Fused(one) => {
                let all = one.forward(x, pass)?;
                let (queries, keys) = (query_heads * width, key_heads * width);
                [
                    all.columns(0, queries)?,
                    all.columns(queries, keys)?,
                    all.columns(queries + keys, keys)?,
                ]
            }
        };
        let (mut q, mut k) = (heads(q, query_heads)?, heads(k, key_heads)?);
        let v = heads(v, key_heads)?;
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            q = norm(&q, q_norm, config)?;
            k = norm(&k, k_norm, config)?;
        }
        if let Some(rope) = layer.rope {
            let tables = &pass.ropes[rope];
            q = ops::rope(&q, &tables.cos, &tables.sin, tables.pairs)?;
            k = ops::rope(&k, &tables.cos, &tables.sin, tables.pairs)?;
        }
        let scores = Scores {
            scale: config.attention.scale,
            softcap: config.attention.softcap,
            window: layer.window,
        };
        let mixed = ops::causal_attention(&q, &k, &v, scores, pass.segments.as_ref())?;
        let tokens = pass.batch * pass.time;
        let mixed = mixed.reshape((tokens, query_heads * width))?;
        self.output.forward(&mixed, pass)
    }
}

/// RMS normalisation over the last dimension. A trained weight is f32 and cast to the compute type.
pub(super) fn norm(x: &Traced, weight: &Traced, config: &DecoderConfig) -> Result<Traced> {
    let mut weight = weight.to_dtype(x.tensor().dtype())?;
    if config.norm_offset {
        let one = weight.tensor().ones_like()?;
        weight = weight.add(&Traced::constant(one))?;
    }
    Ok(ops::rms_norm(x, &weight, config.rms_norm_eps)?)
}
