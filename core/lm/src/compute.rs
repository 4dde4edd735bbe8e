//! Where tensors live and in which type they are computed.

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The choice of device and compute type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compute {
    /// `cpu`, `cuda`, `cuda:N`; absent: the first GPU where this build and machine have one, else the CPU.
    pub device: Option<String>,
    /// `f32` or `bf16`; absent: bf16 on a GPU, f32 on the CPU.
    pub dtype: Option<String>,
}

impl Compute {
    /// The CPU in f32.
    #[must_use]
    pub fn cpu() -> Self {
        Self {
            device: Some("cpu".to_owned()),
            dtype: Some("f32".to_owned()),
        }
    }

    /// Opens the device.
    ///
    /// # Errors
    /// When the device is not there, or cannot compute in the type asked for.
    pub fn resolve(&self) -> Result<(Device, DType)> {
        let device = match self.device.as_deref() {
            None if candle_core::utils::cuda_is_available() => Device::new_cuda(0)?,
            None | Some("cpu") => Device::Cpu,
            Some(name) => cuda(name)?,
        };
        let dtype = match self.dtype.as_deref() {
            None | Some("auto") if device.is_cuda() => DType::BF16,
            None | Some("auto") | Some("f32") => DType::F32,
            Some("bf16") if device.is_cpu() => {
                return Err(Error::Config(
                    "`dtype: bf16` does not work on the CPU: its matrix product has no bf16 kernel; hint: leave `dtype` out, \
                     the CPU computes in f32"
                        .to_owned(),
                ));
            }
            Some("bf16") => DType::BF16,
            Some("f16") => {
                return Err(Error::Config(
                    "`dtype: f16` is not offered: training in f16 needs loss scaling; hint: use bf16 on a GPU, f32 on the CPU"
                        .to_owned(),
                ));
            }
            Some(other) => {
                return Err(Error::Config(format!(
                    "`dtype: {other}` is not known; hint: f32 or bf16"
                )));
            }
        };
        Ok((device, dtype))
    }
}

fn cuda(name: &str) -> Result<Device> {
    let ordinal = match name.strip_prefix("cuda") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix(':').and_then(|n| n.parse().ok()),
        None => None,
    };
    let Some(ordinal) = ordinal else {
        return Err(Error::Config(format!(
            "`device: {name}` is not known; hint: cpu, cuda or cuda:N"
        )));
    };
    if !candle_core::utils::cuda_is_available() {
        return Err(Error::Config(format!(
            "`device: {name}`: this build has no GPU support; hint: build with the `cuda` feature, or leave `device` out"
        )));
    }
    Ok(Device::new_cuda(ordinal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_on_the_cpu_is_refused_with_the_reason() {
        let mut compute = Compute::cpu();
        assert_eq!(compute.resolve().unwrap().1, DType::F32);
        compute.dtype = Some("bf16".to_owned());
        let error = compute.resolve().unwrap_err().to_string();
        assert!(error.contains("no bf16 kernel"), "{error}");
    }
}
