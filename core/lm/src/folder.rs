//! Model folders: what lies in them, and their identity.

use std::path::Path;

use candle_core::{DType, Tensor};
use driftgauge_folder::ends;
use driftgauge_folder::special::SpecialTokens;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::files;
use crate::model::Parameters;
use crate::tensors::write_atomically;
use crate::tokenize::Tokenizer;

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
    for path in driftgauge_folder::weight_files(folder)? {
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

/// Adds the end tokens that a fine-tune of ours left beside its adapter to those of a model folder.
pub(crate) fn copy_learnt_ends(adapter_dir: &Path, to: &Path) -> Result<()> {
    let learnt = adapter_dir.join(LEARNT_ENDS);
    let ids: Vec<u32> = match std::fs::read(&learnt) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| Error::file(&learnt, e))?,
        Err(_) => return Ok(()),
    };
    add_ends(to, &ids)
}

/// Name of the file beside an adapter that lists the end tokens which the base does not declare.
pub(crate) const LEARNT_ENDS: &str = "learnt_end_tokens.json";

/// Adds end tokens to those that a model folder declares.
pub(crate) fn add_ends(folder: &Path, ids: &[u32]) -> Result<()> {
    let path = folder.join(ends::GENERATION);
    let generation = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| Error::file(&path, e))?,
        Err(_) => Value::Null,
    };
    let declared = ends::declared(folder, &read_config(folder)?, None)?;
    write_json(&path, &ends::with_further(&generation, &declared, ids))
}

/// The end tokens that a model folder declares.
pub(crate) fn declared_ends(folder: &Path, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let special = SpecialTokens::read(folder)?;
    let eos = special
        .get("eos_token")
        .and_then(|eos| tokenizer.token_to_id(eos));
    Ok(ends::declared(folder, &read_config(folder)?, eos)?)
}

/// Says in `config.json` that the output head is a weight of its own.
pub(crate) fn untie(folder: &Path) -> Result<()> {
    let mut config = read_config(folder)?;
    config["tie_word_embeddings"] = false.into();
    write_json(&folder.join("config.json"), &config)
}

fn read_config(folder: &Path) -> Result<Value> {
    let path = folder.join("config.json");
    let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::file(&path, e))
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
