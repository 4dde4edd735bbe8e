//! `metrics.json`: tables, charts and scores as the plugins returned them.

use driftgauge_plugin_protocol::wire::MetricOutput;
use serde::{Deserialize, Serialize};

use crate::folder::{RunFile, Schema};

/// The whole of `metrics.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsRecord {
    /// Number of the format.
    pub schema: Schema<1>,
    /// One entry per evaluation, metric and model.
    pub outputs: Vec<OutputRecord>,
}

impl RunFile for MetricsRecord {
    const NAME: &'static str = "metrics.json";
    const SCHEMA: u32 = 1;
}

/// What a plugin returned for one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// Evaluation id.
    pub evaluation: String,
    /// Metric id of the spec.
    pub metric: String,
    /// Model id.
    pub model: String,
    /// The plugin.
    pub plugin: PluginRecord,
    /// What it returned.
    pub output: MetricOutput,
}

/// What identifies a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginRecord {
    /// Plugin id.
    pub id: String,
    /// Version of its behaviour, from its manifest.
    pub version: String,
    /// BLAKE3 digest of its library, or of the program and its files.
    pub digest: String,
    /// Sample fields that it has shown beside each completion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<String>,
    /// Whether it ran in the process of driftgauge although it did not come with it, since the spec asks for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_process: bool,
}
