//! Linear layers: frozen or trainable weight, with or without a low-rank update.

use candle_core::{D, DType, Device, Result, Tensor};

use super::cpu::{self, product};
use super::pool::side_by_side;
use super::{Kept, Traced, Weight, elementwise, matmul, plain};

/// The two factors of a low-rank update (LoRA, arXiv 2106.09685): `delta = scale * b a`.
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
/// Gradients are computed for those of the three that lead to a parameter: a constant or quantised `w` is a frozen weight.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn linear(x: &Traced, w: &Weight, bias: Option<&Traced>) -> Result<Traced> {
    let (rows, shape) = flatten(x, w)?;
    frozen_or_trained(&rows, w, bias)?.reshape(shape)
}

/// [`linear`] plus a low-rank update: `x w^T + bias + scale * dropout(x) a^T b^T`.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn lora_linear(
    x: &Traced,
    w: &Weight,
    bias: Option<&Traced>,
    lora: &LoraFactors<'_>,
) -> Result<Traced> {
    let (rows, shape) = flatten(x, w)?;
    let mask = match lora.dropout_mask {
        Some(mask) => Some(mask.reshape(rows.tensor().shape())?),
        None => None,
    };
    let frozen = !w.requires_grad() && !bias.is_some_and(Traced::requires_grad);
    if frozen && cpu::applies(&[rows.tensor(), lora.a.tensor(), lora.b.tensor()]) {
        return lora_on_cpu(&rows, w, bias, lora, mask)?.reshape(shape);
    }
    let y = frozen_or_trained(&rows, w, bias)?;
    let scale = lora.scale;
    let delta = Traced::compose(&[&rows, lora.a, lora.b], move |inputs| {
        plain::lora_delta(&inputs[0], &inputs[1], &inputs[2], scale, mask.as_ref())
    })?;
    y.add(&delta)?.reshape(shape)
}

/// `x` as a matrix, and the shape its product with `w` returns to.
fn flatten(x: &Traced, w: &Weight) -> Result<(Traced, Vec<usize>)> {
    let width = x.tensor().dim(D::Minus1)?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = w.dims2()?.0;
    }
    let rows = x.tensor().elem_count() / width.max(1);
    let x = match x.dims() {
        [_, _] => x.clone(),
        _ => x.reshape((rows, width))?,
    };
    Ok((x, shape))
}

/// `x w^T + bias` for rows `x`, recorded.
fn frozen_or_trained(x: &Traced, w: &Weight, bias: Option<&Traced>) -> Result<Traced> {
    let dtype = x.tensor().dtype();
    let bias_values = bias.map(Traced::tensor);
    let y = matmul::times_transposed(x.tensor(), &w.factor(dtype)?, bias_values)?;
    let absent = x.detach();
    let inputs = [x, w.parameter().unwrap_or(&absent), bias.unwrap_or(&absent)];
    let needed = inputs.map(Traced::requires_grad);
    // A frozen layer need not keep its input.
    let x_values = needed[1].then(|| x.keep());
    // A quantised weight is kept as it is, and made whole again on the way back.
    let w = w.clone();
    Ok(Traced::record(y, &inputs, move |gradient| {
        let (x_gradient, w_gradient) = side_by_side(
            gradient.device(),
            || needed[0].then(|| matmul::times(&gradient, &w.factor(dtype)?)),
            || x_values.map(|x| gradient.t()?.matmul(&x.tensor()?)),
        );
        let bias_gradient = needed[2].then(|| gradient.sum(0));
        Ok(vec![
            x_gradient.transpose()?,
            w_gradient.transpose()?,
            bias_gradient.transpose()?,
        ])
    }))
}

/// The frozen product and the update in one operation. With `u = dropout(x) a^T`: `dB = scale g^T u`, and with
/// `v = scale g b`: `dA = v^T dropout(x)`, `dx = g w + dropout(v a)`.
fn lora_on_cpu(
    x: &Traced,
    w: &Weight,
    bias: Option<&Traced>,
    lora: &LoraFactors<'_>,
    mask: Option<Tensor>,
) -> Result<Traced> {
    let (a, b) = (lora.a.tensor().contiguous()?, lora.b.tensor().contiguous()?);
    let (w, scale) = (w.clone(), lora.scale as f32);
    let dropped = match &mask {
        Some(mask) => elementwise::multiply(x.tensor(), mask)?,
        None => x.tensor().contiguous()?,
    };
    let (y, narrow) = side_by_side(
        &Device::Cpu,
        || matmul::times_transposed(x.tensor(), &w.factor(DType::F32)?, None),
        || {
            let (rank, width) = a.dims2()?;
            let columns = product::transposed(&cpu::values(&a)?, (rank, width), 1.0);
            let narrow = product::narrow_product(&cpu::values(&dropped)?, width, &columns, rank);
            cpu::tensor(narrow, (dropped.dim(0)?, rank))
        },
    );
    let (y, narrow) = (y?, narrow?);
    let (out, rank) = b.dims2()?;
    let bias = match bias {
        Some(bias) => Some(bias.tensor().contiguous()?),
        None => None,
    };
    let bias = bias.as_ref().map(cpu::values).transpose()?;
    {
        let columns = product::transposed(&cpu::values(&b)?, (out, rank), scale);
        let narrow = cpu::values(&narrow)?;
        cpu::modify(&y, |y| {
            product::add_narrow_product(y, out, &narrow, &columns, bias.as_deref());
            Ok(())
        })?;
    }
    let x_needed = x.requires_grad();
    // What was dropped is kept: its mask is no cheaper.
    let dropped = match mask {
        Some(_) => Kept::Whole(dropped),
        None => x.keep(),
    };
    Ok(Traced::record(y, &[x, lora.a, lora.b], move |gradient| {
        let gradient = gradient.contiguous()?;
        let v = {
            let rows = product::padded_rows(&cpu::values(&b)?, rank, scale);
            let v = product::narrow_product(&cpu::values(&gradient)?, out, &rows, rank);
            cpu::tensor(v, (gradient.dim(0)?, rank))?
        };
        let (factors, dx) = side_by_side(
            &Device::Cpu,
            || -> Result<_> {
                let da = v.t()?.matmul(&dropped.tensor()?)?;
                let db = scaled(gradient.t()?.matmul(&narrow)?, scale)?;
                Ok((da, db))
            },
            || {
                x_needed.then(|| {
                    let w = w.factor(DType::F32)?;
                    input_gradient(&gradient, &w, &v, &a, mask.as_ref())
                })
            },
        );
        let (da, db) = factors?;
        Ok(vec![dx.transpose()?, Some(da), Some(db)])
    }))
}

/// `g w + mask * (v a)`
fn input_gradient(
    gradient: &Tensor,
    w: &Tensor,
    v: &Tensor,
    a: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let mut dx = matmul::times(gradient, w)?;
    if let Some(mask) = mask {
        elementwise::add_assign(&mut dx, &elementwise::multiply(&v.matmul(a)?, mask)?)?;
        return Ok(dx);
    }
    let width = a.dim(1)?;
    let rows = product::padded_rows(&cpu::values(a)?, width, 1.0);
    let v = cpu::values(v)?;
    cpu::modify(&dx, |dx| {
        product::add_narrow_product(dx, width, &v, &rows, None);
        Ok(())
    })?;
    drop(v);
    Ok(dx)
}

/// Multiplies a tensor that nobody else sees, in place.
fn scaled(tensor: Tensor, factor: f32) -> Result<Tensor> {
    cpu::modify(&tensor, |x| {
        cpu::elementwise::scale(x, factor);
        Ok(())
    })?;
    Ok(tensor)
}
