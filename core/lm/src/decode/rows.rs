//! What is done to each row by itself: normalisation, rotation, activation. Sums have a fixed number of partial sums, so that
//! the width of vectors changes nothing.

use rayon::prelude::*;

use crate::ops::Pairs;
use crate::ops::kernels::WIDTH;
use crate::ops::kernels::{exp, rows_per_piece, simd};

/// `y = x / sqrt(mean(x^2) + eps) * weight`, row by row.
pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut Vec<f32>) {
    y.resize(x.len(), 0.0);
    let width = weight.len();
    let piece = rows_per_piece(width) * width;
    y.par_chunks_mut(piece)
        .zip(x.par_chunks(piece))
        .for_each(|(y, x)| {
            simd(
                #[inline(always)]
                || {
                    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                        let factor = factor(x, eps);
                        for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                            *y = factor * x * weight;
                        }
                    }
                },
            );
        });
}

/// [`rms_norm`] of vectors of one row, in place.
#[inline(always)]
pub(super) fn rms_norm_heads(row: &mut [f32], weight: &[f32], eps: f32) {
    for head in row.chunks_exact_mut(weight.len()) {
        let factor = factor(head, eps);
        for (x, weight) in head.iter_mut().zip(weight) {
            *x = factor * *x * weight;
        }
    }
}

#[inline(always)]
fn factor(x: &[f32], eps: f32) -> f32 {
    1.0 / (sum_of(
        x,
        #[inline(always)]
        |x, sum| x.mul_add(x, sum),
    ) / x.len() as f32
        + eps)
        .sqrt()
}

/// `sum(x)`
#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    sum_of(
        x,
        #[inline(always)]
        |x, sum| x + sum,
    )
}

#[inline(always)]
fn sum_of(x: &[f32], add: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; WIDTH];
    let (chunks, rest) = x.as_chunks::<WIDTH>();
    for chunk in chunks {
        for i in 0..WIDTH {
            sums[i] = add(chunk[i], sums[i]);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum = add(*x, *sum);
    }
    let mut width = WIDTH;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            sums[i] += sums[i + width];
        }
    }
    sums[0]
}

/// `h += x`
pub(super) fn add(h: &mut [f32], x: &[f32]) {
    h.iter_mut().zip(x).for_each(|(h, x)| *h += x);
}

/// Adds a bias to every row.
pub(super) fn add_bias(y: &mut [f32], bias: Option<&[f32]>) {
    if let Some(bias) = bias {
        for row in y.chunks_exact_mut(bias.len()) {
            add(row, bias);
        }
    }
}

/// Rotates the vectors of a row by the angles of its position.
#[inline(always)]
pub(super) fn rotate(row: &mut [f32], width: usize, cos: &[f32], sin: &[f32], pairs: Pairs) {
    let half = cos.len();
    for head in row.chunks_exact_mut(width) {
        match pairs {
            Pairs::Halves => {
                let (first, rest) = head.split_at_mut(half);
                for (((a, b), cos), sin) in first.iter_mut().zip(rest).zip(cos).zip(sin) {
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
            Pairs::Neighbours => {
                for ((pair, cos), sin) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
                    let (a, b) = (pair[0], pair[1]);
                    (pair[0], pair[1]) = (a * cos - b * sin, b * cos + a * sin);
                }
            }
        }
    }
}

/// Function of the gate, times what it lets through.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gate {
    /// `x / (1 + e^-x)`
    Silu,
    /// GELU with its hyperbolic tangent approximation.
    Gelu,
}

/// `gate(g) * u` of rows that hold `g` and then `u`.
pub(super) fn gated(both: &[f32], width: usize, gate: Gate, y: &mut Vec<f32>) {
    y.resize(both.len() / 2, 0.0);
    let rows = rows_per_piece(width);
    y.par_chunks_mut(rows * width)
        .zip(both.par_chunks(2 * rows * width))
        .for_each(|(y, both)| {
            simd(
                #[inline(always)]
                || {
                    let rows = y.chunks_exact_mut(width).zip(both.chunks_exact(2 * width));
                    for (y, both) in rows {
                        let (gates, ups) = both.split_at(width);
                        let inputs = gates.iter().zip(ups);
                        match gate {
                            Gate::Silu => {
                                for (y, (&g, u)) in y.iter_mut().zip(inputs) {
                                    *y = g / (1.0 + exp(-g)) * u;
                                }
                            }
                            Gate::Gelu => {
                                for (y, (&g, u)) in y.iter_mut().zip(inputs) {
                                    *y = gelu(g) * u;
                                }
                            }
                        }
                    }
                },
            );
        });
}

/// `0.5 x (1 + tanh(t))` is `x / (1 + e^(-2 t))`, with `t = sqrt(2 / pi) (x + 0.044715 x^3)`.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    let t = ROOT * x * (0.044_715 * x).mul_add(x, 1.0);
    x / (1.0 + exp(-2.0 * t))
}

/// `cap * tanh(x / cap)`
pub(super) fn squeeze(row: &mut [f32], cap: f32) {
    for x in row {
        *x = cap * (*x / cap).tanh();
    }
}
