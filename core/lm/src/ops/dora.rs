//! A low-rank update whose weight has learnt row lengths (DoRA, arXiv 2402.09353).

use candle_core::{DType, Result, Tensor};

use super::{LoraFactors, Traced, Weight, linear, lora_linear};

/// `(x w^T + scale * x a^T b^T) * lengths / |w + scale * b a| + bias`, where the lengths of the rows below the line count as
/// constants, as in section 4.3 of the paper.
///
/// With dropout the frozen weight sees the whole input once, and everything that the update adds sees the dropped one:
/// `x w^T + (y' - x' w^T)`, `y'` being the above for the dropped input `x'`. That is how PEFT does it.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn dora_linear(
    x: &Traced,
    w: &Weight,
    bias: Option<&Traced>,
    lora: &LoraFactors<'_>,
    lengths: &Traced,
) -> Result<Traced> {
    let factors = LoraFactors {
        dropout_mask: None,
        ..*lora
    };
    let dropped = match lora.dropout_mask {
        Some(mask) => times(x, mask)?,
        None => x.clone(),
    };
    let scale = (1.0 / row_lengths(w, Some((&factors, lora.scale)))?)?;
    let updated = lora_linear(&dropped, w, None, &factors)?;
    let mut y = times_columns(&updated, lengths, &scale)?;
    if let Some(mask) = lora.dropout_mask {
        let rest = times(x, &(1.0 - mask)?)?;
        y = y.add(&linear(&rest, w, None)?)?;
    }
    match bias {
        Some(bias) => plus_row(&y, bias),
        None => Ok(y),
    }
}

/// Euclidean lengths of the rows of `w + scale * b a`, in `f32`; of `w` without an update.
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn row_lengths(w: &Weight, lora: Option<(&LoraFactors<'_>, f64)>) -> Result<Tensor> {
    let mut w = w.matrix(DType::F32)?;
    if let Some((factors, scale)) = lora {
        w = (w + (factors.b.tensor().matmul(factors.a.tensor())? * scale)?)?;
    }
    w.sqr()?.sum(1)?.sqrt()
}

/// Product with a constant of the same shape.
fn times(x: &Traced, constant: &Tensor) -> Result<Traced> {
    let constant = constant
        .reshape(x.tensor().shape())?
        .to_dtype(x.tensor().dtype())?;
    let y = (x.tensor() * &constant)?;
    Ok(Traced::record(y, &[x], move |gradient| {
        Ok(vec![Some((gradient * &constant)?)])
    }))
}

/// Every column of `x [.., n]` times an element of `factors [n]` and of the constant `scale [n]`. The product is made in `f32`.
fn times_columns(x: &Traced, factors: &Traced, scale: &Tensor) -> Result<Traced> {
    let dtype = x.tensor().dtype();
    let whole = (factors.tensor() * scale)?;
    let values = x.tensor().to_dtype(DType::F32)?;
    let y = values.broadcast_mul(&whole)?.to_dtype(dtype)?;
    let scale = scale.clone();
    let needed = [x, factors].map(Traced::requires_grad);
    Ok(Traced::record(y, &[x, factors], move |gradient| {
        let gradient = gradient.to_dtype(DType::F32)?;
        let dx = needed[0].then(|| gradient.broadcast_mul(&whole)?.to_dtype(dtype));
        let columns = scale.elem_count();
        let df = needed[1].then(|| {
            let products = (&gradient * &values)?.reshape(((), columns))?;
            products.sum(0)? * &scale
        });
        Ok(vec![dx.transpose()?, df.transpose()?])
    }))
}

/// `x [.., n]` plus `row [n]`.
fn plus_row(x: &Traced, row: &Traced) -> Result<Traced> {
    let y = x.tensor().broadcast_add(row.tensor())?;
    let needed = [x, row].map(Traced::requires_grad);
    let columns = row.tensor().elem_count();
    Ok(Traced::record(y, &[x, row], move |gradient| {
        let row = needed[1].then(|| gradient.reshape(((), columns))?.sum(0));
        let x = needed[0].then(|| gradient.clone());
        Ok(vec![x, row.transpose()?])
    }))
}
