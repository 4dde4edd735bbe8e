//! Rotary position embedding: the halves of a head's vector are rotated against each other.

use rayon::prelude::*;

use super::{rows_per_piece, simd, zeros};

/// Rotates `x` of positions of `heads` vectors of `width`; position `i` takes row `i` modulo the number of rows of `cos`
/// and `sin` (rows of `width / 2`). `inverse` rotates back, which is the backward pass.
pub(in crate::ops) fn rotate(
    x: &[f32],
    (heads, width): (usize, usize),
    (cos, sin): (&[f32], &[f32]),
    inverse: bool,
) -> Vec<f32> {
    let half = width / 2;
    let (per_position, table_rows) = (heads * width, cos.len() / half.max(1));
    let positions = rows_per_piece(per_position);
    let sign = if inverse { -1.0 } else { 1.0 };
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
                        let row = (piece * positions + i / heads) % table_rows * half;
                        let (cos, sin) = (&cos[row..][..half], &sin[row..][..half]);
                        rotate_vector(y, x, cos, sin, sign);
                    }
                },
            );
        });
    y
}

#[inline(always)]
fn rotate_vector(y: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], sign: f32) {
    let half = cos.len();
    let (y_first, y_second) = y.split_at_mut(half);
    let (x_first, x_second) = x.split_at(half);
    for i in 0..half {
        let (first, second, sin) = (x_first[i], x_second[i], sign * sin[i]);
        y_first[i] = first * cos[i] - second * sin;
        y_second[i] = second * cos[i] + first * sin;
    }
}
