//! Sits in mistral.rs' sampler: reads each step's raw logits, chooses the token and decides when the answer ends.
//!
//! mistral.rs runs with its own end tokens off and at temperature 0, so that it emits exactly the token this processor
//! marks: the only thing left to it is the forward pass.
//!
//! No answer ends in the step that reads the prompt. mistral.rs 0.8.1 calls every sequence running after that step, also
//! one that has just ended: such a sequence would be decoded on, and a request that comes meanwhile would be put off and
//! its prompt read again, which changes the last bits of its logits. So the end of a one-token answer is told one step
//! late.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use driftgauge_engine::EngineError;
use driftgauge_lm::answer::{Plan, Recording, Text};
use driftgauge_record::FinishReason;
use mistralrs::CustomLogitsProcessor;

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

/// What was recorded of one request.
#[derive(Debug, Default, Clone)]
pub(crate) struct Recorded {
    pub(crate) answer: Recording,
    /// The first position's logits, when asked for.
    pub(crate) first_logits: Vec<f32>,
    /// Why the answer cannot be used.
    pub(crate) failure: Option<EngineError>,
    /// Steps so far, with those after the end.
    steps: usize,
}

/// The processor of one request.
pub(crate) struct Recorder {
    plan: Plan,
    prompt_len: usize,
    ending: Ending,
    /// Whether the first position's logits are kept whole, for the self-check.
    keep_first: bool,
    text: Arc<Text>,
    recorded: Mutex<Recorded>,
}

impl Recorder {
    pub(crate) fn new(plan: Plan, prompt_len: usize, ending: Ending, text: Arc<Text>) -> Self {
        Self {
            plan,
            prompt_len,
            ending,
            keep_first: false,
            text,
            recorded: Mutex::new(Recorded::default()),
        }
    }

    /// The same, with the first position's logits kept whole.
    pub(crate) fn keeping_first(self) -> Self {
        Self {
            keep_first: true,
            ..self
        }
    }

    /// What was recorded so far. The end stays known, for steps that come after it.
    pub(crate) fn take(&self) -> Recorded {
        let mut recorded = self.lock();
        let rest = Recorded {
            answer: Recording {
                finish: recorded.answer.finish,
                ..Recording::default()
            },
            failure: recorded.failure.clone(),
            steps: recorded.steps,
            ..Recorded::default()
        };
        std::mem::replace(&mut *recorded, rest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step: returns the token that mistral.rs is to emit, or nothing when the step has to fail.
    fn step(&self, logits: &[f32], context_len: usize) -> Option<u32> {
        let mut recorded = self.lock();
        recorded.steps += 1;
        if recorded.answer.finish.is_none() && recorded.failure.is_none() {
            let read = self.read(&mut recorded, logits, context_len);
            recorded.failure = read.err();
        }
        let token = recorded.answer.tokens.last().copied().unwrap_or_default();
        match (recorded.answer.finish, &recorded.failure) {
            // mistral.rs counts tokens itself.
            (None | Some(FinishReason::Length), None) => Some(token),
            _ if recorded.steps == 1 => Some(self.ending.other_than(token)),
            _ => self.ending.token(),
        }
    }

    /// Reads the logits of the next token.
    fn read(
        &self,
        recorded: &mut Recorded,
        logits: &[f32],
        context_len: usize,
    ) -> Result<(), EngineError> {
        let position = recorded.answer.tokens.len();
        if context_len != self.prompt_len + position {
            return Err(EngineError::Model(
                format!(
                    "mistral.rs asked for token {position} of an answer with {context_len} tokens of context, and {} were \
                     expected; this is a bug of driftgauge or mistral.rs",
                    self.prompt_len + position
                )
                .into(),
            ));
        }
        if position == 0 && self.keep_first {
            recorded.first_logits = logits.to_vec();
        }
        let read = recorded.answer.read(logits, &self.plan, &self.text);
        read.map_err(EngineError::Request)
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
