//! Runs a metric in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftgauge_plugin_protocol::wire::MetricOutput;
use driftgauge_record::Sample;
use serde_json::Value;

use crate::instance::Instance;
use crate::{BoxError, PluginError, PluginLibrary};

/// Where a plugin's log goes: level (0 error to 4 trace) and text.
pub type Log = Arc<dyn Fn(i32, &str) + Send + Sync>;

/// How a metric is run.
#[derive(Clone)]
pub struct RunOptions {
    /// The plugin's log.
    pub log: Log,
    /// Set it to stop the metric.
    pub cancelled: Arc<AtomicBool>,
    /// Samples held in memory at a time.
    pub batch: usize,
}

impl Default for RunOptions {
    /// No log, never cancelled, 512 samples at a time.
    fn default() -> Self {
        Self {
            log: Arc::new(|_, _| ()),
            cancelled: Arc::default(),
            batch: 512,
        }
    }
}

/// Runs metric `metric_id` of `library` over `samples`, all those of one evaluation and model, in the order of the
/// conditions of the spec. Samples are read as the metric takes them: memory does not grow with their number.
///
/// # Errors
/// When the samples cannot be read, the metric fails, or its result is malformed.
pub fn run_metric<E: Into<BoxError>>(
    library: &PluginLibrary,
    metric_id: &str,
    config: &Value,
    samples: impl IntoIterator<Item = Result<Sample, E>>,
) -> Result<MetricOutput, PluginError> {
    run_metric_with(library, metric_id, config, samples, &RunOptions::default())
}

/// As [`run_metric`], with a log, a way to stop it, and the size of batches.
///
/// # Errors
/// As [`run_metric`], and when it was stopped.
pub fn run_metric_with<E: Into<BoxError>>(
    library: &PluginLibrary,
    metric_id: &str,
    config: &Value,
    samples: impl IntoIterator<Item = Result<Sample, E>>,
    options: &RunOptions,
) -> Result<MetricOutput, PluginError> {
    let log = options.log.clone();
    let mut instance = Instance::new(
        library,
        metric_id,
        config,
        Box::new(move |level, message| log(level, message)),
        options.cancelled.clone(),
    )?;
    for_each_batch(samples, options.batch, |batch| {
        if options.cancelled.load(Ordering::Relaxed) {
            return Err(PluginError::Cancelled {
                metric: metric_id.to_owned(),
            });
        }
        instance.update(batch)
    })?;
    instance.finish()
}

/// Collects samples into batches of at most `size`.
pub(crate) fn for_each_batch<E: Into<BoxError>>(
    samples: impl IntoIterator<Item = Result<Sample, E>>,
    size: usize,
    mut take: impl FnMut(&[Sample]) -> Result<(), PluginError>,
) -> Result<(), PluginError> {
    let size = size.max(1);
    let mut batch = Vec::with_capacity(size);
    for sample in samples {
        batch.push(sample.map_err(|error| PluginError::Samples(error.into()))?);
        if batch.len() == size {
            take(&batch)?;
            batch.clear();
        }
    }
    if batch.is_empty() {
        return Ok(());
    }
    take(&batch)
}
