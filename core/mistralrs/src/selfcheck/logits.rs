//! mistral.rs against an independent forward pass: the same prompt, the same next-token distribution.

use driftgauge_engine::{Check, CheckOutcome};
use driftgauge_lm::{Compute, Scorer};

use super::{Facts, batching, check};
use crate::engine::MistralRsEngine;

const NAME: &str = "logits-agree";
/// Larger models would take longer to load twice than the check is worth.
const MOST_PARAMETERS: u64 = 200_000_000;
/// Which tokens are compared, and how far apart they may be.
struct Tolerance {
    /// Tokens with at least this ln p.
    least: f64,
    /// Largest difference of ln p, in nats.
    most: f64,
}

impl Tolerance {
    /// What arithmetic in another order explains: little in f32, more in the 8 bits of a bf16.
    fn of(dtype: &str) -> Self {
        match dtype {
            "f32" => Self {
                least: f64::NEG_INFINITY,
                most: 1e-3,
            },
            _ => Self {
                least: 0.01_f64.ln(),
                most: 0.25,
            },
        }
    }
}

/// Compares the distribution after the probe with that of `driftgauge-lm`'s own decoder on the same weights.
pub(super) fn agree(engine: &mut MistralRsEngine, facts: &Facts, prompt: &[u32]) -> Check {
    let skipped = |reason: String| check(NAME, CheckOutcome::Skipped, reason);
    let Some(folder) = facts.folder else {
        return skipped("a GGUF file has no weights that the other decoder reads".to_owned());
    };
    if let Some(name) = facts.quantization {
        return skipped(format!(
            "the weights are quantised to `{name}` while loading"
        ));
    }
    if facts.parameters > MOST_PARAMETERS {
        return skipped(format!(
            "{} parameters are more than {MOST_PARAMETERS}: loading them twice is not worth it",
            facts.parameters
        ));
    }
    let theirs = Scorer::load(folder.path(), &Compute::cpu())
        .and_then(|scorer| scorer.next_token_logits(prompt));
    let theirs = match theirs {
        Ok(logits) => logits,
        Err(error) => {
            return skipped(format!(
                "the other decoder does not compute this model: {error}"
            ));
        }
    };
    match first_logits(engine, prompt) {
        Err(reason) => skipped(format!("the probe gave no token: {reason}")),
        Ok(ours) => compare(&ours, &theirs, &Tolerance::of(&engine.loaded.dtype)),
    }
}

/// The logits with which mistral.rs goes on after the prompt.
fn first_logits(engine: &mut MistralRsEngine, prompt: &[u32]) -> Result<Vec<f32>, String> {
    let (recorder, mut receiver) = batching::send(&mut engine.runtime, &engine.text, prompt)?;
    batching::finished(&mut receiver)?;
    Ok(recorder.take().first_logits)
}

/// In f32 over every token of the vocabulary, not only the likely ones.
fn compare(ours: &[f32], theirs: &[f32], tolerance: &Tolerance) -> Check {
    if ours.len() != theirs.len() {
        let detail = format!(
            "the engine gives {} logits and an independent forward pass {}",
            ours.len(),
            theirs.len()
        );
        return check(NAME, CheckOutcome::Failed, detail);
    }
    let (p, q) = (log_softmax(ours), log_softmax(theirs));
    let difference = p
        .iter()
        .zip(&q)
        .filter(|(_, theirs)| **theirs >= tolerance.least)
        .map(|(ours, theirs)| (ours - theirs).abs())
        .fold(0.0, f64::max);
    let said = format!(
        "ln p of the tokens that may follow the probe is at most {difference:.1e} from that of an independent forward pass"
    );
    if difference <= tolerance.most {
        return check(NAME, CheckOutcome::Passed, said);
    }
    let detail = format!("{said}; hint: the engine does not compute this model as its config says");
    check(NAME, CheckOutcome::Failed, detail)
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - max).exp()).sum();
    let total = max + sum.ln();
    logits.iter().map(|&x| f64::from(x) - total).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use driftgauge_engine::LoadModel;

    use super::*;
    use crate::folder;

    fn golden() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/llama")
    }

    /// A copy of the golden model whose last normalisation is one per cent larger in one place.
    fn other_weights(to: &Path) {
        for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
            std::fs::copy(golden().join(name), to.join(name)).unwrap();
        }
        let path = golden().join("model.safetensors");
        let mut tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
        let norm = &tensors["model.norm.weight"];
        let mut values = norm.to_vec1::<f32>().unwrap();
        values[3] *= 1.01;
        let changed = candle_core::Tensor::new(values, norm.device()).unwrap();
        tensors.insert("model.norm.weight".to_owned(), changed);
        candle_core::safetensors::save(&tensors, to.join("model.safetensors")).unwrap();
    }

    #[test]
    fn an_engine_that_computes_something_else_is_found_out() {
        let model = LoadModel {
            folder: golden(),
            gguf: None,
            tokenizer: None,
            quantization: None,
            chat_template: None,
            dtype: "auto".to_owned(),
            device: "auto".to_owned(),
            plain_text: false,
        };
        let mut engine = crate::load(&model).unwrap();
        let passed = engine
            .loaded
            .checks
            .iter()
            .find(|c| c.name == NAME)
            .unwrap();
        assert_eq!(passed.outcome, CheckOutcome::Passed, "{}", passed.detail);
        let dir = tempfile::tempdir().unwrap();
        other_weights(dir.path());
        let other = folder::prepare(dir.path()).unwrap();
        let facts = Facts {
            folder: Some(&other),
            parameters: 1,
            quantization: None,
            plain_text: false,
        };
        let prompt = engine
            .text
            .encode("what is the capital of the island?")
            .unwrap();
        let found = agree(&mut engine, &facts, &prompt);
        assert_eq!(found.outcome, CheckOutcome::Failed);
        assert!(
            found.detail.contains("does not compute this model"),
            "{}",
            found.detail
        );
    }
}
