//! The weights of a decoder as batched decoding reads them: packed, and with products of the same input as one.

use candle_core::{DType, Tensor};

use super::product::Packed;
use super::rows::{Gate, add_bias};
use super::stored::Source;
use crate::config::{Activation, DecoderConfig, LayerConfig};
use crate::error::{Error, Result};
use crate::model::{self, GateAndUp, Projections};
use crate::ops::{Traced, Weight};

/// A packed weight with its bias.
pub(super) struct Matrix {
    weight: Packed,
    bias: Option<Vec<f32>>,
}

impl Matrix {
    /// Linear modules that read the same input, one below the other.
    fn new(parts: &[&model::Linear], source: &Source<'_>) -> Result<Self> {
        let weights = parts
            .iter()
            .map(|part| plain(part))
            .collect::<Result<Vec<_>>>()?;
        let mut bias = Vec::new();
        for (part, weight) in parts.iter().zip(&weights) {
            match &part.bias {
                Some(part) => bias.extend(numbers(part)?),
                None => bias.resize(bias.len() + weight.dim(0)?, 0.0),
            }
        }
        let weights: Vec<&Tensor> = weights.iter().collect();
        Ok(Self {
            weight: source.modules(&weights)?,
            bias: parts.iter().any(|part| part.bias.is_some()).then_some(bias),
        })
    }

    /// `y = x w^T + bias`
    pub(super) fn product(&self, x: &[f32], y: &mut Vec<f32>) {
        self.weight.product(x, y);
        add_bias(y, self.bias.as_deref());
    }

    /// Numbers in a row of its products.
    pub(super) fn outputs(&self) -> usize {
        self.weight.outputs()
    }

    fn bytes(&self) -> usize {
        self.weight.bytes()
    }
}

/// `down(gate(g) * u)`, where `g` and `u` are the halves of `input`'s products.
pub(super) struct Gated {
    pub(super) input: Matrix,
    pub(super) down: Matrix,
}

/// What a layer does to each token by itself.
pub(super) enum Mlp {
    Dense(Gated),
    Experts { router: Matrix, experts: Vec<Gated> },
}

/// One layer.
pub(super) struct Layer {
    pub(super) config: LayerConfig,
    pub(super) input_norm: Vec<f32>,
    /// Queries, keys and values.
    pub(super) input: Matrix,
    pub(super) qk_norm: Option<(Vec<f32>, Vec<f32>)>,
    pub(super) output: Matrix,
    pub(super) after_attention: Option<Vec<f32>>,
    pub(super) mlp_norm: Vec<f32>,
    pub(super) mlp: Mlp,
    pub(super) after_mlp: Option<Vec<f32>>,
}

/// All weights.
pub(super) struct Weights {
    /// The embedding, where the head is another weight.
    embedding: Option<Packed>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    pub(super) head: Packed,
    pub(super) gate: Gate,
}

impl Weights {
    /// Packs a decoder, layer by layer, so that little is in memory twice.
    pub(super) fn pack(decoder: model::Decoder, source: &Source<'_>) -> Result<Self> {
        let parts = decoder.into_parts();
        let config = parts.config;
        let norm = |weight: &Traced| norm_of(weight, &config);
        let tied = !parts.lm_head.is_apart_from(&parts.embed_tokens);
        let embedding = match tied {
            true => None,
            false => Some(source.packed(&[parts.embed_tokens.tensor()])?),
        };
        drop(parts.embed_tokens);
        let head = source.packed(&[parts.lm_head.tensor()])?;
        drop(parts.lm_head);
        Ok(Self {
            embedding,
            head,
            norm: norm(&parts.norm)?,
            layers: parts
                .layers
                .into_iter()
                .map(|layer| pack_layer(&layer, &config, source))
                .collect::<Result<_>>()?,
            gate: match config.mlp.activation {
                Activation::Silu => Gate::Silu,
                Activation::GeluTanh => Gate::Gelu,
            },
        })
    }

    /// The embedding of a token.
    pub(super) fn embed(&self, token: u32, to: &mut [f32]) {
        let table = self.embedding.as_ref().unwrap_or(&self.head);
        table.row(token as usize, to);
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(Layer::bytes).sum();
        self.embedding.as_ref().map_or(0, Packed::bytes) + self.head.bytes() + layers
    }
}

impl Layer {
    fn bytes(&self) -> usize {
        let mlp = match &self.mlp {
            Mlp::Dense(gated) => gated.bytes(),
            Mlp::Experts { router, experts } => {
                router.bytes() + experts.iter().map(Gated::bytes).sum::<usize>()
            }
        };
        self.input.bytes() + self.output.bytes() + mlp
    }
}

impl Gated {
    fn new(gated: &model::Gated, source: &Source<'_>) -> Result<Self> {
        Ok(Self {
            input: match &gated.input {
                GateAndUp::Apart(two) => Matrix::new(&[&two[0], &two[1]], source)?,
                GateAndUp::Fused(one) => Matrix::new(&[one], source)?,
            },
            down: Matrix::new(&[&gated.down], source)?,
        })
    }

    fn bytes(&self) -> usize {
        self.input.bytes() + self.down.bytes()
    }
}

fn pack_layer(layer: &model::Layer, config: &DecoderConfig, source: &Source<'_>) -> Result<Layer> {
    let matrix = |parts: &[&model::Linear]| Matrix::new(parts, source);
    let norm = |weight: &Traced| norm_of(weight, config);
    let optional = |weight: &Option<Traced>| weight.as_ref().map(norm).transpose();
    let attention = &layer.attention;
    Ok(Layer {
        config: layer.config,
        input_norm: norm(&layer.input_norm)?,
        input: match &attention.input {
            Projections::Apart(three) => matrix(&[&three[0], &three[1], &three[2]])?,
            Projections::Fused(one) => matrix(&[one])?,
        },
        qk_norm: match &attention.qk_norm {
            Some((q, k)) => Some((norm(q)?, norm(k)?)),
            None => None,
        },
        output: matrix(&[&attention.output])?,
        after_attention: optional(&layer.after_attention)?,
        mlp_norm: norm(&layer.mlp_norm)?,
        mlp: match &layer.mlp {
            model::Mlp::Dense(gated) => Mlp::Dense(Gated::new(gated, source)?),
            model::Mlp::Experts { router, experts } => Mlp::Experts {
                router: matrix(&[router])?,
                experts: experts
                    .iter()
                    .map(|expert| Gated::new(expert, source))
                    .collect::<Result<_>>()?,
            },
        },
        after_mlp: optional(&layer.after_mlp)?,
    })
}

/// The weight of a linear module without an adapter.
fn plain(linear: &model::Linear) -> Result<Tensor> {
    match (&linear.weight, &linear.adapter) {
        (Weight::Plain(weight), None) => Ok(weight.tensor().clone()),
        _ => Err(Error::Unsupported(
            "decoding with quantised weights or with an adapter beside them".to_owned(),
        )),
    }
}

fn numbers(weight: &Traced) -> Result<Vec<f32>> {
    Ok(weight
        .tensor()
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1()?)
}

/// Factors of a normalisation.
fn norm_of(weight: &Traced, config: &DecoderConfig) -> Result<Vec<f32>> {
    let mut numbers = numbers(weight)?;
    if config.norm_offset {
        numbers.iter_mut().for_each(|x| *x += 1.0);
    }
    Ok(numbers)
}
