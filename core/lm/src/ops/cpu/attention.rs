//! Causal softmax attention over blocks of queries. The scores of a block live in the cache and nowhere else; the
//! backward pass computes them again (Dao et al. 2022, arXiv 2205.14135).
//!
//! One task handles one key head of one row of the batch, with all query heads that read it.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::math::{dot, exp, exp_sum, max};
use super::product::{Matrix, add_transposed_product, multiply, padded};
use super::{vectorized, zeros};

/// Queries of a block.
const BLOCK: usize = 48;

/// Queries of a block that are compared with the same keys, those up to the last of them: whole tiles of six rows.
const ROWS: usize = 12;

/// Sizes: batch, time, query heads, key heads, width of a head.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Shape {
    pub(in crate::ops) b: usize,
    pub(in crate::ops) t: usize,
    pub(in crate::ops) h: usize,
    pub(in crate::ops) hk: usize,
    pub(in crate::ops) d: usize,
}

/// The inputs, laid out `[b, t, heads, d]`; `segments` is `[b, t]`.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Inputs<'a> {
    pub(in crate::ops) q: &'a [f32],
    pub(in crate::ops) k: &'a [f32],
    pub(in crate::ops) v: &'a [f32],
    pub(in crate::ops) segments: Option<&'a [u32]>,
    pub(in crate::ops) scale: f32,
    pub(in crate::ops) window: Option<usize>,
}

impl Shape {
    fn group(self) -> usize {
        self.h / self.hk
    }

    /// The rows of `[b, t, heads, d]` that each task writes: by time, then by head within the task.
    fn rows_by_task(self, values: &mut [f32], heads: usize) -> Vec<Vec<&mut [f32]>> {
        let per_task = heads / self.hk;
        let mut tasks: Vec<Vec<&mut [f32]>> = (0..self.b * self.hk)
            .map(|_| Vec::with_capacity(self.t * per_task))
            .collect();
        for (i, row) in values.chunks_exact_mut(self.d).enumerate() {
            let (batch, head) = (i / (self.t * heads), i % heads);
            tasks[batch * self.hk + head / per_task].push(row);
        }
        tasks
    }
}

/// One task's view of the inputs.
#[derive(Clone, Copy)]
struct Task<'a> {
    shape: Shape,
    inputs: Inputs<'a>,
    batch: usize,
    key_head: usize,
}

impl<'a> Task<'a> {
    fn new(shape: Shape, inputs: Inputs<'a>, index: usize) -> Self {
        Self {
            shape,
            inputs,
            batch: index / shape.hk,
            key_head: index % shape.hk,
        }
    }

    /// The vector of a head at a time in `[b, t, heads, d]`.
    fn vector<'x>(&self, values: &'x [f32], heads: usize, time: usize, head: usize) -> &'x [f32] {
        let Shape { t, d, .. } = self.shape;
        &values[((self.batch * t + time) * heads + head) * d..][..d]
    }

    fn query_head(&self, within: usize) -> usize {
        self.key_head * self.shape.group() + within
    }

    /// Rows `times` of a query head of `[b, t, h, d]`, times `factor`, padded to whole tiles.
    fn pack_queries(
        &self,
        to: &mut [f32],
        values: &[f32],
        times: std::ops::Range<usize>,
        head: usize,
        factor: f32,
    ) {
        for (to, time) in to.chunks_exact_mut(padded(self.shape.d)).zip(times) {
            let from = self.vector(values, self.shape.h, time, head);
            for (to, from) in to.iter_mut().zip(from) {
                *to = factor * from;
            }
        }
    }

    /// All vectors of the key head, padded to whole tiles: `[t, d]`.
    fn key_rows(&self, values: &[f32]) -> Vec<f32> {
        let stride = padded(self.shape.d);
        let mut rows = vec![0.0; self.shape.t * stride];
        for (time, row) in rows.chunks_exact_mut(stride).enumerate() {
            let from = self.vector(values, self.shape.hk, time, self.key_head);
            row[..from.len()].copy_from_slice(from);
        }
        rows
    }

    /// All vectors of the key head as columns, padded to whole tiles: `[d, t]`.
    fn key_columns(&self, values: &[f32]) -> Vec<f32> {
        let stride = padded(self.shape.t);
        let mut columns = vec![0.0; self.shape.d * stride];
        for time in 0..self.shape.t {
            let from = self.vector(values, self.shape.hk, time, self.key_head);
            for (i, x) in from.iter().enumerate() {
                columns[i * stride + time] = *x;
            }
        }
        columns
    }

    /// Gives every score that the query at `time` may not see the value `hidden`.
    #[inline(always)]
    fn mask(&self, scores: &mut [f32], time: usize, hidden: f32) {
        scores[time + 1..].fill(hidden);
        if let Some(window) = self.inputs.window {
            scores[..(time + 1).saturating_sub(window)].fill(hidden);
        }
        if let Some(segments) = self.inputs.segments {
            let segments = &segments[self.batch * self.shape.t..][..self.shape.t];
            for (score, segment) in scores.iter_mut().zip(&segments[..=time]) {
                if *segment != segments[time] {
                    *score = hidden;
                }
            }
        }
    }
}

