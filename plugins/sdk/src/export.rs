//! From a [`Metric`] to the functions of the C ABI. [`crate::export_metrics!`] uses this; authors need not.
//!
//! Every function catches panics and drops their payload here, inside the plugin: nothing unwinds into the host.
#![expect(
    unsafe_code,
    reason = "functions that the host calls receive raw pointers"
)]

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::batch::Shared;
use crate::error::ErrorKind;
use crate::ffi::{
    ABI_MINOR, DG_OK, DgBatch, DgBuf, DgHost, DgMetric, DgMetricVtable, DgStatus, DgStr,
    read_prefixed,
};
use crate::wire::Manifest;
use crate::{Batch, Host, Metric, MetricError};

/// Carries the function table of a metric.
pub struct Exported<M>(PhantomData<M>);

impl<M: Metric> Exported<M> {
    /// The table.
    pub const VTABLE: DgMetricVtable = DgMetricVtable {
        struct_size: size_of::<DgMetricVtable>() as u32,
        abi_minor: ABI_MINOR,
        manifest: Some(manifest::<M>),
        create: Some(create::<M>),
        update: Some(update::<M>),
        finish: Some(finish::<M>),
        destroy: Some(destroy::<M>),
        extension: None,
    };
}

/// The manifest of a metric with the schema of its configuration.
#[must_use]
pub fn full_manifest<M: Metric>() -> Manifest {
    let mut manifest = M::manifest();
    if manifest.config_schema.is_null() {
        manifest.config_schema = schemars::schema_for!(M::Config).to_value();
    }
    manifest
}

/// What `*mut DgMetric` points to.
struct Instance<M> {
    /// `None` after `finish` and after a panic.
    metric: Option<M>,
    host: DgHost,
}

unsafe extern "C" fn manifest<M: Metric>(json: *mut DgBuf) -> DgStatus {
    // SAFETY: `json` is a buffer of the host.
    unsafe {
        guard(std::ptr::null_mut(), || {
            let text = serde_json::to_vec(&full_manifest::<M>())
                .map_err(|error| MetricError::internal(format!("manifest is not JSON: {error}")))?;
            json.write(DgBuf::from_bytes(text));
            Ok(())
        })
    }
}

unsafe extern "C" fn create<M: Metric>(
    host: *const DgHost,
    config: DgStr,
    out: *mut *mut DgMetric,
    error: *mut DgBuf,
) -> DgStatus {
    // SAFETY: the host's table and the configuration are valid during the call, the table until `destroy` returns.
    unsafe {
        guard(error, || {
            let table = read_prefixed(host)
                .ok_or_else(|| MetricError::internal("the harness gave no function table"))?;
            let text = match config.bytes() {
                [] => b"{}",
                bytes => bytes,
            };
            let config = configuration(text)?;
            let metric = M::new(config, &Host::new(table))?;
            let instance = Box::new(Instance {
                metric: Some(metric),
                host: table,
            });
            out.write(Box::into_raw(instance).cast());
            Ok(())
        })
    }
}

unsafe extern "C" fn update<M: Metric>(
    metric: *mut DgMetric,
    batch: *const DgBatch,
    error: *mut DgBuf,
) -> DgStatus {
    // SAFETY: `metric` came from `create` and is used by one thread at a time; the batch is valid during the call.
    unsafe {
        let instance = &mut *metric.cast::<Instance<M>>();
        guard(error, || {
            let batch = Shared::new(Host::new(instance.host), batch);
            // Taken out for the call: a metric that panicked half-way is not used again.
            let mut metric = instance.metric.take().ok_or_else(over)?;
            let result = metric.update(Batch::new(&batch));
            instance.metric = Some(metric);
            result
        })
    }
}

