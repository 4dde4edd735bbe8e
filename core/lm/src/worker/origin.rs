//! The files of a model that answers: a folder, or a GGUF file.

use std::path::{Path, PathBuf};

use driftgauge_engine::{LoadModel, Rounding};
use driftgauge_folder::ends;
use serde_json::Value;

use crate::answer::Text;
use crate::config::DecoderConfig;
use crate::decode::{Batch, Limits};
use crate::gguf::GgufWeights;
use crate::{Error, GgufFile, Result, Scorer};

/// Where a model is read from.
pub(super) enum Origin {
    Folder(PathBuf, Rounding),
    Gguf(Box<(GgufFile, GgufWeights)>),
}

impl Origin {
    /// Opens the files; the weights of a folder will be rounded.
    pub(super) fn open(model: &LoadModel, rounding: Rounding) -> Result<Self> {
        let Some(name) = &model.gguf else {
            return Ok(Self::Folder(model.folder.clone(), rounding));
        };
        if rounding != Rounding::None {
            let why = "`quantization` or `dtype: bf16` of a GGUF file with `engine: native`: its numbers are taken as they are";
            return Err(Error::Unsupported(why.to_owned())
                .hint("leave them out, or name the model's folder"));
        }
        let file = GgufFile::open(&model.folder.join(name))?;
        let weights = file.weights()?;
        Ok(Self::Gguf(Box::new((file, weights))))
    }

    pub(super) fn config(&self) -> Result<DecoderConfig> {
        match self {
            Self::Folder(folder, _) => DecoderConfig::from_folder(folder),
            Self::Gguf(gguf) => Ok(gguf.1.config().clone()),
        }
    }

    /// Numbers in its weights.
    pub(super) fn parameters(&self) -> Result<usize> {
        Ok(match self {
            Self::Folder(folder, _) => driftgauge_folder::inspect(folder)?.parameters() as usize,
            Self::Gguf(gguf) => gguf.0.parameters() as usize,
        })
    }

    /// Its tokenizer and chat template.
    pub(super) fn text(&self, model: &LoadModel) -> Result<Text> {
        let template = model.chat_template.as_deref();
        let text = match self {
            Self::Folder(folder, _) => Text::of_model(folder, template),
            Self::Gguf(gguf) => Text::of_gguf(&gguf.0, model.tokenizer.as_deref(), template),
        };
        text.map_err(Error::Check)
    }

    /// The tokens that end its answers.
    pub(super) fn end_tokens(&self, text: &Text, model: &LoadModel) -> Result<Vec<u32>> {
        match self {
            Self::Folder(folder, _) => Ok(ends::declared(
                folder,
                &read_config(folder)?,
                text.eos_id(),
            )?),
            Self::Gguf(gguf) => text
                .ends_of_gguf(&gguf.0, model.tokenizer.as_deref())
                .map_err(Error::Check),
        }
    }

    /// The decoder that answers many prompts at a time.
    pub(super) fn batch(&self) -> Result<Batch> {
        match self {
            Self::Folder(folder, rounding) => Batch::open(folder, *rounding, Limits::default()),
            Self::Gguf(gguf) => Batch::open_gguf(&gguf.1, Limits::default()),
        }
    }

    /// Whether the weights are the very numbers that the file holds, one by one: what mistral.rs computes with as well.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Folder(_, Rounding::None))
    }

    /// Whether weights stay in blocks of a few bits.
    pub(super) fn is_in_blocks(&self) -> bool {
        matches!(self, Self::Gguf(_) | Self::Folder(_, Rounding::Blocks(_)))
    }

    /// The decoder that reads one text at a time, with kernels of its own.
    pub(super) fn scorer(&self) -> Result<Scorer> {
        match self {
            Self::Folder(folder, rounding) => Scorer::rounded(folder, *rounding),
            Self::Gguf(gguf) => Scorer::of_gguf(&gguf.1),
        }
    }
}

fn read_config(folder: &Path) -> Result<Value> {
    let path = folder.join("config.json");
    serde_json::from_str(&super::read(&path)?).map_err(|e| Error::file(&path, e))
}