/// Columns of scores that hold so many keys: whole vectors of a product.
#[inline(always)]
fn columns_of<S: Simd>(_: S, keys: usize) -> usize {
    keys.next_multiple_of(2 * S::F32_LANES)
}

/// Returns the output `[b, t, h, d]` and the logarithm of each softmax's denominator, by task, query head and time.
pub(in crate::ops) fn forward(shape: Shape, inputs: Inputs<'_>) -> (Vec<f32>, Vec<f32>) {
    let mut output = zeros(inputs.q.len());
    let mut denominators = vec![0.0; shape.b * shape.h * shape.t];
    shape
        .rows_by_task(&mut output, shape.h)
        .into_par_iter()
        .zip(denominators.par_chunks_mut(shape.group() * shape.t))
        .enumerate()
        .for_each(|(index, (mut rows, denominators))| {
            let task = Task::new(shape, inputs, index);
            vectorized(ForwardTask(task, &mut rows, denominators));
        });
    (output, denominators)
}

struct ForwardTask<'t, 'r>(Task<'t>, &'t mut [&'r mut [f32]], &'t mut [f32]);

impl WithSimd for ForwardTask<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        forward_task(simd, self.0, self.1, self.2);
    }
}

#[inline(always)]
fn forward_task<S: Simd>(
    simd: S,
    task: Task<'_>,
    output: &mut [&mut [f32]],
    denominators: &mut [f32],
) {
    let Shape { t, d, .. } = task.shape;
    let (group, width, keys) = (task.shape.group(), padded(d), padded(t));
    let (k, v) = (
        task.key_columns(task.inputs.k),
        task.key_rows(task.inputs.v),
    );
    let (k, v) = (
        Matrix {
            data: &k,
            stride: keys,
        },
        Matrix {
            data: &v,
            stride: width,
        },
    );
    let mut q = vec![0.0; BLOCK * width];
    let mut scores = vec![0.0; BLOCK * keys];
    let mut mixed = vec![0.0; BLOCK * width];
    for within in 0..group {
        for start in (0..t).step_by(BLOCK) {
            let end = (start + BLOCK).min(t);
            let rows = end - start;
            task.pack_queries(
                &mut q,
                task.inputs.q,
                start..end,
                task.query_head(within),
                task.inputs.scale,
            );
            let q = Matrix {
                data: &q,
                stride: width,
            };
            let mut inverse = [0f32; BLOCK];
            for first in (0..rows).step_by(ROWS) {
                let last = (first + ROWS).min(rows);
                let (seen, columns) = (start + last, columns_of(simd, start + last));
                let scores = &mut scores[first * keys..last * keys];
                let sizes = (last - first, columns, d);
                multiply::<S, false>(simd, scores, keys, q.below(first), k, sizes);
                for (i, scores) in (first..).zip(scores.chunks_exact_mut(keys)) {
                    let scores = &mut scores[..columns];
                    task.mask(scores, start + i, f32::NEG_INFINITY);
                    let highest = max(simd, scores);
                    let sum = exp_sum(simd, scores, highest);
                    inverse[i] = 1.0 / sum;
                    denominators[within * t + start + i] = highest + sum.ln();
                }
                let weights = Matrix {
                    data: scores,
                    stride: keys,
                };
                let mixed = &mut mixed[first * width..];
                multiply::<S, false>(simd, mixed, width, weights, v, (last - first, d, seen));
            }
            for (i, mixed) in mixed.chunks_exact(width).take(rows).enumerate() {
                for (to, from) in output[(start + i) * group + within].iter_mut().zip(mixed) {
                    *to = inverse[i] * from;
                }
            }
        }
    }
}

/// Gradients of `q`, `k` and `v`, given the output, its gradient and the denominators of the forward pass.
pub(in crate::ops) fn backward(
    shape: Shape,
    inputs: Inputs<'_>,
    output: &[f32],
    gradient: &[f32],
    denominators: &[f32],
) -> [Vec<f32>; 3] {
    let [mut dq, mut dk, mut dv] = [inputs.q, inputs.k, inputs.v].map(|x| zeros(x.len()));
    let rows = shape
        .rows_by_task(&mut dq, shape.h)
        .into_par_iter()
        .zip(shape.rows_by_task(&mut dk, shape.hk))
        .zip(shape.rows_by_task(&mut dv, shape.hk));
    rows.zip(denominators.par_chunks(shape.group() * shape.t))
        .enumerate()
        .for_each(|(index, (((mut dq, mut dk), mut dv), denominators))| {
            let task = Task::new(shape, inputs, index);
            vectorized(BackwardTask {
                task,
                output,
                gradient,
                denominators,
                results: [&mut dq, &mut dk, &mut dv],
            });
        });
    [dq, dk, dv]
}

