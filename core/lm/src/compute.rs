//! Where tensors live and in which type they are computed.

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device};
use driftgauge_engine::training::BaseQuantization;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The choice of device and compute type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compute {
    /// `auto`, `cpu`, `cuda` or `cuda:N`; absent as `auto`: the first GPU in a build with the feature `cuda`, else the CPU.
    pub device: Option<String>,
    /// `f32` or `bf16`; absent: bf16 on a GPU, f32 on the CPU.
    pub dtype: Option<String>,
}

/// Whether this build has kernels for GPUs.
#[must_use]
pub fn built_for_gpu() -> bool {
    candle_core::utils::cuda_is_available()
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

    /// `cpu` or `cuda`, without touching the device: results of the two classes differ in their last digits.
    ///
    /// # Errors
    /// When the name means nothing, or this build knows no GPU.
    pub fn device_class(&self) -> Result<&'static str> {
        Ok(match self.gpu()? {
            None => "cpu",
            Some(_) => "cuda",
        })
    }

    /// Opens the device.
    ///
    /// # Errors
    /// As [`Self::device_class`], and when there is no such GPU.
    pub fn open_device(&self) -> Result<Device> {
        match self.gpu()? {
            None => Ok(Device::Cpu),
            Some(ordinal) => Device::new_cuda(ordinal).map_err(|error| {
                Error::Config(format!("GPU {ordinal} cannot be used: {error}"))
                    .hint("`--device cpu` computes on the processor")
            }),
        }
    }

    /// Number of the GPU, or nothing for the CPU.
    fn gpu(&self) -> Result<Option<usize>> {
        let built_for_gpu = built_for_gpu();
        let name = match self.device.as_deref() {
            Some("cpu") => return Ok(None),
            None | Some("auto") => return Ok(built_for_gpu.then_some(0)),
            Some(name) => name,
        };
        let ordinal = match name.strip_prefix("cuda") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix(':').and_then(|n| n.parse().ok()),
            None => None,
        };
        match ordinal {
            None => Err(Error::Config(format!("`device: {name}` is not known"))
                .hint("auto, cpu, cuda or cuda:N")),
            Some(_) if !built_for_gpu => Err(Error::Config(format!(
                "`device: {name}`: this build has no GPU support"
            ))
            .hint("build with `--features cuda`, or leave `device` out")),
            Some(ordinal) => Ok(Some(ordinal)),
        }
    }

    /// Opens the device and chooses the type.
    ///
    /// # Errors
    /// As [`Self::open_device`], and when the device cannot compute in the type asked for.
    pub fn resolve(&self) -> Result<(Device, DType)> {
        let device = self.open_device()?;
        let dtype = match self.dtype.as_deref() {
            None | Some("auto") if device.is_cuda() => DType::BF16,
            None | Some("auto" | "f32") => DType::F32,
            Some("bf16") if device.is_cpu() => {
                return Err(Error::Config(
                    "`dtype: bf16` does not work on the CPU: its matrix product has no bf16 kernel"
                        .to_owned(),
                )
                .hint(
                    "leave `dtype` out, \
                     the CPU computes in f32",
                ));
            }
            Some("bf16") => DType::BF16,
            Some("f16") => {
                return Err(Error::Config(
                    "`dtype: f16` is not offered: training in f16 needs loss scaling".to_owned(),
                )
                .hint("use bf16 on a GPU, f32 on the CPU"));
            }
            Some(other) => {
                return Err(
                    Error::Config(format!("`dtype: {other}` is not known")).hint("f32 or bf16")
                );
            }
        };
        Ok((device, dtype))
    }
}

/// The tensor library's name of a format; a row has to be a whole number of its blocks.
pub(crate) fn block_format(quantization: BaseQuantization) -> GgmlDType {
    match quantization {
        BaseQuantization::Q4_0 => GgmlDType::Q4_0,
        BaseQuantization::Q4k => GgmlDType::Q4K,
        BaseQuantization::Q5k => GgmlDType::Q5K,
        BaseQuantization::Q6k => GgmlDType::Q6K,
        BaseQuantization::Q8_0 => GgmlDType::Q8_0,
    }
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
        compute.dtype = Some("f16".to_owned());
        let error = compute.resolve().unwrap_err().to_string();
        assert!(error.contains("loss scaling"), "{error}");
    }

    #[test]
    fn devices_are_named_and_a_missing_gpu_is_said() {
        let class = |device: &str| {
            let device = Some(device.to_owned());
            Compute {
                device,
                dtype: None,
            }
            .device_class()
            .map_err(driftgauge_problem::Problem::from)
        };
        assert_eq!(class("cpu"), Ok("cpu"));
        assert_eq!(
            class("auto"),
            Compute::default()
                .device_class()
                .map_err(driftgauge_problem::Problem::from)
        );
        for unknown in ["gpu", "cuda:", "cuda:first", "metal"] {
            let error = class(unknown).unwrap_err().to_string();
            assert!(error.contains("cuda:N"), "{error}");
        }
        match cfg!(feature = "cuda") {
            true => assert_eq!(class("cuda:1"), Ok("cuda")),
            false => assert!(
                class("cuda:1")
                    .unwrap_err()
                    .to_string()
                    .contains("--features cuda")
            ),
        }
    }
}
