//! Charts with what is said of them; the loss curves of trainings.

use driftgauge_plugin_protocol::wire::ChartSpec;
use serde::{Deserialize, Serialize};

/// A chart and what is said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Element id and file name: lower-case letters, digits, dashes.
    pub id: String,
    /// The same in words, for those who cannot see it.
    pub description: String,
    /// What is drawn.
    pub chart: ChartSpec,
    /// Colour and marker of each series, by number.
    pub styles: Vec<usize>,
}

/// One training and its loss curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingCurve {
    /// Model id.
    pub model: String,
    /// Optimiser steps.
    pub steps: u64,
    /// Passes over the data.
    pub epochs: f64,
    /// Tokens seen, prompts included.
    pub tokens: u64,
    /// Highest learning rate.
    pub peak_lr: f64,
    /// Loss of the first step, in nats per supervised token.
    pub first_loss: f64,
    /// Mean loss of the last tenth of the steps.
    pub last_loss: f64,
    /// Highest norm of a gradient before clipping.
    pub peak_grad_norm: f64,
    /// The curve.
    pub figure: Figure,
}
