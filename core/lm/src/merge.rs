//! Merging an adapter into its base: a plain model folder that every engine loads.

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::files;
use crate::folder;
use crate::lora::AdapterFolder;
use crate::tensors::{Shards, TensorFile, TensorSpec, write_tensors};

/// Writes `base_dir` with the adapter in `adapter_dir` merged into its weights to `out_dir`: `W + scale * B A`, computed in
/// f32 and stored in the base's type. Weights go through memory one at a time, shard by shard; configuration and tokenizer
/// are copied. `out_dir` appears whole or not at all, in place of what was there.
///
/// # Errors
/// When the adapter does not fit the base, or has parts that cannot be merged.
pub fn merge(base_dir: &Path, adapter_dir: &Path, out_dir: &Path) -> Result<()> {
    let shards = Shards::open(base_dir)?;
    let adapter = AdapterFolder::open(adapter_dir)?;
    check_targets(&shards, &adapter)?;
    files::replace_folder(out_dir, |out| {
        for shard in shards.files() {
            write_shard(shard, &adapter, out)?;
        }
        let index = base_dir.join("model.safetensors.index.json");
        if index.exists() {
            let bytes = std::fs::read(&index).map_err(Error::io("read", &index))?;
            files::write_bytes(&out.join("model.safetensors.index.json"), &bytes)?;
        }
        folder::copy_companions(base_dir, out)
    })
}

/// Every factor belongs to a weight of the base, or part of the fine-tune would be lost.
fn check_targets(shards: &Shards, adapter: &AdapterFolder) -> Result<()> {
    let mut letters = BTreeSet::new();
    for name in adapter.names() {
        let module = name
            .strip_prefix("base_model.model.")
            .and_then(|rest| {
                rest.strip_suffix(".lora_A.weight")
                    .or_else(|| rest.strip_suffix(".lora_B.weight"))
            })
            .filter(|module| shards.contains(&format!("{module}.weight")));
        match module {
            Some(module) => letters.insert((module.to_owned(), name.ends_with("lora_A.weight"))),
            None => {
                return Err(Error::Unsupported(format!(
                    "adapter tensor `{name}` matches no weight of the base model"
                )));
            }
        };
    }
    match letters
        .iter()
        .find(|(module, is_a)| !letters.contains(&(module.clone(), !is_a)))
    {
        Some((module, _)) => Err(Error::Unsupported(format!(
            "adapter of `{module}` lacks one of its two factors"
        ))),
        None => Ok(()),
    }
}

fn write_shard(shard: &TensorFile, adapter: &AdapterFolder, out: &Path) -> Result<()> {
    let specs: Vec<TensorSpec> = shard
        .tensors()
        .iter()
        .map(|(name, slot)| TensorSpec {
            name: name.clone(),
            dtype: slot.dtype,
            shape: slot.shape.clone(),
        })
        .collect();
    let file_name = shard.path().file_name().unwrap_or_default();
    write_tensors(&out.join(file_name), &specs, |i| {
        merged(shard, adapter, &specs[i])
    })
}

/// One weight, with its update if it has one.
fn merged(shard: &TensorFile, adapter: &AdapterFolder, spec: &TensorSpec) -> Result<Tensor> {
    let weight = shard.read(&spec.name, &Device::Cpu)?;
    let Some(module) = spec.name.strip_suffix(".weight") else {
        return Ok(weight);
    };
    let factor = |letter: char| format!("base_model.model.{module}.lora_{letter}.weight");
    if !adapter.names().any(|name| name == factor('A')) {
        return Ok(weight);
    }
    let (outputs, inputs) = weight.dims2()?;
    let rank = adapter.config.rank;
    let read = |letter, shape| {
        adapter
            .read(&factor(letter), shape)?
            .to_dtype(DType::F32)
            .map_err(Error::from)
    };
    let a = read('A', (rank, inputs))?;
    let b = read('B', (outputs, rank))?;
    let update = (b.matmul(&a)? * adapter.config.scale())?;
    Ok((weight.to_dtype(DType::F32)? + update)?.to_dtype(spec.dtype)?)
}
