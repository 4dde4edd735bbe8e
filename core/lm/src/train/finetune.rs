//! Fine-tuning a model folder.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::{DType, Device, Tensor};
use driftgauge_folder::adapter::{self, AdapterSettings, PREFIX, saved_by};

use super::checkpoint::{Checkpoints, Identity};
use super::config::TrainConfig;
use super::data::{Prepared, TrainData, device_name};
use super::encode::Encoder;
use super::ends::ends;
use super::event::{TrainEvent, TrainSummary};
use super::run::Run;
use crate::chat::ChatTemplate;
use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::files;
use crate::folder;
use crate::lora::{self, AdapterFolder, write_adapter};
use crate::model::{Decoder, Fresh, Parameters, Precision};
use crate::ops::row_lengths;
use crate::random::Stream;
use crate::tensors::Shards;
use crate::tokenize::Tokenizer;
use driftgauge_engine::training::Method;

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
    let (device, dtype) = config.compute().resolve()?;
    let model = DecoderConfig::from_folder(base_dir)?;
    model.check_trainable()?;
    let tokenizer = Tokenizer::from_folder(base_dir)?;
    let encoder = Encoder {
        template: &ChatTemplate::of_model(base_dir, config.chat_template.as_deref())?,
        tokenizer: &tokenizer,
        train_on: config.settings.train_on,
        max_length: max_length(&model, config)?,
    };
    let prepared = Prepared::new(data, &encoder, config)?;
    let identity = Identity {
        settings: settings_digest(config)?,
        base: base_digest(base_dir, config)?,
        data: prepared.digest(),
    };
    let shards = Shards::open(base_dir)?;
    let start = match (&config.settings.method, &config.init_adapter) {
        (Method::Lora(_), Some(path)) => Some(AdapterFolder::open(path, shards.weights())?),
        _ => None,
    };
    // What is trained on has the settings that it was made with.
    let fresh = match (&config.settings.method, &start) {
        (Method::Lora(lora), None) => Some(lora::of_model(lora, &model)?),
        _ => None,
    };
    let settings = match (&config.settings.method, &start, &fresh) {
        (Method::Lora(lora), Some(start), _) => Some(start.settings().with_dropout(lora.dropout)),
        (_, _, Some(fresh)) => Some(lora::settings(fresh)?),
        _ => None,
    };
    let whole = settings
        .as_ref()
        .map(|settings| settings.modules_to_save.clone());
    let precision = Precision {
        dtype,
        trainable: matches!(config.settings.method, Method::Full),
        quantization: config.settings.base_quantization,
        whole: whole.unwrap_or_default(),
        halves: true,
    };
    let (mut decoder, mut parameters) = Decoder::from_shards(&model, &shards, &device, precision)?;
    if let Some(settings) = &settings {
        parameters = attach(
            &mut decoder,
            parameters,
            settings,
            start.as_ref(),
            config.settings.seed,
        )?;
    }
    let ends = ends(
        config.settings.train_on,
        &prepared.closers(),
        &folder::declared_ends(base_dir, &tokenizer)?,
        &tokenizer,
    );
    std::fs::create_dir_all(out_dir).map_err(Error::io("create", out_dir))?;
    let base_before = identity.base.clone();
    let write = |parameters: &Parameters, out_dir: &Path| match &config.settings.method {
        Method::Lora(lora) => {
            let factors = tensors(parameters);
            let config = match &start {
                Some(start) => start.config(),
                None => lora::to_peft(
                    fresh.as_ref().unwrap_or(lora),
                    config.base_model_name.as_deref(),
                )?,
            };
            write_adapter(out_dir, &config, &factors)?;
            // For the merge, which makes a model of it.
            match ends.learnt.is_empty() {
                true => Ok(()),
                false => {
                    let learnt = ends.learnt.clone().into();
                    folder::write_json(&out_dir.join(folder::LEARNT_ENDS), &learnt)
                }
            }
        }
        Method::Full => {
            folder::copy_companions(base_dir, out_dir)?;
            if !ends.learnt.is_empty() {
                folder::add_ends(out_dir, &ends.learnt)?;
            }
            folder::write_weights(out_dir, parameters, DType::F32)
        }
    };
    let run = Run {
        decoder,
        parameters,
        data: &prepared,
        config,
        checkpoints: Checkpoints::new(out_dir, identity),
        out_dir,
        write: Some(&write),
    };
    announce(&run, &tokenizer, &device, ends.note.clone(), on_event)?;
    let summary = run.train(on_event, cancel)?;
    // The weights were read after this digest was taken, and whoever loads the adapter reads them again.
    if base_digest(base_dir, config)? != base_before {
        run.checkpoints.clear()?;
        return Err(Error::Guard(format!(
            "the files of the base model `{}` changed while training",
            base_dir.display()
        ))
        .hint("run again, now that they are as they should be"));
    }
    // A training that ends before its time leaves what it kept alone.
    if config.stop_at.is_none() {
        write(&run.parameters, out_dir)?;
    }
    run.checkpoints.clear()?;
    Ok(summary)
}

