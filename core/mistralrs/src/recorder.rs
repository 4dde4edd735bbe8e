//! Sits in mistral.rs' sampler: reads each step's raw logits, chooses the token and decides when the answer ends.
//!
//! mistral.rs runs with its own end tokens off and at temperature 0, so that it emits exactly the token this processor
//! marks: the only thing left to it is the forward pass.
//!
//! No answer ends in the step that reads the prompt. mistral.rs 0.8.1 calls every sequence running after that step, also
//! one that has just ended: such a sequence would be decoded on, and a request that comes meanwhile would be put off and
//! its prompt read again, which changes the last bits of its logits. So the end of a one-token answer is told one step
//! late.

use driftgauge_problem::Problem;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use driftgauge_engine::{EngineError, Sampling};
use driftgauge_lm::logits::NotFinite;
use driftgauge_record::FinishReason;
use mistralrs::CustomLogitsProcessor;

use crate::sampling;
use crate::statistics::Distribution;
use crate::text::Text;

/// How mistral.rs is told that an answer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By emitting this token, which mistral.rs stops at. It is an end token of the model, so that no answer could go
    /// on after it.
    Token(u32),
    /// By failing the step: for models without an end token that mistral.rs accepts. It would spoil a batch, so only
    /// one request may be in flight.
    Failure,
}

impl Ending {
    /// The token that ends an answer, where one does.
    fn token(self) -> Option<u32> {
        match self {
            Self::Token(end) => Some(end),
            Self::Failure => None,
        }
    }

    /// The given token, or another one where it would end the answer.
    fn other_than(self, token: u32) -> u32 {
        match self {
            Self::Token(end) if end == token => u32::from(end == 0),
            _ => token,
        }
    }
}

/// What one answer needs of the processor.
pub(crate) struct Plan {
    pub(crate) prompt_len: usize,
    pub(crate) max_tokens: usize,
    pub(crate) sampling: Sampling,
    pub(crate) end_tokens: Arc<[u32]>,
    pub(crate) stop: Vec<String>,
    /// Sets of tokens whose ln p together is wanted at every position.
    pub(crate) watch: Vec<Vec<u32>>,
    /// How many of the likeliest tokens' ln p are kept at every position.
    pub(crate) top_logprobs: usize,
    pub(crate) ending: Ending,
    /// Whether the first position's logits are kept whole, for the self-check.
    pub(crate) keep_first: bool,
}

/// What was recorded of one answer. The lists have one entry per token.
#[derive(Debug, Default, Clone)]
pub(crate) struct Recording {
    pub(crate) tokens: Vec<u32>,
    pub(crate) logprob: Vec<f32>,
    pub(crate) top1_logprob: Vec<f32>,
    pub(crate) margin: Vec<f32>,
    pub(crate) top10_entropy: Vec<f32>,
    pub(crate) top10_mass: Vec<f32>,
    pub(crate) entropy: Vec<f32>,
    /// Several entries per token.
    pub(crate) top_logprobs: Vec<f32>,
    /// ln p of each watched set: a list per token.
    pub(crate) watched: Vec<Vec<f32>>,
    /// The first position's logits, when asked for.
    pub(crate) first_logits: Vec<f32>,
    /// Why the answer ended, once it has.
    pub(crate) finish: Option<FinishReason>,
    /// Whether the last token is an end token.
    pub(crate) ends_with_eos: bool,
    /// Where the text is cut, when a stop string ended it.
    pub(crate) cut: Option<usize>,
    /// Why the answer cannot be used.
    pub(crate) failure: Option<EngineError>,
    /// Steps so far, with those after the end.
    steps: usize,
}

/// The processor of one request.
pub(crate) struct Recorder {
    plan: Plan,
    text: Arc<Text>,
    recording: Mutex<Recording>,
}

impl Recorder {
    pub(crate) fn new(plan: Plan, text: Arc<Text>) -> Self {
        Self {
            plan,
            text,
            recording: Mutex::new(Recording::default()),
        }
    }

