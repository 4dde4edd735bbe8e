//! Weights that are still in their files while a decoder is put together: they are read into one buffer, and packed from there. New
//! memory is what loading costs most.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, TensorId};
use driftgauge_engine::Rounding;
use driftgauge_engine::training::BaseQuantization;

use super::product::Packed;
use crate::blocks::{Format, Stored};
use crate::check::{check_blocks, check_weights};
use crate::compute::block_format;
use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::gguf::GgufWeights;
use crate::model::{Decoder, Precision};
use crate::ops::QuantizedWeight;
use crate::tensors::Shards;

/// Files of weights.
#[derive(Clone, Copy)]
pub(super) enum Files<'a> {
    Folder(&'a Shards, Rounding),
    Gguf(&'a GgufWeights),
}

impl Files<'_> {
    fn read(self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self {
            Self::Folder(shards, Rounding::Bf16) => {
                Ok(shards.read(name, &Device::Cpu)?.to_dtype(DType::BF16)?)
            }
            Self::Folder(shards, _) => shards.read(name, &Device::Cpu),
            Self::Gguf(weights) => weights.read(name, shape),
        }
    }

    /// The format to which the weights of linear modules are rounded.
    fn blocks(self) -> Option<BaseQuantization> {
        match self {
            Self::Folder(_, Rounding::Blocks(format)) => Some(format),
            Self::Folder(..) | Self::Gguf(_) => None,
        }
    }

    /// How a weight is stored; `None` where it has to be read as a tensor.
    fn stored(self, name: &str) -> Result<Option<Stored>> {
        match self {
            Self::Folder(shards, rounding) => Ok(match shards.slot(name).map(|slot| slot.dtype) {
                Some(dtype) if rounding == Rounding::Bf16 && dtype != DType::BF16 => None,
                Some(DType::F32) => Some(Stored::F32),
                Some(DType::F16) => Some(Stored::F16),
                Some(DType::BF16) => Some(Stored::Bf16),
                _ => None,
            }),
            Self::Gguf(weights) => weights.stored(name).map(Some),
        }
    }

    fn append(self, name: &str, to: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Folder(shards, _) => shards.append(name, to),
            Self::Gguf(weights) => weights.append(name, to),
        }
    }
}

/// Where the weights of a decoder are.
pub(super) struct Source<'a> {
    /// The files, and under which name those lie there that were not read.
    stored: Option<(Files<'a>, HashMap<TensorId, String>)>,
    buffer: RefCell<Vec<u8>>,
}

