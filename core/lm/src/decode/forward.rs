//! One pass over the rows of a step: tokens of any sequences, each with the pages of its own.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::attention::{Heads, Span, attend};
use super::cache::{Cache, Shape};
use super::rows::{add, gated, rms_norm, rms_norm_heads, rotate, squeeze};
use super::stored::Source;
use super::weights::{Gated, Layer, Mlp, Weights};
use crate::config::{DecoderConfig, Experts};
use crate::error::Result;
use crate::model::{Decoder, RopeTables};
use crate::ops::Pairs;
use crate::ops::kernels::simd;

/// A decoder that reads many sequences at a time.
pub(super) struct Network {
    pub(super) config: DecoderConfig,
    weights: Weights,
    rotations: Vec<Rotation>,
}

/// Cosines and sines by position.
struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
    pairs: Pairs,
}

/// Memory of intermediate results, used again in every step.
#[derive(Default)]
pub(super) struct Scratch {
    /// The residual stream.
    h: Vec<f32>,
    x: Vec<f32>,
    /// Queries, keys and values; gates and ups.
    wide: Vec<f32>,
    mixed: Vec<f32>,
    /// What a part of a layer adds.
    term: Vec<f32>,
    logits: Vec<f32>,
}

/// Tokens of a step.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) tokens: Vec<u32>,
    /// Position of each in its sequence.
    pub(super) positions: Vec<usize>,
    /// Which of them belong together.
    pub(super) spans: Vec<Span>,
    /// Rows whose next token is asked for, in increasing order.
    pub(super) wanted: Vec<usize>,
}

impl Network {
    pub(super) fn new(decoder: Decoder, source: &Source<'_>) -> Result<Self> {
        let config = decoder.config.clone();
        let tables = decoder.fixed_rotations()?;
        let rotations = tables.iter().map(Rotation::new).collect::<Result<_>>()?;
        Ok(Self {
            weights: Weights::pack(decoder, source)?,
            config,
            rotations,
        })
    }

