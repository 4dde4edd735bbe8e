//! Fine-tuning a model folder.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::{DType, Device, Tensor};

use super::checkpoint::{Checkpoints, Identity};
use super::config::{Method, TrainConfig};
use super::data::{Prepared, TrainData, device_name};
use super::encode::Encoder;
use super::event::{TrainEvent, TrainSummary};
use super::run::Run;
use crate::chat::ChatTemplate;
use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::files;
use crate::folder;
use crate::lora::{AdapterFolder, LoraConfig, adapter_files, write_adapter};
use crate::model::{Decoder, Parameters, Precision};
use crate::random::Stream;
use crate::tensors::Shards;
use crate::tokenize::Tokenizer;

/// Fine-tunes the model in `base_dir` on `data` and writes into `out_dir`: for LoRA an adapter in PEFT's layout, for full
/// training a model folder; `train_log.jsonl` and `train_timing.jsonl` beside it.
///
/// A training that was stopped or killed continues from its newest checkpoint when called again with the same `out_dir`, to
/// the same bytes. `cancel` is looked at between steps; when it is set, a checkpoint is written first.
///
/// # Errors
/// [`Error::Config`] for settings that make no sense, [`Error::Row`] for data that cannot be learnt from,
/// [`Error::Unsupported`] for models this crate does not compute, [`Error::Diverged`], [`Error::Guard`],
/// [`Error::Resume`], [`Error::Cancelled`], and everything that can go wrong with files.
pub fn finetune(
    base_dir: &Path,
    data: &TrainData,
    config: &TrainConfig,
    out_dir: &Path,
    on_event: &mut dyn FnMut(TrainEvent),
    cancel: &AtomicBool,
) -> Result<TrainSummary> {
    config.validate()?;
    let (device, dtype) = config.compute.resolve()?;
    let model = DecoderConfig::from_folder(base_dir)?;
    model.check_trainable()?;
    let tokenizer = Tokenizer::from_folder(base_dir)?;
    let encoder = Encoder {
        template: &ChatTemplate::of_model(base_dir, config.chat_template.as_deref())?,
        tokenizer: &tokenizer,
        train_on: config.train_on,
        max_length: max_length(&model, config)?,
    };
    let prepared = Prepared::new(data, &encoder, config)?;
    let identity = Identity {
        settings: settings_digest(config)?,
        base: base_digest(base_dir, config)?,
        data: prepared.digest(),
    };
    let shards = Shards::open(base_dir)?;
    let precision = Precision {
        dtype,
        trainable: matches!(config.method, Method::Full),
        quantization: config.base_quantization,
    };
    let (mut decoder, mut parameters) = Decoder::from_shards(&model, &shards, &device, precision)?;
    if let Method::Lora(lora) = &config.method {
        parameters = attach(&mut decoder, lora, config)?;
    }
    std::fs::create_dir_all(out_dir).map_err(Error::io("create", out_dir))?;
    let base_before = identity.base.clone();
    let run = Run {
        decoder,
        parameters,
        data: &prepared,
        config,
        checkpoints: Checkpoints::new(out_dir, identity),
        out_dir,
    };
    announce(&run, &tokenizer, &device, on_event)?;
    let summary = run.train(on_event, cancel)?;
    // The weights were read after this digest was taken, and whoever loads the adapter reads them again.
    if base_digest(base_dir, config)? != base_before {
        run.checkpoints.clear()?;
        return Err(Error::Guard(format!(
            "the files of the base model `{}` changed while training; hint: run again, now that they are as they should be",
            base_dir.display()
        )));
    }
    match &config.method {
        Method::Lora(lora) => {
            let factors = tensors(&run.parameters);
            write_adapter(out_dir, lora, config.base_model_name.as_deref(), &factors)?;
        }
        Method::Full => {
            folder::copy_companions(base_dir, out_dir)?;
            folder::write_weights(out_dir, &run.parameters, DType::F32)?;
        }
    }
    run.checkpoints.clear()?;
    Ok(summary)
}

/// Longest row: the limit asked for, if the model can read that far.
pub(super) fn max_length(model: &DecoderConfig, config: &TrainConfig) -> Result<usize> {
    let longest = model.longest_sequence();
    match config.max_seq_length {
        Some(asked) if asked > longest => Err(Error::Config(format!(
            "`max_seq_length` {asked} is longer than the {longest} tokens the model reads"
        ))),
        Some(asked) => Ok(asked),
        None => Ok(longest),
    }
}

