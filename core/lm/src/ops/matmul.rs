//! Products with the matrix of a linear layer. On the CPU one in `bf16` is multiplied with as it is, beside numbers in `f32`, and so is a
//! large one that few rows meet.

use candle_core::{Result, Tensor};

use super::cpu::{self, dense, product};
use super::{is_read_whole, plain};

/// `x w^T + bias` for rows `x [n, in]` and `w [out, in]`.
pub(super) fn times_transposed(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let half = is_read_whole(w, x.dtype());
    if !half && !cpu::applies(&[x, w]) {
        return plain::linear(x, w, bias);
    }
    let y = match half || meets_few(x, w)? {
        true => {
            let (x, w) = (x.contiguous()?, w.contiguous()?);
            let (outputs, inputs) = w.dims2()?;
            let rows = cpu::values(&x)?;
            let y = match half {
                true => dense::times_transposed((&rows, inputs), &cpu::halves(&w)?),
                false => dense::times_transposed((&rows, inputs), &cpu::values(&w)?),
            };
            cpu::tensor(y, (x.dim(0)?, outputs))?
        }
        false => x.matmul(&w.t()?)?,
    };
    if let Some(bias) = bias {
        let bias = bias.contiguous()?;
        let bias = cpu::values(&bias)?;
        cpu::modify(&y, |y| {
            product::add_bias(y, &bias);
            Ok(())
        })?;
    }
    Ok(y)
}

/// Rows for which turning a large matrix around costs more than is won by it.
const FEW: usize = 512;

/// Numbers of a large matrix: no second cache holds it beside what it meets.
const LARGE: usize = 1 << 18;

fn meets_few(x: &Tensor, w: &Tensor) -> Result<bool> {
    Ok(x.dim(0)? < FEW && w.elem_count() >= LARGE)
}

/// `g w` for rows `g [n, out]`: what goes back to the input of a linear layer.
pub(super) fn times(g: &Tensor, w: &Tensor) -> Result<Tensor> {
    if !is_read_whole(w, g.dtype()) {
        return g.matmul(w);
    }
    let (g, w) = (g.contiguous()?, w.contiguous()?);
    let (rows, outputs) = g.dims2()?;
    let y = dense::times((&cpu::values(&g)?, outputs), &cpu::halves(&w)?);
    cpu::tensor(y, (rows, w.dim(1)?))
}
