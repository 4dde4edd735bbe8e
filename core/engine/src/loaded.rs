//! What an engine says of the model it loaded.

use serde::{Deserialize, Serialize};

use crate::proof::Proof;

/// Name of the check that holds an engine against an independent computation of the model.
pub const LOGITS_AGREE: &str = "logits-agree";

/// One finding of the self-check made when a model is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Kebab-case name, for example `logits-agree`.
    pub name: String,
    /// `passed`, `failed`, or `skipped` with the reason in `detail`.
    pub outcome: CheckOutcome,
    /// What was compared and what came out.
    pub detail: String,
}

/// Outcome of a [`Check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// Held.
    Passed,
    /// Did not hold; the model is not used.
    Failed,
    /// Did not hold, and the engine works around it (for example: no batching).
    Avoided,
    /// There is nothing to check.
    Skipped,
    /// Could not be made here: what it would prove is not proven.
    Unproven,
}

/// What an engine says of the model it loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// Engine and version, for example `mistral.rs 0.8.1`.
    pub engine: String,
    /// Device, for example `cpu`.
    pub device: String,
    /// Compute type, for example `f32`.
    pub dtype: String,
    /// How many requests may be in flight at once without changing any result.
    pub max_in_flight: usize,
    /// The self-check.
    pub checks: Vec<Check>,
    /// What was proven anew, to be remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Box<Proof>>,
}