struct BackwardTask<'t, 'r> {
    task: Task<'t>,
    output: &'t [f32],
    gradient: &'t [f32],
    denominators: &'t [f32],
    results: [&'t mut [&'r mut [f32]]; 3],
}

impl WithSimd for BackwardTask<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        backward_task(simd, self);
    }
}

/// With `P` the weights and `dP = dO V^T`: `dS = P (dP - rowsum(dO O))`, `dQ = dS K`, `dK = dS^T Q`, `dV = P^T dO`.
#[inline(always)]
fn backward_task<S: Simd>(simd: S, backward: BackwardTask<'_, '_>) {
    let BackwardTask {
        task,
        output,
        gradient,
        denominators,
        results: [dq, dk, dv],
    } = backward;
    let Shape { t, d, h, .. } = task.shape;
    let (group, width, keys) = (task.shape.group(), padded(d), padded(t));
    let Inputs { q, k, v, scale, .. } = task.inputs;
    let (k_columns, k_rows, v_columns) =
        (task.key_columns(k), task.key_rows(k), task.key_columns(v));
    let k_columns = Matrix {
        data: &k_columns,
        stride: keys,
    };
    let k_rows = Matrix {
        data: &k_rows,
        stride: width,
    };
    let v_columns = Matrix {
        data: &v_columns,
        stride: keys,
    };
    let mut dk_sum = vec![0.0; t * width];
    let mut dv_sum = vec![0.0; t * width];
    let mut queries = vec![0.0; BLOCK * width];
    let mut upstream = vec![0.0; BLOCK * width];
    let mut dq_block = vec![0.0; BLOCK * width];
    let mut weights = vec![0.0; BLOCK * keys];
    let mut d_scores = vec![0.0; BLOCK * keys];
    for within in 0..group {
        let head = task.query_head(within);
        for start in (0..t).step_by(BLOCK) {
            let end = (start + BLOCK).min(t);
            let rows = end - start;
            task.pack_queries(&mut queries, q, start..end, head, scale);
            task.pack_queries(&mut upstream, gradient, start..end, head, 1.0);
            let queries = Matrix {
                data: &queries,
                stride: width,
            };
            let upstream = Matrix {
                data: &upstream,
                stride: width,
            };
            for first in (0..rows).step_by(ROWS) {
                let last = (first + ROWS).min(rows);
                let (seen, columns) = (start + last, columns_of(simd, start + last));
                let weights = &mut weights[first * keys..last * keys];
                let d_scores = &mut d_scores[first * keys..last * keys];
                let sizes = (last - first, columns, d);
                multiply::<S, false>(simd, weights, keys, queries.below(first), k_columns, sizes);
                multiply::<S, false>(
                    simd,
                    d_scores,
                    keys,
                    upstream.below(first),
                    v_columns,
                    sizes,
                );
                let rows = weights
                    .chunks_exact_mut(keys)
                    .zip(d_scores.chunks_exact_mut(keys));
                for (time, (weights, d_scores)) in (start + first..).zip(rows) {
                    // Below, all keys of the block are gone through.
                    weights[columns..].fill(0.0);
                    d_scores[columns..].fill(0.0);
                    let (weights, d_scores) = (&mut weights[..columns], &mut d_scores[..columns]);
                    let denominator = denominators[within * t + time];
                    let shared = dot(
                        simd,
                        task.vector(output, h, time, head),
                        task.vector(gradient, h, time, head),
                    );
                    task.mask(weights, time, f32::NEG_INFINITY);
                    for (weight, d_score) in weights.iter_mut().zip(d_scores) {
                        *weight = exp(*weight - denominator);
                        *d_score = *weight * (*d_score - shared);
                    }
                }
                let d_scores = Matrix {
                    data: d_scores,
                    stride: keys,
                };
                let dq_block = &mut dq_block[first * width..];
                multiply::<S, false>(
                    simd,
                    dq_block,
                    width,
                    d_scores,
                    k_rows,
                    (last - first, d, seen),
                );
            }
            for (i, from) in dq_block.chunks_exact(width).take(rows).enumerate() {
                for (to, from) in dq[(start + i) * group + within].iter_mut().zip(from) {
                    *to = scale * from;
                }
            }
            for (sum, a, b) in [
                (&mut dk_sum, &d_scores, queries),
                (&mut dv_sum, &weights, upstream),
            ] {
                let a = Matrix {
                    data: a,
                    stride: keys,
                };
                add_transposed_product(simd, sum, width, (a, start), b, (end, d, rows));
            }
        }
    }
    for (sums, rows) in [(&dk_sum, dk), (&dv_sum, dv)] {
        for (from, to) in sums.chunks_exact(width).zip(rows) {
            to.copy_from_slice(&from[..d]);
        }
    }
}
