//! mistral.rs against an independent forward pass: the same prompt, the same next-token distribution.

use driftgauge_engine::{Check, CheckOutcome, LOGITS_AGREE as NAME};
use driftgauge_lm::answer::checks::{check, probe_with_system_turn, senseless};
use driftgauge_lm::{Compute, Scorer};
use driftgauge_problem::{Context as _, Problem};

use super::{Facts, batching};
use crate::engine::MistralRsEngine;
use crate::reading::not_compared;

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

/// How many tokens of each answer are compared.
const STEPS: usize = 3;
/// Parameters times tokens of a probe: what a CPU computes in some seconds.
const MOST_WORK: u64 = 200_000_000_000;

/// What the check asks, shortest first.
pub(super) struct Probes {
    /// Prompts as people write them, and one without sense as long as the spec's.
    pub(super) prompts: Vec<Vec<u32>>,
    /// What could not be asked, and why.
    pub(super) left_out: Vec<String>,
}

impl Probes {
    /// A prompt with a user's turn, one with a system turn too, and one as long as the longest that the spec has.
    pub(super) fn of(engine: &MistralRsEngine, facts: &Facts, prompt: &[u32]) -> Self {
        let mut prompts = vec![prompt.to_vec()];
        let mut left_out = Vec::new();
        if !facts.plain_text {
            let rendered = engine.text.render(&probe_with_system_turn());
            match rendered.and_then(|text| engine.text.encode(&text)) {
                Ok(tokens) if tokens.is_empty() => {}
                Ok(tokens) => prompts.push(tokens),
                Err(_) => left_out.push("its template takes no system turn".to_owned()),
            }
        }
        let context = engine.runtime.context.saturating_sub(STEPS);
        let wanted = facts.longest.unwrap_or(LONG).min(context);
        let affordable = (MOST_WORK / facts.parameters.max(1)) as usize;
        if affordable < wanted {
            left_out.push(format!(
                "positions beyond {affordable}, which would take long to compute twice"
            ));
        }
        let reach = engine
            .reach
            .as_ref()
            .map_or(usize::MAX, |reach| reach.tokens);
        let within = reach.saturating_sub(STEPS);
        prompts.retain(|prompt| prompt.len() <= within);
        let length = wanted.min(affordable).min(within);
        if prompts.iter().all(|prompt| prompt.len() < length) {
            prompts.push(senseless(length, facts.tokens));
        }
        Self { prompts, left_out }
    }
}

/// Length of the longest probe where nobody says how long prompts will be.
const LONG: usize = 512;

/// Compares the answers to the probes with `driftgauge-lm`'s own decoder on the same files.
pub(super) fn agree(engine: &mut MistralRsEngine, facts: &Facts, prompt: &[u32]) -> Check {
    let unproven = |reason: String| check(NAME, CheckOutcome::Unproven, reason);
    let origin = facts.folder.map(|folder| folder.origin.as_path());
    if let Some(why) = not_compared(origin, facts.quantization, facts.parameters) {
        return unproven(why);
    }
    let Some(folder) = origin else {
        return unproven("the model has no folder".to_owned());
    };
    let scorer = match Scorer::load(folder, &Compute::cpu()) {
        Ok(scorer) => scorer,
        Err(error) => {
            return unproven(format!(
                "the other decoder does not compute this model: {error}"
            ));
        }
    };
    let probes = Probes::of(engine, facts, prompt);
    let tolerance = Tolerance::of(&engine.loaded.dtype);
    let mut largest = 0.0_f64;
    for prompt in &probes.prompts {
        match difference(engine, &scorer, prompt, &tolerance) {
            Ok(found) => largest = largest.max(found),
            Err(problem) => return check(NAME, CheckOutcome::Failed, problem.message),
        }
    }
    let lengths: Vec<String> = probes.prompts.iter().map(|p| p.len().to_string()).collect();
    let mut said = format!(
        "ln p of the tokens that may follow prompts of {} tokens, and of the first {STEPS} that do, is at most {largest:.1e} from \
         that of an independent forward pass",
        lengths.join(", ")
    );
    if !probes.left_out.is_empty() {
        said = format!("{said}; not asked: {}", probes.left_out.join("; "));
    }
    if largest <= tolerance.most {
        return check(NAME, CheckOutcome::Passed, said);
    }
    let detail = format!("{said}; the engine does not compute this model as its config says");
    check(NAME, CheckOutcome::Failed, detail)
}

/// Largest difference of ln p after a prompt, over the vocabulary, and of the tokens that mistral.rs goes on with.
fn difference(
    engine: &mut MistralRsEngine,
    scorer: &Scorer,
    prompt: &[u32],
    tolerance: &Tolerance,
) -> Result<f64, Problem> {
    let (recorder, mut receiver) =
        batching::send(&mut engine.runtime, &engine.text, prompt, STEPS)?;
    batching::finished(&mut receiver).context("the probe gave no token")?;
    let recorded = recorder.take();
    let other = |error: driftgauge_lm::Error| format!("the other decoder does not answer: {error}");
    let first = scorer.next_token_logits(prompt).map_err(other)?;
    if first.len() != recorded.first_logits.len() {
        return Err(format!(
            "the engine gives {} logits and an independent forward pass {}",
            recorded.first_logits.len(),
            first.len()
        )
        .into());
    }
    let (p, q) = (log_softmax(&recorded.first_logits), log_softmax(&first));
    let pairs = p.into_iter().zip(q);
    let likely = pairs.filter(|(_, theirs)| *theirs >= tolerance.least);
    let steps = scorer
        .token_logprobs(prompt, &recorded.answer.tokens)
        .map_err(other)?;
    let steps = recorded
        .answer
        .logprob
        .iter()
        .copied()
        .map(f64::from)
        .zip(steps);
    Ok(likely
        .chain(steps)
        .map(|(ours, theirs)| (ours - theirs).abs())
        .fold(0.0, f64::max))
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

    use driftgauge_engine::{LoadModel, LocalEngine};

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
            longest: Some(200),
            engine: LocalEngine::Mistralrs,
            witness: driftgauge_engine::Witness::Mistralrs,
            proof: None,
            strict: false,
        };
        let mut engine = crate::load(&model).unwrap();
        let passed = engine
            .loaded
            .checks
            .iter()
            .find(|c| c.name == NAME)
            .unwrap();
        assert_eq!(passed.outcome, CheckOutcome::Passed, "{}", passed.detail);
        // The longest that the spec will use, and a turn of the system.
        assert!(passed.detail.contains(", 200 tokens"), "{}", passed.detail);
        assert_eq!(passed.detail.matches(", ").count(), 4, "{}", passed.detail);
        let dir = tempfile::tempdir().unwrap();
        other_weights(dir.path());
        let other = folder::prepare(dir.path()).unwrap();
        let facts = Facts {
            folder: Some(&other),
            parameters: 1,
            quantization: None,
            plain_text: false,
            longest: None,
            tokens: 300,
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
