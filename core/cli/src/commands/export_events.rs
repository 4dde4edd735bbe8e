//! `driftgauge export --format tensorboard`: trainings and results as event files.
//!
//! A file is a sequence of records `length, check of the length, bytes, check of the bytes`; the bytes are messages of
//! TensorFlow's `event.proto`, of which four fields are enough. The check is CRC-32C, rotated and shifted so that a check of bytes
//! that hold checks is no accident.

use std::fs;
use std::io::Write;
use std::path::Path;

use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::files::resolved::ExperimentRecord;
use driftgauge_record::{Results, RunDir};
use serde_json::Value;

/// Numbers of a training's log that are curves.
const CURVES: [&str; 6] = [
    "loss",
    "lr",
    "grad_norm",
    "eval_loss",
    "tokens_per_second",
    "peak_memory_bytes",
];

/// Writes `to/MODEL/events.out.tfevents.0.driftgauge` for each model; gives the number of curves and results.
///
/// # Errors
/// When the run cannot be read, or a file not be written.
pub(super) fn write(dir: &Path, to: &Path, only: Option<&str>) -> Result<Vec<String>> {
    let run = RunDir::new(dir);
    let record: ExperimentRecord = run.read()?;
    let results: Results = run.read()?;
    let mut said = Vec::new();
    for id in record.models.keys() {
        if only.is_some_and(|only| only != id) {
            continue;
        }
        let mut events = Events::new();
        let last = training(&run.train_log_of(id), &mut events)?;
        for metric in results.metrics.iter().filter(|metric| &metric.model == id) {
            if let Some(value) = metric.value {
                let tag = format!(
                    "{}/{}/{}",
                    metric.evaluation, metric.condition, metric.metric
                );
                events.add(last.seconds, last.step, &[(&tag, value)]);
            }
        }
        if events.count == 0 {
            continue;
        }
        let folder = to.join(id);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        let path = folder.join("events.out.tfevents.0.driftgauge");
        let mut file = fs::File::create(&path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        file.write_all(&events.bytes)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        said.push(format!("{}: {} values", path.display(), events.count));
    }
    if said.is_empty() {
        let message = match only {
            Some(only) => format!("the run has no number of a model `{only}`"),
            None => "the run has neither a training nor a number".to_owned(),
        };
        return Err(Problem::new("no-model", message).of_input());
    }
    Ok(said)
}

/// Where a training stood.
#[derive(Default)]
struct At {
    step: u64,
    /// Seconds since its beginning: it repeats, where the clock does not.
    seconds: f64,
}

/// Adds the curves of a training's log, where there is one; gives its end.
fn training(log: &Path, events: &mut Events) -> Result<At> {
    let mut at = At::default();
    let Ok(text) = fs::read_to_string(log) else {
        return Ok(at);
    };
    for line in text.lines() {
        let row: Value = serde_json::from_str(line)
            .with_context(|| format!("`{}` is no training log", log.display()))?;
        let Some(step) = row["step"].as_u64() else {
            continue;
        };
        at.step = step;
        at.seconds += row["seconds"].as_f64().unwrap_or(0.0);
        let named = CURVES.map(|name| (format!("train/{name}"), row[name].as_f64()));
        let values: Vec<(&str, f64)> = named
            .iter()
            .filter_map(|(tag, value)| Some((tag.as_str(), (*value)?)))
            .collect();
        events.add(at.seconds, step, &values);
    }
    Ok(at)
}

/// An event file so far.
struct Events {
    bytes: Vec<u8>,
    count: usize,
}

impl Events {
    fn new() -> Self {
        let mut events = Self {
            bytes: Vec::new(),
            count: 0,
        };
        let mut first = vec![0x09];
        first.extend(0.0_f64.to_le_bytes());
        first.push(0x1a);
        bytes_of(&mut first, b"brain.Event:2");
        events.record(&first);
        events
    }

    /// One event with values under their tags.
    fn add(&mut self, seconds: f64, step: u64, values: &[(&str, f64)]) {
        if values.is_empty() {
            return;
        }
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut entry = vec![0x0a];
            bytes_of(&mut entry, tag.as_bytes());
            entry.push(0x15);
            // What is drawn: a float holds what a chart shows.
            #[expect(clippy::cast_possible_truncation)]
            entry.extend((*value as f32).to_le_bytes());
            summary.push(0x0a);
            bytes_of(&mut summary, &entry);
        }
        let mut event = vec![0x09];
        event.extend(seconds.to_le_bytes());
        event.push(0x10);
        varint(&mut event, step);
        event.push(0x2a);
        bytes_of(&mut event, &summary);
        self.record(&event);
        self.count += values.len();
    }

    fn record(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        self.bytes.extend(length);
        self.bytes.extend(check(&length).to_le_bytes());
        self.bytes.extend(bytes);
        self.bytes.extend(check(bytes).to_le_bytes());
    }
}

/// A length and as many bytes.
fn bytes_of(into: &mut Vec<u8>, bytes: &[u8]) {
    varint(into, bytes.len() as u64);
    into.extend(bytes);
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// CRC-32C of bytes, masked as the format wants it.
fn check(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    const MASK: u32 = 0xa282_ead8;
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
        }
    }
    (!crc).rotate_right(15).wrapping_add(MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_those_of_the_standard() {
        // RFC 3720, appendix B.4: CRC-32C of 32 zeros is 0x8a9136aa; and of "123456789", 0xe3069283.
        let unmasked = |bytes: &[u8]| check(bytes).wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(unmasked(&[0; 32]), 0x8a91_36aa);
        assert_eq!(unmasked(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_of_more_than_seven_bits_take_more_bytes() {
        let of = |number| {
            let mut out = Vec::new();
            varint(&mut out, number);
            out
        };
        assert_eq!(of(1), [1]);
        assert_eq!(of(300), [0xac, 0x02]);
    }
}
