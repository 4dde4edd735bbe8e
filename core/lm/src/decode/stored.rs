//! Weights that are still in their files while a decoder is put together: they are read into one buffer, and packed from there. New
//! memory is what loading costs most.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, TensorId};

use super::product::Packed;
use crate::check::check_weights;
use crate::config::DecoderConfig;
use crate::error::Result;
use crate::model::{Decoder, Precision};
use crate::tensors::Shards;

/// Where the weights of a decoder are.
pub(super) struct Source<'a> {
    /// The files, and under which name those lie there that were not read.
    stored: Option<(&'a Shards, HashMap<TensorId, String>)>,
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
        let Some((shards, names)) = &self.stored else {
            return Ok(Packed::new(parts)?);
        };
        let names = parts.iter().map(|part| names.get(&part.id()));
        let Some(names) = names.collect::<Option<Vec<_>>>() else {
            return Ok(Packed::new(parts)?);
        };
        let types = names
            .iter()
            .map(|name| shards.slot(name).map(|slot| slot.dtype));
        let inputs = parts.first().map_or(Ok(0), |part| part.dim(1))?;
        let same = |dtype| types.clone().all(|of| of == Some(dtype));
        if !same(DType::BF16) && !same(DType::F32) {
            let read = names.iter().map(|name| shards.read(name, &Device::Cpu));
            let read = read.collect::<Result<Vec<_>>>()?;
            return Ok(Packed::new(&read.iter().collect::<Vec<_>>())?);
        }
        let mut buffer = self.buffer.borrow_mut();
        buffer.clear();
        for name in &names {
            shards.append(name, &mut buffer)?;
        }
        Ok(match same(DType::BF16) {
            true => Packed::of_halves(&buffer, inputs),
            false => Packed::of_floats(&buffer, inputs),
        })
    }
}

/// The decoder of a model folder without its matrices, and where those are.
pub(super) fn decoder<'a>(
    config: &DecoderConfig,
    shards: &'a Shards,
) -> Result<(Decoder, Source<'a>)> {
    check_weights(config, shards)?;
    let mut names = HashMap::new();
    let nothing = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    let precision = Precision::frozen(DType::F32);
    let (decoder, _) = Decoder::build(config, &Device::Cpu, precision, &mut |name, shape| {
        if shape.len() != 2 {
            return shards.read(name, &Device::Cpu);
        }
        // One number in memory, whatever the shape.
        let absent = nothing.broadcast_as(shape)?;
        names.insert(absent.id(), name.to_owned());
        Ok(absent)
    })?;
    let source = Source {
        stored: Some((shards, names)),
        buffer: RefCell::default(),
    };
    Ok((decoder, source))
}
