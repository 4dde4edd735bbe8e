//! What a training tells while it runs, and what it leaves behind.

use serde::{Deserialize, Serialize};

use driftgauge_engine::training::BaseQuantization;

/// Something that happened while training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainEvent {
    /// The data is encoded and the model loaded.
    Started {
        /// Rows of the training data.
        rows: usize,
        /// Rows that were longer than the limit and lost their end.
        truncated_rows: usize,
        /// Weights that move.
        trainable_parameters: usize,
        /// All weights, adapters included.
        total_parameters: usize,
        /// Optimiser steps to do.
        total_steps: u64,
        /// `cpu` or `cuda`.
        device: String,
    },
    /// The first row, cut into runs of tokens that carry loss or do not.
    Preview {
        /// Id of the row.
        id: String,
        /// Its text, run by run.
        pieces: Vec<PreviewPiece>,
    },
    /// Continues from a checkpoint.
    Resumed {
        /// Steps already done.
        step: u64,
    },
    /// An optimiser step is done.
    Step {
        /// Its numbers.
        #[serde(flatten)]
        record: StepRecord,
        /// Steps of the whole training.
        total_steps: u64,
        /// How long it took.
        timing: StepTiming,
    },
    /// A checkpoint is on disk.
    Saved {
        /// Steps done.
        step: u64,
    },
    /// Something the reader should know.
    Warning {
        /// What.
        message: String,
    },
}

/// A run of tokens of a [`TrainEvent::Preview`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewPiece {
    /// The text of the tokens.
    pub text: String,
    /// Whether they carry loss.
    pub supervised: bool,
}

/// A line of `train_log.jsonl`: the same bytes whenever the same training is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Step, from 1.
    pub step: u64,
    /// Passes over the data so far, as a fraction.
    pub epoch: f64,
    /// Mean loss per supervised token before the step, in nats.
    pub loss: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of the step, prompts included, padding not.
    pub tokens: u64,
    /// Tokens that carry loss.
    pub target_tokens: u64,
    /// Mean loss per supervised token of the evaluation rows after the step, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_loss: Option<f64>,
}

/// A line of `train_timing.jsonl`: what differs from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepTiming {
    /// Step, from 1.
    pub step: u64,
    /// Wall time of the step.
    pub seconds: f64,
    /// Tokens over seconds, prompts included.
    pub tokens_per_second: f64,
    /// Largest resident memory of the process so far; 0 where the system does not tell.
    pub peak_memory_bytes: u64,
}

/// What came out of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSummary {
    /// Optimiser steps done, those before a resume included.
    pub steps: u64,
    /// Mean loss per supervised token at the first step.
    pub first_loss: f64,
    /// The same at the last step.
    pub last_loss: f64,
    /// Mean loss of the evaluation rows at the end, if there are any.
    pub eval_loss: Option<f64>,
    /// Tokens seen, prompts included.
    pub tokens: u64,
    /// Rows of the training data.
    pub rows: usize,
    /// Rows that were longer than the limit and lost their end.
    pub truncated_rows: usize,
    /// Weights that moved.
    pub trainable_parameters: usize,
    /// All weights.
    pub total_parameters: usize,
    /// The format to which the frozen weights of the linear modules were rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_quantization: Option<BaseQuantization>,
}

/// Largest resident memory of this process so far, in bytes; 0 where the system does not tell.
pub(crate) fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}
