//! Where the model computes, and in which type.

use candle_core::Device;
use driftgauge_lm::Compute;
use driftgauge_problem::Problem;
use mistralrs::ModelDType;

/// Opens the device of that name: `auto`, `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// When there is none of that name, this build knows no GPU, or the GPU cannot be used.
pub(crate) fn device(name: &str) -> Result<Device, Problem> {
    let compute = Compute {
        device: Some(name.to_owned()),
        dtype: None,
    };
    Ok(compute.open_device()?)
}

/// Name of a device in records.
pub(crate) fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

/// The compute type of that name, with its name in records. `auto` is f32 on a CPU and bf16 on a GPU: what mistral.rs calls
/// automatic on a CPU is f16, which loses digits that the statistics need.
///
/// # Errors
/// When there is no such type, or the device cannot multiply in it.
pub(crate) fn dtype(name: &str, device: &Device) -> Result<(ModelDType, &'static str), Problem> {
    match (name, device.is_cpu()) {
        ("auto" | "f32", true) | ("f32", false) => Ok((ModelDType::F32, "f32")),
        ("f16", _) => Ok((ModelDType::F16, "f16")),
        ("auto" | "bf16", false) => Ok((ModelDType::BF16, "bf16")),
        ("bf16", true) => Err(Problem::failed(
            "`dtype: bf16` cannot be computed on a CPU".to_owned(),
        )
        .help("`auto` or `f32` (bf16 weights are read all the same)")),
        (other, _) => {
            Err(Problem::failed(format!("unknown dtype `{other}`"))
                .help("one of auto, f32, f16, bf16"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_computes_in_f32_and_never_in_bf16() {
        let name = |dtype_name: &str| dtype(dtype_name, &Device::Cpu).map(|d| d.1);
        assert_eq!(name("auto"), Ok("f32"));
        assert_eq!(name("f16"), Ok("f16"));
        assert!(
            name("bf16")
                .unwrap_err()
                .to_string()
                .contains("`auto` or `f32`")
        );
        assert!(name("fp4").unwrap_err().to_string().contains("one of auto"));
    }
}