/// Tells what is about to be trained.
pub(super) fn announce(
    run: &Run<'_>,
    tokenizer: &Tokenizer,
    device: &Device,
    on_event: &mut dyn FnMut(TrainEvent),
) -> Result<()> {
    let (trainable, total) = run.sizes();
    let (rows, truncated) = (run.data.len(), run.data.truncated());
    on_event(TrainEvent::Started {
        rows,
        truncated_rows: truncated,
        trainable_parameters: trainable,
        total_parameters: total,
        total_steps: run
            .config
            .total_steps(run.data.walk(run.config).steps_per_epoch()),
        device: device_name(device).to_owned(),
    });
    if let Some(message) = run.data.truncation() {
        on_event(TrainEvent::Warning { message });
    }
    if let Some(quantization) = run.config.base_quantization {
        on_event(TrainEvent::Warning {
            message: format!(
                "the frozen base is rounded to {quantization} ({} MiB): the adapter is trained beside the rounded weights, and \
                 a merge adds it to the base's own",
                run.frozen_bytes() >> 20
            ),
        });
    }
    if let Some((id, pieces)) = run.data.preview(tokenizer)? {
        on_event(TrainEvent::Preview { id, pieces });
    }
    Ok(())
}

/// Digest of the settings that decide the result. Paths do not: what they lead to is digested with
/// the base or shows in the encoded rows.
pub(super) fn settings_digest(config: &TrainConfig) -> Result<String> {
    let mut deciding = config.clone();
    deciding.save_steps = None;
    deciding.init_adapter = None;
    deciding.compute.device = Some(config.compute.device_class()?.to_owned());
    deciding.chat_template = None;
    let json = serde_json::to_vec(&deciding).map_err(|e| Error::Config(e.to_string()))?;
    Ok(blake3::hash(&json).to_hex().to_string())
}

/// Parameters as named tensors.
fn tensors(parameters: &Parameters) -> Vec<(String, Tensor)> {
    parameters
        .iter()
        .map(|(name, parameter)| (name.clone(), parameter.tensor().clone()))
        .collect()
}

fn base_digest(base_dir: &Path, config: &TrainConfig) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(folder::digest_weights(base_dir)?.as_bytes());
    if let Some(adapter) = &config.init_adapter {
        let (settings, weights) = adapter_files(adapter);
        for path in [settings, weights] {
            hasher.update(files::digest(&path)?.as_bytes());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Gives the decoder a fresh adapter, or the one to start from.
fn attach(decoder: &mut Decoder, lora: &LoraConfig, config: &TrainConfig) -> Result<Parameters> {
    let Some(folder) = &config.init_adapter else {
        return decoder.attach_lora(lora, |name, shape| fresh_factor(config.seed, name, shape));
    };
    let adapter = AdapterFolder::open(folder)?;
    let theirs = &adapter.config;
    if theirs.rank != lora.rank
        || theirs.targets()? != lora.targets()?
        || theirs.scale() != lora.scale()
    {
        return Err(Error::Config(format!(
            "`init_adapter` `{}` has rank {}, scale {} and targets {:?}, the settings ask for {}, {} and {:?}",
            folder.display(),
            theirs.rank,
            theirs.scale(),
            theirs.targets()?,
            lora.rank,
            lora.scale(),
            lora.targets()?,
        )));
    }
    let parameters = decoder.attach_lora(lora, |name, shape| adapter.read(name, shape))?;
    adapter.check_all_used(&parameters)?;
    Ok(parameters)
}

/// PEFT's initial values: A is uniform within `1 / sqrt(in)`, B is zero.
fn fresh_factor(seed: u64, name: &str, shape: (usize, usize)) -> Result<Tensor> {
    if name.ends_with("lora_B.weight") {
        return Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
    }
    let bound = 1.0 / (shape.1 as f32).sqrt();
    let mut stream = Stream::new(seed, name, &[]);
    let values: Vec<f32> = (0..shape.0 * shape.1)
        .map(|_| (2.0 * stream.uniform() - 1.0) * bound)
        .collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
