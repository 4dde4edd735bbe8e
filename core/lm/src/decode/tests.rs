//! Batched decoding against transformers, and against itself in every other order.

mod gguf;
mod rounded;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use driftgauge_engine::{Rounding, Sampling};
use driftgauge_tests::architectures::{references, weight};
use serde_json::Value;

use super::{Batch, Given, Limits};
use crate::answer::{Asked, Plan, Recording, Text};
use crate::config::DecoderConfig;
use crate::divergence::Divergence;
use crate::model::{Decoder, Precision};
use crate::{Compute, Scorer};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(name)
}

fn text() -> Text {
    Text::load(&golden("llama")).unwrap()
}

/// The answers to some prompts, in their order; asked as `order` says.
fn answers(batch: &mut Batch, asked: &[(Vec<u32>, Plan)], order: &[usize]) -> Vec<Recording> {
    let text = text();
    for &index in order {
        let (prompt, plan) = asked[index].clone();
        batch.put(index as u64, Asked::probe(prompt, plan));
    }
    let mut answers = vec![Recording::default(); asked.len()];
    while !batch.is_idle() {
        for finished in batch.step(&text) {
            answers[finished.id as usize] = finished.outcome.unwrap();
        }
    }
    answers
}

#[test]
fn answers_are_those_of_transformers() {
    let mut compared = 0;
    for (name, reference) in references() {
        let Ok(config) = DecoderConfig::from_json(&reference["config"]) else {
            continue;
        };
        let precision = Precision::frozen(DType::F32);
        let (decoder, _) = Decoder::build(&config, &Device::Cpu, precision, &mut |name, shape| {
            Ok(weight(name, shape))
        })
        .unwrap();
        let mut batch = Batch::new(decoder, Limits::default()).unwrap();
        let numbers =
            |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
        let ids = |value: &Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
        let sequences: Vec<_> = reference["sequences"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (ids(&s["ids"]), ids(&s["answer"]), numbers(&s["answer_lp"])))
            .filter(|(prompt, answer, _)| prompt.len() + answer.len() <= batch.context())
            .collect();
        assert!(!sequences.is_empty(), "{name}");
        let asked: Vec<_> = sequences
            .iter()
            .map(|(prompt, answer, _)| (prompt.clone(), Plan::probe(answer.len())))
            .collect();
        let order: Vec<usize> = (0..asked.len()).collect();
        let found = answers(&mut batch, &asked, &order);
        for (found, (prompt, answer, ln_p)) in found.iter().zip(&sequences) {
            assert_eq!(&found.tokens, answer, "{name}, {} tokens", prompt.len());
            for (ours, theirs) in found.logprob.iter().zip(ln_p) {
                assert!(
                    (f64::from(*ours) - theirs).abs() < 2e-5,
                    "{name}: {ours} {theirs}"
                );
            }
        }
        compared += 1;
    }
    assert!(compared >= 36, "{compared}");
}

/// Prompts of many lengths, some of which begin alike; greedy and drawn, ending early and late.
fn many() -> Vec<(Vec<u32>, Plan)> {
    let token = |seed: u32, i: u32| (seed.wrapping_mul(7919) + i * 31) % 290;
    (0..23_u32)
        .map(|index| {
            let shared = [0, 40, 70, 96][index as usize % 4];
            let prompt = (0..shared)
                .map(|i| token(1, i))
                .chain((0..=index * 5 % 37).map(|i| token(index + 2, i)));
            let mut plan = Plan::probe(1 + index as usize * 7 % 40);
            if index % 3 == 0 {
                plan.sampling = Sampling {
                    temperature: 1.3,
                    seed: u64::from(index),
                    ..Sampling::greedy()
                };
            }
            plan.top_logprobs = index as usize % 3;
            plan.end_tokens = [token(5, index), token(6, index)].into();
            (prompt.collect(), plan)
        })
        .collect()
}

fn batch(limits: Limits) -> Batch {
    Batch::open(&golden("llama"), Rounding::None, limits).unwrap()
}

#[test]
fn an_answer_is_the_same_bytes_whatever_stands_beside_it() {
    let asked = many();
    let forwards: Vec<usize> = (0..asked.len()).collect();
    // Each alone, with nothing in the cache.
    let expected: Vec<Recording> = forwards
        .iter()
        .map(|&i| answers(&mut batch(Limits::default()), &asked, &[i]).swap_remove(i))
        .collect();
    assert!(expected.iter().any(|answer| answer.ends_with_eos));
    assert!(expected.iter().any(|answer| answer.tokens.len() > 20));
    let mut backwards = forwards.clone();
    backwards.reverse();
    let page = batch(Limits::default()).page_bytes();
    for (number, (at_once, tokens, pages)) in [
        (64, 256, 1000),
        (1, 256, 1000),
        (7, 5, 12),
        (3, 1, 1),
        (64, 33, 9),
        (20, 70, 40),
    ]
    .into_iter()
    .enumerate()
    {
        let limits = Limits {
            answers: at_once,
            tokens,
            cache: pages * page,
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1 + number % 3);
        let pool = pool.build().unwrap();
        let mut batch = batch(limits);
        for order in [&forwards, &backwards] {
            let found = pool.install(|| answers(&mut batch, &asked, order));
            assert_eq!(found, expected, "{limits:?}");
        }
    }
}

#[test]
fn a_shared_beginning_is_read_once() {
    let mut batch = batch(Limits::default());
    let prompt = |last: u32| (0..100).chain([last]).collect::<Vec<u32>>();
    let asked: Vec<_> = (0..10).map(|i| (prompt(i), Plan::probe(1))).collect();
    let order: Vec<usize> = (0..10).collect();
    answers(&mut batch, &asked, &order);
    // Three whole pages for all of them, and one more for each.
    assert_eq!(batch.bytes().1, 13 * batch.page_bytes());
}

#[test]
fn given_texts_are_read_alike_side_by_side_and_alone() {
    let texts: Vec<Given> = many()
        .into_iter()
        .enumerate()
        .map(|(index, (tokens, _))| Given {
            first: tokens.len() * index / 30,
            tokens,
        })
        .collect();
    let logits = |_: usize, _: usize, logits: &[f32]| logits.to_vec();
    let alone: Vec<Vec<Vec<f32>>> = texts
        .iter()
        .map(|text| {
            let mut batch = batch(Limits::default());
            batch.read(std::slice::from_ref(text), logits).remove(0)
        })
        .collect();
    let page = batch(Limits::default()).page_bytes();
    for (tokens, pages) in [(256, 1000), (5, 7), (70, 1)] {
        let mut batch = batch(Limits {
            answers: 64,
            tokens,
            cache: pages * page,
        });
        // What is found in the cache the second time changes nothing.
        for _ in 0..2 {
            assert_eq!(batch.read(&texts, logits), alone, "{tokens} {pages}");
        }
    }
    let scorer = Scorer::load(&golden("llama"), &Compute::cpu()).unwrap();
    for (text, rows) in texts.iter().zip(&alone) {
        assert_eq!(rows.len(), text.tokens.len() - text.first);
        let (prompt, rest) = text.tokens.split_at(text.first + 1);
        let theirs = scorer.logits(prompt, &[rest, &[0]].concat()).unwrap();
        for (ours, theirs) in rows.iter().zip(theirs) {
            let divergence = Divergence::between(ours, &theirs).unwrap();
            assert!(
                divergence.kl < 1e-9 && divergence.top1_agree,
                "{divergence:?}"
            );
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() < 2e-5, "{ours} {theirs}");
            }
        }
    }
}
