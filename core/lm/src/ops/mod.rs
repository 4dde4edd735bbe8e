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
mod again;
mod cpu;
mod dora;
mod elementwise;
mod linear;
mod loss;
mod matmul;
mod plain;
mod pool;
mod sliced;
mod traced;
mod weight;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

/// For batched decoding, which has kernels of its own.
pub(crate) mod kernels {
    pub(crate) use super::cpu::math::exp;
    pub(crate) use super::cpu::panel::{Line, Next, WIDTH, times_panel};
    pub(crate) use super::cpu::{rows_per_piece, simd, values, vectorized};
}

pub(crate) use adamw::{AdamW, clip_factor, gradient_norm};
pub(crate) use again::Kept;
pub(crate) use dora::{dora_linear, row_lengths};
pub(crate) use elementwise::add_assign;
pub(crate) use linear::{LoraFactors, linear, lora_linear};
pub(crate) use loss::linear_cross_entropy;
pub(crate) use pool::on_pool;
pub(crate) use traced::{Gradients, Traced};
pub(crate) use weight::{QuantizedWeight, Weight, halved, is_read_whole};

/// RMS normalisation over the last dimension: `x / sqrt(mean(x^2) + eps) * weight`, computed in `f32` at least.
///
/// `x` is `[.., c]`, `weight` is `[c]`, frozen or not.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn rms_norm(x: &Traced, weight: &Traced, eps: f64) -> Result<Traced> {
    if !cpu::applies(&[x.tensor(), weight.tensor()]) {
        return Traced::compose(&[x, weight], move |inputs| {
            plain::rms_norm(&inputs[0], &inputs[1], eps)
        });
    }
    let (values, w) = (x.tensor().contiguous()?, weight.tensor().contiguous()?);
    let shape = values.shape().clone();
    if w.dims1()? != values.dim(candle_core::D::Minus1)? {
        bail!("rms_norm: a weight of {:?} for {:?}", w.dims(), shape);
    }
    let (y, factors) =
        cpu::rms_norm::forward(&cpu::values(&values)?, &cpu::values(&w)?, eps as f32);
    let needed = [x, weight].map(Traced::requires_grad);
    let y = cpu::tensor(y, shape.clone())?;
    let (factors, kept) = (Arc::new(factors), (values.clone(), w.clone()));
    let saved = factors.clone();
    let recorded = Traced::record(y, &[x, weight], move |gradient| {
        let gradient = gradient.contiguous()?;
        let (g, x, w) = (
            cpu::values(&gradient)?,
            cpu::values(&values)?,
            cpu::values(&w)?,
        );
        let dx =
            needed[0].then(|| cpu::tensor(cpu::rms_norm::backward_x(&g, &x, &w, &factors), shape));
        let dw =
            needed[1].then(|| cpu::tensor(cpu::rms_norm::backward_w(&g, &x, &factors), w.len()));
        Ok(vec![dx.transpose()?, dw.transpose()?])
    });
    Ok(recorded.made_by(move || {
        let (x, w) = (cpu::values(&kept.0)?, cpu::values(&kept.1)?);
        let y = cpu::rms_norm::scaled(&x, &w, &saved);
        cpu::tensor(y, kept.0.shape().clone())
    }))
}

/// Which dimensions of a head's vector are rotated against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// The first half of them against the second.
    Halves,
    /// Each even one against the next.
    Neighbours,
}

/// Rotary position embedding of `x [b, t, h, d]`: rotates the first `w` numbers of the last dimension in pairs, and leaves the
/// others as they are.
///
/// `cos` and `sin` are `[t, w/2]`, or `[b, t, w/2]` when positions differ between rows (packing).
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn rope(x: &Traced, cos: &Tensor, sin: &Tensor, pairs: Pairs) -> Result<Traced> {
    let (b, t, heads, width) = x.tensor().dims4()?;
    let (cos, sin) = (cos.contiguous()?, sin.contiguous()?);
    let rotated = cos.dim(candle_core::D::Minus1)?;
    let rows = cos.elem_count() / rotated.max(1);
    if cos.dims() != sin.dims() || 2 * rotated > width || !(rows == t || rows == t * b) {
        bail!("rope: tables of {:?} for {:?}", cos.dims(), x.dims());
    }
    if !cpu::applies(&[x.tensor(), &cos, &sin]) {
        return Traced::compose(&[x], move |inputs| {
            plain::rope(&inputs[0], &cos, &sin, pairs)
        });
    }
    let rotate = move |x: &Tensor, inverse: bool| -> Result<Tensor> {
        let x = x.contiguous()?;
        let tables = (cpu::values(&cos)?, cpu::values(&sin)?);
        let (heads, tables) = ((heads, width), (&*tables.0, &*tables.1));
        let turn = cpu::rope::Turn {
            rotated,
            pairs,
            inverse,
        };
        let y = cpu::rope::rotate(&cpu::values(&x)?, heads, tables, turn);
        cpu::tensor(y, x.shape().clone())
    };
    let y = rotate(x.tensor(), false)?;
    Ok(Traced::record(y, &[x], move |gradient| {
        Ok(vec![Some(rotate(&gradient, true)?)])
    }))
}

/// What becomes of the products of queries and keys before their softmax.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scores {
    /// They are multiplied by it,
    pub(crate) scale: f64,
    /// squeezed to `cap * tanh(x / cap)`,
    pub(crate) softcap: Option<f64>,
    /// and seen by the position itself and those before it, so many in all.
    pub(crate) window: Option<usize>,
}

