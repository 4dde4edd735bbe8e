//! The batched decoder against a witness: mistral.rs in a process of its own, or the decoder that scores given tokens, which computes
//! with other kernels and one sequence at a time. The same prompts, the same greedy tokens, the same ln p.

use driftgauge_engine::{
    Check, CheckOutcome, LOGITS_AGREE, LoadModel, ProbeAnswer, Probes, Proof, Testimony,
};
use driftgauge_problem::Problem;

use super::origin::Origin;
use crate::answer::checks::{check as finding, probe_tokens, probe_with_system_turn, senseless};
use crate::answer::{Asked, Plan, Recording, Text};
use crate::config::DecoderConfig;
use crate::decode::Batch;
use crate::score::log_softmax;
use crate::{Error, Result, Scorer};

/// How many tokens of each answer are compared.
const STEPS: usize = 3;

/// Largest difference of ln p that arithmetic in another order explains, in nats.
const MOST: f64 = 1e-4;

/// Length of a prompt without sense, where nobody says how long prompts will be.
const LONG: usize = 256;

/// Parameters times tokens of that prompt: what a processor computes in some seconds.
const MOST_WORK: usize = 200_000_000_000;

/// Tokens of prompts that are asked again at every load.
const SHORT: usize = 64;

/// Who answers probes in another engine; it may take as long as loading a model.
pub type Ask<'a> = dyn Fn(&Probes) -> std::result::Result<Testimony, Problem> + Sync + 'a;

/// What is asked, and what was left out.
pub(super) struct Questions {
    pub(super) probes: Probes,
    left_out: Option<String>,
}

/// A user's turn, one behind a system turn, and tokens without sense as long as the longest prompt of the spec with its answer.
pub(super) fn questions(
    config: &DecoderConfig,
    parameters: usize,
    text: &Text,
    model: &LoadModel,
) -> Result<Questions> {
    let mut prompts = vec![probe_tokens(text, model.plain_text).map_err(Error::Check)?];
    if !model.plain_text
        && let Ok(rendered) = text.render(&probe_with_system_turn())
    {
        prompts.push(text.encode(&rendered).map_err(Error::Check)?);
    }
    let longest = config.fixed_length().saturating_sub(STEPS);
    let wanted = model.longest.unwrap_or(LONG).min(longest);
    let affordable = MOST_WORK / parameters.max(1);
    let left_out = (affordable < wanted)
        .then(|| format!("positions beyond {affordable}, which would take long to compute twice"));
    prompts.retain(|prompt| !prompt.is_empty() && prompt.len() <= longest);
    let length = wanted.min(affordable);
    if prompts.iter().all(|prompt| prompt.len() < length) {
        let known = text.vocabulary().largest.0 as usize + 1;
        prompts.push(senseless(length, known.min(config.vocab_size) as u32));
    }
    Ok(Questions {
        probes: Probes {
            prompts,
            steps: STEPS,
        },
        left_out,
    })
}

/// What was proven of a decoder.
pub(super) struct Proven {
    pub(super) batch: Batch,
    pub(super) check: Check,
    /// What is new.
    pub(super) proof: Option<Box<Proof>>,
}

/// Loads the decoder and holds it against a witness, which loads the model meanwhile.
pub(super) fn against(
    origin: &Origin,
    text: &Text,
    questions: &Questions,
    ask: &Ask<'_>,
) -> Result<Proven> {
    let probes = &questions.probes;
    let (batch, testimony) = std::thread::scope(|scope| {
        let testimony = scope.spawn(|| ask(probes));
        let batch = answering(origin, text, probes);
        (batch, testimony.join())
    });
    let testimony = testimony
        .unwrap_or_else(|_| Err(Problem::failed("internal error: the witness panicked")))
        .map_err(Error::Check)?;
    let (batch, ours) = batch?;
    let (theirs, beyond) = match testimony {
        Testimony::Answers { answers, beyond } => (answers, beyond),
        Testimony::NotComputed(why) => (vec![None; probes.prompts.len()], Some(why)),
    };
    let asked = probes.prompts.iter().zip(&ours);
    let missing: Vec<(&Vec<u32>, &Recording)> = asked
        .zip(&theirs)
        .filter_map(|(asked, theirs)| theirs.is_none().then_some(asked))
        .collect();
    // What the witness does not compute is held against our own other decoder.
    let mut forward = match missing.is_empty() {
        true => Vec::new(),
        false => {
            let scorer = origin.scorer()?;
            missing
                .iter()
                .map(|(prompt, ours)| forward(&scorer, prompt, ours))
                .collect::<Result<_>>()?
        }
    }
    .into_iter();
    let others = forward.len();
    let expected: Option<Vec<ProbeAnswer>> = theirs
        .into_iter()
        .map(|answer| answer.or_else(|| forward.next()))
        .collect();
    let expected = expected.ok_or_else(|| Error::Check("the witness left out a probe".into()))?;
    let whom = match (others, beyond) {
        (0, _) => WITNESS.to_owned(),
        (all, beyond) => {
            let why = beyond.unwrap_or_default();
            match all == expected.len() {
                true => format!("{FORWARD}, since {why}"),
                false => format!("{WITNESS} (of {all} of them of {FORWARD}, since {why})"),
            }
        }
    };
    proven(batch, questions, &ours, expected, &whom)
}

/// Name of the witness in what is said.
const WITNESS: &str = "mistral.rs";
const FORWARD: &str = "an independent forward pass";

