//! `lock.json`: digests of everything that a run read.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::metrics::PluginRecord;
use super::resolved::HubRecord;
use crate::folder::{RunFile, Schema};

/// The whole of `lock.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockRecord {
    /// Number of the format.
    pub schema: Schema<1>,
    /// Datasets by id.
    pub datasets: IndexMap<String, LockedDataset>,
    /// Models that were not made by the run, by id.
    pub models: IndexMap<String, LockedModel>,
    /// Plugins by metric id, and by `evaluation/judge`.
    pub plugins: IndexMap<String, PluginRecord>,
    /// What makes completions and trains.
    pub engine: EngineRecord,
}

impl RunFile for LockRecord {
    const NAME: &'static str = "lock.json";
    const SCHEMA: u32 = 1;
}

/// A dataset and the bytes it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDataset {
    /// Where it comes from, for people.
    pub source: String,
    /// Digest of the file; `None` while a dataset of the hub was not fetched.
    pub blake3: Option<String>,
    /// Rows that were left after the selection.
    pub rows: Option<u64>,
    /// Its repository, when it comes from the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubRecord>,
}

/// A model and the bytes it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedModel {
    /// Where it comes from, for people.
    pub description: String,
    /// Digests of the folder, or of each recording; empty for a server's model, whose weights nobody here can pin.
    pub blake3: Vec<String>,
    /// Its repository, when it comes from the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubRecord>,
}

/// What makes completions and trains.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineRecord {
    /// Engine and version, for example `mistral.rs 0.8.1`.
    pub generation: String,
    /// The batched decoder of driftgauge; which of both answered for a model is told beside its self-check.
    #[serde(default)]
    pub native: String,
    /// What scores given text, for example `driftgauge-lm scorer 2`.
    #[serde(default)]
    pub scoring: String,
    /// The trainer, for example `driftgauge-lm 1`.
    pub training: String,
    /// Device class: `cpu` or `cuda`.
    pub device: String,
}
