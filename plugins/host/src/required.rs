//! The fields that a manifest requires: a metric whose samples all lack one is told of before it makes a number of nothing.

use driftgauge_plugin_protocol::field::Field;
use driftgauge_plugin_protocol::rows::{Lookup, Rows};
use driftgauge_plugin_protocol::wire::Manifest;

use crate::PluginError;

/// What is still to be found in a sample.
pub(crate) struct Required {
    metric: String,
    missing: Vec<String>,
    samples: u64,
}

impl Required {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        Self {
            metric: manifest.id.clone(),
            missing: manifest.required_fields.clone(),
            samples: 0,
        }
    }

    pub(crate) fn note(&mut self, rows: &dyn Rows) {
        self.samples += rows.len() as u64;
        self.missing.retain(|name| {
            Field::parse(name)
                .is_some_and(|field| !(0..rows.len()).any(|row| has(rows, row, field)))
        });
    }

    /// # Errors
    /// When there were samples, and none has a field.
    pub(crate) fn check(&self) -> Result<(), PluginError> {
        match self.missing.first() {
            Some(field) if self.samples > 0 => Err(PluginError::MissingField {
                metric: self.metric.clone(),
                field: field.clone(),
                samples: self.samples,
            }),
            _ => Ok(()),
        }
    }
}

/// Whether a sample has something under a field, of whatever type.
fn has(rows: &dyn Rows, row: usize, field: Field<'_>) -> bool {
    fn present<T>(found: &Lookup<T>) -> bool {
        matches!(found, Lookup::Present(_))
    }
    // The harness gives it, whatever the samples are.
    if field == Field::Prompt {
        return true;
    }
    match rows.texts(row, field) {
        // The judges of an evaluation may be none; accepted answers that are none say nothing.
        Lookup::Present(texts) => {
            return matches!(field, Field::Judges | Field::Scorers) || !texts.is_empty();
        }
        Lookup::Null | Lookup::OtherType | Lookup::Failed(_) => {}
    }
    present(&rows.text(row, field))
        || present(&rows.number(row, field))
        || present(&rows.integer(row, field))
        || present(&rows.floats(row, field))
        || present(&rows.doubles(row, field))
}
