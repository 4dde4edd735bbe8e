//! Run folder to [`Report`]: decides what is said, in which order. No markup, no rounding.

mod asked;
mod axes;
mod banners;
mod context;
mod figures;
mod headline;
mod index;
mod pairing;
mod place;
mod plugin_output;
mod published;
mod reading;
mod samples;
mod sections;
mod training;
mod verdict;

use std::path::PathBuf;

use driftgauge_record::RunDir;
use driftgauge_record::files::metrics::PluginRecord;
use driftgauge_record::files::resolved::{ExperimentRecord, SampleMode, SourceRecord};
use serde_json::Value;

use crate::files::RunFiles;
use crate::model::{REPORT_SCHEMA, Report, RunFacts};
use crate::{ReportError, words};
use context::Context;
pub(crate) use context::effect;
pub(crate) use figures::describe;
use samples::FromSamples;

impl Report {
    /// Builds the report of a run from its folder.
    ///
    /// # Errors
    /// When the folder is not that of a run that ended, or a file in it cannot be read.
    pub fn build(run: &RunDir) -> Result<Self, ReportError> {
        Self::build_showing(run, None)
    }

    /// The same, showing as much of the samples as `samples` says instead of what the spec says.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_showing(run: &RunDir, samples: Option<SampleMode>) -> Result<Self, ReportError> {
        let mut files = RunFiles::read(run)?;
        files.experiment.samples = samples.unwrap_or(files.experiment.samples);
        let context = Context::new(&files);
        let FromSamples {
            sections: samples,
            completions,
            judging,
        } = samples::of(run, &context)?;
        let sections = sections::of(&context, &completions);
        let headline = headline::of(&context);
        let experiment = &files.experiment;
        Ok(Self {
            schema: REPORT_SCHEMA,
            title: experiment.title.clone(),
            name: experiment.name.clone(),
            description: experiment.description.clone(),
            verdict: verdict::of(&context, &headline),
            banners: banners::of(&context, &completions),
            asked: asked::of(&context, &completions, &samples),
            headline,
            sections,
            expected: published::of(&context),
            gates: files.results.gates.clone(),
            searches: files.results.searches.clone(),
            completions,
            judging,
            axes: axes::of(&context),
            training: training::of(&context),
            sample_mode: experiment.samples,
            samples,
            reading: reading::of(&files.results, context.threshold),
            spec: files.spec.clone(),
            resolved: Some(without_folders(experiment)),
            run: Some(RunFacts {
                nodes: files.nodes.clone(),
                provenance: files.provenance.clone(),
                plugins: plugins(&files),
            }),
        })
    }
}

/// The plugins behind the metrics, each once.
fn plugins(files: &RunFiles) -> Vec<PluginRecord> {
    let mut plugins: Vec<PluginRecord> = Vec::new();
    for output in &files.outputs {
        if !plugins.contains(&output.plugin) {
            plugins.push(output.plugin.clone());
        }
    }
    plugins
}

/// The experiment without folders: they say where one machine keeps its files, and never what those are.
fn without_folders(experiment: &ExperimentRecord) -> ExperimentRecord {
    let mut experiment = experiment.clone();
    let name = |path: &mut PathBuf| {
        if let Some(name) = path.file_name() {
            *path = PathBuf::from(name);
        }
    };
    for dataset in experiment.datasets.values_mut() {
        dataset.source = words::without_folders(&dataset.source);
        name(&mut dataset.path);
    }
    for model in experiment.models.values_mut() {
        model.description = words::without_folders(&model.description);
        if let Some(file) = &mut model.chat_template {
            name(&mut file.path);
        }
        match &mut model.source {
            SourceRecord::Folder { path, .. } => name(path),
            SourceRecord::Recorded(files) => files.iter_mut().for_each(|file| name(&mut file.path)),
            SourceRecord::Finetune {
                init_adapter: Some(file),
                training,
                ..
            } => {
                name(&mut file.path);
                *training = without_paths(training);
            }
            SourceRecord::Pretrain { training } | SourceRecord::Finetune { training, .. } => {
                *training = without_paths(training);
            }
            SourceRecord::Adapter { adapter, .. } => {
                adapter.iter_mut().for_each(|file| name(&mut file.path));
            }
            SourceRecord::Hub(_) | SourceRecord::Endpoint { .. } => {}
        }
    }
    for metric in experiment.metrics.values_mut() {
        metric.plugin = words::without_folders(&metric.plugin);
    }
    experiment
}

/// Settings without the `path`s of files in them.
fn without_paths(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != "path")
            .map(|(name, value)| (name.clone(), without_paths(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_paths).collect(),
        other => other.clone(),
    }
}
