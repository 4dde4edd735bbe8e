//! Runs a metric in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftgauge_plugin_protocol::rows::Batches;
use driftgauge_plugin_protocol::seen::Seen;
use driftgauge_plugin_protocol::wire::MetricOutput;
use serde_json::Value;

use crate::instance::{Instance, parse_output};
use crate::limits::ShortLog;
use crate::required::Required;
use crate::{PluginError, PluginLibrary};

/// Where a plugin's log goes: level (0 error to 4 trace) and text.
pub type Log = Arc<dyn Fn(i32, &str) + Send + Sync>;

/// How a metric is run.
#[derive(Clone)]
pub struct RunOptions {
    /// The plugin's log.
    pub log: Log,
    /// Set it to stop the metric.
    pub cancelled: Arc<AtomicBool>,
}

impl Default for RunOptions {
    /// No log, never cancelled.
    fn default() -> Self {
        Self {
            log: Arc::new(|_, _| ()),
            cancelled: Arc::default(),
        }
    }
}

/// Runs metric `metric_id` of `library` over `samples`, all those of one evaluation and model, in the order of the
/// conditions of the spec. Samples are read as the metric takes them: memory does not grow with their number.
///
/// # Errors
/// When the samples cannot be read, the metric fails, or its result is malformed.
pub fn run_metric(
    library: &PluginLibrary,
    metric_id: &str,
    config: &Value,
    samples: &mut dyn Batches,
) -> Result<MetricOutput, PluginError> {
    run_metric_with(library, metric_id, config, samples, &RunOptions::default())
}

/// As [`run_metric`], with a log and a way to stop it.
///
/// # Errors
/// As [`run_metric`], and when it was stopped.
pub fn run_metric_with(
    library: &PluginLibrary,
    metric_id: &str,
    config: &Value,
    samples: &mut dyn Batches,
    options: &RunOptions,
) -> Result<MetricOutput, PluginError> {
    let log = ShortLog::new(options.log.clone());
    let mut instance = Instance::new(
        library,
        metric_id,
        config,
        Box::new(move |level, message| log.line(level, message)),
        options.cancelled.clone(),
    )?;
    let mut seen = Seen::expecting(samples.prompts());
    let mut required = Required::new(instance.manifest());
    while let Some(batch) = samples.next_batch().map_err(PluginError::Samples)? {
        if options.cancelled.load(Ordering::Relaxed) {
            return Err(PluginError::Cancelled {
                metric: metric_id.to_owned(),
            });
        }
        let unreadable = |problem: String| PluginError::Samples(problem.into());
        seen.note(batch).map_err(unreadable)?;
        required.note(batch);
        instance.update(batch, Some(seen.batch()))?;
    }
    required.check()?;
    let manifest = instance.manifest().clone();
    let (json, given) = instance.finish()?;
    parse_output(&manifest, &json, given, &seen)
}
