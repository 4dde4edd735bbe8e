//! Run folder to [`Report`]: decides what is said, in which order. No markup, no rounding.

mod asked;
mod banners;
mod context;
mod figures;
mod headline;
mod pairing;
mod plugin_output;
mod published;
mod reading;
mod samples;
mod sections;
mod training;
mod verdict;

use driftgauge_record::RunDir;
use serde_json::Value;

use crate::ReportError;
use crate::files::RunFiles;
use crate::model::{REPORT_SCHEMA, Report, RunFacts};
use context::Context;

impl Report {
    /// Builds the report of a run from its folder.
    ///
    /// Only `results.json` has to be there; what other files would have told is left out.
    ///
    /// # Errors
    /// When the folder holds no results, or a file in it cannot be read.
    pub fn build(run: &RunDir) -> Result<Self, ReportError> {
        let files = RunFiles::read(run)?;
        let context = Context::new(&files);
        let (samples, completions) = samples::of(run, &context)?;
        let sections = sections::of(&context, &completions);
        let headline = headline::of(&context);
        let experiment = &files.experiment;
        let title = [&experiment.title, &experiment.name]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or("What fine-tuning changed", String::as_str);
        Ok(Self {
            schema: REPORT_SCHEMA,
            title: title.to_owned(),
            name: experiment.name.clone(),
            description: experiment.description.clone(),
            verdict: verdict::of(&headline),
            banners: banners::of(&context, &completions),
            asked: asked::of(&context, &completions),
            headline,
            sections,
            expected: published::of(&context),
            gates: files.results.gates.clone(),
            completions,
            training: training::of(&context),
            sample_mode: experiment.samples,
            samples,
            reading: reading::of(&files.results, context.threshold),
            spec: files.spec.clone(),
            resolved: without_paths(&files.resolved),
            run: RunFacts {
                nodes: files.nodes.clone(),
                provenance: files.provenance.clone(),
            },
        })
    }
}

/// Drops absolute paths: they say where bytes were found on one machine, and never what they are.
fn without_paths(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.as_str().is_some_and(|text| text.starts_with('/')))
            .map(|(name, value)| (name.clone(), without_paths(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_paths).collect(),
        other => other.clone(),
    }
}
