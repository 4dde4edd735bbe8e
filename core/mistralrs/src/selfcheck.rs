//! What is proven of a model every time it is loaded.
//!
//! Each check compares two ways to the same number. One that fails stops the model, with an explanation; one whose cause
//! the engine can work around is recorded as avoided. The checks go to provenance and the report.

pub(crate) mod batching;
mod logits;

use driftgauge_engine::{Check, CheckOutcome};
use driftgauge_lm::answer::checks::{all_held, check, probe_tokens};
use driftgauge_problem::Problem;

use crate::engine::MistralRsEngine;
use crate::folder::Prepared;
use crate::recorder::Ending;

/// What the checks need to know of the model.
pub(crate) struct Facts<'a> {
    /// The prepared folder; none for a GGUF file.
    pub(crate) folder: Option<&'a Prepared>,
    /// How many numbers the weights are.
    pub(crate) parameters: u64,
    /// Name of the in-situ quantisation.
    pub(crate) quantization: Option<&'a str>,
    /// Whether every prompt will be plain text.
    pub(crate) plain_text: bool,
    /// Tokens of the longest prompt and answer together that will be asked for, at most.
    pub(crate) longest: Option<usize>,
    /// Ids below it are tokens.
    pub(crate) tokens: u32,
}

/// Checks of the loaded model. Sets how many requests may be in flight.
///
/// # Errors
/// When one fails, or the model does not answer.
pub(crate) fn of_engine(
    engine: &mut MistralRsEngine,
    facts: &Facts,
) -> Result<Vec<Check>, Problem> {
    let prompt = probe_tokens(&engine.text, facts.plain_text)?;
    let batching = batching::check(engine, facts, &prompt)?;
    if batching.outcome == CheckOutcome::Passed && engine.ending != Ending::Failure {
        engine.loaded.max_in_flight = batching::IN_FLIGHT;
    }
    let logits = logits::agree(engine, facts, &prompt);
    all_held(vec![batching, logits])
}

/// Only so many tokens of the context can be used.
pub(crate) fn context(used: usize, of: usize) -> Check {
    let detail = format!(
        "the cache of mistral.rs grows by blocks, and of a GGUF file's context it can use whole ones alone: {used} of {of} tokens are used"
    );
    check("context", CheckOutcome::Avoided, detail)
}