    /// What a token leaves in the cache.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            layers: self.config.num_hidden_layers,
            heads: self.config.num_key_value_heads,
            width: self.config.head_dim,
        }
    }

    /// Bytes of the weights in memory.
    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Reads the rows into the cache and returns the logits of those that are asked for, `[wanted, vocabulary]`.
    pub(super) fn read<'s>(
        &self,
        rows: &Rows,
        cache: &mut Cache,
        scratch: &'s mut Scratch,
    ) -> &'s [f32] {
        let config = &self.config;
        let hidden = config.hidden_size;
        let eps = config.rms_norm_eps as f32;
        scratch.h.resize(rows.tokens.len() * hidden, 0.0);
        scratch
            .h
            .par_chunks_exact_mut(hidden)
            .zip(&rows.tokens)
            .for_each(|(h, &token)| {
                self.weights.embed(token, h);
                if let Some(scale) = config.embedding_scale {
                    h.iter_mut().for_each(|h| *h *= scale as f32);
                }
            });
        for (index, layer) in self.weights.layers.iter().enumerate() {
            self.attend(index, layer, rows, cache, scratch);
            self.think(layer, scratch);
        }
        let Scratch { h, x, logits, .. } = scratch;
        let wanted: Vec<f32> = rows
            .wanted
            .iter()
            .flat_map(|&row| &h[row * hidden..][..hidden])
            .copied()
            .collect();
        rms_norm(&wanted, &self.weights.norm, eps, x);
        self.weights.head.product(x, logits);
        if let Some(cap) = config.logit_softcap {
            logits
                .par_chunks_mut(config.vocab_size)
                .for_each(|row| squeeze(row, cap as f32));
        }
        logits
    }

    /// Adds what a layer's attention gives.
    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        rows: &Rows,
        cache: &mut Cache,
        scratch: &mut Scratch,
    ) {
        let config = &self.config;
        let eps = config.rms_norm_eps as f32;
        let Scratch {
            h,
            x,
            wide,
            mixed,
            term,
            ..
        } = scratch;
        rms_norm(h, &layer.input_norm, eps, x);
        layer.input.product(x, wide);
        let width = config.head_dim;
        let (query_heads, key_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let (queries, keys) = (query_heads * width, key_heads * width);
        let stride = queries + 2 * keys;
        let rotation = layer.config.rope.map(|rope| &self.rotations[rope]);
        wide.par_chunks_exact_mut(stride)
            .zip(&rows.positions)
            .with_min_len(4)
            .for_each(|(row, &position)| {
                simd(
                    #[inline(always)]
                    || {
                        let (q, rest) = row.split_at_mut(queries);
                        let k = &mut rest[..keys];
                        if let Some((q_norm, k_norm)) = &layer.qk_norm {
                            rms_norm_heads(q, q_norm, eps);
                            rms_norm_heads(k, k_norm, eps);
                        }
                        if let Some(rotation) = rotation {
                            let (cos, sin) = rotation.at(position);
                            rotate(q, width, cos, sin, rotation.pairs);
                            rotate(k, width, cos, sin, rotation.pairs);
                        }
                    },
                );
            });
        // Before anything is read: a sequence may read pages that another one fills in this very step.
        for span in &rows.spans {
            for (position, row) in (span.position..).zip(span.rows.clone()) {
                let row = &wide[row * stride + queries..][..2 * keys];
                let (k, v) = row.split_at(keys);
                cache.write((&span.pages, position), index, k, v);
            }
        }
        let heads = Heads {
            group: query_heads / key_heads.max(1),
            scale: config.attention.scale as f32,
            softcap: config.attention.softcap.map(|cap| cap as f32),
            window: layer.config.window,
        };
        attend(cache, index, heads, &rows.spans, (wide, stride), mixed);
        layer.output.product(mixed, term);
        self.add(h, term, layer.after_attention.as_deref(), x);
    }

    /// Adds what a layer's MLP gives.
    fn think(&self, layer: &Layer, scratch: &mut Scratch) {
        let Scratch {
            h,
            x,
            wide,
            mixed,
            term,
            ..
        } = scratch;
        rms_norm(h, &layer.mlp_norm, self.config.rms_norm_eps as f32, x);
        match (&layer.mlp, self.config.experts) {
            (Mlp::Dense(dense), _) => self.gated(dense, x, mixed, wide, term),
            (Mlp::Experts { router, experts }, Some(settings)) => {
                let chosen = chosen(router, x, settings, wide);
                let hidden = self.config.hidden_size;
                let mut sum = vec![0.0; x.len()];
                for (expert, rows) in experts.iter().zip(&chosen) {
                    let of_expert = rows
                        .iter()
                        .flat_map(|&(row, _)| &x[row * hidden..][..hidden]);
                    let of_expert: Vec<f32> = of_expert.copied().collect();
                    self.gated(expert, &of_expert, mixed, wide, term);
                    for ((row, weight), output) in rows.iter().zip(term.chunks_exact(hidden)) {
                        let sum = &mut sum[row * hidden..][..hidden];
                        for (sum, x) in sum.iter_mut().zip(output) {
                            *sum += weight * x;
                        }
                    }
                }
                *term = sum;
            }
            // A layer has experts only where the configuration says which.
            (Mlp::Experts { .. }, None) => term.fill(0.0),
        }
        self.add(h, term, layer.after_mlp.as_deref(), x);
    }

    fn gated(
        &self,
        mlp: &Gated,
        input: &[f32],
        inner: &mut Vec<f32>,
        both: &mut Vec<f32>,
        output: &mut Vec<f32>,
    ) {
        mlp.input.product(input, both);
        gated(both, mlp.input.outputs() / 2, self.weights.gate, inner);
        mlp.down.product(inner, output);
    }

    /// `h += x`, normalised first where the layer does that.
    fn add(&self, h: &mut [f32], x: &[f32], norm: Option<&[f32]>, normed: &mut Vec<f32>) {
        match norm {
            None => add(h, x),
            Some(norm) => {
                rms_norm(x, norm, self.config.rms_norm_eps as f32, normed);
                add(h, normed);
            }
        }
    }
}

impl Rotation {
    fn new(tables: &RopeTables) -> Result<Self> {
        Ok(Self {
            half: tables.cos.dim(1)?,
            cos: tables.cos.flatten_all()?.to_vec1()?,
            sin: tables.sin.flatten_all()?.to_vec1()?,
            pairs: tables.pairs,
        })
    }

    fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let start = position * self.half;
        (
            &self.cos[start..][..self.half],
            &self.sin[start..][..self.half],
        )
    }
}

/// For each expert the rows that go through it, and what they weigh: those that the router scores highest, of equals the lower
/// expert.
fn chosen(
    router: &super::weights::Matrix,
    x: &[f32],
    settings: Experts,
    scores: &mut Vec<f32>,
) -> Vec<Vec<(usize, f32)>> {
    router.product(x, scores);
    let mut chosen = vec![Vec::new(); settings.count];
    for (row, scores) in scores.chunks_exact(settings.count).enumerate() {
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f32> = scores.iter().map(|x| (x - highest).exp()).collect();
        let mut order: Vec<usize> = (0..settings.count).collect();
        order.sort_by(|&a, &b| match weights[b].total_cmp(&weights[a]) {
            Ordering::Equal => a.cmp(&b),
            other => other,
        });
        let order = &order[..settings.per_token];
        let total: f32 = match settings.normalised {
            true => order.iter().map(|&expert| weights[expert]).sum(),
            false => weights.iter().sum(),
        };
        for &expert in order {
            chosen[expert].push((row, weights[expert] / total));
        }
    }
    chosen
}