/// Longest row: the limit asked for, if the model can read that far.
pub(super) fn max_length(model: &DecoderConfig, config: &TrainConfig) -> Result<usize> {
    let longest = model.longest_sequence();
    match config.settings.max_seq_length {
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
    ends: Option<String>,
    on_event: &mut dyn FnMut(TrainEvent),
) -> Result<()> {
    let (trainable, total) = run.sizes();
    let (rows, truncated) = (run.data.len(), run.data.truncated());
    on_event(TrainEvent::Started {
        rows,
        truncated_rows: truncated,
        trainable_parameters: trainable,
        total_parameters: total,
        total_steps: run.config.settings.steps(run.data.walk(run.config).rows),
        device: device_name(device).to_owned(),
    });
    for message in run.data.truncation().into_iter().chain(ends) {
        on_event(TrainEvent::Warning { message });
    }
    if let Some(quantization) = run.config.settings.base_quantization {
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
    deciding.device = Some(config.compute().device_class()?.to_owned());
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
        let files = adapter::files(adapter)?;
        for path in [files.settings, files.weights] {
            hasher.update(files::digest(&path)?.as_bytes());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Gives the decoder a fresh adapter, or the one to start from. `whole` are the modules that are trained as such.
fn attach(
    decoder: &mut Decoder,
    whole: Parameters,
    settings: &AdapterSettings,
    start: Option<&AdapterFolder>,
    seed: u64,
) -> Result<Parameters> {
    for entry in &settings.modules_to_save {
        let found = |name: &String| saved_by(entry, name.trim_end_matches(".weight"));
        if !whole.keys().any(found) {
            return Err(Error::Config(format!(
                "`modules_to_save` names `{entry}`, and no module of the base model is called so"
            )));
        }
    }
    let Some(adapter) = start else {
        let mut parameters = decoder.attach_lora(settings, |tensor| fresh_tensor(seed, tensor))?;
        let named = |(name, parameter)| (format!("{PREFIX}{name}"), parameter);
        parameters.extend(whole.into_iter().map(named));
        return check_any(parameters);
    };
    let mut parameters = decoder.attach_lora(settings, |tensor| adapter.read(tensor.name))?;
    adapter.take_whole(whole, &mut parameters)?;
    adapter.check_all_used(&parameters)?;
    check_any(parameters)
}

fn check_any(parameters: Parameters) -> Result<Parameters> {
    match parameters.is_empty() {
        true => Err(Error::Config(
            "`target_modules` names no module of the base model: nothing would be trained"
                .to_owned(),
        )),
        false => Ok(parameters),
    }
}

/// PEFT's initial values: A is uniform within `1 / sqrt(in)`, B is zero, lengths are those of the base's rows.
fn fresh_tensor(seed: u64, tensor: &Fresh<'_>) -> Result<Tensor> {
    let (name, shape) = (tensor.name, tensor.shape);
    if name.ends_with("lora_magnitude_vector") {
        return Ok(row_lengths(tensor.weight, None)?);
    }
    if name.ends_with("lora_B.weight") {
        return Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
    }
    let bound = 1.0 / (shape[1] as f32).sqrt();
    let mut stream = Stream::new(seed, name, &[]);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| (2.0 * stream.uniform() - 1.0) * bound)
        .collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
