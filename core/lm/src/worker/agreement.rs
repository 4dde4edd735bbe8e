//! The batched decoder against the decoder that scores given tokens, which computes with other kernels and one sequence at a time:
//! the same prompts, the same tokens, the same ln p.

use driftgauge_engine::{Check, CheckOutcome, LoadModel};
use driftgauge_problem::Problem;

use crate::answer::checks::{check as finding, probe_tokens, probe_with_system_turn, senseless};
use crate::answer::{Asked, Plan, Recording, Text};
use crate::decode::Batch;
use crate::score::log_softmax;
use crate::{Error, Result, Scorer};

/// How many tokens of each answer are compared.
const STEPS: usize = 2;

/// Largest difference of ln p that arithmetic in another order explains, in nats.
const MOST: f64 = 1e-4;

/// Length of a prompt without sense, where nobody says how long prompts will be.
const LONG: usize = 256;

/// Parameters times tokens of that prompt: what a processor computes in some seconds.
const MOST_WORK: usize = 50_000_000_000;

/// A prompt, and for each token of its answer: the token and its ln p.
pub(super) struct Expected {
    prompt: Vec<u32>,
    answer: Vec<(u32, f64)>,
}

/// What is to be answered to probes: a user's turn, one behind a system turn, and tokens without sense as long as the longest
/// prompt of the spec.
pub(super) fn expected(scorer: &Scorer, text: &Text, model: &LoadModel) -> Result<Vec<Expected>> {
    let mut prompts = vec![probe_tokens(text, model.plain_text).map_err(Error::Check)?];
    if !model.plain_text
        && let Ok(rendered) = text.render(&probe_with_system_turn())
    {
        prompts.push(text.encode(&rendered).map_err(Error::Check)?);
    }
    let longest = scorer.fixed_length().saturating_sub(STEPS);
    let affordable = MOST_WORK / scorer.parameters().max(1);
    let length = model.longest.unwrap_or(LONG).min(longest).min(affordable);
    let known = text.vocabulary().largest.0 as usize + 1;
    prompts.push(senseless(length, known.min(scorer.vocab_size()) as u32));
    prompts.retain(|prompt| !prompt.is_empty() && prompt.len() <= longest);
    let answers = prompts.into_iter().map(|prompt| answered(scorer, prompt));
    answers.collect()
}

fn answered(scorer: &Scorer, prompt: Vec<u32>) -> Result<Expected> {
    let mut tokens = prompt.clone();
    let mut answer = Vec::new();
    for _ in 0..STEPS {
        let logits = scorer.next_token_logits(&tokens)?;
        let ln_p = log_softmax(&logits);
        // Of equals the first.
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let token = logits.iter().position(|x| *x == highest).unwrap_or(0);
        answer.push((token as u32, ln_p[token]));
        tokens.push(token as u32);
    }
    Ok(Expected { prompt, answer })
}

/// Asks all probes at once, and once more in another order.
pub(super) fn check(batch: &mut Batch, text: &Text, expected: &[Expected]) -> Result<Check> {
    let mut largest = 0.0_f64;
    let probes = expected.iter().chain(expected.iter().rev());
    for (ours, expected) in answers(batch, text, probes.map(|e| &e.prompt))?
        .iter()
        .zip(expected.iter().chain(expected.iter().rev()))
    {
        largest = largest.max(difference(ours, &expected.answer));
    }
    let (weights, _) = batch.bytes();
    let lengths: Vec<String> = expected
        .iter()
        .map(|e| e.prompt.len().to_string())
        .collect();
    let said = format!(
        "ln p of the first {STEPS} tokens that follow prompts of {} tokens, asked side by side, is at most {largest:.1e} from that of \
         an independent forward pass; the weights take {} MiB",
        lengths.join(", "),
        weights >> 20
    );
    verdict("logits-agree", largest, said)
}

/// Greedy answers to prompts that are asked side by side.
fn answers<'p>(
    batch: &mut Batch,
    text: &Text,
    prompts: impl Iterator<Item = &'p Vec<u32>>,
) -> Result<Vec<Recording>> {
    let mut count = 0;
    for (id, prompt) in (0..).zip(prompts) {
        batch.put(id, Asked::probe(prompt.clone(), Plan::probe(STEPS)));
        count += 1;
    }
    let mut answers = vec![Recording::default(); count];
    while !batch.is_idle() {
        for finished in batch.step(text) {
            answers[finished.id as usize] = finished.outcome.map_err(Error::Check)?;
        }
    }
    Ok(answers)
}

/// Largest difference of ln p. Two tokens that are as likely may change places; what follows them is another answer.
fn difference(ours: &Recording, theirs: &[(u32, f64)]) -> f64 {
    let mut largest = 0.0_f64;
    for ((token, ln_p), (other, expected)) in ours.tokens.iter().zip(&ours.logprob).zip(theirs) {
        largest = largest.max((f64::from(*ln_p) - expected).abs());
        if token != other {
            break;
        }
    }
    largest
}

fn verdict(name: &str, largest: f64, said: String) -> Result<Check> {
    match largest <= MOST {
        true => Ok(finding(name, CheckOutcome::Passed, said)),
        false => {
            let failed = Problem::failed(format!("self-check `{name}` failed: {said}"));
            Err(Error::Check(failed.help("`engine: mistralrs`")))
        }
    }
}
