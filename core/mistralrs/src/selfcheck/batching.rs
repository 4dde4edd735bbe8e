//! Whether two prompts decoded together get the answers that they get alone.
//!
//! The CPU attention of mistral.rs 0.8.1 gives every row of a batch the last row's result when it decodes, and says
//! nothing. Its scheduler batches sequences of equal length, so the probe uses two of those.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use driftgauge_engine::{Check, CheckOutcome};
use driftgauge_lm::answer::{Plan, Recording, Text, checks};
use driftgauge_problem::Problem;
use mistralrs::CustomLogitsProcessor;

use super::Facts;
use crate::engine::MistralRsEngine;
use crate::recorder::{Ending, Recorder, one_hot};
use crate::runtime::{self, Refusal, Runtime};

/// How many requests are in flight when batching was proven to change nothing.
pub(super) const IN_FLIGHT: usize = 8;

/// Steps of each answer: the first reads the prompt, the others decode.
const STEPS: usize = 3;

/// Largest difference of a statistic that counts as rounding, in nats.
const TOLERANCE: f32 = 1e-4;

/// Parameters above which the probe would take too long on a CPU.
const LARGEST_ON_CPU: u64 = 300_000_000;

/// Decodes two prompts alone and together.
///
/// # Errors
/// When the model does not answer.
pub(super) fn check(
    engine: &mut MistralRsEngine,
    facts: &Facts,
    prompt: &[u32],
) -> Result<Check, Problem> {
    const NAME: &str = "batching-agrees";
    if engine.loaded.device == "cpu" && facts.parameters > LARGEST_ON_CPU {
        return Ok(checks::check(
            NAME,
            CheckOutcome::Avoided,
            "not tried with a large model on a CPU, where mistral.rs 0.8.1 is known to mix up the rows of a batch; one \
             request at a time"
                .to_owned(),
        ));
    }
    let prompts = [
        prompt.to_vec(),
        prompt.iter().rev().copied().collect::<Vec<u32>>(),
    ];
    let (runtime, text) = (&mut engine.runtime, &engine.text);
    let mut alone = Vec::new();
    for prompt in &prompts {
        let (recorder, mut receiver) = send(runtime, text, prompt, STEPS)?;
        let outcome = finished(&mut receiver);
        let recorded = recorder.take();
        if let Some(failure) = recorded.failure {
            return Err(format!("self-check `{NAME}` failed: {failure}").into());
        }
        outcome?;
        alone.push(recorded.answer);
    }
    let together = decode_together(runtime, text, &prompts)?;
    let difference = alone
        .iter()
        .zip(&together)
        .map(|(a, b)| difference(a, b))
        .fold(0.0_f32, f32::max);
    let n = prompt.len();
    Ok(if difference <= TOLERANCE {
        let detail =
            format!("two prompts of {n} tokens, alone and together: {difference:.1e} nats apart");
        checks::check(NAME, CheckOutcome::Passed, detail)
    } else {
        let detail = format!(
            "two prompts of {n} tokens, alone and together, differ by up to {difference:.2} nats in {STEPS} steps (a known \
             bug of mistral.rs 0.8.1 on CPUs); one request at a time"
        );
        checks::check(NAME, CheckOutcome::Avoided, detail)
    })
}

/// Largest difference between two recordings of the same answer.
fn difference(a: &Recording, b: &Recording) -> f32 {
    if a.tokens != b.tokens {
        return f32::INFINITY;
    }
    let pairs = a.logprob.iter().zip(&b.logprob);
    let pairs = pairs.chain(a.entropy.iter().zip(&b.entropy));
    pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

type Responses = tokio::sync::mpsc::Receiver<mistralrs::Response>;

/// Asks for a greedy answer of `steps` tokens.
pub(crate) fn send(
    runtime: &mut Runtime,
    text: &Arc<Text>,
    prompt: &[u32],
    steps: usize,
) -> Result<(Arc<Recorder>, Responses), Problem> {
    let recorder = Recorder::new(
        Plan::probe(steps),
        prompt.len(),
        Ending::Failure,
        text.clone(),
    );
    let recorder = Arc::new(recorder.keeping_first());
    let receiver = runtime.send(prompt.to_vec(), steps, Ending::Failure, recorder.clone())?;
    Ok((recorder, receiver))
}

pub(crate) fn finished(receiver: &mut Responses) -> Result<(), Problem> {
    runtime::wait(receiver).map_err(|e| match e {
        Refusal::Request(why) | Refusal::Stopped(why) => {
            Problem::failed(format!("the model does not answer the self-check: {why}"))
        }
    })
}

/// Sends both prompts while the engine is held up by a third, so that it finds them together.
fn decode_together(
    runtime: &mut Runtime,
    text: &Arc<Text>,
    prompts: &[Vec<u32>; 2],
) -> Result<Vec<Recording>, Problem> {
    let (gate, keeper) = Gate::new();
    let mut held = runtime.send(vec![prompts[0][0]], 2, Ending::Failure, Arc::new(gate))?;
    // Only when the engine is in the gate's last step: a prompt that came before it would be mixed with the gate's own.
    // When the gate has gone with a stopped engine, the answers will tell.
    let _ = keeper.held.recv();
    let mut sent = Vec::new();
    for prompt in prompts {
        sent.push(send(runtime, text, prompt, STEPS)?);
    }
    let _ = keeper.open.send(());
    finished(&mut held)?;
    let mut recordings = Vec::new();
    for (recorder, mut receiver) in sent {
        finished(&mut receiver)?;
        recordings.push(recorder.take().answer);
    }
    Ok(recordings)
}

/// A processor that holds the engine in the step after the prompt until it is opened.
struct Gate(Mutex<(Sender<()>, Receiver<()>)>);

/// The other side of a [`Gate`].
struct Keeper {
    /// Tells that the engine is held.
    held: Receiver<()>,
    /// Lets it go.
    open: Sender<()>,
}

impl Gate {
    fn new() -> (Self, Keeper) {
        let (is_held, held) = channel();
        let (open, opened) = channel();
        (Self(Mutex::new((is_held, opened))), Keeper { held, open })
    }
}

impl CustomLogitsProcessor for Gate {
    fn apply(&self, logits: &Tensor, context: &[u32]) -> candle_core::Result<Tensor> {
        // Not in the step that reads the prompt of one token: an answer that ends there would live on; see `recorder`.
        if context.len() > 1 {
            let gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // An error means that the keeper is gone: then there is nothing to wait for.
            let _ = gate.0.send(());
            let _ = gate.1.recv();
        }
        one_hot(0, logits.elem_count())
    }
}
