//! `silu(gate) * up`.

use rayon::prelude::*;

use super::math::sigmoid;
use super::{PIECE, simd, zeros};

pub(in crate::ops) fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut y = zeros(gate.len());
    y.par_chunks_mut(PIECE)
        .zip(gate.par_chunks(PIECE).zip(up.par_chunks(PIECE)))
        .for_each(|(y, (gate, up))| {
            simd(
                #[inline(always)]
                || {
                    for ((y, &gate), up) in y.iter_mut().zip(gate).zip(up) {
                        *y = gate * sigmoid(gate) * up;
                    }
                },
            );
        });
    y
}

/// Gradients of `gate` and `up`: with `s = sigmoid(gate)`, `g up s (1 + gate (1 - s))` and `g gate s`.
pub(in crate::ops) fn backward(g: &[f32], gate: &[f32], up: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut d_gate, mut d_up) = (zeros(gate.len()), zeros(gate.len()));
    d_gate
        .par_chunks_mut(PIECE)
        .zip(d_up.par_chunks_mut(PIECE))
        .zip(gate.par_chunks(PIECE).zip(up.par_chunks(PIECE)))
        .zip(g.par_chunks(PIECE))
        .for_each(|(((d_gate, d_up), (gate, up)), g)| {
            simd(
                #[inline(always)]
                || {
                    let results = d_gate.iter_mut().zip(d_up);
                    let inputs = gate.iter().zip(up).zip(g);
                    for ((d_gate, d_up), ((&gate, up), g)) in results.zip(inputs) {
                        let s = sigmoid(gate);
                        *d_gate = g * up * s * gate.mul_add(1.0 - s, 1.0);
                        *d_up = g * gate * s;
                    }
                },
            );
        });
    (d_gate, d_up)
}