unsafe extern "C" fn finish<M: Metric>(
    metric: *mut DgMetric,
    result: *mut DgBuf,
    error: *mut DgBuf,
) -> DgStatus {
    // SAFETY: as for `update`; `result` is a buffer of the host.
    unsafe {
        let instance = &mut *metric.cast::<Instance<M>>();
        guard(error, || {
            let host = Host::new(instance.host);
            let metric = instance.metric.take().ok_or_else(over)?;
            let mut output = metric.finish(&host)?;
            if instance.host.abi_minor == 0 {
                // A host that knows no places is given every id.
                for scores in &mut output.scores {
                    scores.sample_ids = scores.sample_ids.iter().collect();
                }
            }
            // serde_json writes NaN as null, which would hide it: check before.
            if let Some(problem) = driftgauge_plugin_protocol::validate::problems(&output).first() {
                return Err(MetricError::internal(problem.clone()).code("bad-output"));
            }
            let scores = std::mem::take(&mut output.scores);
            for scores in scores {
                match host.give(&scores) {
                    Some(given) => given?,
                    None => output.scores.push(scores),
                }
            }
            let text = serde_json::to_vec(&output)
                .map_err(|error| MetricError::internal(format!("result is not JSON: {error}")))?;
            result.write(DgBuf::from_bytes(text));
            Ok(())
        })
    }
}

unsafe extern "C" fn destroy<M: Metric>(metric: *mut DgMetric) {
    if !metric.is_null() {
        // SAFETY: `metric` came from `create`, and the host destroys it once.
        let instance = unsafe { Box::from_raw(metric.cast::<Instance<M>>()) };
        let caught = catch_unwind(AssertUnwindSafe(move || drop(instance)));
        forget_payload(caught.err());
    }
}

/// Reads a configuration; an error says at which key.
fn configuration<C: serde::de::DeserializeOwned>(json: &[u8]) -> Result<C, MetricError> {
    let mut json = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let mut key = error.path().to_string();
        let message = error.into_inner().to_string();
        // The place after it is one in the JSON, which nobody wrote.
        let message = message
            .rsplit_once(" at line ")
            .map_or(&*message, |(text, _)| text);
        let unknown = message
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split_once('`'));
        if let Some((name, _)) = unknown
            && !key.ends_with(name)
        {
            key = if key == "." {
                name.to_owned()
            } else {
                format!("{key}.{name}")
            };
        }
        let error = MetricError::config(message).code("bad-config");
        if key == "." { error } else { error.key(key) }
    })
}

fn over() -> MetricError {
    MetricError::internal("the metric is used after it finished or panicked")
}

/// Runs `body`, writes its error or panic to `error` and returns the status.
///
/// # Safety
/// `error` must be null or a buffer of the host.
unsafe fn guard(error: *mut DgBuf, body: impl FnOnce() -> Result<(), MetricError>) -> DgStatus {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return DG_OK,
        Ok(Err(failure)) => failure,
        Err(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned());
            forget_payload(Some(payload));
            let text = text.unwrap_or_else(|| "a value that is no text".to_owned());
            MetricError::new(ErrorKind::Panic, format!("panicked: {text}")).code("panic")
        }
    };
    if !error.is_null() {
        let json = serde_json::to_vec(&failure.payload()).unwrap_or_default();
        // SAFETY: not null, a buffer of the host.
        unsafe { error.write(DgBuf::from_bytes(json)) };
    }
    failure.kind.status()
}

/// Drops a panic's payload; a payload whose drop panics too is leaked.
fn forget_payload(payload: Option<Box<dyn std::any::Any + Send>>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(second);
    }
}

/// Exports one or more [`Metric`]s from a `cdylib`: `export_metrics!(Length, Politeness);`
///
/// Use it once per library.
#[macro_export]
macro_rules! export_metrics {
    ($($metric:ty),+ $(,)?) => {
        // Not `expect`: it stands in the author's crate, whose lints are not ours.
        #[allow(unsafe_code)]
        const _: () = {
            static METRICS: &[&$crate::ffi::DgMetricVtable] =
                &[$(&$crate::export::Exported::<$metric>::VTABLE),+];
            static PLUGIN: $crate::ffi::DgPlugin = $crate::ffi::DgPlugin {
                struct_size: ::core::mem::size_of::<$crate::ffi::DgPlugin>() as u32,
                abi_minor: $crate::ffi::ABI_MINOR,
                n_metrics: METRICS.len() as u32,
                reserved: 0,
                metrics: METRICS.as_ptr().cast(),
            };

            /// The one symbol of a metric plugin.
            // SAFETY: no other symbol of this name exists in a library that exports metrics once.
            #[unsafe(no_mangle)]
            pub extern "C" fn dg_plugin_v1(_host_abi_minor: u32) -> *const $crate::ffi::DgPlugin {
                &raw const PLUGIN
            }
        };
    };
}
