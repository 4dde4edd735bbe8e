//! One instance of a metric: created, fed, finished, and destroyed exactly once.
#![expect(unsafe_code, reason = "calls the plugin's functions")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use driftgauge_plugin_protocol::arrays::Given;
use driftgauge_plugin_protocol::clean::clean_line;
use driftgauge_plugin_protocol::ffi::{
    DG_CANCELLED, DG_OK, DgBuf, DgHost, DgMetric, DgMetricVtable, DgStatus, DgStr,
};
use driftgauge_plugin_protocol::rows::{HostContext, LogSink, Rows, ServedBatch};
use driftgauge_plugin_protocol::seen::Seen;
use driftgauge_plugin_protocol::validate;
use driftgauge_plugin_protocol::wire::{Manifest, MetricOutput, PluginErrorPayload};
use serde_json::Value;

use crate::guard::Inside;
use crate::load::buffer_fault;
use crate::maps::Maps;
use crate::{PluginError, PluginLibrary, limits};

/// A living metric.
pub(crate) struct Instance {
    table: DgMetricVtable,
    metric: *mut DgMetric,
    manifest: Manifest,
    // Both are pointed to by the plugin, and outlive `destroy` because fields drop after `Drop::drop`.
    _host: Box<DgHost>,
    context: Box<HostContext>,
}

