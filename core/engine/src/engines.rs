//! The engines themselves: generation, scoring and divergence.

use driftgauge_problem::Problem;
use driftgauge_record::Completion;
use serde::{Deserialize, Serialize};

use crate::ask::{
    DivergenceRequest, DivergenceResponse, GenerateRequest, ScoreRequest, ScoreResponse,
};
use crate::loaded::Loaded;

/// Why an engine could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum EngineError {
    /// The model cannot be loaded or failed its self-check: no sample can be made.
    #[error("{0}")]
    Model(Problem),
    /// This one request failed; others may work.
    #[error("{0}")]
    Request(Problem),
}

impl EngineError {
    /// What is to be told.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::Model(problem) | Self::Request(problem) => problem,
        }
    }
}

/// Generates completions. One request at a time; see [`Loaded::max_in_flight`].
pub trait Generator {
    /// What was loaded, with the self-check.
    fn loaded(&self) -> &Loaded;

    /// Generates one completion for each request, in order. At most [`Loaded::max_in_flight`] requests are passed.
    fn generate(&mut self, requests: &[GenerateRequest]) -> Vec<Result<Completion, EngineError>>;
}

/// Generates many completions side by side, which end in any order. No answer depends on what is asked beside it.
pub trait BatchGenerator {
    /// What was loaded, with the self-check.
    fn loaded(&self) -> &Loaded;

    /// How many requests have no answer yet.
    fn pending(&self) -> usize;

    /// Puts a request behind those that wait; `id` comes back with its answer.
    fn put(&mut self, id: u64, request: &GenerateRequest);

    /// Works on the answers for a moment and returns those that ended.
    fn advance(&mut self) -> Vec<(u64, Result<Completion, EngineError>)>;
}

/// Scores given text. No score depends on what is asked beside it.
pub trait TextScorer {
    /// What was loaded.
    fn loaded(&self) -> &Loaded;

    /// Log-likelihoods of the continuations of each request, in order. At most [`Loaded::max_in_flight`] requests are passed. One
    /// fails when a continuation is empty, too long for the context, or not tokenisable.
    fn score(&mut self, requests: &[ScoreRequest]) -> Vec<Result<ScoreResponse, EngineError>>;
}

/// Holds a model against its reference. No number depends on what is asked beside it.
pub trait DivergenceMeter {
    /// What was loaded: the model that is held against the reference.
    fn loaded(&self) -> &Loaded;

    /// Divergences at the positions of each request's continuation, in order. At most [`Loaded::max_in_flight`] requests are passed.
    /// One fails when there is nothing to compare, or it is too long for one of both contexts.
    fn compare(
        &mut self,
        requests: &[DivergenceRequest],
    ) -> Vec<Result<DivergenceResponse, EngineError>>;
}
