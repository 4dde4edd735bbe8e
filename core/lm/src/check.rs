//! Whether a model folder or a GGUF file holds what its configuration speaks of, told from configuration and headers in no time.

use std::path::Path;

use driftgauge_engine::LocalEngine;

use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::gguf::{GgufFile, GgufWeights};
use crate::model::expected_weights;
use crate::tensors::Shards;

/// Says why this crate cannot compute the model of a folder, without reading its weights.
///
/// # Errors
/// [`Error::Unsupported`], by name, for what is not computed, and for weights that are missing, have another shape or have no
/// place in the model.
pub fn check_folder(folder: &Path) -> Result<()> {
    let config = DecoderConfig::from_folder(folder)?;
    check_weights(&config, &Shards::open(folder)?)
}

/// Says why this crate cannot train the model of a folder.
///
/// # Errors
/// As [`check_folder`], and for models that are scored alone.
pub fn check_trainable(folder: &Path) -> Result<()> {
    DecoderConfig::from_folder(folder)?.check_trainable()?;
    check_folder(folder)
}

/// Says why an engine cannot compute the model of a GGUF file, without reading its weights.
///
/// # Errors
/// [`Error::Unsupported`], by name, for an architecture, key, tensor or format that it would pass over.
pub fn check_gguf(file: &GgufFile, engine: LocalEngine) -> Result<()> {
    match engine {
        LocalEngine::Mistralrs => file.check(engine),
        LocalEngine::Native => {
            let found = file.weights().and_then(|weights| check_blocks(&weights));
            match (found, file.check(LocalEngine::Mistralrs)) {
                (Ok(()), _) => Ok(()),
                (Err(why), Ok(())) => Err(why.hint("`engine: mistralrs`")),
                (Err(why), Err(_)) => Err(why),
            }
        }
    }
}

/// Every weight that the keys of a GGUF file ask for is there with its shape, in a format that is read.
pub(crate) fn check_blocks(weights: &GgufWeights) -> Result<()> {
    for (name, shape) in expected_weights(weights.config())? {
        let has = weights.shape(&name)?;
        let wanted: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        if has.as_deref() != Some(&wanted) {
            return Err(weights.misfit(&name, &shape, has.as_deref()));
        }
    }
    Ok(())
}

const HEAD: &str = "lm_head.weight";

/// Every weight that the configuration asks for is there with its shape, and no other: the model would compute something else
/// than its makers meant.
pub(crate) fn check_weights(config: &DecoderConfig, shards: &Shards) -> Result<()> {
    let expected = expected_weights(config)?;
    for (name, shape) in &expected {
        match shards.slot(name) {
            Some(slot) if slot.shape == *shape => {}
            Some(slot) => {
                return Err(Error::Unsupported(format!(
                    "weight `{name}` has shape {:?}, but `config.json` asks for {shape:?}",
                    slot.shape
                )));
            }
            None => return Err(shards.missing(name)),
        }
    }
    let spare = shards
        .files()
        .iter()
        .flat_map(|file| file.tensors().keys())
        .find(|name| {
            let tied_head = config.tie_word_embeddings && *name == HEAD;
            !expected.contains_key(*name) && !tied_head && !name.ends_with("rotary_emb.inv_freq")
        });
    if let Some(name) = spare {
        return Err(Error::Unsupported(format!(
            "weight `{name}` has no place in `{}` as `config.json` describes it",
            config.architecture.class_name()
        )));
    }
    Ok(())
}
