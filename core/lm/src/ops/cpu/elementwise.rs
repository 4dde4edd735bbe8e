//! Sums, products and rows of whole tensors.

use rayon::prelude::*;

use super::{PIECE, rows_per_piece, simd, zeros};

/// `a + b`
pub(in crate::ops) fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    binary(a, b, |a, b| a + b)
}

/// `a * b`
pub(in crate::ops) fn multiply(a: &[f32], b: &[f32]) -> Vec<f32> {
    binary(a, b, |a, b| a * b)
}

fn binary(a: &[f32], b: &[f32], function: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    let mut y = zeros(a.len());
    y.par_chunks_mut(PIECE)
        .zip(a.par_chunks(PIECE).zip(b.par_chunks(PIECE)))
        .for_each(|(y, (a, b))| {
            simd(
                #[inline(always)]
                || {
                    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                        *y = function(*a, *b);
                    }
                },
            );
        });
    y
}

/// `sum += term`
pub(in crate::ops) fn add_assign(sum: &mut [f32], term: &[f32]) {
    sum.par_chunks_mut(PIECE)
        .zip(term.par_chunks(PIECE))
        .for_each(|(sum, term)| {
            simd(
                #[inline(always)]
                || {
                    for (sum, term) in sum.iter_mut().zip(term) {
                        *sum += term;
                    }
                },
            );
        });
}

/// `x *= factor`
pub(in crate::ops) fn scale(x: &mut [f32], factor: f32) {
    x.par_chunks_mut(PIECE).for_each(|x| {
        for x in x {
            *x *= factor;
        }
    });
}

/// The rows `indices` of a matrix of rows of `width`; every index is within the matrix.
pub(in crate::ops) fn gather(matrix: &[f32], width: usize, indices: &[u32]) -> Vec<f32> {
    let rows = rows_per_piece(width);
    let mut y = zeros(indices.len() * width);
    y.par_chunks_mut(rows * width)
        .zip(indices.par_chunks(rows))
        .for_each(|(y, indices)| {
            for (y, &index) in y.chunks_exact_mut(width).zip(indices) {
                y.copy_from_slice(&matrix[index as usize * width..][..width]);
            }
        });
    y
}

/// Adds every row of `rows` to the row of `sum` that `indices` names, in their order.
pub(in crate::ops) fn scatter_add(sum: &mut [f32], width: usize, indices: &[u32], rows: &[f32]) {
    simd(
        #[inline(always)]
        || {
            for (row, &index) in rows.chunks_exact(width).zip(indices) {
                let sum = &mut sum[index as usize * width..][..width];
                for (sum, x) in sum.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        },
    );
}
