//! The samples that a metric counts, where it says which.

use std::borrow::Cow;

use driftgauge_data::prompt::Templates;
use driftgauge_plugin_protocol::field::Field;
use driftgauge_plugin_protocol::rows::{BatchError, Batches, Lookup, Rows};
use driftgauge_plugin_protocol::wire::MetricOutput;

use super::samples::ModelSamples;
use crate::only::{Counted, counted};
use crate::resolved::ResolvedEvaluation;

/// Samples for which an expression holds.
pub(super) struct OnlySamples<'a> {
    samples: ModelSamples<'a>,
    only: &'a str,
    evaluation: &'a ResolvedEvaluation,
    templates: Templates,
    /// Rows of the batch that count.
    kept: Vec<usize>,
    told: Told,
}

/// What became of the samples.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    samples: u64,
    counted: u64,
    unknown: u64,
}

impl<'a> OnlySamples<'a> {
    pub(super) fn new(
        samples: ModelSamples<'a>,
        only: &'a str,
        evaluation: &'a ResolvedEvaluation,
    ) -> Self {
        Self {
            samples,
            only,
            evaluation,
            templates: Templates::default(),
            kept: Vec::new(),
            told: Told::default(),
        }
    }

    /// Marks the numbers as those of a selection, and tells what was left out.
    pub(super) fn mark(&self, output: &mut MetricOutput) {
        for scalar in &mut output.scalars {
            scalar.selected = true;
        }
        let Told {
            samples,
            counted,
            unknown,
        } = self.told;
        output.notes.push(format!(
            "Counted are the {counted} of {samples} completions for which `{}` holds; of {unknown} it cannot be said, and they are left out too.",
            self.only
        ));
    }

    fn rows(&self) -> &dyn Rows {
        self.samples.rows()
    }
}

impl Batches for OnlySamples<'_> {
    fn next_batch(&mut self) -> Result<Option<&dyn Rows>, BatchError> {
        loop {
            if !self.samples.advance()? {
                return Ok(None);
            }
            self.kept.clear();
            for row in 0..self.samples.rows().len() {
                let sample = self.samples.sample(row)?;
                self.told.samples += 1;
                match counted(&self.templates, self.only, self.evaluation, &sample)? {
                    Counted::Yes => self.kept.push(row),
                    Counted::No => {}
                    Counted::Unknown => self.told.unknown += 1,
                }
            }
            self.told.counted += self.kept.len() as u64;
            if !self.kept.is_empty() {
                return Ok(Some(self));
            }
        }
    }
}

impl Rows for OnlySamples<'_> {
    fn len(&self) -> usize {
        self.kept.len()
    }

    fn text(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, str>> {
        self.rows().text(self.kept[row], field)
    }

    fn number(&self, row: usize, field: Field<'_>) -> Lookup<f64> {
        self.rows().number(self.kept[row], field)
    }

    fn integer(&self, row: usize, field: Field<'_>) -> Lookup<i64> {
        self.rows().integer(self.kept[row], field)
    }

    fn floats(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f32]>> {
        self.rows().floats(self.kept[row], field)
    }

    fn doubles(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f64]>> {
        self.rows().doubles(self.kept[row], field)
    }

    fn texts(&self, row: usize, field: Field<'_>) -> Lookup<Vec<Cow<'_, str>>> {
        self.rows().texts(self.kept[row], field)
    }

    fn json(&self, row: usize) -> Result<String, String> {
        self.rows().json(self.kept[row])
    }
}
