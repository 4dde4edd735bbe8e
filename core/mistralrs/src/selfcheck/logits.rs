//! mistral.rs against an independent forward pass: the same prompt, the same next token, the same probability.

use driftgauge_graph::engine::{
    Check, CheckOutcome, GenerateRequest, Generator, LongPrompt, Sampling,
};
use driftgauge_lm::{Compute, Scorer};

use super::{Facts, check, probe};
use crate::engine::MistralRsEngine;

const NAME: &str = "logits-agree";
/// Larger models would take longer to load twice than the check is worth.
const MOST_PARAMETERS: u64 = 200_000_000;
/// Largest difference of ln p that f32 arithmetic in another order explains.
const TOLERANCE: f64 = 1e-3;

/// Compares ln p of the first greedy token with that of `driftgauge-lm`'s own decoder on the same weights.
pub(super) fn agree(engine: &mut MistralRsEngine, facts: &Facts) -> Check {
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
    let scorer = match Scorer::load(folder.path(), &Compute::cpu()) {
        Ok(scorer) => scorer,
        Err(error) => {
            return skipped(format!(
                "the other decoder does not compute this model: {error}"
            ));
        }
    };
    let request = GenerateRequest {
        messages: probe(),
        text: None,
        max_tokens: 1,
        sampling: Sampling::greedy(),
        stop: Vec::new(),
        watch_first_token: Vec::new(),
        on_long_prompt: LongPrompt::Truncate,
    };
    let Some(Ok(completion)) = engine.generate(&[request]).pop() else {
        return skipped("the probe gave no completion".to_owned());
    };
    let (Some(&token), Some(&ours)) = (
        completion.completion_token_ids.first(),
        completion.token_logprob.first(),
    ) else {
        return skipped("the probe gave no token".to_owned());
    };
    match scorer.token_logprobs(&completion.prompt_token_ids, &[token]) {
        Err(error) => skipped(format!(
            "the other decoder did not score the probe: {error}"
        )),
        Ok(theirs) => {
            let theirs = theirs.first().copied().unwrap_or(f64::NAN);
            let difference = (f64::from(ours) - theirs).abs();
            let outcome = if difference <= TOLERANCE {
                CheckOutcome::Passed
            } else {
                CheckOutcome::Failed
            };
            let verdict = format!(
                "ln p of the probe's first token is {ours:.5} here and {theirs:.5} in an independent forward pass"
            );
            check(
                NAME,
                outcome,
                if outcome == CheckOutcome::Passed {
                    verdict
                } else {
                    format!(
                        "{verdict}; hint: the engine does not compute this model as its config says"
                    )
                },
            )
        }
    }
}