    /// What was recorded so far. The end stays known, for steps that come after it.
    pub(crate) fn take(&self) -> Recording {
        let mut recording = self.lock();
        let rest = Recording {
            finish: recording.finish,
            failure: recording.failure.clone(),
            steps: recording.steps,
            ..Recording::default()
        };
        std::mem::replace(&mut *recording, rest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recording> {
        self.recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One step: returns the token that mistral.rs is to emit, or nothing when the step has to fail.
    fn step(&self, logits: &[f32], context_len: usize) -> Option<u32> {
        let mut recording = self.lock();
        recording.steps += 1;
        if recording.finish.is_none() && recording.failure.is_none() {
            self.read(&mut recording, logits, context_len);
        }
        let token = recording.tokens.last().copied().unwrap_or_default();
        match (recording.finish, &recording.failure) {
            // mistral.rs counts tokens itself.
            (None | Some(FinishReason::Length), None) => Some(token),
            _ if recording.steps == 1 => Some(self.plan.ending.other_than(token)),
            _ => self.plan.ending.token(),
        }
    }

    /// Reads the logits of the next token, chooses it and says whether it is the last.
    fn read(&self, recording: &mut Recording, logits: &[f32], context_len: usize) {
        let position = recording.tokens.len();
        if context_len != self.plan.prompt_len + position {
            recording.failure = Some(EngineError::Model(format!(
                "mistral.rs asked for token {position} of an answer with {context_len} tokens of context, and {} were \
                 expected; this is a bug of driftgauge or mistral.rs",
                self.plan.prompt_len + position
            ).into()));
            return;
        }
        let distribution = match Distribution::of(logits) {
            Ok(distribution) => distribution,
            Err(bad) => {
                recording.failure = Some(EngineError::Request(not_finite(bad, position)));
                return;
            }
        };
        let token = sampling::choose(logits, &distribution, &self.plan.sampling, position);
        if !self.plan.watch.is_empty() {
            let together = |ids: &Vec<u32>| {
                let known = ids.iter().filter_map(|&id| logits.get(id as usize));
                let p: f64 = known.map(|&logit| distribution.ln_p(logit).exp()).sum();
                p.ln().clamp(f64::from(f32::MIN), 0.0) as f32
            };
            let watched = self.plan.watch.iter().map(together).collect();
            recording.watched.push(watched);
        }
        if position == 0 && self.plan.keep_first {
            recording.first_logits = logits.to_vec();
        }
        recording.push(token, logits[token as usize], &distribution);
        let likeliest = distribution.likeliest(logits, self.plan.top_logprobs);
        recording.top_logprobs.extend(likeliest);
        self.finish(recording, token);
    }

    /// Decides whether the answer ends with this token.
    fn finish(&self, recording: &mut Recording, token: u32) {
        if self.plan.end_tokens.contains(&token) {
            recording.ends_with_eos = true;
            recording.finish = Some(FinishReason::Stop);
            return;
        }
        if !self.plan.stop.is_empty() {
            let text = self.text.decode(&recording.tokens);
            let found = self.plan.stop.iter().filter_map(|s| text.find(s.as_str()));
            recording.cut = found.min();
            if recording.cut.is_some() {
                recording.finish = Some(FinishReason::Stop);
                return;
            }
        }
        if recording.tokens.len() >= self.plan.max_tokens {
            recording.finish = Some(FinishReason::Length);
        }
    }
}

impl Recording {
    fn push(&mut self, token: u32, logit: f32, distribution: &Distribution) {
        self.tokens.push(token);
        self.logprob.push(distribution.ln_p(logit) as f32);
        self.top1_logprob.push(distribution.top1_ln_p() as f32);
        self.margin.push(distribution.margin() as f32);
        self.top10_entropy.push(distribution.top_entropy() as f32);
        self.top10_mass.push(distribution.top_mass() as f32);
        self.entropy.push(distribution.entropy() as f32);
    }
}

impl CustomLogitsProcessor for Recorder {
    fn apply(&self, logits: &Tensor, context: &[u32]) -> candle_core::Result<Tensor> {
        let logits = logits.to_vec1::<f32>()?;
        match self.step(&logits, context.len()) {
            Some(token) => one_hot(token, logits.len()),
            None => candle_core::bail!("the answer has ended"),
        }
    }
}

/// Logits whose only maximum is the given token: mistral.rs' argmax takes the last of equal ones.
pub(crate) fn one_hot(token: u32, vocabulary: usize) -> candle_core::Result<Tensor> {
    let mut logits = vec![0.0_f32; vocabulary];
    if let Some(chosen) = logits.get_mut(token as usize) {
        *chosen = 1.0;
    }
    Tensor::from_vec(logits, vocabulary, &candle_core::Device::Cpu)
}

fn not_finite(bad: NotFinite, position: usize) -> Problem {
    Problem::failed(format!(
        "{} of {} logits at token {position} of the answer are NaN or infinite",
        bad.count, bad.of
    ))
    .help("look for NaN in the weights, or for an overflow of f16 (`dtype: f32`)")
}
