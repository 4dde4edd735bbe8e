//! Every architecture against transformers: `tests/golden/architectures`, made by `tests/python/make_architectures.py`.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use driftgauge_tests::architectures::{self, weight};
use serde_json::Value;

use crate::config::DecoderConfig;
use crate::model::{Decoder, Precision, expected_weights};
use crate::ops::Traced;

/// The references of architectures that this crate does not compute.
const REFUSED: [&str; 11] = [
    "deepseekv2",
    "deepseekv3",
    "glm4moe",
    "glm4moelite",
    "gptoss",
    "granitemoehybrid",
    "phi",
    "phimoe",
    "qwen3next",
    "starcoder2-untied",
    "starcoder2",
];

/// The references of architectures that this crate computes.
fn references() -> Vec<(String, Value, DecoderConfig)> {
    let computed = |(name, value): (String, Value)| {
        let config = match DecoderConfig::from_json(&value["config"]) {
            Ok(config) => config,
            Err(error) => {
                assert!(
                    error.to_string().contains("architecture `"),
                    "{name}: {error}"
                );
                return None;
            }
        };
        Some((name, value, config))
    };
    let all = architectures::references();
    let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let computed: Vec<_> = all.into_iter().filter_map(computed).collect();
    // What is refused without being meant to be would be tested no more.
    let is_computed = |name: &String| computed.iter().any(|(other, _, _)| other == name);
    let refused: Vec<&String> = names.iter().filter(|name| !is_computed(name)).collect();
    assert_eq!(refused, REFUSED);
    computed
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from(x - largest).exp()).sum();
    let total = f64::from(largest) + sum.ln();
    row.iter().map(|&x| f64::from(x) - total).collect()
}

fn largest_difference(ours: impl IntoIterator<Item = f64>, theirs: &[f64]) -> f64 {
    let pairs = ours.into_iter().zip(theirs);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn configurations_of_transformers_4_and_5_are_read_alike() {
    let mut compared = 0;
    for (name, value, five) in references() {
        if value["config_4"].is_null() {
            continue;
        }
        let four = DecoderConfig::from_json(&value["config_4"]);
        assert_eq!(
            four.unwrap_or_else(|e| panic!("{name}: {e}")),
            five,
            "{name}"
        );
        compared += 1;
    }
    assert!(compared >= 30, "{compared}");
}

#[test]
fn the_weights_that_are_read_are_those_that_are_stored() {
    for (name, value, config) in references() {
        let stored: BTreeMap<String, Vec<usize>> =
            serde_json::from_value(value["tensors"].clone()).unwrap();
        assert_eq!(expected_weights(&config).unwrap(), stored, "{name}");
    }
}

#[test]
fn logits_are_those_of_transformers() {
    let references = references();
    assert!(references.len() >= 36, "{}", references.len());
    let mut differences = Vec::new();
    for (name, value, config) in references {
        let precision = Precision::frozen(DType::F32);
        let (decoder, _) = Decoder::build(&config, &Device::Cpu, precision, &mut |name, shape| {
            Ok(weight(name, shape))
        })
        .unwrap();
        let mut largest = 0.0_f64;
        for sequence in value["sequences"].as_array().unwrap() {
            let ids = ids(&sequence["ids"]);
            let pass = decoder.pass(1, ids.len()).unwrap();
            let tensor = Tensor::from_slice(&ids, ids.len(), &Device::Cpu).unwrap();
            let h = decoder.forward(&tensor, &pass).unwrap();
            let rows: Vec<Vec<f32>> = decoder.logits(&h).unwrap().to_vec2().unwrap();
            let next = rows.iter().zip(&ids[1..]);
            let ours = next.map(|(row, &id)| log_softmax(row)[id as usize]);
            largest = largest.max(largest_difference(ours, &numbers(&sequence["lp"])));
            let last = rows.last().unwrap().iter().map(|&x| f64::from(x));
            largest = largest.max(largest_difference(last, &numbers(&sequence["last"])));
        }
        println!("{name}: {largest:.1e}");
        differences.push((largest, name));
    }
    let worst = differences
        .iter()
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap();
    assert!(worst.0 < 2e-5, "{differences:?}");
}

#[test]
fn losses_and_gradients_are_those_of_torch() {
    for (name, value, config) in references() {
        // The experts' gradients are not computed.
        if config.experts.is_some() {
            continue;
        }
        let precision = Precision {
            trainable: true,
            ..Precision::frozen(DType::F32)
        };
        let (decoder, parameters) =
            Decoder::build(&config, &Device::Cpu, precision, &mut |name, shape| {
                Ok(weight(name, shape))
            })
            .unwrap();
        let ids = ids(&value["sequences"][0]["ids"]);
        let (seen, targets) = (&ids[..ids.len() - 1], &ids[1..]);
        let tensor = |ids: &[u32]| Tensor::from_slice(ids, ids.len(), &Device::Cpu).unwrap();
        let pass = decoder.pass(1, seen.len()).unwrap();
        let mut h: Traced = decoder.embed(&tensor(seen)).unwrap();
        for layer in 0..decoder.depth() {
            h = decoder.layer(layer, &h, &pass).unwrap();
        }
        let loss = decoder.loss(&h, &tensor(targets)).unwrap();
        let loss = loss.scale(1.0 / targets.len() as f64).unwrap();
        let ours = f64::from(loss.tensor().to_scalar::<f32>().unwrap());
        // The scalings that depend on a sequence's length see one token less here, which is within the original context.
        let theirs = value["loss"].as_f64().unwrap();
        assert!(
            (ours - theirs).abs() < 1e-5,
            "{name}: loss {ours} against {theirs}"
        );
        let gradients = loss.backward().unwrap();
        let expected = value["gradients"].as_object().unwrap();
        assert_eq!(parameters.len(), expected.len(), "{name}");
        for (parameter, norm) in expected {
            let gradient = gradients.get(&parameters[parameter]).unwrap();
            let gradient = gradient.to_dtype(DType::F64).unwrap();
            let ours = gradient
                .sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
                .sqrt();
            let theirs = norm.as_f64().unwrap();
            assert!(
                (ours - theirs).abs() < 1e-4 * theirs.max(1e-3),
                "{name}: gradient of {parameter} has norm {ours}, expected {theirs}"
            );
        }
    }
}
