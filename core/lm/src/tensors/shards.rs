//! The weights of a model folder: one file, or several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::{TensorFile, TensorSlot};
use crate::error::{Error, Result};

/// All weight files of a model folder.
pub(crate) struct Shards {
    files: Vec<TensorFile>,
    /// Index into `files` by tensor name.
    holder: BTreeMap<String, usize>,
}

impl Shards {
    /// Opens `model.safetensors.index.json` with its shards, or `model.safetensors`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let files = weight_files(folder)?
            .iter()
            .map(|path| TensorFile::open(path))
            .collect::<Result<Vec<_>>>()?;
        let mut holder = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            for name in file.tensors().keys() {
                if holder.insert(name.clone(), i).is_some() {
                    return Err(Error::file(
                        file.path(),
                        format!("tensor `{name}` is also in another shard"),
                    ));
                }
            }
        }
        Ok(Self { files, holder })
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

    /// That a tensor is in none of the files.
    pub(crate) fn missing(&self, name: &str) -> Error {
        let paths: Vec<String> = self
            .files
            .iter()
            .map(|file| format!("`{}`", file.path().display()))
            .collect();
        Error::Unsupported(format!("weight `{name}` is not in {}", paths.join(", ")))
    }

    /// Whether two tensors are stored alike: in one type, with the same bytes. Reads them a piece at a time.
    pub(crate) fn same_bytes(&self, a: &str, b: &str) -> Result<bool> {
        const PIECE: usize = 1 << 20;
        let (Some(&in_a), Some(&in_b)) = (self.holder.get(a), self.holder.get(b)) else {
            return Ok(false);
        };
        let (in_a, in_b) = (&self.files[in_a], &self.files[in_b]);
        let mut from = 0;
        loop {
            let (one, other) = (in_a.piece(a, from, PIECE)?, in_b.piece(b, from, PIECE)?);
            if one != other || in_a.tensors()[a].dtype != in_b.tensors()[b].dtype {
                return Ok(false);
            }
            if one.len() < PIECE {
                return Ok(true);
            }
            from += PIECE;
        }
    }
}

/// Paths of a folder's weight files, sorted.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![folder.join("model.safetensors")]);
    }
    let bytes = std::fs::read(&index).map_err(Error::io("read", &index))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| Error::file(&index, e))?;
    let map = value["weight_map"]
        .as_object()
        .ok_or_else(|| Error::file(&index, "`weight_map` is missing"))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return Err(Error::file(&index, "`weight_map` names no file"));
    }
    for name in &names {
        // A file elsewhere would escape the folder's digest.
        if name.contains(['/', '\\']) {
            return Err(Error::file(
                &index,
                format!("shard `{name}` lies outside the folder"),
            ));
        }
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
