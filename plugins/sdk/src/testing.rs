//! Runs a metric in-process over samples written as JSON, through the same C calls that the harness makes.
//!
//! A sample has the shape of the harness's own: `{"sample_id": "a", "condition": "default", "completion": {"text":
//! "...", "token_logprob": [..]}, "references": [..], "verdicts": {"guard": {"label": "safe"}}, "row": {..}, "values":
//! {"correct": [1]}}`. Whatever is left out reads as absent.
#![expect(unsafe_code, reason = "plays the host: calls the exported functions")]

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use driftgauge_plugin_protocol::field::{Field, Integer, Text, Tokens};
use driftgauge_plugin_protocol::rows::{HostContext, Lookup, Rows, ServedBatch};
use driftgauge_plugin_protocol::seen::Seen;
use serde_json::Value;

use crate::export::Exported;
use crate::ffi::{ABI_MINOR, DG_OK, DgBuf, DgMetricVtable, DgStatus, DgStr};
use crate::wire::{MetricOutput, PluginErrorPayload};
use crate::{ErrorKind, Metric, MetricError};

/// Runs `M` over `samples`, in one batch.
///
/// # Errors
/// Whatever the metric returns; a panic comes back as [`ErrorKind::Panic`].
pub fn run<M: Metric>(config: &Value, samples: &[Value]) -> Result<MetricOutput, MetricError> {
    run_in_batches::<M>(config, samples, samples.len().max(1))
}

/// Runs `M` over `samples`, `size` of them at a time. A metric's result does not depend on `size`.
///
/// # Errors
/// As [`run`].
pub fn run_in_batches<M: Metric>(
    config: &Value,
    samples: &[Value],
    size: usize,
) -> Result<MetricOutput, MetricError> {
    run_under::<M>(ABI_MINOR, config, samples, size)
}

/// As [`run_in_batches`], under a harness that says it is of ABI 1.`minor`. A metric's result does not depend on it.
///
/// # Errors
/// As [`run`].
pub fn run_under<M: Metric>(
    minor: u32,
    config: &Value,
    samples: &[Value],
    size: usize,
) -> Result<MetricOutput, MetricError> {
    let vtable: DgMetricVtable = Exported::<M>::VTABLE;
    let log = Box::new(|level: i32, message: &str| eprintln!("[{level}] {message}"));
    let context = HostContext::new(log, Arc::new(AtomicBool::new(false)));
    let mut table = context.table();
    table.abi_minor = minor;
    let config = config.to_string();
    let (Some(create), Some(update), Some(finish), Some(destroy)) =
        (vtable.create, vtable.update, vtable.finish, vtable.destroy)
    else {
        return Err(MetricError::internal("the metric lacks a function"));
    };
    let mut instance = std::ptr::null_mut();
    let mut error = DgBuf::EMPTY;
    // SAFETY: the calls follow the ABI: create, update, finish, destroy once; everything passed outlives its call, and
    // the context and table outlive the instance.
    unsafe {
        let status = create(
            &raw const table,
            DgStr::new(&config),
            &raw mut instance,
            &raw mut error,
        );
        check(status, &mut error)?;
        let mut seen = Seen::default();
        let mut feed = || {
            for chunk in samples.chunks(size.max(1)) {
                let rows = JsonRows(chunk);
                seen.note(&rows).map_err(MetricError::internal)?;
                context.show(chunk.len());
                let batch = ServedBatch::numbered(&rows, seen.batch());
                check(update(instance, batch.as_ptr(), &raw mut error), &mut error)?;
            }
            let mut json = DgBuf::EMPTY;
            check(finish(instance, &raw mut json, &raw mut error), &mut error)?;
            let mut output: MetricOutput = serde_json::from_slice(&json.take())
                .map_err(|error| MetricError::internal(error.to_string()))?;
            for given in context.take_scores().map_err(MetricError::internal)? {
                let scores = seen.scores(given).map_err(MetricError::internal)?;
                output.scores.push(scores);
            }
            let named = seen.name_pooled(&mut output.pooled);
            named.map_err(MetricError::internal)?;
            Ok(output)
        };
        let result = feed();
        destroy(instance);
        result
    }
}

/// # Safety
/// `error` must be empty or filled by the metric.
unsafe fn check(status: DgStatus, error: &mut DgBuf) -> Result<(), MetricError> {
    // SAFETY: by the contract above.
    let json = unsafe { error.take() };
    if status == DG_OK {
        return Ok(());
    }
    let payload: PluginErrorPayload = serde_json::from_slice(&json).unwrap_or_default();
    let kind = [
        ErrorKind::Config,
        ErrorKind::Data,
        ErrorKind::Internal,
        ErrorKind::Panic,
        ErrorKind::Cancelled,
    ]
    .into_iter()
    .find(|kind| kind.status() == status)
    .unwrap_or(ErrorKind::Internal);
    Err(MetricError {
        kind,
        message: payload.message,
        help: payload.help,
        code: payload.code,
        sample_id: payload.sample_id,
        key: payload.key.map(String::into_boxed_str),
    })
}

/// Samples as JSON.
struct JsonRows<'a>(&'a [Value]);

