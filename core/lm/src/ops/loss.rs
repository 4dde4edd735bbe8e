//! The loss, straight from the hidden states.

use candle_core::{DType, Result, Tensor, bail};

use super::pool::side_by_side;
use super::{Traced, cpu, elementwise, is_read_whole, matmul, plain};

/// Logits held at once by the kernel: what fits into caches.
const LOGITS_AT_ONCE: usize = 1 << 22;
/// The same for the composition: a GPU wants more work per call.
const COMPOSED_LOGITS_AT_ONCE: usize = 1 << 26;

/// Sum over the rows of the negative log-likelihood `-ln softmax(x w^T)[target]`, in nats, as a scalar in `f32` at least. With a
/// `softcap` the logits are squeezed to `cap * tanh(logit / cap)` before.
///
/// `x` is `[n, in]` (supervised rows), `w` is `[v, in]`, `targets` is `u32 [n]`. The logits are computed a few rows at a
/// time, and turned into gradients at once: those of a large vocabulary are never held all together.
///
/// # Errors
/// When the shapes do not fit, or a target is not below `v`.
pub(crate) fn linear_cross_entropy(
    x: &Traced,
    w: &Traced,
    targets: &Tensor,
    softcap: Option<f64>,
) -> Result<Traced> {
    let (n, vocabulary) = (x.tensor().dim(0)?, w.tensor().dim(0)?);
    if targets.dims() != [n] || n == 0 {
        bail!(
            "cross-entropy of {n} rows with targets {:?}",
            targets.dims()
        );
    }
    let needed = [x, w].map(Traced::requires_grad);
    let on_cpu = cpu::applies(&[x.tensor()])
        && (cpu::applies(&[w.tensor()]) || is_read_whole(w.tensor(), x.tensor().dtype()));
    let at_once = match on_cpu {
        true => LOGITS_AT_ONCE,
        false => COMPOSED_LOGITS_AT_ONCE,
    };
    let piece = (at_once / vocabulary).clamp(1, n);
    let mut total = 0f64;
    let (mut x_gradients, mut w_gradient) = (Vec::new(), None);
    for start in (0..n).step_by(piece) {
        let len = piece.min(n - start);
        let rows = x.tensor().narrow(0, start, len)?;
        let targets = targets.narrow(0, start, len)?;
        let logits = matmul::times_transposed(&rows, w.tensor(), None)?;
        let logits = match softcap {
            Some(cap) => plain::softcap(&logits, cap)?,
            None => logits,
        };
        // d cap tanh(x / cap) / dx = 1 - tanh^2
        let slope = softcap.map(|cap| (logits.clone() / cap)?.sqr()?.affine(-1.0, 1.0));
        let slope = slope.transpose()?;
        let (loss, mut logits_gradient) = match on_cpu {
            true => cpu_loss(logits, &targets)?,
            false => composed_loss(logits, &targets)?,
        };
        if let Some(slope) = slope {
            logits_gradient = (logits_gradient * slope)?;
        }
        total += loss;
        let (x_term, w_term) = side_by_side(
            rows.device(),
            || needed[0].then(|| matmul::times(&logits_gradient, w.tensor())),
            || needed[1].then(|| logits_gradient.t()?.matmul(&rows)),
        );
        x_gradients.extend(x_term.transpose()?);
        match (&mut w_gradient, w_term.transpose()?) {
            (Some(sum), Some(term)) => elementwise::add_assign(sum, &term)?,
            (sum, term) => *sum = term,
        }
    }
    let total = Tensor::new(total, x.tensor().device())?.to_dtype(plain::wide(x.tensor()))?;
    Ok(Traced::record(total, &[x, w], move |gradient| {
        let factor = gradient.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        let times = |tensor: Tensor| match factor == 1.0 {
            true => Ok(tensor),
            false => tensor * factor,
        };
        let x_gradient = match (needed[0], x_gradients.len()) {
            (false, _) => None,
            (true, 1) => x_gradients.pop().map(times).transpose()?,
            (true, _) => Some(times(Tensor::cat(&x_gradients, 0)?)?),
        };
        Ok(vec![x_gradient, w_gradient.map(times).transpose()?])
    }))
}

/// The loss, and the logits turned into its gradient in place.
fn cpu_loss(logits: Tensor, targets: &Tensor) -> Result<(f64, Tensor)> {
    let width = logits.dim(1)?;
    let targets = elementwise::checked(targets, width)?;
    let mut loss = 0.0;
    cpu::modify(&logits, |logits| {
        loss = cpu::cross_entropy::loss_and_gradient(logits, width, &targets);
        Ok(())
    })?;
    Ok((loss, logits))
}

fn composed_loss(logits: Tensor, targets: &Tensor) -> Result<(f64, Tensor)> {
    let dtype = logits.dtype();
    let logits = Traced::parameter(logits);
    let targets = targets.clone();
    let loss = Traced::compose(&[&logits], move |inputs| {
        plain::cross_entropy(&inputs[0], &targets)
    })?;
    let value = loss.tensor().to_dtype(DType::F64)?.to_scalar::<f64>()?;
    match loss.backward()?.remove(&logits) {
        Some(gradient) => Ok((value, gradient.to_dtype(dtype)?)),
        None => bail!("the loss has no gradient"),
    }
}
