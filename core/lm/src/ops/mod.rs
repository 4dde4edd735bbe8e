//! The differentiable operations of a decoder, as compositions that candle can differentiate on every device and type.
//!
//! candle's own fused norms, softmax and rotary embedding silently have no gradient; none of them is used here.

mod frozen;

use candle_core::{D, DType, Device, Result, Tensor};

pub use frozen::frozen_linear;

/// The type in which norms, softmax and losses are computed: at least `f32`.
fn wide(tensor: &Tensor) -> DType {
    match tensor.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension, normalised in `f32` at least. `weight` is `[c]`.
///
/// # Errors
/// When the shapes do not fit.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let wide_x = x.to_dtype(wide(x))?;
    let mean_square = wide_x.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = wide_x.broadcast_div(&(mean_square + eps)?.sqrt()?)?;
    normed.to_dtype(x.dtype())?.broadcast_mul(weight)
}

/// Rotary position embedding of `x [b, h, t, d]`: the halves of the last dimension are rotated against each other.
///
/// `cos` and `sin` are tables `[positions, d/2]`; row `i` of a sequence uses row `i`, or `positions[b, i]` where rows
/// hold several sequences (packing, `u32 [b, t]`).
///
/// # Errors
/// When the shapes do not fit, or a position is beyond the tables.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor, positions: Option<&Tensor>) -> Result<Tensor> {
    let (b, _, t, d) = x.dims4()?;
    let rows = |table: &Tensor| -> Result<Tensor> {
        let table = match positions {
            Some(positions) => {
                table
                    .index_select(&positions.flatten_all()?, 0)?
                    .reshape((b, 1, t, d / 2))?
            }
            None => table.narrow(0, 0, t)?.reshape((1, 1, t, d / 2))?,
        };
        table.to_dtype(x.dtype())
    };
    let (cos, sin) = (rows(cos)?, rows(sin)?);
    let first = x.narrow(D::Minus1, 0, d / 2)?;
    let second = x.narrow(D::Minus1, d / 2, d / 2)?;
    let rotated_first = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
    let rotated_second = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
    Tensor::cat(&[rotated_first, rotated_second], D::Minus1)
}

/// `softmax(scale * q k^T) v`, every position looking at itself and the past.
///
/// `q` is `[b, h, t, d]`; `k` and `v` are `[b, hk, t, d]` with `h` a multiple of `hk` (query head `i` reads key head
/// `i / (h / hk)`). With `segments` (`u32 [b, t]`) a position sees only its own segment: several examples packed into one
/// row stay strangers.
///
/// # Errors
/// When the shapes do not fit.
pub fn causal_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    scale: f64,
    segments: Option<&Tensor>,
) -> Result<Tensor> {
    let (b, h, t, d) = q.dims4()?;
    let hk = k.dim(1)?;
    let repeat = |x: &Tensor| -> Result<Tensor> {
        let grouped = x.unsqueeze(2)?.expand((b, hk, h / hk, t, d))?;
        grouped.contiguous()?.reshape((b, h, t, d))
    };
    let (k, v) = (repeat(k)?, repeat(v)?);
    let scores = (q.contiguous()?.matmul(&k.t()?.contiguous()?)? * scale)?;
    let scores = scores.to_dtype(wide(&scores))?;
    let visible = visible(b, t, segments, scores.device())?.broadcast_as(scores.shape())?;
    let hidden = Tensor::new(f32::NEG_INFINITY, scores.device())?
        .to_dtype(scores.dtype())?
        .broadcast_as(scores.shape())?;
    let scores = visible.where_cond(&scores, &hidden)?;
    let probabilities = candle_nn::ops::softmax(&scores, D::Minus1)?;
    probabilities.to_dtype(v.dtype())?.matmul(&v)
}

/// `u8 [b or 1, 1, t, t]`: 1 where a query may look at a key.
fn visible(b: usize, t: usize, segments: Option<&Tensor>, device: &Device) -> Result<Tensor> {
    let causal: Vec<u8> = (0..t * t).map(|i| u8::from(i % t <= i / t)).collect();
    let causal = Tensor::from_vec(causal, (1, 1, t, t), device)?;
    let Some(segments) = segments else {
        return Ok(causal);
    };
    let same = segments
        .reshape((b, 1, t, 1))?
        .broadcast_eq(&segments.reshape((b, 1, 1, t))?)?;
    causal.broadcast_mul(&same)
}

/// `silu(gate) * up`, elementwise; `silu(x) = x / (1 + exp(-x))`.
///
/// # Errors
/// When the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

/// Sum over the rows of the negative log-likelihood `-ln softmax(logits)[target]`, in nats, as an `f32` scalar.
///
/// `logits` is `[n, v]`, `targets` is `u32 [n]`: only supervised rows.
///
/// # Errors
/// When the shapes do not fit.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let logits = logits.to_dtype(wide(logits))?;
    let log_probabilities = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
    log_probabilities
        .gather(&targets.unsqueeze(1)?, 1)?
        .sum_all()?
        .neg()
}

/// `x w^T + bias` for rows `x [n, in]`, `w [out, in]`, `bias [out]`, with gradients for all three.
///
/// # Errors
/// When the shapes do not fit.
pub fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&w.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// `x w^T + bias + scale * (x * mask) a^T b^T`: a frozen weight with a low-rank update (LoRA, arXiv 2106.09685).
///
/// `a` is `[r, in]` and `b` is `[out, r]`, both trainable. `mask` is dropout's: the shape of `x`, holding `0` or
/// `1 / (1 - p)`.
///
/// # Errors
/// When the shapes do not fit.
pub fn lora_linear(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    (a, b): (&Tensor, &Tensor),
    scale: f64,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let dropped = match mask {
        Some(mask) => (x * mask)?,
        None => x.clone(),
    };
    let low = linear(&dropped, &a.to_dtype(x.dtype())?, None)?;
    let delta = (linear(&low, &b.to_dtype(x.dtype())?, None)? * scale)?;
    frozen_linear(x, w, bias)? + delta
}

/// Rows `ids` (`u32 [n]`) of the table `weight [v, c]`: `[n, c]`. Trainable where `weight` is.
///
/// # Errors
/// When an id is not below `v`.
pub fn embedding(ids: &Tensor, weight: &Tensor) -> Result<Tensor> {
    weight.index_select(&ids.contiguous()?, 0)
}