impl Source<'_> {
    /// They are in the decoder itself.
    #[cfg(test)]
    pub(super) fn memory() -> Self {
        Self {
            stored: None,
            buffer: RefCell::default(),
        }
    }

    /// Packs the weights of linear modules one below the other.
    pub(super) fn modules(&self, parts: &[&Tensor]) -> Result<Packed> {
        let Some((files, names)) = &self.stored else {
            return self.packed(parts);
        };
        let Some(format) = files.blocks() else {
            return self.packed(parts);
        };
        let mut packed: Option<Packed> = None;
        for part in parts {
            let Some(name) = names.get(&part.id()) else {
                return self.packed(parts);
            };
            let (outputs, inputs) = part.dims2()?;
            let matrix = files.read(name, part.dims())?;
            let rounded = QuantizedWeight::new(&matrix, block_format(format), &Device::Cpu)?;
            drop(matrix);
            let mut buffer = self.buffer.borrow_mut();
            buffer.clear();
            rounded.for_each_piece(|piece| buffer.extend_from_slice(piece))?;
            let part = Packed::of_bytes(stored_as(format), &buffer, outputs, inputs)
                .ok_or_else(|| not_finite(name))?;
            put_below(&mut packed, part);
        }
        packed.map_or_else(|| self.packed(parts), Ok)
    }

    /// Packs matrices one below the other.
    pub(super) fn packed(&self, parts: &[&Tensor]) -> Result<Packed> {
        let Some((files, names)) = &self.stored else {
            return Ok(Packed::new(parts)?);
        };
        let named = parts.iter().map(|part| names.get(&part.id()));
        let Some(named) = named.collect::<Option<Vec<_>>>() else {
            return Ok(Packed::new(parts)?);
        };
        let mut packed: Option<Packed> = None;
        let mut buffer = self.buffer.borrow_mut();
        let mut at = 0;
        while let Some(&name) = named.get(at) {
            let stored = files.stored(name)?;
            buffer.clear();
            // Neighbours that are stored alike are packed as one.
            let first = at;
            while at < named.len() && files.stored(named[at])? == stored {
                if stored.is_some() {
                    files.append(named[at], &mut buffer)?;
                }
                at += 1;
            }
            let alike = &parts[first..at];
            let part = match stored {
                Some(stored) => {
                    let inputs = alike[0].dim(1)?;
                    let outputs = alike.iter().map(|part| part.dim(0));
                    let outputs = outputs.sum::<candle_core::Result<usize>>()?;
                    Packed::of_bytes(stored, &buffer, outputs, inputs).ok_or_else(|| {
                        not_finite(
                            &named[first..at]
                                .iter()
                                .map(|name| name.as_str())
                                .collect::<Vec<_>>()
                                .join("`, `"),
                        )
                    })?
                }
                None => {
                    let read = named[first..at].iter().zip(alike);
                    let read = read.map(|(name, part)| files.read(name, part.dims()));
                    let read = read.collect::<Result<Vec<_>>>()?;
                    Packed::new(&read.iter().collect::<Vec<_>>())?
                }
            };
            put_below(&mut packed, part);
        }
        match packed {
            Some(packed) => Ok(packed),
            None => Ok(Packed::new(&[])?),
        }
    }
}

fn put_below(packed: &mut Option<Packed>, part: Packed) {
    match packed {
        Some(packed) => packed.append(part),
        None => *packed = Some(part),
    }
}

fn not_finite(name: &str) -> Error {
    let what = format!("a block of `{name}` has a scale that is not a finite number");
    Error::Unsupported(what).hint("the weights are broken: make or fetch the file again")
}

/// How blocks of a format lie in memory.
fn stored_as(format: BaseQuantization) -> Stored {
    Stored::Blocks(match format {
        BaseQuantization::Q4_0 => Format::Q4_0,
        BaseQuantization::Q4k => Format::Q4_K,
        BaseQuantization::Q5k => Format::Q5_K,
        BaseQuantization::Q6k => Format::Q6_K,
        BaseQuantization::Q8_0 => Format::Q8_0,
    })
}

/// The decoder of a model folder without its matrices, and where those are.
pub(super) fn of_folder<'a>(
    config: &DecoderConfig,
    shards: &'a Shards,
    rounding: Rounding,
) -> Result<(Decoder, Source<'a>)> {
    check_weights(config, shards)?;
    let shapes = shards.weights().shapes();
    rounding.fits(&shapes).map_err(Error::Check)?;
    decoder(config, Files::Folder(shards, rounding))
}

/// The same of a GGUF file.
pub(super) fn of_gguf(weights: &GgufWeights) -> Result<(Decoder, Source<'_>)> {
    check_blocks(weights)?;
    decoder(weights.config(), Files::Gguf(weights))
}

fn decoder<'a>(config: &DecoderConfig, files: Files<'a>) -> Result<(Decoder, Source<'a>)> {
    let mut names = HashMap::new();
    let nothing = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    let precision = Precision::frozen(DType::F32);
    let (decoder, _) = Decoder::build(config, &Device::Cpu, precision, &mut |name, shape| {
        if shape.len() != 2 {
            return files.read(name, shape);
        }
        // One number in memory, whatever the shape.
        let absent = nothing.broadcast_as(shape)?;
        names.insert(absent.id(), name.to_owned());
        Ok(absent)
    })?;
    let source = Source {
        stored: Some((files, names)),
        buffer: RefCell::default(),
    };
    Ok((decoder, source))
}
