//! mistral.rs against transformers: every reference of `tests/golden/architectures` is answered alike, or refused by name.

use std::sync::Arc;

use candle_core::Device;
use driftgauge_folder::inert::is_name_or_setting;
use driftgauge_lm::answer::Text;
use driftgauge_problem::Problem;
use driftgauge_tests::architectures::{references, write_model};
use mistralrs::ModelDType;
use serde_json::Value;

use crate::runtime::{Runtime, Source};
use crate::selfcheck::batching;
use crate::{config, folder};

/// Largest difference of ln p in the answers to the reference's sequences, as far as mistral.rs goes; or why it is refused.
fn largest_difference(reference: &Value) -> Result<f64, Problem> {
    let dir = tempfile::tempdir().unwrap();
    write_model(dir.path(), reference);
    let prepared = folder::prepare(dir.path())?;
    let text = Arc::new(Text::load(dir.path())?);
    let source = Source::Folder(prepared.path());
    let mut runtime = Runtime::start(&source, ModelDType::F32, &Device::Cpu, None)
        .map_err(|why| format!("does not load: {why}"))?;
    let mut largest: Option<f64> = None;
    for sequence in reference["sequences"].as_array().unwrap() {
        let ids: Vec<u32> = serde_json::from_value(sequence["ids"].clone()).unwrap();
        let answer: Vec<u32> = serde_json::from_value(sequence["answer"].clone()).unwrap();
        let expected: Vec<f64> = serde_json::from_value(sequence["answer_lp"].clone()).unwrap();
        let reach = prepared
            .reach
            .as_ref()
            .map_or(usize::MAX, |reach| reach.tokens);
        if ids.len() + answer.len() > reach {
            continue;
        }
        let (recorder, mut receiver) = batching::send(&mut runtime, &text, &ids, answer.len())?;
        batching::finished(&mut receiver)?;
        let recording = recorder.take().answer;
        let pairs = recording.tokens.iter().zip(&answer);
        let pairs = pairs.zip(recording.logprob.iter().zip(&expected));
        let mut difference = 0.0_f64;
        for ((ours, theirs), (lp, expected)) in pairs {
            difference = difference.max((f64::from(*lp) - expected).abs());
            if ours != theirs {
                difference = difference.max(1.0);
                break;
            }
        }
        largest = Some(largest.unwrap_or(0.0).max(difference));
    }
    largest.ok_or_else(|| Problem::failed("no sequence is within its reach"))
}

/// The references that mistral.rs answers on a CPU; the others are refused by name, or lie beyond its reach. What is answered
/// no more would be tested no more.
const ANSWERED: [&str; 16] = [
    "gemma",
    "gemma2",
    "glm4-whole",
    "glm4",
    "llama-linear",
    "llama-llama3",
    "llama",
    "mistral",
    "mixtral",
    "phi3-longrope",
    "phi3-partial",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
    "starcoder2",
];

#[test]
fn answers_are_those_of_transformers_or_refused_by_name() {
    let only = std::env::var("DRIFTGAUGE_ARCHITECTURE").ok();
    let (mut answered, mut wrong) = (Vec::new(), Vec::new());
    for (name, reference) in references() {
        if only
            .as_ref()
            .is_some_and(|only| !name.starts_with(only.as_str()))
        {
            continue;
        }
        match largest_difference(&reference) {
            Ok(difference) => {
                println!("{name}: {difference:.1e}");
                answered.push(name.clone());
                if difference > 1e-4 {
                    wrong.push((name, difference));
                }
            }
            Err(why) => println!("{name}: refused: {why}"),
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    if only.is_none() {
        assert_eq!(answered, ANSWERED);
    }
}

#[test]
fn configurations_of_transformers_4_and_5_are_shown_alike() {
    let shown = |config: &Value| {
        config::from_json(config).map(|config| {
            let mut json = config.json;
            let fields = json.as_object_mut().unwrap();
            // What is inert may differ, and what one of both leaves out where it is as always.
            const AS_ALWAYS: [&str; 4] = [
                "head_dim",
                "num_local_experts",
                "num_nextn_predict_layers",
                "swiglu_limit",
            ];
            fields.retain(|key, _| !is_name_or_setting(key) && !AS_ALWAYS.contains(&key.as_str()));
            (json, config.reach)
        })
    };
    for (name, reference) in references() {
        if let Some(four) = reference.get("config_4") {
            let (four, five) = (shown(four), shown(&reference["config"]));
            assert_eq!(four.is_ok(), five.is_ok(), "{name}: {four:?} {five:?}");
            if let (Ok(four), Ok(five)) = (four, five) {
                assert_eq!(four, five, "{name}");
            }
        }
    }
}
