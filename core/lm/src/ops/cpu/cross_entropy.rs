//! Softmax cross-entropy, row by row.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::math::{exp_sum, max};
use super::{rows_per_piece, vectorized};

/// Replaces rows of `width` logits by the gradient of the loss, `softmax(logits) - one_hot(target)`, and returns the sum
/// of the losses `-ln softmax(logits)[target]`. Every target is below `width`.
pub(in crate::ops) fn loss_and_gradient(logits: &mut [f32], width: usize, targets: &[u32]) -> f64 {
    let rows = rows_per_piece(width);
    let losses: Vec<f64> = logits
        .par_chunks_mut(rows * width)
        .zip(targets.par_chunks(rows))
        .map(|(logits, targets)| {
            vectorized(Piece {
                logits,
                width,
                targets,
            })
        })
        .collect();
    losses.into_iter().sum()
}

struct Piece<'a> {
    logits: &'a mut [f32],
    width: usize,
    targets: &'a [u32],
}

impl WithSimd for Piece<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let mut sum = 0.0;
        let rows = self.logits.chunks_exact_mut(self.width);
        for (row, &target) in rows.zip(self.targets) {
            sum += row_loss(simd, row, target as usize);
        }
        sum
    }
}

#[inline(always)]
fn row_loss<S: Simd>(simd: S, row: &mut [f32], target: usize) -> f64 {
    let highest = max(simd, row);
    let of_target = f64::from(row[target]) - f64::from(highest);
    let sum = exp_sum(simd, row, highest);
    let inverse = 1.0 / sum;
    for x in row.iter_mut() {
        *x *= inverse;
    }
    row[target] -= 1.0;
    f64::from(sum).ln() - of_target
}
