//! Rotary position tables.

use candle_core::{DType, Device, Tensor};

use crate::config::{DecoderConfig, Llama3Rope};
use crate::error::Result;

/// Cosines and sines of every position and frequency.
#[derive(Debug, Clone)]
pub(crate) struct RopeTables {
    /// `[positions, head_dim / 2]`
    pub(crate) cos: Tensor,
    /// `[positions, head_dim / 2]`
    pub(crate) sin: Tensor,
}

impl RopeTables {
    /// Tables for the first `positions` positions. Angles are computed in f32, as transformers does.
    pub(crate) fn new(
        config: &DecoderConfig,
        positions: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let frequencies = frequencies(config);
        let angles: Vec<f32> = (0..positions)
            .flat_map(|p| frequencies.iter().map(move |f| p as f32 * f))
            .collect();
        let shape = (positions, frequencies.len());
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(angle)).collect();
            Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
        };
        Ok(Self {
            cos: table(f32::cos)?,
            sin: table(f32::sin)?,
        })
    }
}

/// Radians per position of each pair of dimensions.
fn frequencies(config: &DecoderConfig) -> Vec<f32> {
    let width = config.head_dim as f32;
    (0..config.head_dim)
        .step_by(2)
        .map(|i| {
            let exponent = i as f32 / width;
            let frequency = 1.0 / config.rope_theta.powf(f64::from(exponent)) as f32;
            match &config.rope_scaling {
                Some(scaling) => scaled(frequency, scaling),
                None => frequency,
            }
        })
        .collect()
}

/// Llama 3.1's scaling (as in transformers' `_compute_llama3_parameters`).
fn scaled(frequency: f32, rope: &Llama3Rope) -> f32 {
    let original = rope.original_max_position_embeddings as f32;
    let (low, high) = (rope.low_freq_factor as f32, rope.high_freq_factor as f32);
    let wavelength = std::f32::consts::TAU / frequency;
    let slowed = frequency / rope.factor as f32;
    if wavelength > original / low {
        slowed
    } else if wavelength < original / high {
        frequency
    } else {
        let kept = (original / wavelength - low) / (high - low);
        (1.0 - kept) * slowed + kept * frequency
    }
}