/// Holds the decoder against our own other one alone.
pub(super) fn alone(origin: &Origin, text: &Text, questions: &Questions) -> Result<Proven> {
    let (batch, ours) = answering(origin, text, &questions.probes)?;
    // Blocks are taken for what fits into memory once.
    let batch = (!origin.is_in_blocks()).then_some(batch);
    let scorer = origin.scorer()?;
    let asked = questions.probes.prompts.iter().zip(&ours);
    let expected = asked
        .map(|(prompt, ours)| forward(&scorer, prompt, ours))
        .collect::<Result<_>>()?;
    drop(scorer);
    let batch = batch.map_or_else(|| origin.batch(), Ok)?;
    proven(batch, questions, &ours, expected, FORWARD)
}

/// Loads a decoder that was proven before, and asks the short probes again.
pub(super) fn again(origin: &Origin, text: &Text, proof: &Proof) -> Result<Proven> {
    let (batch, ours) = answering(origin, text, &proof.probes)?;
    let largest = difference(&ours, &proof.answers);
    let said = format!(
        "{} (proven before; at this load the short ones are at most {largest:.1e} apart)",
        proof.detail
    );
    Ok(Proven {
        batch,
        check: verdict(largest, said)?,
        proof: None,
    })
}

/// Whether a proof tells what is asked now.
pub(super) fn covers(proof: &Proof, questions: &Questions) -> bool {
    proof.reach >= questions.probes.reach()
        && proof.answers.len() == proof.probes.prompts.len()
        && !proof.answers.is_empty()
}

fn answering(origin: &Origin, text: &Text, probes: &Probes) -> Result<(Batch, Vec<Recording>)> {
    let mut batch = origin.batch()?;
    let ours = answers(&mut batch, text, probes)?;
    Ok((batch, ours))
}

/// The verdict, and the proof to be remembered.
fn proven(
    batch: Batch,
    questions: &Questions,
    ours: &[Recording],
    expected: Vec<ProbeAnswer>,
    whom: &str,
) -> Result<Proven> {
    let Questions { probes, left_out } = questions;
    // Asked once in each order.
    let largest = difference(&ours[..expected.len()], &expected)
        .max(difference(&ours[expected.len()..], &expected));
    let lengths = probes.prompts.iter().map(|prompt| prompt.len().to_string());
    let mut detail = format!(
        "the first {STEPS} tokens that follow prompts of {} tokens, asked side by side, are those of {whom}, and their ln p is at most \
         {largest:.1e} apart",
        lengths.collect::<Vec<_>>().join(", "),
    );
    if let Some(left_out) = left_out {
        detail = format!("{detail}; not asked: {left_out}");
    }
    let (weights, _) = batch.bytes();
    let check = verdict(
        largest,
        format!("{detail}; the weights take {} MiB", weights >> 20),
    )?;
    let short = probes.prompts.iter().zip(expected);
    let (prompts, answers) = short
        .filter(|(prompt, _)| prompt.len() <= SHORT)
        .map(|(prompt, answer)| (prompt.clone(), answer))
        .unzip();
    Ok(Proven {
        batch,
        check,
        proof: Some(Box::new(Proof {
            reach: probes.reach(),
            probes: Probes {
                prompts,
                steps: STEPS,
            },
            answers,
            detail,
        })),
    })
}

/// What our other decoder finds the likeliest behind a prompt and behind each token of our answer, in one pass.
fn forward(scorer: &Scorer, prompt: &[u32], ours: &Recording) -> Result<ProbeAnswer> {
    let rows = scorer.logits(prompt, &ours.tokens)?;
    let likeliest = rows.iter().map(|logits| {
        // Of equals the first.
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let token = logits.iter().position(|x| *x == highest).unwrap_or(0);
        (token as u32, log_softmax(logits)[token])
    });
    Ok(likeliest.collect())
}

/// Greedy answers to all probes at once, and once more in another order.
fn answers(batch: &mut Batch, text: &Text, probes: &Probes) -> Result<Vec<Recording>> {
    let count = probes.prompts.len();
    let order = (0..count).chain((count..2 * count).rev());
    for place in order {
        let prompt = probes.prompts[place % count].clone();
        batch.put(
            place as u64,
            Asked::probe(prompt, Plan::probe(probes.steps)),
        );
    }
    let mut answers = vec![Recording::default(); 2 * count];
    while !batch.is_idle() {
        for finished in batch.step(text) {
            answers[finished.id as usize] = finished.outcome.map_err(Error::Check)?;
        }
    }
    Ok(answers)
}

/// Largest difference of ln p. Two tokens that are as likely may change places; what follows them is another answer.
fn difference(ours: &[Recording], theirs: &[ProbeAnswer]) -> f64 {
    let mut largest = 0.0_f64;
    for (ours, theirs) in ours.iter().zip(theirs) {
        for ((token, ln_p), (other, expected)) in ours.tokens.iter().zip(&ours.logprob).zip(theirs)
        {
            largest = largest.max((f64::from(*ln_p) - expected).abs());
            if token != other {
                break;
            }
        }
    }
    largest
}

fn verdict(largest: f64, said: String) -> Result<Check> {
    match largest <= MOST {
        true => Ok(finding(LOGITS_AGREE, CheckOutcome::Passed, said)),
        false => {
            let failed = Problem::failed(format!("self-check `{LOGITS_AGREE}` failed: {said}"));
            Err(Error::Check(failed.help("`engine: mistralrs`")))
        }
    }
}
