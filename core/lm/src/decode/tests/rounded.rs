//! Rounded weights against folders of the numbers that they are rounded to, and against the decoder that reads one text at a time.

use std::collections::HashMap;
use std::path::Path;

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Tensor};
use driftgauge_engine::Rounding;
use driftgauge_engine::training::BaseQuantization;
use serde_json::Value;

use super::gguf::{alike, config, weights};
use super::{answers, golden, many};
use crate::Scorer;
use crate::answer::Recording;
use crate::compute::block_format;
use crate::config::DecoderConfig;
use crate::decode::{Batch, Limits};
use crate::tensors::write_atomically;

const ALL: [Rounding; 6] = [
    Rounding::Bf16,
    Rounding::Blocks(BaseQuantization::Q4_0),
    Rounding::Blocks(BaseQuantization::Q4k),
    Rounding::Blocks(BaseQuantization::Q5k),
    Rounding::Blocks(BaseQuantization::Q6k),
    Rounding::Blocks(BaseQuantization::Q8_0),
];

fn write_folder(folder: &Path, config: &Value, weights: &HashMap<String, Tensor>) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let tensors = weights
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.clone()));
    let tensors: Vec<_> = tensors.collect();
    write_atomically(&folder.join("model.safetensors"), &tensors).unwrap();
}

/// A weight as it is rounded, in f32.
fn rounded(name: &str, tensor: &Tensor, rounding: Rounding) -> Tensor {
    let is_of_module = tensor.rank() == 2 && name.contains(".layers.");
    match rounding {
        Rounding::Bf16 => tensor
            .to_dtype(DType::BF16)
            .unwrap()
            .to_dtype(DType::F32)
            .unwrap(),
        Rounding::Blocks(format) if is_of_module => {
            let blocks = QTensor::quantize(tensor, block_format(format)).unwrap();
            blocks.dequantize(&Device::Cpu).unwrap()
        }
        Rounding::Blocks(_) | Rounding::None => tensor.clone(),
    }
}

fn all(batch: &mut Batch) -> Vec<Recording> {
    let asked = many();
    let order: Vec<usize> = (0..asked.len()).collect();
    answers(batch, &asked, &order)
}

#[test]
fn rounded_weights_answer_as_the_numbers_that_they_are_rounded_to() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, plain) = (dir.path().join("folder"), dir.path().join("plain"));
    for class in ["LlamaForCausalLM", "Qwen2ForCausalLM"] {
        let json = config(class);
        let stored = weights(&DecoderConfig::from_json(&json).unwrap());
        write_folder(&folder, &json, &stored);
        let open = |folder: &Path, rounding| Batch::open(folder, rounding, Limits::default());
        let mut whole = open(&folder, Rounding::None).unwrap();
        let as_stored = all(&mut whole);
        for rounding in ALL {
            let expected = stored
                .iter()
                .map(|(name, tensor)| (name.clone(), rounded(name, tensor, rounding)));
            write_folder(&plain, &json, &expected.collect());
            let mut batch = open(&folder, rounding).unwrap();
            let found = all(&mut batch);
            let expected = all(&mut open(&plain, Rounding::None).unwrap());
            match rounding {
                // These are multiplied in one chain either way.
                Rounding::Bf16 => assert_eq!(found, expected, "{class} {rounding:?}"),
                _ => alike(&found, &expected, &many(), &format!("{class} {rounding:?}")),
            }
            assert_ne!(found, as_stored, "{class} {rounding:?}");
            let shapes = driftgauge_folder::inspect(&folder).unwrap().shapes();
            let most = rounding.bytes_of(&shapes);
            assert!(batch.bytes().0 as u64 <= most, "{class} {rounding:?}");
            assert!(batch.bytes().0 < whole.bytes().0, "{class} {rounding:?}");
        }
    }
}

#[test]
fn both_decoders_round_alike() {
    let dir = tempfile::tempdir().unwrap();
    let json = config("LlamaForCausalLM");
    write_folder(
        dir.path(),
        &json,
        &weights(&DecoderConfig::from_json(&json).unwrap()),
    );
    for rounding in ALL {
        let mut batch = Batch::open(dir.path(), rounding, Limits::default()).unwrap();
        let scorer = Scorer::rounded(dir.path(), rounding).unwrap();
        let mut compared = 0;
        for ((prompt, plan), found) in many().iter().zip(all(&mut batch)) {
            if plan.sampling.temperature > 0.0 {
                continue;
            }
            let expected = scorer.token_logprobs(prompt, &found.tokens).unwrap();
            for (ours, theirs) in found.logprob.iter().zip(expected) {
                assert!(
                    (f64::from(*ours) - theirs).abs() < 1e-4,
                    "{rounding:?}: {ours} {theirs}"
                );
                compared += 1;
            }
        }
        assert!(compared > 100, "{compared}");
    }
}

#[test]
fn rows_that_are_no_whole_blocks_are_refused_with_the_weight() {
    let rounding = Rounding::Blocks(BaseQuantization::Q8_0);
    let error = Batch::open(&golden("llama"), rounding, Limits::default())
        .err()
        .unwrap();
    let problem = driftgauge_problem::Problem::from(error);
    let help = problem.help.unwrap_or_default();
    assert!(
        help.contains("down_proj") && help.contains("144"),
        "{} {help}",
        problem.message
    );
}
