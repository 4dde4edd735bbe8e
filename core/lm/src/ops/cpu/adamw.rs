//! The update of AdamW, and sums of squares.

use rayon::prelude::*;

use super::{PIECE, simd};

/// The numbers of one update.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Update {
    pub(in crate::ops) beta1: f32,
    /// `1 - beta1`, rounded once.
    pub(in crate::ops) fresh1: f32,
    pub(in crate::ops) beta2: f32,
    /// `1 - beta2`, rounded once.
    pub(in crate::ops) fresh2: f32,
    pub(in crate::ops) eps: f32,
    /// Factor on the gradient.
    pub(in crate::ops) gradient_factor: f32,
    /// Factor on the parameter before the step: weight decay.
    pub(in crate::ops) keep: f32,
    /// Learning rate over the first moment's bias correction.
    pub(in crate::ops) rate: f32,
    /// `1 / sqrt` of the second moment's bias correction.
    pub(in crate::ops) inverse_root: f32,
}

/// One pass over parameter, gradient and both moments.
pub(in crate::ops) fn step(
    parameter: &mut [f32],
    gradient: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    update: Update,
) {
    parameter
        .par_chunks_mut(PIECE)
        .zip(gradient.par_chunks(PIECE))
        .zip(m.par_chunks_mut(PIECE).zip(v.par_chunks_mut(PIECE)))
        .for_each(|((parameter, gradient), (m, v))| {
            simd(
                #[inline(always)]
                || {
                    let moments = m.iter_mut().zip(v);
                    for ((p, g), (m, v)) in parameter.iter_mut().zip(gradient).zip(moments) {
                        let g = g * update.gradient_factor;
                        *m = *m * update.beta1 + g * update.fresh1;
                        *v = *v * update.beta2 + g * g * update.fresh2;
                        let root = v.sqrt() * update.inverse_root + update.eps;
                        *p = *p * update.keep - update.rate * *m / root;
                    }
                },
            );
        });
}

/// `sum(x^2)` in `f64`.
pub(in crate::ops) fn sum_of_squares(x: &[f32]) -> f64 {
    const LANES: usize = 8;
    let pieces: Vec<f64> = x
        .par_chunks(PIECE)
        .map(|x| {
            simd(
                #[inline(always)]
                || {
                    let mut lanes = [0f64; LANES];
                    let chunks = x.chunks_exact(LANES);
                    let rest = chunks.remainder();
                    for chunk in chunks {
                        for i in 0..LANES {
                            let x = f64::from(chunk[i]);
                            lanes[i] = x.mul_add(x, lanes[i]);
                        }
                    }
                    for (lane, &x) in lanes.iter_mut().zip(rest) {
                        *lane += f64::from(x) * f64::from(x);
                    }
                    lanes.iter().sum::<f64>()
                },
            )
        })
        .collect();
    pieces.into_iter().sum()
}