impl Scores {
    /// Scaled, and nothing else.
    #[cfg(test)]
    pub(crate) fn scaled(scale: f64) -> Self {
        Self {
            scale,
            softcap: None,
            window: None,
        }
    }
}

/// `softmax(scores(q k^T)) v`, every position looking at itself and the past, or as much of it as a window shows.
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
    scores: Scores,
    segments: Option<&Tensor>,
) -> Result<Traced> {
    let (b, t, h, d) = q.tensor().dims4()?;
    let hk = k.tensor().dim(2)?;
    let fits = k.dims() == v.dims() && k.dims() == [b, t, hk, d] && h.is_multiple_of(hk.max(1));
    if !fits || segments.is_some_and(|segments| segments.dims() != [b, t]) {
        bail!(
            "causal_attention: queries {:?}, keys {:?}, values {:?}, segments {:?}",
            q.dims(),
            k.dims(),
            v.dims(),
            segments.map(Tensor::dims)
        );
    }
    let inputs = [q, k, v];
    // The kernel knows no cap, which few models have.
    if !cpu::applies(&inputs.map(Traced::tensor)) || scores.softcap.is_some() {
        return sliced::causal_attention(&inputs, scores, segments, sliced::SCORES_AT_ONCE);
    }
    let segments = segments
        .map(|segments| segments.flatten_all()?.to_vec1::<u32>())
        .transpose()?;
    let tensors = CpuAttention {
        shape: cpu::attention::Shape { b, t, h, hk, d },
        q: q.tensor().contiguous()?,
        k: k.tensor().contiguous()?,
        v: v.tensor().contiguous()?,
        segments,
        scale: scores.scale as f32,
        window: scores.window,
    };
    let (output, denominators) = tensors.with(cpu::attention::forward)?;
    let output = cpu::tensor(output, (b, t, h, d))?;
    let saved = output.clone();
    Ok(Traced::record(output, &inputs, move |gradient| {
        let gradient = gradient.contiguous()?;
        let (output, gradient) = (cpu::values(&saved)?, cpu::values(&gradient)?);
        let [dq, dk, dv] = tensors.with(|shape, inputs| {
            cpu::attention::backward(shape, inputs, &output, &gradient, &denominators)
        })?;
        Ok(vec![
            Some(cpu::tensor(dq, (b, t, h, d))?),
            Some(cpu::tensor(dk, (b, t, hk, d))?),
            Some(cpu::tensor(dv, (b, t, hk, d))?),
        ])
    }))
}

/// What attention keeps for its backward pass.
struct CpuAttention {
    shape: cpu::attention::Shape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    segments: Option<Vec<u32>>,
    scale: f32,
    window: Option<usize>,
}

impl CpuAttention {
    fn with<R>(
        &self,
        kernel: impl FnOnce(cpu::attention::Shape, cpu::attention::Inputs<'_>) -> R,
    ) -> Result<R> {
        let (q, k, v) = (
            cpu::values(&self.q)?,
            cpu::values(&self.k)?,
            cpu::values(&self.v)?,
        );
        let inputs = cpu::attention::Inputs {
            q: &q,
            k: &k,
            v: &v,
            segments: self.segments.as_deref(),
            scale: self.scale,
            window: self.window,
        };
        Ok(kernel(self.shape, inputs))
    }
}

/// `silu(gate) * up`, elementwise; `silu(x) = x / (1 + exp(-x))`.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn swiglu(gate: &Traced, up: &Traced) -> Result<Traced> {
    if gate.dims() != up.dims() {
        bail!("swiglu: {:?} and {:?}", gate.dims(), up.dims());
    }
    if !cpu::applies(&[gate.tensor(), up.tensor()]) {
        return Traced::compose(&[gate, up], |inputs| plain::swiglu(&inputs[0], &inputs[1]));
    }
    let (gates, ups) = (gate.tensor().contiguous()?, up.tensor().contiguous()?);
    let y = cpu::swiglu::forward(&cpu::values(&gates)?, &cpu::values(&ups)?);
    let shape = gates.shape().clone();
    let y = cpu::tensor(y, shape.clone())?;
    let kept = (gates.clone(), ups.clone());
    let recorded = Traced::record(y, &[gate, up], move |gradient| {
        let gradient = gradient.contiguous()?;
        let (g, gate, up) = (
            cpu::values(&gradient)?,
            cpu::values(&gates)?,
            cpu::values(&ups)?,
        );
        let (d_gate, d_up) = cpu::swiglu::backward(&g, &gate, &up);
        let (d_gate, d_up) = (
            cpu::tensor(d_gate, shape.clone())?,
            cpu::tensor(d_up, shape)?,
        );
        Ok(vec![Some(d_gate), Some(d_up)])
    });
    Ok(recorded.made_by(move || {
        let (gates, ups) = (cpu::values(&kept.0)?, cpu::values(&kept.1)?);
        let y = cpu::swiglu::forward(&gates, &ups);
        cpu::tensor(y, kept.0.shape().clone())
    }))
}

/// `gelu(gate) * up`, elementwise, with the hyperbolic tangent's approximation of GELU.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn geglu(gate: &Traced, up: &Traced) -> Result<Traced> {
    Traced::compose(&[gate, up], |inputs| inputs[0].gelu()? * &inputs[1])
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
