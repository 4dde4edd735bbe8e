//! `train_log.jsonl`: one line per optimiser step.

use serde::{Deserialize, Serialize};

/// One optimiser step. Wall-clock figures are kept apart, so that the log's bytes repeat from run to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingStep {
    /// Step, from 1.
    pub step: u64,
    /// Passes over the data so far, as a fraction.
    pub epoch: f64,
    /// Mean loss per supervised token, in nats.
    pub loss: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of the step, prompts included.
    pub tokens: u64,
    /// Mean loss per supervised token of held-out examples after the step, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_loss: Option<f64>,
}

/// The log of one training, as a report draws it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingLog {
    /// Model id of the spec.
    pub model: String,
    /// The steps in order.
    pub steps: Vec<TrainingStep>,
}
