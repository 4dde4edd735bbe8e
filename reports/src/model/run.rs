//! How the run went: the only part with clock and host.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the run went: whatever may differ between two equal runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The nodes of the plan.
    pub nodes: Vec<RunNode>,
    /// `provenance.json` as it is.
    pub provenance: Value,
}

/// A node of the plan and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunNode {
    /// Node id.
    pub id: String,
    /// What it does.
    pub kind: String,
    /// What it is for.
    pub label: String,
    /// Its key.
    pub key: Option<String>,
    /// Ids of the nodes it needs.
    pub inputs: Vec<String>,
    /// `ran`, `reused`, `failed` or `skipped`.
    pub status: String,
    /// Why.
    pub reason: String,
    /// Seconds it took.
    pub seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}
