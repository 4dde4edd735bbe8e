//! Metric plugins as the graph sees them: which one, what identifies it, and who runs it.

use driftgauge_plugin_protocol::rows::Batches;
use driftgauge_plugin_protocol::wire::{Manifest, MetricOutput};
use driftgauge_problem::Problem;
use driftgauge_store::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A metric and its plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedMetric {
    /// Plugin id or library path.
    pub plugin: String,
    /// Configuration handed to the plugin.
    pub config: Value,
    /// Whether the plugin runs in a process of its own.
    pub worker: bool,
    /// Seconds a worker may take.
    pub timeout_seconds: u64,
    /// Pinned digest of the library.
    pub pin: Option<String>,
}

/// What identifies a plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// Plugin id.
    pub id: String,
    /// Version from its manifest.
    pub version: String,
    /// Digest of the library file.
    pub digest: Digest,
    /// Whether it returns verdicts.
    #[serde(skip)]
    pub judges: bool,
    /// Whether its configuration has the level of intervals.
    #[serde(skip)]
    pub takes_level: bool,
    /// Whether its configuration has the number of bootstrap resamples.
    #[serde(skip)]
    pub takes_resamples: bool,
    /// Whether its configuration has the errors of judges.
    #[serde(skip)]
    pub takes_judge_error: bool,
    /// The key of its configuration that says how many of the likeliest tokens it reads, and a number that asks for none.
    #[serde(skip)]
    pub top_logprobs: Option<(String, Option<u64>)>,
}

impl PluginIdentity {
    /// How many of the likeliest tokens' ln p a metric with this configuration reads at every position; `None` where it reads
    /// no such list.
    #[must_use]
    pub fn top_logprobs(&self, config: &Value) -> Option<usize> {
        let (key, unless) = self.top_logprobs.as_ref()?;
        let wanted = config[key].as_u64().filter(|n| Some(*n) != *unless)?;
        usize::try_from(wanted).ok()
    }
}

/// Finds and runs metric plugins; implemented over the plugin host.
pub trait MetricRunner: Send + Sync {
    /// Identity of a metric's plugin.
    ///
    /// # Errors
    /// When it is not found or does not speak our ABI.
    fn identify(&self, metric: &ResolvedMetric) -> Result<PluginIdentity, Problem>;

    /// The manifest of a metric's plugin under its configuration, when it can be found.
    fn manifest(&self, metric: &ResolvedMetric) -> Option<Manifest>;

    /// Checks a configuration without data.
    ///
    /// # Errors
    /// When the plugin refuses it.
    fn check_config(&self, metric: &ResolvedMetric) -> Result<(), Problem>;

    /// Runs a metric over the samples of one model and one evaluation.
    ///
    /// # Errors
    /// When the plugin fails, or a sample cannot be read.
    fn run(
        &self,
        metric: &ResolvedMetric,
        samples: &mut dyn Batches,
    ) -> Result<MetricOutput, Problem>;
}
