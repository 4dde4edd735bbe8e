//! Linear layers: frozen or trainable weight, with or without a low-rank update.

use candle_core::{D, Result, Tensor};

use super::Traced;
use super::plain;

/// Rows of logits held at once by [`linear_cross_entropy`].
const CROSS_ENTROPY_ROWS: usize = 256;

/// The two factors of a low-rank update (LoRA): `delta = scale * b a`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoraFactors<'a> {
    /// `[r, in]`, `f32`
    pub(crate) a: &'a Traced,
    /// `[out, r]`, `f32`
    pub(crate) b: &'a Traced,
    /// `alpha / r`, or `alpha / sqrt(r)` for rank-stabilised LoRA.
    pub(crate) scale: f64,
    /// Dropout of the update's input: the shape of `x`, `f32`, holding `0` or `1 / (1 - p)`.
    pub(crate) dropout_mask: Option<&'a Tensor>,
}

/// `x w^T + bias`. `x` is `[.., in]`, `w` is `[out, in]`, `bias` is `[out]`.
///
/// Gradients are computed for those of the three that lead to a parameter: a constant `w` is a frozen weight.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn linear(x: &Traced, w: &Traced, bias: Option<&Traced>) -> Result<Traced> {
    let (rows, shape) = flatten(x, w)?;
    let y = linear_rows(&rows, w, bias)?;
    y.reshape(shape)
}

/// [`linear`] plus a low-rank update: `x w^T + bias + scale * dropout(x) a^T b^T`.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn lora_linear(
    x: &Traced,
    w: &Traced,
    bias: Option<&Traced>,
    lora: &LoraFactors<'_>,
) -> Result<Traced> {
    let (rows, shape) = flatten(x, w)?;
    let n = rows.dims()[0];
    let mask = match lora.dropout_mask {
        Some(mask) => Some(mask.reshape((n, ()))?),
        None => None,
    };
    let scale = lora.scale;
    let delta = Traced::compose(&[&rows, lora.a, lora.b], move |inputs| {
        plain::lora_delta(&inputs[0], &inputs[1], &inputs[2], scale, mask.as_ref())
    })?;
    linear_rows(&rows, w, bias)?.add(&delta)?.reshape(shape)
}

/// [`super::cross_entropy`] of the logits `x w^T`, a few rows at a time, so that the logits of a large vocabulary are
/// never held all at once. `x` is `[n, in]` (supervised rows), `w` is `[v, in]`, `targets` is `u32 [n]`.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn linear_cross_entropy(x: &Traced, w: &Traced, targets: &Tensor) -> Result<Traced> {
    let n = x.dims()[0];
    let needed = (x.requires_grad(), w.requires_grad());
    let (mut total, mut x_gradients, mut w_gradient) = (None, Vec::new(), None);
    for start in (0..n).step_by(CROSS_ENTROPY_ROWS) {
        let len = CROSS_ENTROPY_ROWS.min(n - start);
        let chunk = x.tensor().narrow(0, start, len)?;
        let logits = Traced::parameter(chunk.matmul(&w.tensor().t()?)?);
        let loss = super::cross_entropy(&logits, &targets.narrow(0, start, len)?)?;
        total = Some(sum(total, loss.tensor().clone())?);
        if !(needed.0 || needed.1) {
            continue;
        }
        let Some(logits_gradient) = loss.backward()?.remove(&logits) else {
            continue;
        };
        if needed.0 {
            x_gradients.push(logits_gradient.matmul(w.tensor())?);
        }
        if needed.1 {
            w_gradient = Some(sum(w_gradient, logits_gradient.t()?.matmul(&chunk)?)?);
        }
    }
    let Some(total) = total else {
        candle_core::bail!("cross-entropy of no rows");
    };
    Ok(Traced::record(total, &[x, w], move |gradient| {
        let times = |tensor: Tensor| tensor.broadcast_mul(&gradient.to_dtype(tensor.dtype())?);
        let x_gradient = match needed.0 {
            true => Some(times(Tensor::cat(&x_gradients, 0)?)?),
            false => None,
        };
        let w_gradient = w_gradient.map(times).transpose()?;
        Ok(vec![x_gradient, w_gradient])
    }))
}

fn sum(known: Option<Tensor>, term: Tensor) -> Result<Tensor> {
    match known {
        Some(known) => known + term,
        None => Ok(term),
    }
}

/// `x` as a matrix, and the shape its product with `w` returns to.
fn flatten(x: &Traced, w: &Traced) -> Result<(Traced, Vec<usize>)> {
    let width = x.tensor().dim(D::Minus1)?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = w.tensor().dim(0)?;
    }
    let rows = x.tensor().elem_count() / width.max(1);
    Ok((x.reshape((rows, width))?, shape))
}

fn linear_rows(x: &Traced, w: &Traced, bias: Option<&Traced>) -> Result<Traced> {
    let output = plain::linear(x.tensor(), w.tensor(), bias.map(Traced::tensor))?;
    let no_bias = Traced::constant(w.tensor().clone());
    let bias = bias.unwrap_or(&no_bias);
    let needed = [x, w, bias].map(Traced::requires_grad);
    let (x_values, w_values) = (x.tensor().clone(), w.tensor().clone());
    Ok(Traced::record(output, &[x, w, bias], move |gradient| {
        let x_gradient = needed[0].then(|| gradient.matmul(&w_values));
        let w_gradient = needed[1].then(|| gradient.t()?.matmul(&x_values));
        let bias_gradient = needed[2].then(|| gradient.sum(0));
        Ok(vec![
            x_gradient.transpose()?,
            w_gradient.transpose()?,
            bias_gradient.transpose()?,
        ])
    }))
}
