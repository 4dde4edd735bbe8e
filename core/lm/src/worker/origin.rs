//! The files of a model that answers: a folder, or a GGUF file.

use std::path::{Path, PathBuf};

use driftgauge_engine::LoadModel;
use driftgauge_folder::ends;
use serde_json::Value;

use crate::answer::Text;
use crate::config::DecoderConfig;
use crate::decode::{Batch, Limits};
use crate::gguf::GgufWeights;
use crate::{Compute, Error, GgufFile, Result, Scorer};

/// Where a model is read from.
pub(super) enum Origin {
    Folder(PathBuf),
    Gguf(Box<(GgufFile, GgufWeights)>),
}

impl Origin {
    /// Opens the files.
    pub(super) fn open(model: &LoadModel) -> Result<Self> {
        let Some(name) = &model.gguf else {
            return Ok(Self::Folder(model.folder.clone()));
        };
        let file = GgufFile::open(&model.folder.join(name))?;
        let weights = file.weights()?;
        Ok(Self::Gguf(Box::new((file, weights))))
    }

    pub(super) fn config(&self) -> Result<DecoderConfig> {
        match self {
            Self::Folder(folder) => DecoderConfig::from_folder(folder),
            Self::Gguf(gguf) => Ok(gguf.1.config().clone()),
        }
    }

    /// Numbers in its weights.
    pub(super) fn parameters(&self) -> Result<usize> {
        Ok(match self {
            Self::Folder(folder) => driftgauge_folder::inspect(folder)?.parameters() as usize,
            Self::Gguf(gguf) => gguf.0.parameters() as usize,
        })
    }

    /// Its tokenizer and chat template.
    pub(super) fn text(&self, model: &LoadModel) -> Result<Text> {
        let template = model.chat_template.as_deref();
        let text = match self {
            Self::Folder(folder) => Text::of_model(folder, template),
            Self::Gguf(gguf) => Text::of_gguf(&gguf.0, model.tokenizer.as_deref(), template),
        };
        text.map_err(Error::Check)
    }

    /// The tokens that end its answers.
    pub(super) fn end_tokens(&self, text: &Text, model: &LoadModel) -> Result<Vec<u32>> {
        match self {
            Self::Folder(folder) => Ok(ends::declared(
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
            Self::Folder(folder) => Batch::open(folder, Limits::default()),
            Self::Gguf(gguf) => Batch::open_gguf(&gguf.1, Limits::default()),
        }
    }

    pub(super) fn is_gguf(&self) -> bool {
        matches!(self, Self::Gguf(_))
    }

    /// The decoder that reads one text at a time, with kernels of its own.
    pub(super) fn scorer(&self) -> Result<Scorer> {
        match self {
            Self::Folder(folder) => Scorer::load(folder, &Compute::cpu()),
            Self::Gguf(gguf) => Scorer::of_gguf(&gguf.1),
        }
    }
}

fn read_config(folder: &Path) -> Result<Value> {
    let path = folder.join("config.json");
    serde_json::from_str(&super::read(&path)?).map_err(|e| Error::file(&path, e))
}
