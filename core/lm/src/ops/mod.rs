//! The differentiable operations of a decoder.
//!
//! Every function takes and returns [`Traced`] values; [`Traced::backward`] gives the gradients of the parameters. On the
//! CPU in `f32` each has a fused, parallel kernel with a backward pass of its own; on other devices and types the same
//! function is a composition of the tensor library's operations (`plain`). Results do not depend on the number of
//! threads: every sum has a fixed order.
//!
//! Attention works on `[batch, time, heads, head_dim]`, which is a plain reshape of a projection's output: nothing is
//! transposed in memory.

mod adamw;
mod elementwise;
mod linear;
mod plain;
mod traced;

use candle_core::{Result, Tensor};

pub(crate) use adamw::{AdamW, clip_factor, gradient_norm};
pub(crate) use linear::{LoraFactors, linear, linear_cross_entropy, lora_linear};
pub(crate) use traced::{Gradients, Traced};

/// RMS normalisation over the last dimension: `x / sqrt(mean(x^2) + eps) * weight`, computed in `f32` at least.
///
/// `x` is `[.., c]`, `weight` is `[c]`, frozen or not.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn rms_norm(x: &Traced, weight: &Traced, eps: f64) -> Result<Traced> {
    Traced::compose(&[x, weight], move |inputs| {
        plain::rms_norm(&inputs[0], &inputs[1], eps)
    })
}

/// Rotary position embedding of `x [b, t, h, d]`, rotating the two halves of the last dimension against each other.
///
/// `cos` and `sin` are `[t, d/2]`, or `[b, t, d/2]` when positions differ between rows (packing).
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn rope(x: &Traced, cos: &Tensor, sin: &Tensor) -> Result<Traced> {
    let (cos, sin) = (cos.clone(), sin.clone());
    Traced::compose(&[x], move |inputs| plain::rope(&inputs[0], &cos, &sin))
}

/// `softmax(scale * q k^T) v`, every position looking at itself and the past.
///
/// `q` is `[b, t, h, d]`; `k` and `v` are `[b, t, hk, d]` with `h` a multiple of `hk` (query head `i` reads key head
/// `i / (h / hk)`); the result is `[b, t, h, d]`. With `segments` (`u32 [b, t]`) a position sees only its own segment:
/// several examples packed into one row stay strangers.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn causal_attention(
    q: &Traced,
    k: &Traced,
    v: &Traced,
    scale: f64,
    segments: Option<&Tensor>,
) -> Result<Traced> {
    let segments = segments.cloned();
    Traced::compose(&[q, k, v], move |inputs| {
        plain::causal_attention(&inputs[0], &inputs[1], &inputs[2], scale, segments.as_ref())
    })
}

/// `silu(gate) * up`, elementwise; `silu(x) = x / (1 + exp(-x))`.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn swiglu(gate: &Traced, up: &Traced) -> Result<Traced> {
    Traced::compose(&[gate, up], |inputs| plain::swiglu(&inputs[0], &inputs[1]))
}

/// Sum over the rows of the negative log-likelihood `-ln softmax(logits)[target]`, in nats, as an `f32` scalar.
///
/// `logits` is `[n, v]`, `targets` is `u32 [n]`: only supervised rows. [`linear_cross_entropy`] does the same from the
/// hidden states, without ever holding all the logits.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn cross_entropy(logits: &Traced, targets: &Tensor) -> Result<Traced> {
    let targets = targets.clone();
    Traced::compose(&[logits], move |inputs| {
        plain::cross_entropy(&inputs[0], &targets)
    })
}

/// Rows `ids` (`u32`, any shape) of the table `weight [v, c]`: shape of `ids` plus `[c]`.
///
/// # Errors
/// When an id is not below `v`.
pub(crate) fn embedding(ids: &Tensor, weight: &Traced) -> Result<Traced> {
    let mut dims = ids.dims().to_vec();
    dims.push(weight.tensor().dim(1)?);
    weight.rows(&ids.flatten_all()?)?.reshape(dims)
}
