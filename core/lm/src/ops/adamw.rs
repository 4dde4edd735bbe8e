//! The optimiser: AdamW in place, and the norm of all gradients.

use candle_core::{DType, Result, Tensor, bail};

use super::cpu;

/// AdamW (Loshchilov & Hutter 2019, decoupled weight decay), with the arithmetic of `torch.optim.AdamW`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AdamW {
    /// Decay of the running mean of the gradient.
    pub(crate) beta1: f64,
    /// Decay of the running mean of its square.
    pub(crate) beta2: f64,
    /// Added to the root of the second moment.
    pub(crate) eps: f64,
    /// Share of a weight removed per unit of learning rate.
    pub(crate) weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl AdamW {
    /// One update of `parameter` and its moments `m` and `v` (all `f32` and contiguous, changed in place). The gradient
    /// is multiplied by `gradient_factor` on the way, which is where clipping and the mean over tokens go. `step` counts
    /// from 1.
    ///
    /// # Errors
    /// When shapes or types differ.
    #[expect(
        clippy::too_many_arguments,
        reason = "the four tensors of an update and its three numbers"
    )]
    pub(crate) fn step(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        m: &Tensor,
        v: &Tensor,
        step: u64,
        learning_rate: f64,
        gradient_factor: f64,
    ) -> Result<()> {
        for tensor in [parameter, m, v] {
            if tensor.dims() != gradient.dims() || tensor.dtype() != DType::F32 {
                bail!("an update needs `f32` tensors of one shape");
            }
        }
        let count = step as f64;
        let numbers = Numbers {
            gradient_factor,
            keep: 1.0 - learning_rate * self.weight_decay,
            rate: learning_rate / (1.0 - self.beta1.powf(count)),
            root: (1.0 - self.beta2.powf(count)).sqrt(),
        };
        let gradient = gradient.to_dtype(DType::F32)?.contiguous()?;
        if cpu::applies(&[parameter, m, v]) {
            self.step_in_place(parameter, &gradient, m, v, &numbers)
        } else {
            self.step_composed(parameter, &gradient, m, v, &numbers)
        }
    }

    fn step_in_place(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        m: &Tensor,
        v: &Tensor,
        numbers: &Numbers,
    ) -> Result<()> {
        let update = cpu::adamw::Update {
            beta1: self.beta1 as f32,
            fresh1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            fresh2: (1.0 - self.beta2) as f32,
            eps: self.eps as f32,
            gradient_factor: numbers.gradient_factor as f32,
            keep: numbers.keep as f32,
            rate: numbers.rate as f32,
            inverse_root: (1.0 / numbers.root) as f32,
        };
        let gradient = cpu::values(gradient)?;
        cpu::modify(parameter, |parameter| {
            cpu::modify(m, |m| {
                cpu::modify(v, |v| {
                    cpu::adamw::step(parameter, &gradient, m, v, update);
                    Ok(())
                })
            })
        })
    }

    /// The same with the tensor library's operations, for other devices.
    pub(super) fn step_composed(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        m: &Tensor,
        v: &Tensor,
        numbers: &Numbers,
    ) -> Result<()> {
        let gradient = (gradient * numbers.gradient_factor)?;
        assign(m, &((m * self.beta1)? + (&gradient * (1.0 - self.beta1))?)?)?;
        assign(
            v,
            &((v * self.beta2)? + (gradient.sqr()? * (1.0 - self.beta2))?)?,
        )?;
        let denominator = ((v.sqrt()? / numbers.root)? + self.eps)?;
        let update = ((m / &denominator)? * numbers.rate)?;
        assign(parameter, &((parameter * numbers.keep)? - update)?)
    }
}

/// What an update needs besides the settings.
pub(super) struct Numbers {
    pub(super) gradient_factor: f64,
    /// Factor on the parameter before the step: weight decay.
    pub(super) keep: f64,
    /// Learning rate over the first moment's bias correction.
    pub(super) rate: f64,
    /// Root of the second moment's bias correction.
    pub(super) root: f64,
}

/// Square root of the sum of the squares of all gradients, in the order given, accumulated in `f64`.
///
/// # Errors
/// When the tensor library fails.
pub(crate) fn gradient_norm<'a>(gradients: impl IntoIterator<Item = &'a Tensor>) -> Result<f64> {
    let mut sum = 0f64;
    for gradient in gradients {
        let gradient = gradient.to_dtype(DType::F32)?.contiguous()?;
        sum += if cpu::applies(&[&gradient]) {
            cpu::adamw::sum_of_squares(&cpu::values(&gradient)?)
        } else {
            f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?)
        };
    }
    Ok(sum.sqrt())
}

/// The factor that brings gradients of norm `norm` down to `max_norm`: `torch.nn.utils.clip_grad_norm_`'s.
pub(crate) fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + 1e-6)).min(1.0)
}

/// Overwrites the memory of `target`, on any device.
fn assign(target: &Tensor, source: &Tensor) -> Result<()> {
    target
        .flatten_all()?
        .slice_set(&source.flatten_all()?, 0, 0)
}
