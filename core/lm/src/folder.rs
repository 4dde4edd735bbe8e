//! Model folders: what lies in them, and their identity.

use std::path::Path;

use candle_core::{DType, Tensor};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::files;
use crate::model::Parameters;
use crate::tensors::{weight_files, write_atomically};

/// Files that say how a model is used, copied beside new weights.
const COMPANIONS: [&str; 10] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
];

/// Digest of a model folder's weights and configuration, by their bytes.
pub(crate) fn digest_weights(folder: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new_derive_key("driftgauge-lm model folder");
    let config = files::digest(&folder.join("config.json"))?;
    hasher.update(config.as_bytes());
    for path in weight_files(folder)? {
        hasher.update(files::digest(&path)?.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Copies everything but the weights from one model folder to another.
pub(crate) fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    for name in COMPANIONS {
        let source = from.join(name);
        if source.exists() {
            let bytes = std::fs::read(&source).map_err(Error::io("read", &source))?;
            files::write_bytes(&to.join(name), &bytes)?;
        }
    }
    Ok(())
}

/// Writes `model.safetensors` from trained weights.
pub(crate) fn write_weights(folder: &Path, parameters: &Parameters, dtype: DType) -> Result<()> {
    let tensors = parameters
        .iter()
        .map(|(name, parameter)| Ok((name.clone(), parameter.tensor().to_dtype(dtype)?)))
        .collect::<Result<Vec<(String, Tensor)>>>()?;
    write_atomically(&folder.join("model.safetensors"), &tensors)
}

/// Writes a JSON file, indented, with a newline at its end.
pub(crate) fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::file(path, e))?;
    text.push('\n');
    files::write_bytes(path, text.as_bytes())
}
