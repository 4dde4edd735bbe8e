//! Every operation as a composition of the tensor library's own: slow, differentiable by candle, right on every device
//! and type. The kernels are tested against these, and other devices use them.

use candle_core::{D, DType, Result, Tensor};

use super::{Pairs, Scores};

/// The type in which norms, softmax and losses are computed: at least `f32`.
pub(super) fn wide(tensor: &Tensor) -> DType {
    match tensor.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension.
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let wide_x = x.to_dtype(wide(x))?;
    let mean_square = wide_x.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = wide_x.broadcast_div(&(mean_square + eps)?.sqrt()?)?;
    normed.to_dtype(x.dtype())?.broadcast_mul(weight)
}

/// Rotates the first `w` of the last dimension of `x [b, t, h, d]`; `cos` and `sin` are `[t, w/2]` or `[b, t, w/2]`.
pub(super) fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor, pairs: Pairs) -> Result<Tensor> {
    let (b, t, h, width) = x.dims4()?;
    let half = cos.dim(D::Minus1)?;
    if 2 * half < width {
        let turned = rope(&x.narrow(D::Minus1, 0, 2 * half)?, cos, sin, pairs)?;
        let kept = x.narrow(D::Minus1, 2 * half, width - 2 * half)?;
        return Tensor::cat(&[turned, kept], D::Minus1);
    }
    let over_heads = |table: &Tensor| -> Result<Tensor> {
        let table = match table.rank() {
            2 => table.unsqueeze(0)?,
            _ => table.clone(),
        };
        table.unsqueeze(2)?.to_dtype(x.dtype())
    };
    let (cos, sin) = (over_heads(cos)?, over_heads(sin)?);
    let (first, second) = match pairs {
        Pairs::Halves => (
            x.narrow(D::Minus1, 0, half)?,
            x.narrow(D::Minus1, half, half)?,
        ),
        Pairs::Neighbours => {
            let x = x.contiguous()?.reshape((b, t, h, half, 2))?;
            let side = |i| x.narrow(D::Minus1, i, 1)?.squeeze(D::Minus1);
            (side(0)?, side(1)?)
        }
    };
    let rotated_first = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
    let rotated_second = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
    match pairs {
        Pairs::Halves => Tensor::cat(&[rotated_first, rotated_second], D::Minus1),
        Pairs::Neighbours => {
            Tensor::stack(&[rotated_first, rotated_second], D::Minus1)?.reshape((b, t, h, width))
        }
    }
}

/// Softmax attention to the past; `q [b, t, h, d]`, `k` and `v [b, t, hk, d]`, `segments [b, t]`.
pub(super) fn causal_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    how: Scores,
    segments: Option<&Tensor>,
) -> Result<Tensor> {
    let (b, t, h, d) = q.dims4()?;
    let hk = k.dim(2)?;
    let repeat = |x: &Tensor| -> Result<Tensor> {
        let grouped = x.unsqueeze(3)?.expand((b, t, hk, h / hk, d))?;
        grouped.reshape((b, t, h, d))?.transpose(1, 2)?.contiguous()
    };
    let (k, v) = (repeat(k)?, repeat(v)?);
    let q = q.transpose(1, 2)?.contiguous()?;
    let mut scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * how.scale)?;
    if let Some(cap) = how.softcap {
        scores = softcap(&scores, cap)?;
    }
    let scores = scores.to_dtype(wide(&scores))?;
    let visible =
        visible((b, t), how.window, segments, scores.device())?.broadcast_as(scores.shape())?;
    let hidden = Tensor::new(f32::NEG_INFINITY, scores.device())?
        .to_dtype(scores.dtype())?
        .broadcast_as(scores.shape())?;
    let scores = visible.where_cond(&scores, &hidden)?;
    let probabilities = candle_nn::ops::softmax(&scores, D::Minus1)?.to_dtype(v.dtype())?;
    probabilities.matmul(&v)?.transpose(1, 2)?.contiguous()
}

/// `u8 [b or 1, 1, t, t]`: 1 where a query may look at a key.
fn visible(
    (b, t): (usize, usize),
    window: Option<usize>,
    segments: Option<&Tensor>,
    device: &candle_core::Device,
) -> Result<Tensor> {
    let sees =
        |query: usize, key: usize| key <= query && window.is_none_or(|window| query - key < window);
    let causal: Vec<u8> = (0..t * t).map(|i| u8::from(sees(i / t, i % t))).collect();
    let causal = Tensor::from_vec(causal, (1, 1, t, t), device)?;
    let Some(segments) = segments else {
        return Ok(causal);
    };
    let same = segments
        .reshape((b, 1, t, 1))?
        .broadcast_eq(&segments.reshape((b, 1, 1, t))?)?;
    causal.broadcast_mul(&same)
}

/// `cap * tanh(x / cap)`
pub(super) fn softcap(x: &Tensor, cap: f64) -> Result<Tensor> {
    (x / cap)?.tanh()? * cap
}

/// `silu(gate) * up`.
pub(super) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

/// Sum over the rows of `-ln softmax(logits)[target]`.
pub(super) fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let logits = logits.to_dtype(wide(logits))?;
    let log_probabilities = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
    log_probabilities
        .gather(&targets.unsqueeze(1)?, 1)?
        .sum_all()?
        .neg()
}

/// `x w^T + bias` for a matrix `x [n, in]` and `w [out, in]`.
pub(super) fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&w.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// `scale * (x * mask) a^T b^T` in the type of `a` and `b`, returned in the type of `x`.
pub(super) fn lora_delta(
    x: &Tensor,
    a: &Tensor,
    b: &Tensor,
    scale: f64,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let mut dropped = x.to_dtype(a.dtype())?;
    if let Some(mask) = mask {
        dropped = (dropped * mask)?;
    }
    let delta = (dropped.matmul(&a.t()?)?.matmul(&b.t()?)? * scale)?;
    delta.to_dtype(x.dtype())
}