impl Rows for JsonRows<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn text(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, str>> {
        let sample = &self.0[row];
        let found = match field {
            Field::Text(Text::SampleId) => sample.get("sample_id"),
            Field::Text(Text::Evaluation) => sample.get("evaluation"),
            Field::Text(Text::Condition) => {
                let condition = sample.get("condition").and_then(Value::as_str);
                return Lookup::Present(Cow::Borrowed(condition.unwrap_or("default")));
            }
            Field::Text(Text::Model) => sample.get("model"),
            Field::Text(Text::Completion) => sample.pointer("/completion/text"),
            Field::Text(Text::FinishReason) => sample.pointer("/completion/finish_reason"),
            Field::Text(Text::Category) => sample.get("category"),
            Field::Text(Text::WrongAnswer) => sample.get("wrong_answer"),
            Field::Text(Text::Error) => sample.get("error"),
            Field::Verdict(judge) => verdict(sample, judge, "label"),
            Field::JudgeOutput(judge) => verdict(sample, judge, "output"),
            Field::Row(column) => {
                return match sample.get("row").and_then(|row| row.get(column)) {
                    None | Some(Value::Null) => Lookup::Null,
                    Some(Value::String(text)) => Lookup::Present(Cow::Borrowed(text)),
                    Some(other) => Lookup::Present(Cow::Owned(other.to_string())),
                };
            }
            _ => return Lookup::OtherType,
        };
        found.and_then(Value::as_str).map(Cow::Borrowed).into()
    }

    fn number(&self, row: usize, field: Field<'_>) -> Lookup<f64> {
        let sample = &self.0[row];
        let found = match field {
            Field::PUnsafe(judge) => verdict(sample, judge, "p_unsafe"),
            Field::Score(judge) => verdict(sample, judge, "score"),
            Field::Points(judge) => verdict(sample, judge, "points"),
            Field::Row(column) => sample.get("row").and_then(|row| row.get(column)),
            Field::Value(name) => value(sample, name).and_then(|values| values.get(0)),
            _ => return Lookup::OtherType,
        };
        found.and_then(Value::as_f64).into()
    }

    fn integer(&self, row: usize, field: Field<'_>) -> Lookup<i64> {
        let sample = &self.0[row];
        let found = match field {
            Field::Integer(Integer::SampleIndex) => sample.get("sample_index"),
            Field::Integer(Integer::EndsWithEos) => sample.pointer("/completion/ends_with_eos"),
            Field::Integer(Integer::Empty) => sample.pointer("/degenerate/empty"),
            Field::Integer(Integer::Looping) => sample.pointer("/degenerate/looping"),
            Field::Integer(Integer::Truncated) => sample.pointer("/degenerate/truncated"),
            _ => return Lookup::OtherType,
        };
        Lookup::Present(match found {
            Some(Value::Bool(flag)) => i64::from(*flag),
            other => other.and_then(Value::as_i64).unwrap_or(0),
        })
    }

    fn floats(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f32]>> {
        #[expect(clippy::cast_possible_truncation)]
        numbers(&self.0[row], field).map(|list| list.iter().map(|&x| x as f32).collect())
    }

    fn doubles(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f64]>> {
        match field {
            Field::Value(_) => numbers(&self.0[row], field).map(Cow::Owned),
            _ => Lookup::OtherType,
        }
    }

    fn texts(&self, row: usize, field: Field<'_>) -> Lookup<Vec<Cow<'_, str>>> {
        let sample = &self.0[row];
        let found = match field {
            Field::References => sample.get("references"),
            Field::Categories(judge) => verdict(sample, judge, "categories"),
            Field::Judges | Field::Scorers => {
                let such = |verdict: &Value| match field {
                    Field::Judges => verdict.get("label").and_then(Value::as_str) != Some("scored"),
                    _ => verdict.get("score").is_some_and(Value::is_number),
                };
                let judges = sample.get("verdicts").and_then(Value::as_object);
                return Lookup::Present(judges.map_or_else(Vec::new, |verdicts| {
                    let ids = verdicts.iter().filter(|(_, verdict)| such(verdict));
                    ids.map(|(key, _)| Cow::Borrowed(key.as_str())).collect()
                }));
            }
            _ => return Lookup::OtherType,
        };
        found
            .and_then(Value::as_array)
            .map(|list| {
                list.iter()
                    .filter_map(Value::as_str)
                    .map(Cow::Borrowed)
                    .collect()
            })
            .into()
    }

    fn json(&self, row: usize) -> Result<String, String> {
        Ok(self.0[row].to_string())
    }
}

fn verdict<'a>(sample: &'a Value, judge: &str, part: &str) -> Option<&'a Value> {
    sample.get("verdicts")?.get(judge)?.get(part)
}

fn value<'a>(sample: &'a Value, name: &str) -> Option<&'a Value> {
    sample.get("values")?.get(name)
}

fn numbers(sample: &Value, field: Field<'_>) -> Lookup<Vec<f64>> {
    let found = match field {
        Field::Tokens(tokens) => {
            let name = match tokens {
                Tokens::Logprob => "token_logprob",
                Tokens::Top1Logprob => "token_top1_logprob",
                Tokens::Margin => "token_margin",
                Tokens::Top10Entropy => "token_top10_entropy",
                Tokens::Top10Mass => "token_top10_mass",
                Tokens::Entropy => "token_entropy",
                Tokens::TopLogprobs => "token_top_logprobs",
            };
            sample.get("completion").and_then(|made| made.get(name))
        }
        Field::Value(name) => value(sample, name),
        _ => return Lookup::OtherType,
    };
    found
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty())
        .map(|list| list.iter().filter_map(Value::as_f64).collect())
        .into()
}