impl Instance {
    /// Makes an instance of `metric_id` with `config`.
    pub(crate) fn new(
        library: &PluginLibrary,
        metric_id: &str,
        config: &Value,
        log: LogSink,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self, PluginError> {
        let (manifest, table) = library.find(metric_id)?;
        let context = HostContext::new(log, cancelled).wary(limits::RESULT, || {
            let maps = Maps::now();
            Box::new(move |address, len| maps.readable(address, len))
        });
        let context = Box::new(context);
        let host = Box::new(context.table());
        let mut instance = Self {
            table: *table,
            metric: std::ptr::null_mut(),
            manifest: manifest.clone().configured(config),
            _host: host,
            context,
        };
        // No configuration in the spec is an empty one.
        let config = if config.is_null() {
            "{}".to_owned()
        } else {
            config.to_string()
        };
        let mut error = DgBuf::EMPTY;
        let mut made = std::ptr::null_mut();
        let status = instance.table.create.map_or(DG_OK, |create| {
            let _inside = Inside::enter();
            // SAFETY: host and context live as long as the instance, the rest as long as the call.
            unsafe {
                create(
                    &raw const *instance._host,
                    DgStr::new(&config),
                    &raw mut made,
                    &raw mut error,
                )
            }
        });
        if status == DG_OK {
            instance.metric = made;
        }
        instance.check(status, error)?;
        Ok(instance)
    }

    /// Feeds a batch, with the numbers of its prompts where the rows do not tell them.
    pub(crate) fn update(
        &mut self,
        rows: &dyn Rows,
        prompts: Option<&[u32]>,
    ) -> Result<(), PluginError> {
        self.context.show(rows.len());
        let batch = match prompts {
            Some(prompts) => ServedBatch::numbered(rows, prompts),
            None => ServedBatch::new(rows),
        };
        let mut error = DgBuf::EMPTY;
        let status = self.table.update.map_or(DG_OK, |update| {
            let _inside = Inside::enter();
            // SAFETY: the instance was created and is used by this thread alone; the batch outlives the call.
            unsafe { update(self.metric, batch.as_ptr(), &raw mut error) }
        });
        let done = self.check(status, error);
        match batch.failure() {
            Some(problem) => Err(PluginError::Samples(problem.into())),
            None => done,
        }
    }

    /// What the metric says of itself, its configuration filled in.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Takes the bytes of the result and the arrays that were given beside it, at which nobody has looked.
    pub(crate) fn finish(self) -> Result<(Vec<u8>, Vec<Given>), PluginError> {
        let (mut json, mut error) = (DgBuf::EMPTY, DgBuf::EMPTY);
        let status = self.table.finish.map_or(DG_OK, |finish| {
            let _inside = Inside::enter();
            // SAFETY: the instance was created; the plugin fills the buffers according to the ABI.
            unsafe { finish(self.metric, &raw mut json, &raw mut error) }
        });
        // A plugin fails when its scores are not taken: that it does is less than why.
        let given = self.context.take_scores();
        let given = given.map_err(|fault| bad_scores(&self.manifest, &fault))?;
        self.check(status, error)?;
        if let Some(fault) = buffer_fault(&json, limits::RESULT) {
            return Err(bad_output(&self.manifest, vec![fault]));
        }
        // SAFETY: filled by the plugin, or still empty; what it names is memory.
        Ok((unsafe { json.take() }, given))
    }

    fn check(&self, status: DgStatus, mut error: DgBuf) -> Result<(), PluginError> {
        let bytes = match buffer_fault(&error, limits::ERROR) {
            // SAFETY: filled by the plugin, or still empty; what it names is memory.
            None => unsafe { error.take() },
            Some(fault) => format!("its error cannot be read: {fault}").into_bytes(),
        };
        match status {
            DG_OK => Ok(()),
            DG_CANCELLED => Err(PluginError::Cancelled {
                metric: self.manifest.id.clone(),
            }),
            status => Err(PluginError::Metric {
                metric: self.manifest.id.clone(),
                version: self.manifest.version.clone(),
                status,
                payload: Box::new(parse_payload(&bytes)),
            }),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let (false, Some(destroy)) = (self.metric.is_null(), self.table.destroy) {
            let _inside = Inside::enter();
            // SAFETY: created, and destroyed here only.
            unsafe { destroy(self.metric) };
        }
    }
}

/// Plugins that do not write the JSON of an error are quoted as they are.
fn parse_payload(bytes: &[u8]) -> PluginErrorPayload {
    let payload = serde_json::from_slice(bytes).unwrap_or_else(|_| PluginErrorPayload {
        // Of a long text only the beginning is shown.
        message: String::from_utf8_lossy(&bytes[..bytes.len().min(4 * limits::TEXT)]).into_owned(),
        ..PluginErrorPayload::default()
    });
    limits::fit(payload)
}

fn bad_output(manifest: &Manifest, problems: Vec<String>) -> PluginError {
    PluginError::Output {
        metric: manifest.id.clone(),
        version: manifest.version.clone(),
        problems,
    }
}

/// What is wrong with scores that were given as arrays, or with numbers of prompts.
pub(crate) fn bad_scores(manifest: &Manifest, fault: &str) -> PluginError {
    bad_output(manifest, vec![clean_line(fault, limits::LINE)])
}

/// Reads a result with the arrays beside it, and holds it against the samples that were shown.
pub(crate) fn parse_output(
    manifest: &Manifest,
    bytes: &[u8],
    given: Vec<Given>,
    seen: &Seen,
) -> Result<MetricOutput, PluginError> {
    let mut output: MetricOutput = serde_json::from_slice(bytes).map_err(|error| {
        let error = clean_line(&error.to_string(), limits::LINE);
        bad_output(
            manifest,
            vec![format!("it is not the JSON of an output: {error}")],
        )
    })?;
    for given in given {
        let scores = seen.scores(given);
        output
            .scores
            .push(scores.map_err(|fault| bad_scores(manifest, &fault))?);
    }
    let named = seen.name_pooled(&mut output.pooled);
    named.map_err(|fault| bad_scores(manifest, &fault))?;
    check_output(manifest, &output, seen)?;
    Ok(output)
}

/// Holds a result against the rules and the samples that were shown.
pub(crate) fn check_output(
    manifest: &Manifest,
    output: &MetricOutput,
    seen: &Seen,
) -> Result<(), PluginError> {
    let mut problems = validate::problems(output);
    problems.extend(validate::unfounded(manifest, output, seen));
    problems.truncate(validate::limits::PROBLEMS);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(bad_output(manifest, problems))
    }
}
