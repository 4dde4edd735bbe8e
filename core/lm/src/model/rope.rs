//! Rotary position tables.

use std::f32::consts::TAU;

use candle_core::{DType, Device, Tensor};

use crate::config::{Rope, RopeScaling};
use crate::error::Result;
use crate::ops::Pairs;

/// Cosines and sines of every position and frequency.
#[derive(Debug, Clone)]
pub(crate) struct RopeTables {
    /// `[positions, width / 2]`
    pub(crate) cos: Tensor,
    /// `[positions, width / 2]`
    pub(crate) sin: Tensor,
    /// What is rotated against what.
    pub(crate) pairs: Pairs,
}

impl RopeTables {
    /// Tables for the first `positions` positions of a sequence that is as long. Angles are computed in f32, as transformers
    /// does.
    pub(crate) fn new(
        rope: &Rope,
        positions: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let (frequencies, factor) = frequencies(rope, positions);
        let angles: Vec<f32> = (0..positions)
            .flat_map(|p| frequencies.iter().map(move |f| p as f32 * f))
            .collect();
        let shape = (positions, frequencies.len());
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(angle) * factor).collect();
            Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
        };
        Ok(Self {
            cos: table(f32::cos)?,
            sin: table(f32::sin)?,
            pairs: match rope.interleaved {
                true => Pairs::Neighbours,
                false => Pairs::Halves,
            },
        })
    }

    /// The first rows.
    pub(crate) fn first(&self, positions: usize) -> Result<Self> {
        Ok(Self {
            cos: self.cos.narrow(0, 0, positions)?,
            sin: self.sin.narrow(0, 0, positions)?,
            pairs: self.pairs,
        })
    }

    /// The rows of `positions` (`u32 [batch, time]`): `[batch, time, width / 2]`.
    pub(crate) fn at(&self, positions: &Tensor) -> Result<Self> {
        let (batch, time) = positions.dims2()?;
        let positions = positions.flatten_all()?;
        let rows = |table: &Tensor| -> Result<Tensor> {
            Ok(table
                .index_select(&positions, 0)?
                .reshape((batch, time, ()))?)
        };
        Ok(Self {
            cos: rows(&self.cos)?,
            sin: rows(&self.sin)?,
            pairs: self.pairs,
        })
    }
}

/// Whether frequencies depend on how long the sequence is.
pub(crate) fn depends_on_length(rope: &Rope) -> bool {
    matches!(
        rope.scaling,
        RopeScaling::Dynamic { .. } | RopeScaling::Long { .. }
    )
}

/// Radians per position of each pair, and what cosines and sines are multiplied by, for a sequence of `length` tokens. As in
/// transformers' `modeling_rope_utils`.
fn frequencies(rope: &Rope, length: usize) -> (Vec<f32>, f32) {
    let width = rope.width as f64;
    let plain = |theta: f64| -> Vec<f32> {
        (0..rope.width)
            .step_by(2)
            .map(|i| 1.0 / theta.powf(f64::from(i as f32 / width as f32)) as f32)
            .collect()
    };
    let own = plain(rope.theta);
    match &rope.scaling {
        RopeScaling::None => (own, 1.0),
        RopeScaling::Linear { factor } => (own.iter().map(|f| f / *factor as f32).collect(), 1.0),
        RopeScaling::Dynamic { factor, original } => {
            let times = length.max(*original) as f64 / *original as f64;
            let grown = (factor * times - (factor - 1.0)).powf(width / (width - 2.0));
            (plain(rope.theta * grown), 1.0)
        }
        RopeScaling::Llama3 {
            factor,
            low,
            high,
            original,
        } => {
            let ramp = (*factor as f32, *low as f32, *high as f32, *original as f32);
            (own.iter().map(|&f| by_wavelength(f, ramp)).collect(), 1.0)
        }
        RopeScaling::Yarn {
            factor,
            attention_factor,
            ..
        } => {
            let (first, last) = ramp(rope);
            let slowed = |(i, f): (usize, &f32)| {
                let progress = ((i as f32 - first) / (last - first)).clamp(0.0, 1.0);
                let kept = 1.0 - progress;
                // As transformers does it: the frequency from its reciprocal, with the factor inside.
                let slow = 1.0 / (*factor as f32 * (1.0 / f));
                slow * (1.0 - kept) + f * kept
            };
            let scaled = own.iter().enumerate().map(slowed).collect();
            (scaled, *attention_factor as f32)
        }
        RopeScaling::Long {
            short,
            long,
            attention_factor,
            original,
        } => {
            let divisors = if length > *original { long } else { short };
            let divided = own.iter().zip(divisors).map(|(f, d)| f / *d as f32);
            (divided.collect(), *attention_factor as f32)
        }
    }
}

/// Llama 3.1's scaling (`_compute_llama3_parameters`).
fn by_wavelength(frequency: f32, (factor, low, high, original): (f32, f32, f32, f32)) -> f32 {
    let wavelength = TAU / frequency;
    let slowed = frequency / factor;
    if wavelength > original / low {
        slowed
    } else if wavelength < original / high {
        frequency
    } else {
        let kept = (original / wavelength - low) / (high - low);
        (1.0 - kept) * slowed + kept * frequency
    }
}

/// Between which pairs YaRN goes over from kept frequencies to slowed ones.
fn ramp(rope: &Rope) -> (f32, f32) {
    let RopeScaling::Yarn {
        original,
        beta_fast,
        beta_slow,
        truncate,
        ..
    } = rope.scaling
    else {
        return (0.0, 1.0);
    };
    let width = rope.width as f64;
    // The dimension that turns so many times within the original context.
    let dimension = |rotations: f64| {
        let wavelength = original as f64 / (rotations * std::f64::consts::TAU);
        width * wavelength.ln() / (2.0 * rope.theta.ln())
    };
    let (mut first, mut last) = (dimension(beta_fast), dimension(beta_slow));
    if truncate {
        (first, last) = (first.floor(), last.ceil());
    }
    let (first, last) = (first.max(0.0), last.min(width - 1.0));
    let last = if first == last { last + 0.001 } else { last };
    (first as f32, last as f32)
}
