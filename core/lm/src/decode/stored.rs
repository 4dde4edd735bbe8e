//! Weights that are still in their files while a decoder is put together: they are read into one buffer, and packed from there. New
//! memory is what loading costs most.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, TensorId};

use super::product::Packed;
use crate::blocks::Stored;
use crate::check::{check_blocks, check_weights};
use crate::config::DecoderConfig;
use crate::error::Result;
use crate::gguf::GgufWeights;
use crate::model::{Decoder, Precision};
use crate::tensors::Shards;

/// Files of weights.
#[derive(Clone, Copy)]
pub(super) enum Files<'a> {
    Folder(&'a Shards),
    Gguf(&'a GgufWeights),
}

impl Files<'_> {
    fn read(self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self {
            Self::Folder(shards) => shards.read(name, &Device::Cpu),
            Self::Gguf(weights) => weights.read(name, shape),
        }
    }

    /// How a weight is stored; `None` where it has to be read as a tensor.
    fn stored(self, name: &str) -> Result<Option<Stored>> {
        match self {
            Self::Folder(shards) => Ok(match shards.slot(name).map(|slot| slot.dtype) {
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
            Self::Folder(shards) => shards.append(name, to),
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
                    Packed::of_bytes(stored, &buffer, outputs, inputs)
                }
                None => {
                    let read = named[first..at].iter().zip(alike);
                    let read = read.map(|(name, part)| files.read(name, part.dims()));
                    let read = read.collect::<Result<Vec<_>>>()?;
                    Packed::new(&read.iter().collect::<Vec<_>>())?
                }
            };
            match &mut packed {
                Some(packed) => packed.append(part),
                None => packed = Some(part),
            }
        }
        match packed {
            Some(packed) => Ok(packed),
            None => Ok(Packed::new(&[])?),
        }
    }
}

/// The decoder of a model folder without its matrices, and where those are.
pub(super) fn of_folder<'a>(
    config: &DecoderConfig,
    shards: &'a Shards,
) -> Result<(Decoder, Source<'a>)> {
    check_weights(config, shards)?;
    decoder(config, Files::Folder(shards))
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
