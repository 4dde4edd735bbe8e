//! Metric plugins as the graph sees them: which one, what identifies it, and who runs it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use driftgauge_plugin_protocol::rows::Batches;
use driftgauge_plugin_protocol::wire::{Manifest, MetricOutput};
use driftgauge_problem::Problem;
use driftgauge_store::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A metric and its plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedMetric {
    /// Plugin id or library path; for a program, its words.
    pub plugin: String,
    /// The program that is the plugin, with its arguments; empty for a library.
    #[serde(default)]
    pub command: Vec<String>,
    /// Further files that the program reads.
    #[serde(default)]
    pub files: Vec<String>,
    /// Configuration handed to the plugin.
    pub config: Value,
    /// Which completions it is shown, as an expression; all of them where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// Where the spec says that the plugin runs.
    #[serde(default)]
    pub isolation: Option<PluginIsolation>,
    /// Seconds a worker may take for each step.
    pub timeout_seconds: u64,
    /// Seconds a worker may take in all.
    #[serde(default)]
    pub total_timeout_seconds: Option<u64>,
    /// Bytes of memory a worker may use.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Pinned BLAKE3 digest of the library.
    pub blake3: Option<String>,
    /// Pinned SHA-256 digest of the library.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginIsolation {
    /// In this process.
    InProcess,
    /// In one of its own.
    Worker,
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
    /// Whether it runs in the process of driftgauge although it did not come with it, since the spec asks for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_process: bool,
    /// Whether it returns verdicts.
    #[serde(skip)]
    pub judges: bool,
    /// Sample fields that a report shows beside each completion.
    #[serde(skip)]
    pub shows: Vec<String>,
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
    fn check_config(&self, metric: &ResolvedMetric) -> Result<(), Refusal>;

    /// Runs a metric over the samples of one model and one evaluation.
    ///
    /// # Errors
    /// When the plugin fails, or a sample cannot be read.
    fn run(
        &self,
        metric: &ResolvedMetric,
        samples: &mut dyn Batches,
        hooks: MetricHooks,
    ) -> Result<MetricOutput, Problem>;

    /// Whether it runs in a process of its own, which takes a place among the jobs.
    fn takes_place(&self, metric: &ResolvedMetric) -> bool;
}

/// Why a plugin refuses its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub problem: Problem,
    /// The key that is wrong, where it is one: keys inside of others after a dot.
    pub key: Option<String>,
}

/// Takes what a metric logs.
pub type LogSink = dyn Fn(i32, &str) + Send + Sync;

/// What a metric hears and says while it runs.
#[derive(Clone)]
pub struct MetricHooks {
    /// Raised when the run is being stopped.
    pub cancelled: Arc<AtomicBool>,
    /// Where its log goes: level (0 error to 4 trace) and text.
    pub log: Arc<LogSink>,
}
