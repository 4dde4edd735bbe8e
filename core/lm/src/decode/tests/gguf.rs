//! GGUF files against the model folders that they were made of, and against the folders of the numbers that their blocks stand for.

use std::collections::HashMap;
use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use driftgauge_engine::{LocalEngine, Rounding};
use driftgauge_tests::architectures::weight;
use driftgauge_tests::gguf::{Number, Tensors, tensor, write_edited, write_model};
use serde_json::{Value, json};

use super::{answers, golden, many};
use crate::answer::{Plan, Recording};
use crate::config::DecoderConfig;
use crate::decode::{Batch, Limits};
use crate::model::{Decoder, Precision, expected_weights};
use crate::worker::weight_bytes;
use crate::{GgufFile, Scorer, check_gguf};

fn open(path: &Path) -> Batch {
    let weights = GgufFile::open(path).unwrap().weights().unwrap();
    Batch::open_gguf(&weights, Limits::default()).unwrap()
}

fn all(batch: &mut Batch, asked: &[(Vec<u32>, Plan)]) -> Vec<Recording> {
    let order: Vec<usize> = (0..asked.len()).collect();
    answers(batch, asked, &order)
}

/// In other formats where their blocks fit into the rows; what has one dimension stays as it is.
fn quantise(tensors: &mut Tensors, format: impl Fn(&str) -> GgmlDType) {
    for (name, stored) in tensors {
        let (shape, format) = (stored.shape().dims().to_vec(), format(name));
        if shape.len() == 2 && shape[1].is_multiple_of(format.block_size()) {
            let plain = stored.dequantize(&Device::Cpu).unwrap();
            *stored = QTensor::quantize(&plain, format).unwrap();
        }
    }
}

#[test]
fn a_file_in_f32_answers_as_its_folder_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let asked = many();
    for name in ["llama", "qwen2", "qwen3", "llama3-rope"] {
        write_edited(&golden(name), &path, false, |_, _| {});
        check_gguf(&GgufFile::open(&path).unwrap(), LocalEngine::Native).unwrap();
        let mut folder = Batch::open(&golden(name), Rounding::None, Limits::default()).unwrap();
        let (expected, found) = (all(&mut folder, &asked), all(&mut open(&path), &asked));
        if name != "llama3-rope" {
            assert_eq!(found, expected, "{name}");
            continue;
        }
        // Its frequencies are divided by what the file has in f32.
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.tokens, expected.tokens);
            for (a, b) in found.logprob.iter().zip(&expected.logprob) {
                assert!((a - b).abs() < 2e-5, "{a} {b}");
            }
        }
    }
}

/// A shape whose rows are whole blocks of every format.
pub(super) fn config(class: &str) -> Value {
    json!({
        "architectures": [class],
        "vocab_size": 357,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": class != "LlamaForCausalLM",
    })
}

/// Weights as the references have them, but with the variance that a trained model's products have.
pub(super) fn weights(config: &DecoderConfig) -> HashMap<String, Tensor> {
    let expected = expected_weights(config).unwrap();
    let scaled = expected.into_iter().map(|(name, shape)| {
        let tensor = weight(&name, &shape);
        let factor = if shape.len() == 2 { 0.4 } else { 1.0 };
        (name, (tensor * factor).unwrap())
    });
    scaled.collect()
}

/// The format of each tensor.
type OfTensor = Box<dyn Fn(&str) -> GgmlDType>;

