//! Whether a model folder holds what its configuration speaks of, told from configuration and headers in no time.

use std::path::Path;

use serde_json::Value;

use crate::config::DecoderConfig;
use crate::error::{Error, Result};
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

/// Refuses a model whose head is its embedding (`tie_word_embeddings`), and which stores another head nevertheless: which of
/// both would run depends on who reads it.
///
/// # Errors
/// [`Error::Unsupported`], and when the files cannot be read.
pub fn check_tied_head(folder: &Path, config: &Value) -> Result<()> {
    match config["tie_word_embeddings"].as_bool() {
        Some(true) => tied_head(&Shards::open(folder)?),
        _ => Ok(()),
    }
}

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

fn tied_head(shards: &Shards) -> Result<()> {
    if !shards.contains(HEAD) || shards.same_bytes(HEAD, EMBEDDING)? {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "`tie_word_embeddings: true` beside a stored `{HEAD}` that differs from `{EMBEDDING}`; hint: set it to false where the \
         stored head is the model's, else take the tensor out"
    )))
}

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
    match config.tie_word_embeddings {
        true => tied_head(shards),
        false => Ok(()),
    }
}
