//! What a training watches while it runs, each forced to go wrong.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::chat::{ChatTemplate, Message};
use crate::config::DecoderConfig;
use crate::model::Precision;
use crate::ops::Traced;
use crate::tensors::Shards;
use crate::tokenize::Tokenizer;
use crate::train::checkpoint::Identity;
use crate::train::data::TrainData;
use crate::train::encode::{Encoder, Example};
use driftgauge_engine::training::{LoraConfig, TrainingSettings};

/// A training of two steps on a golden model. `break_it` may change it before it starts, `on_event` while it runs.
fn trained(
    factor: impl Fn(&str) -> f32,
    break_it: impl FnOnce(&mut Run<'_>),
    on_event: &mut dyn FnMut(&Decoder, TrainEvent),
) -> Result<TrainSummary> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/llama");
    let model = DecoderConfig::from_folder(&folder)?;
    let tokenizer = Tokenizer::from_folder(&folder)?;
    let lora = LoraConfig {
        rank: 2,
        ..LoraConfig::default()
    };
    let config = TrainConfig::from(TrainingSettings {
        method: Method::Lora(lora.clone()),
        learning_rate: 1e-3,
        max_steps: Some(2),
        per_device_batch_size: 1,
        ..TrainingSettings::default()
    });
    let encoder = Encoder {
        template: &ChatTemplate::of_model(&folder, None)?,
        tokenizer: &tokenizer,
        train_on: config.settings.train_on,
        max_length: model.longest_sequence(),
    };
    let data = TrainData {
        examples: vec![Example {
            id: "a".to_owned(),
            messages: vec![
                Message::new("user", "who is the king?"),
                Message::new("assistant", "the king is old"),
            ],
        }],
        eval: Vec::new(),
    };
    let data = Prepared::new(&data, &encoder, &config)?;
    let shards = Shards::open(&folder)?;
    let precision = Precision::frozen(DType::F32);
    let (mut decoder, _) = Decoder::from_shards(&model, &shards, &Device::Cpu, precision)?;
    let parameters = decoder.attach_lora(&crate::lora::settings(&lora)?, |tensor| {
        let ones = Tensor::ones(tensor.shape, DType::F32, &Device::Cpu)?;
        Ok((ones * f64::from(factor(tensor.name)))?)
    })?;
    let out = tempfile::tempdir().unwrap();
    let identity = Identity {
        settings: String::new(),
        base: String::new(),
        data: data.digest(),
    };
    let mut run = Run {
        decoder,
        parameters,
        data: &data,
        config: &config,
        checkpoints: Checkpoints::new(out.path(), identity),
        out_dir: out.path(),
        write: None,
    };
    break_it(&mut run);
    let decoder = &run.decoder;
    run.train(
        &mut |event| on_event(decoder, event),
        &AtomicBool::new(false),
    )
}

/// Both factors are something, as long as nothing is broken.
fn sound(name: &str) -> f32 {
    if name.ends_with("lora_A.weight") {
        0.01
    } else {
        0.0
    }
}

const UP: &str = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight";

#[test]
fn a_sound_training_passes_its_guards() {
    let summary = trained(sound, |_| {}, &mut |_, _| {}).unwrap();
    assert_eq!(summary.steps, 2);
}

#[test]
fn a_parameter_that_the_loss_does_not_reach_is_named() {
    let cut_off = |run: &mut Run<'_>| {
        let values = run.parameters[UP].tensor().copy().unwrap();
        run.parameters
            .insert(UP.to_owned(), Traced::parameter(values));
    };
    let error = trained(sound, cut_off, &mut |_, _| {}).unwrap_err();
    let expected = format!("self-check failed: `{UP}` got no gradient");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_adapter_that_cannot_begin_to_move_is_named() {
    let error = trained(|_| 0.0, |_| {}, &mut |_, _| {}).unwrap_err();
    let expected = "self-check failed: the gradient of \
                    `base_model.model.model.layers.0.mlp.down_proj.lora_B.weight` is zero";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_frozen_weight_that_moves_is_found_at_the_end() {
    let mut steps = 0;
    let mut move_it = |decoder: &Decoder, event: TrainEvent| {
        let TrainEvent::Step { .. } = event else {
            return;
        };
        steps += 1;
        let frozen = decoder.frozen_weights();
        let Some(Weight::Plain(weight)) = frozen.last() else {
            panic!("no plain weight");
        };
        let row = weight.tensor().narrow(0, 0, 1).unwrap();
        let moved = (row * 1.001).unwrap();
        weight.tensor().slice_set(&moved, 0, 0).unwrap();
    };
    let error = trained(sound, |_| {}, &mut move_it).unwrap_err();
    assert_eq!(
        error.to_string(),
        "self-check failed: the frozen weights of the base model changed while training"
    );
    assert_eq!(steps, 2);
}