/// One format for all, or the mixture of a file in Q4_K_M: other formats for values, what is narrowed, the embedding and the head.
fn formats() -> Vec<(&'static str, OfTensor)> {
    use GgmlDType as G;
    let one =
        |name, format: G| -> (&'static str, OfTensor) { (name, Box::new(move |_: &str| format)) };
    let mixed = |name: &str| match name {
        "token_embd.weight" => G::Q6K,
        "output.weight" => G::Q8_0,
        name if name.contains("attn_v") || name.contains("ffn_down") => G::Q6K,
        name if name.contains("attn_k") => G::Q5_1,
        name if name.contains("ffn_up") => G::Q4_0,
        _ => G::Q4K,
    };
    vec![
        one("F16", G::F16),
        one("BF16", G::BF16),
        one("Q4_0", G::Q4_0),
        one("Q4_1", G::Q4_1),
        one("Q5_0", G::Q5_0),
        one("Q5_1", G::Q5_1),
        one("Q8_0", G::Q8_0),
        one("Q4_K", G::Q4K),
        one("Q5_K", G::Q5K),
        one("Q6_K", G::Q6K),
        ("mixed", Box::new(mixed)),
    ]
}

#[test]
fn blocks_answer_as_the_numbers_that_they_stand_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let plain = dir.path().join("plain.gguf");
    let asked = many();
    for class in ["LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"] {
        let json = config(class);
        let config = DecoderConfig::from_json(&json).unwrap();
        let weights = weights(&config);
        for (name, format) in formats() {
            write_model(&json, &weights, &path, |_, tensors| {
                quantise(tensors, &format);
            });
            // What candle makes of the same blocks, as numbers in f32.
            write_model(&json, &weights, &plain, |_, tensors| {
                quantise(tensors, &format);
                quantise(tensors, |_| GgmlDType::F32);
            });
            let (mut blocks, mut whole) = (open(&path), open(&plain));
            let found = all(&mut blocks, &asked);
            let expected = all(&mut whole, &asked);
            match name {
                // These are multiplied in one chain either way.
                "F16" | "BF16" => assert_eq!(found, expected, "{class} {name}"),
                _ => alike(&found, &expected, &asked, &format!("{class} {name}")),
            }
            let most = weight_bytes(dir.path(), Some("model.gguf"), Rounding::None).unwrap();
            assert!(blocks.bytes().0 as u64 <= most, "{class} {name}");
            // Numbers of bf16 take 16 bits either way.
            assert!(blocks.bytes().0 <= whole.bytes().0, "{class} {name}");
            if name != "mixed" {
                continue;
            }
            // And by the other decoder, with candle's blocks and kernels of its own.
            let file = GgufFile::open(&path).unwrap();
            let scorer = Scorer::of_gguf(&file.weights().unwrap()).unwrap();
            for ((prompt, plan), answer) in asked.iter().zip(&found) {
                let greedy = plan.sampling.temperature == 0.0;
                let theirs = scorer.token_logprobs(prompt, &answer.tokens).unwrap();
                for (ours, theirs) in answer.logprob.iter().zip(theirs) {
                    let apart = (f64::from(*ours) - theirs).abs();
                    assert!(!greedy || apart < 2e-5, "{class}: {ours} {theirs}");
                }
            }
        }
    }
}

/// The same tokens, with ln p as close as sums in another order make them. A draw may fall on the other side of a limit between two
/// tokens, so a sampled answer is compared as far as both are the same; few are not the same to their end.
pub(super) fn alike(
    found: &[Recording],
    expected: &[Recording],
    asked: &[(Vec<u32>, Plan)],
    place: &str,
) {
    assert_eq!(found.len(), expected.len(), "{place}");
    let mut parted = 0;
    for ((found, expected), (_, plan)) in found.iter().zip(expected).zip(asked) {
        let pairs = found.tokens.iter().zip(&expected.tokens);
        let same = pairs.take_while(|(a, b)| a == b).count();
        if plan.sampling.temperature > 0.0 && same < expected.tokens.len() {
            parted += 1;
        } else {
            assert_eq!(found.tokens, expected.tokens, "{place}");
        }
        for (a, b) in found.logprob.iter().zip(&expected.logprob).take(same) {
            assert!((a - b).abs() < MOST_APART, "{place}: {a} {b}");
        }
    }
    assert!(parted <= 1, "{place}: {parted}");
}

/// What is held between both decoders, too.
const MOST_APART: f32 = 2e-5;

/// Why the native decoder does not take a file of the golden llama.
fn refusal(edit: impl FnOnce(&mut driftgauge_tests::gguf::Metadata, &mut Tensors)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    write_edited(&golden("llama"), &path, false, edit);
    let checked = GgufFile::open(&path).and_then(|file| check_gguf(&file, LocalEngine::Native));
    driftgauge_problem::Problem::from(checked.unwrap_err()).to_string()
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    let said = refusal(|_, tensors| {
        let plain = tensors["output.weight"].dequantize(&Device::Cpu).unwrap();
        // Rows of 64 numbers have no whole blocks of 256; the embedding is made wider by no one.
        let wide = plain.repeat((1, 4)).unwrap();
        let stored = QTensor::quantize(&wide, GgmlDType::Q2K).unwrap();
        tensors.insert("output.weight".to_owned(), stored);
    });
    assert!(
        said.contains("`Q2_K`")
            && said.contains("`output.weight`")
            && said.contains("engine: mistralrs"),
        "{said}"
    );
    let said = refusal(|_, tensors| {
        tensors.insert("output.weight".to_owned(), tensor(&[1.0; 64]));
    });
    assert!(said.contains("`output.weight` has shape [64]"), "{said}");
    let said = refusal(|_, tensors| {
        let blocks = Tensor::ones(64, DType::F32, &Device::Cpu).unwrap();
        let blocks = QTensor::quantize(&blocks, GgmlDType::Q8_0).unwrap();
        tensors.insert("blk.0.attn_norm.weight".to_owned(), blocks);
    });
    assert!(
        said.contains("`blk.0.attn_norm.weight` has one dimension") && said.contains("`Q8_0`"),
        "{said}"
    );
    let said = refusal(|keys, _| {
        keys.insert("llama.attention.value_length".to_owned(), Number::U32(8));
        keys.insert("llama.attention.key_length".to_owned(), Number::U32(16));
    });
    assert!(said.contains("different widths"), "{said}");
    let said = refusal(|keys, _| {
        keys.insert("llama.rope.scaling.factor".to_owned(), Number::F32(4.0));
    });
    assert!(
        said.contains("`llama.rope.scaling.factor: 4` is not honoured by the native decoder"),
        "{said}"
    );
    let said = refusal(|_, tensors| {
        tensors.insert("rope_freqs.weight".to_owned(), tensor(&[2.0; 5]));
    });
    assert!(said.contains("5 numbers"), "{said}");
    let said = refusal(|_, tensors| {
        tensors.remove("blk.2.ffn_up.weight");
    });
    assert!(said.contains("`blk.2.ffn_up.weight` is missing"), "{said}");
}

