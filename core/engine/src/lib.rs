//! What engines are asked and answer, and how worker processes are spoken to.
//!
//! The engines live in crates of their own and implement the traits here; a worker process holds exactly one of them.

mod ask;
mod endpoint;
mod engines;
mod loaded;
mod plugin;
mod proof;
mod reading;
mod rounding;
mod steps;
pub mod training;
pub mod worker;

pub use ask::{
    Continuation, DivergenceRequest, DivergenceResponse, GenerateRequest, LoadModel, LoadPair,
    LocalEngine, LongPrompt, PREFILL_ROLE, Prompt, Sampling, ScoreRequest, ScoreResponse,
};
pub use endpoint::Endpoint;
pub use engines::{BatchGenerator, DivergenceMeter, EngineError, Generator, TextScorer};
pub use loaded::{Check, CheckOutcome, LOGITS_AGREE, Loaded};
pub use plugin::{
    LogSink, MetricHooks, MetricRunner, PluginIdentity, PluginIsolation, Refusal, ResolvedMetric,
};
pub use proof::{ProbeAnswer, Probes, Proof, Testimony, Witness};
pub use reading::{Limits, PromptReader, Reach, TextFiles, Untrained};
pub use rounding::Rounding;
pub use steps::Packing;
