//! `y = x / sqrt(mean(x^2) + eps) * w`, row by row.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::math::dot;
use super::{rows_per_piece, simd, vectorized, zeros};

/// Returns `y` and, per row, the factor `1 / sqrt(mean(x^2) + eps)`.
pub(in crate::ops) fn forward(x: &[f32], w: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let width = w.len();
    let rows = rows_per_piece(width);
    let mut y = zeros(x.len());
    let mut factors = vec![0.0; x.len() / width];
    y.par_chunks_mut(rows * width)
        .zip(x.par_chunks(rows * width))
        .zip(factors.par_chunks_mut(rows))
        .for_each(|((y, x), factors)| {
            vectorized(Forward {
                y,
                x,
                w,
                eps,
                factors,
            });
        });
    (y, factors)
}

struct Forward<'a> {
    y: &'a mut [f32],
    x: &'a [f32],
    w: &'a [f32],
    eps: f32,
    factors: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.w.len();
        let rows = self
            .y
            .chunks_exact_mut(width)
            .zip(self.x.chunks_exact(width));
        for ((y, x), factor) in rows.zip(self.factors) {
            *factor = 1.0 / (dot(simd, x, x) / width as f32 + self.eps).sqrt();
            scale_row(y, x, self.w, *factor);
        }
    }
}

#[inline(always)]
fn scale_row(y: &mut [f32], x: &[f32], w: &[f32], factor: f32) {
    for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
        *y = factor * x * w;
    }
}

/// `y` again, given the factors of its rows.
pub(in crate::ops) fn scaled(x: &[f32], w: &[f32], factors: &[f32]) -> Vec<f32> {
    let width = w.len();
    let rows = rows_per_piece(width);
    let mut y = zeros(x.len());
    y.par_chunks_mut(rows * width)
        .zip(x.par_chunks(rows * width))
        .zip(factors.par_chunks(rows))
        .for_each(|((y, x), factors)| {
            simd(
                #[inline(always)]
                || {
                    let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width));
                    for ((y, x), factor) in rows.zip(factors) {
                        scale_row(y, x, w, *factor);
                    }
                },
            );
        });
    y
}

/// Gradient of `x`: with `f` the row's factor and `h = g * w`, it is `f h - x f^3 mean(h x)`.
pub(in crate::ops) fn backward_x(g: &[f32], x: &[f32], w: &[f32], factors: &[f32]) -> Vec<f32> {
    let width = w.len();
    let rows = rows_per_piece(width);
    let mut dx = zeros(x.len());
    dx.par_chunks_mut(rows * width)
        .zip(x.par_chunks(rows * width).zip(g.par_chunks(rows * width)))
        .zip(factors.par_chunks(rows))
        .for_each(|((dx, (x, g)), factors)| {
            vectorized(Backward {
                dx,
                g,
                x,
                w,
                factors,
            });
        });
    dx
}

struct Backward<'a> {
    dx: &'a mut [f32],
    g: &'a [f32],
    x: &'a [f32],
    w: &'a [f32],
    factors: &'a [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.w.len();
        let inputs = self.x.chunks_exact(width).zip(self.g.chunks_exact(width));
        let rows = self.dx.chunks_exact_mut(width).zip(inputs);
        for ((dx, (x, g)), &factor) in rows.zip(self.factors) {
            for ((h, g), w) in dx.iter_mut().zip(g).zip(self.w) {
                *h = g * w;
            }
            let shared = dot(simd, dx, x) / width as f32 * factor * factor * factor;
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = factor.mul_add(*dx, -shared * x);
            }
        }
    }
}

/// Gradient of `w`: the sum over the rows of `g x f`.
pub(in crate::ops) fn backward_w(g: &[f32], x: &[f32], factors: &[f32]) -> Vec<f32> {
    let width = x.len() / factors.len().max(1);
    let rows = rows_per_piece(width);
    let pieces: Vec<Vec<f32>> = g
        .par_chunks(rows * width)
        .zip(x.par_chunks(rows * width))
        .zip(factors.par_chunks(rows))
        .map(|((g, x), factors)| {
            let mut sum = vec![0.0; width];
            simd(
                #[inline(always)]
                || {
                    let rows = g.chunks_exact(width).zip(x.chunks_exact(width));
                    for ((g, x), &factor) in rows.zip(factors) {
                        for ((sum, g), x) in sum.iter_mut().zip(g).zip(x) {
                            *sum = (g * factor).mul_add(*x, *sum);
                        }
                    }
                },
            );
            sum
        })
        .collect();
    let mut total = vec![0.0; width];
    for piece in pieces {
        for (total, piece) in total.iter_mut().zip(piece) {
            *total += piece;
        }
    }
    total
}
