//! `plan.json`: the nodes of a run with their keys, and what became of each.

use serde::{Deserialize, Serialize};

use crate::folder::{RunFile, Schema};

/// The whole of `plan.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRecord {
    /// Number of the format.
    pub schema: Schema<1>,
    /// The nodes, inputs before what needs them.
    pub nodes: Vec<NodeRecord>,
}

impl RunFile for PlanRecord {
    const NAME: &'static str = "plan.json";
    const SCHEMA: u32 = 1;
}

/// A node and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRecord {
    /// Readable id, unique in the plan: what the node does and for what.
    pub id: String,
    /// What it does: `dataset`, `generate`, `judge` and so on.
    pub kind: String,
    /// Its key; `None` while a source of the hub is not pinned.
    pub key: Option<String>,
    /// Ids of the nodes it needs.
    pub inputs: Vec<String>,
    /// Prompts, rows or examples it goes through, when known.
    pub items: Option<u64>,
    /// What became of it.
    pub status: NodeStatus,
    /// Seconds it took; `None` when it did not end.
    pub seconds: Option<f64>,
    /// Why it failed or was skipped.
    pub error: Option<String>,
}

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// It ran.
    Ran,
    /// Its artifact was in the store.
    Reused,
    /// It failed.
    Failed,
    /// Something it depends on failed.
    Skipped,
    /// The run was stopped before the node ended.
    Interrupted,
}

impl NodeStatus {
    /// The word used in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Reused => "reused",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        }
    }
}
