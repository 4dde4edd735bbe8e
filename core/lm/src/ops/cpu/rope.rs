//! Rotary position embedding: numbers of a head's vector are rotated against each other in pairs.

use rayon::prelude::*;

use super::super::Pairs;
use super::{rows_per_piece, simd, zeros};

/// How a vector is turned.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Turn {
    /// Number of pairs, from the vector's beginning.
    pub(in crate::ops) rotated: usize,
    /// Which numbers make a pair.
    pub(in crate::ops) pairs: Pairs,
    /// Rotates back, which is the backward pass.
    pub(in crate::ops) inverse: bool,
}

/// Rotates `x` of positions of `heads` vectors of `width`; position `i` takes row `i` modulo the number of rows of `cos`
/// and `sin` (a column for each pair).
pub(in crate::ops) fn rotate(
    x: &[f32],
    (heads, width): (usize, usize),
    (cos, sin): (&[f32], &[f32]),
    turn: Turn,
) -> Vec<f32> {
    let columns = turn.rotated;
    let (per_position, table_rows) = (heads * width, cos.len() / columns.max(1));
    let positions = rows_per_piece(per_position);
    let sign = if turn.inverse { -1.0 } else { 1.0 };
    let mut y = zeros(x.len());
    y.par_chunks_mut(positions * per_position)
        .zip(x.par_chunks(positions * per_position))
        .enumerate()
        .for_each(|(piece, (y, x))| {
            simd(
                #[inline(always)]
                || {
                    let vectors = y.chunks_exact_mut(width).zip(x.chunks_exact(width));
                    for (i, (y, x)) in vectors.enumerate() {
                        let row = (piece * positions + i / heads) % table_rows * columns;
                        let (cos, sin) = (&cos[row..][..columns], &sin[row..][..columns]);
                        let (turned, kept) = y.split_at_mut(2 * columns);
                        kept.copy_from_slice(&x[2 * columns..]);
                        let x = &x[..2 * columns];
                        match turn.pairs {
                            Pairs::Halves => rotate_halves(turned, x, cos, sin, sign),
                            Pairs::Neighbours => rotate_neighbours(turned, x, cos, sin, sign),
                        }
                    }
                },
            );
        });
    y
}

#[inline(always)]
fn rotate_halves(y: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], sign: f32) {
    let half = cos.len();
    let (y_first, y_second) = y.split_at_mut(half);
    let (x_first, x_second) = x.split_at(half);
    for i in 0..half {
        let (first, second, sin) = (x_first[i], x_second[i], sign * sin[i]);
        y_first[i] = first * cos[i] - second * sin;
        y_second[i] = second * cos[i] + first * sin;
    }
}

#[inline(always)]
fn rotate_neighbours(y: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], sign: f32) {
    for i in 0..cos.len() {
        let (first, second, sin) = (x[2 * i], x[2 * i + 1], sign * sin[i]);
        y[2 * i] = first * cos[i] - second * sin;
        y[2 * i + 1] = second * cos[i] + first * sin;
    }
}
