//! The weights of a model folder: one file, or several with an index.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::{TensorFile, TensorSlot};
use crate::error::{Error, Result};

/// All weight files of a model folder.
pub(crate) struct Shards {
    files: Vec<TensorFile>,
    /// Index into `files` by tensor name.
    holder: BTreeMap<String, usize>,
    weights: driftgauge_folder::Weights,
}

impl Shards {
    /// Opens the weight files that the folder stands for.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let weights = driftgauge_folder::inspect(folder)?;
        let files = weights
            .files
            .iter()
            .map(|path| TensorFile::open(path))
            .collect::<Result<Vec<_>>>()?;
        let holder = weights
            .tensors
            .iter()
            .map(|(name, (file, _))| (name.clone(), *file))
            .collect();
        Ok(Self {
            files,
            holder,
            weights,
        })
    }

    /// What the headers say.
    pub(crate) fn weights(&self) -> &driftgauge_folder::Weights {
        &self.weights
    }

    /// The files, in the order of their names.
    pub(crate) fn files(&self) -> &[TensorFile] {
        &self.files
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.holder.contains_key(name)
    }

    /// Shape and type of a tensor.
    pub(crate) fn slot(&self, name: &str) -> Option<&TensorSlot> {
        self.files[*self.holder.get(name)?].tensors().get(name)
    }

    /// Reads one tensor in its stored type.
    pub(crate) fn read(&self, name: &str, device: &Device) -> Result<Tensor> {
        match self.holder.get(name) {
            Some(&file) => self.files[file].read(name, device),
            None => Err(self.missing(name)),
        }
    }

    /// Appends the bytes of a tensor.
    pub(crate) fn append(&self, name: &str, to: &mut Vec<u8>) -> Result<()> {
        match self.holder.get(name) {
            Some(&file) => self.files[file].append(name, to),
            None => Err(self.missing(name)),
        }
    }

    /// That a tensor is in none of the files.
    pub(crate) fn missing(&self, name: &str) -> Error {
        let paths: Vec<String> = self
            .files
            .iter()
            .map(|file| format!("`{}`", file.path().display()))
            .collect();
        Error::Unsupported(format!("weight `{name}` is not in {}", paths.join(", ")))
    }
}
