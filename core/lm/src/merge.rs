//! Merging an adapter into its base: a plain model folder that every engine loads.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use driftgauge_folder::adapter::Change;
use driftgauge_folder::weights::{INDEX, WHOLE};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::files;
use crate::folder;
use crate::lora::AdapterFolder;
use crate::tensors::{Shards, TensorFile, TensorSpec, write_tensors};

const HEAD: &str = "lm_head.weight";

/// Writes `base_dir` with the adapter in `adapter_dir` merged into its weights to `out_dir`: `W + scale * B A`, computed in
/// f32 and stored in the base's type, its rows brought to their learnt lengths where the adapter has some (DoRA), and whole
/// modules in the place of the base's. Weights go through memory one at a time, shard by shard; configuration and tokenizer
/// are copied, and the end tokens that a fine-tune of ours has learnt are added. `out_dir` appears whole or not at all, in
/// place of what was there.
///
/// # Errors
/// When the adapter does not fit the base, or has parts that cannot be merged.
pub fn merge(base_dir: &Path, adapter_dir: &Path, out_dir: &Path) -> Result<()> {
    let shards = Shards::open(base_dir)?;
    let adapter = AdapterFolder::open(adapter_dir, shards.weights())?;
    let merge = Merge {
        head_of_its_own: needs_a_head(&shards, &adapter),
        shards: &shards,
        adapter: &adapter,
    };
    files::replace_folder(out_dir, |out| {
        for shard in shards.files() {
            merge.write_shard(shard, out)?;
        }
        if !base_dir.join(WHOLE).exists() && base_dir.join(INDEX).exists() {
            merge.write_index(base_dir, out)?;
        }
        folder::copy_companions(base_dir, out)?;
        folder::copy_learnt_ends(adapter_dir, out)?;
        match merge.head_of_its_own {
            Some(_) => folder::untie(out),
            None => Ok(()),
        }
    })
}

/// Writes the model folder that a training of every weight left to `out_dir`, without what the training has beside it. `out_dir`
/// appears whole or not at all.
///
/// # Errors
/// When the files cannot be read or written.
pub fn take_whole(trained: &Path, out_dir: &Path) -> Result<()> {
    files::replace_folder(out_dir, |out| {
        folder::copy_companions(trained, out)?;
        let (from, to) = (trained.join(WHOLE), out.join(WHOLE));
        files::replace(&to, |to| {
            std::fs::copy(&from, to).map_err(Error::io("copy", &from))?;
            let file = std::fs::File::open(to).map_err(Error::io("open", to))?;
            files::sync(&file).map_err(Error::io("write", to))
        })
    })
}

/// The input embedding, where the base's output head is the same weight and the adapter replaces one of both only.
fn needs_a_head(shards: &Shards, adapter: &AdapterFolder) -> Option<String> {
    let embedding = shards.weights().embedding()?;
    let replaced = |weight: &str| {
        let module = weight.trim_end_matches(".weight");
        adapter.settings().saves(module) && adapter.change(weight).is_some()
    };
    let tied = !shards.contains(HEAD);
    (tied && (replaced(embedding) || replaced(HEAD))).then(|| embedding.to_owned())
}

struct Merge<'a> {
    shards: &'a Shards,
    adapter: &'a AdapterFolder,
    head_of_its_own: Option<String>,
}

impl Merge<'_> {
    fn write_shard(&self, shard: &TensorFile, out: &Path) -> Result<()> {
        let mut specs: Vec<TensorSpec> = shard
            .tensors()
            .iter()
            .map(|(name, slot)| TensorSpec {
                name: name.clone(),
                dtype: slot.dtype,
                shape: slot.shape.clone(),
            })
            .collect();
        let embedding = self.head_of_its_own.as_deref();
        if let Some(embedding) = specs.iter().find(|s| Some(s.name.as_str()) == embedding) {
            specs.push(TensorSpec {
                name: HEAD.to_owned(),
                ..embedding.clone()
            });
        }
        for spec in &mut specs {
            if let Some(Change::Whole(name)) = self.adapter.change(&spec.name) {
                spec.dtype = self.adapter.dtype(name)?;
            }
        }
        let file_name = shard.path().file_name().unwrap_or_default();
        write_tensors(&out.join(file_name), &specs, |i| self.merged(&specs[i]))
    }

    /// The index of shards, with the head where it is new.
    fn write_index(&self, base_dir: &Path, out: &Path) -> Result<()> {
        let path = base_dir.join(INDEX);
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let Some(embedding) = &self.head_of_its_own else {
            return files::write_bytes(&out.join(INDEX), &bytes);
        };
        let mut index: Value = serde_json::from_slice(&bytes).map_err(|e| Error::file(&path, e))?;
        let holder = index["weight_map"][embedding.as_str()].clone();
        index["weight_map"][HEAD] = holder;
        folder::write_json(&out.join(INDEX), &index)
    }

    /// One weight, changed if the adapter changes it.
    fn merged(&self, spec: &TensorSpec) -> Result<Tensor> {
        let stored = match &self.head_of_its_own {
            Some(embedding) if spec.name == HEAD => embedding,
            _ => &spec.name,
        };
        let weight = || self.shards.read(stored, &Device::Cpu);
        let factor =
            |name: &str| -> Result<Tensor> { Ok(self.adapter.read(name)?.to_dtype(DType::F32)?) };
        match self.adapter.change(&spec.name) {
            None => weight(),
            Some(Change::Whole(name)) => self.adapter.read(name),
            Some(Change::Update {
                a,
                b,
                lengths,
                embedding,
                below,
            }) => {
                let module = spec.name.trim_end_matches(".weight");
                let product = factor(b)?.matmul(&factor(a)?)?;
                let update = match embedding {
                    true => product.t()?,
                    false => product,
                };
                let scale = self.adapter.settings().scale_of(module);
                let weight = match below {
                    Some(name) => self.adapter.read(name)?,
                    None => weight()?,
                };
                let mut merged = (weight.to_dtype(DType::F32)? + (update * scale)?)?;
                if let Some(lengths) = lengths {
                    let norms = merged.sqr()?.sum(1)?.sqrt()?;
                    merged = merged.broadcast_mul(&(factor(lengths)? / norms)?.unsqueeze(1)?)?;
                }
                Ok(merged.to_dtype(spec.dtype)?)
            }
        }
    }
}