#[test]
fn norms_and_biases_may_be_stored_in_16_bits() {
    let dir = tempfile::tempdir().unwrap();
    let (path, plain) = (dir.path().join("model.gguf"), dir.path().join("plain.gguf"));
    let halves = |tensors: &mut Tensors, format: GgmlDType| {
        for stored in tensors.values_mut().filter(|stored| stored.rank() == 1) {
            let whole = stored.dequantize(&Device::Cpu).unwrap();
            *stored = QTensor::quantize(&whole, format).unwrap();
        }
    };
    for format in [GgmlDType::F16, GgmlDType::BF16] {
        write_edited(&golden("qwen2"), &path, false, |_, tensors| {
            halves(tensors, format);
        });
        write_edited(&golden("qwen2"), &plain, false, |_, tensors| {
            halves(tensors, format);
            halves(tensors, GgmlDType::F32);
        });
        let asked = many();
        let expected = all(&mut open(&plain), &asked);
        assert_eq!(all(&mut open(&path), &asked), expected, "{format:?}");
    }
}

#[test]
fn a_decoder_of_memory_answers_as_that_of_the_file() {
    let json = config("Qwen3ForCausalLM");
    let config = DecoderConfig::from_json(&json).unwrap();
    let weights = weights(&config);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    write_model(&json, &weights, &path, |keys, _| {
        // Tensors may begin at any multiple of this.
        keys.insert("general.alignment".to_owned(), Number::U32(32));
    });
    let precision = Precision::frozen(DType::F32);
    let (decoder, _) = Decoder::build(&config, &Device::Cpu, precision, &mut |name, _| {
        Ok(weights[name].clone())
    })
    .unwrap();
    let asked = many();
    let expected = all(&mut Batch::new(decoder, Limits::default()).unwrap(), &asked);
    assert_eq!(all(&mut open(&path), &asked), expected);
}

/// Every file of `tests/fixtures/gguf-blocks`: mixed formats with all their codes, rows in llama.cpp's order, tensors aligned to 128
/// bytes; transformers answered with the weights that the `gguf` package makes of them (`tests/python/make_gguf_blocks.py`).
#[test]
fn files_answer_as_transformers_does_with_their_dequantised_weights() {
    let folder = golden("../fixtures/gguf-blocks");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gguf") {
            continue;
        }
        files += 1;
        let reference = std::fs::read(path.with_extension("json")).unwrap();
        let reference: Value = serde_json::from_slice(&reference).unwrap();
        let samples = reference["samples"].as_array().unwrap();
        let ids = |value: &Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
        let asked: Vec<(Vec<u32>, Plan)> = samples
            .iter()
            .map(|sample| {
                let answer = ids(&sample["answer"]);
                (ids(&sample["prompt"]), Plan::probe(answer.len()))
            })
            .collect();
        let mut batch = open(&path);
        for (found, sample) in all(&mut batch, &asked).iter().zip(samples) {
            let place = path.display();
            assert_eq!(found.tokens, ids(&sample["answer"]), "{place}");
            let theirs: Vec<f64> = serde_json::from_value(sample["ln_p"].clone()).unwrap();
            for (ours, theirs) in found.logprob.iter().zip(theirs) {
                let apart = (f64::from(*ours) - theirs).abs();
                assert!(apart < 1e-4, "{place}: {ours} {theirs}");
            }
        }
    }
    assert_eq!(files, 3);
}
