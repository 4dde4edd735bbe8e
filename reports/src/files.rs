//! Reads the files of a run folder.

use std::path::Path;

use driftgauge_plugin_protocol::wire::MetricOutput;
use driftgauge_record::{RESULTS_SCHEMA, Results, RunDir, TrainingLog, TrainingStep};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ReportError;
use crate::experiment::Experiment;
use crate::model::{Plugin, RunNode};

/// What a report is made of, samples excepted: those are streamed.
#[derive(Debug)]
pub(crate) struct RunFiles {
    pub(crate) results: Results,
    pub(crate) outputs: Vec<PluginOutput>,
    pub(crate) nodes: Vec<RunNode>,
    pub(crate) experiment: Experiment,
    pub(crate) resolved: Value,
    pub(crate) spec: String,
    pub(crate) training: Vec<TrainingLog>,
    pub(crate) provenance: Value,
}

/// An entry of `metrics.json`: what a plugin returned for one model.
#[derive(Debug, Deserialize)]
pub(crate) struct PluginOutput {
    pub(crate) evaluation: String,
    pub(crate) model: String,
    pub(crate) metric: String,
    #[serde(default)]
    pub(crate) plugin: Option<Plugin>,
    pub(crate) output: MetricOutput,
}

#[derive(Default, Deserialize)]
struct MetricsFile {
    #[serde(default)]
    outputs: Vec<PluginOutput>,
}

#[derive(Default, Deserialize)]
struct PlanFile {
    #[serde(default)]
    nodes: Vec<PlanNode>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PlanNode {
    id: String,
    kind: String,
    label: String,
    key: Option<String>,
    inputs: Vec<Value>,
    status: String,
    reason: Option<String>,
    seconds: Option<f64>,
    error: Option<String>,
}

impl RunFiles {
    /// Reads the folder. Only `results.json` has to be there: a run that failed half-way gets a report as well.
    pub(crate) fn read(run: &RunDir) -> Result<Self, ReportError> {
        let results: Results = json(&run.results())?.ok_or_else(|| ReportError::NotARun {
            path: run.path().to_owned(),
        })?;
        if results.schema != RESULTS_SCHEMA {
            return Err(ReportError::Version {
                path: run.results(),
                found: results.schema.into(),
                supported: RESULTS_SCHEMA.into(),
            });
        }
        let metrics: MetricsFile = json(&run.metrics())?.unwrap_or_default();
        let plan: PlanFile = json(&run.plan())?.unwrap_or_default();
        let resolved: Value = json(&run.resolved())?.unwrap_or_default();
        let experiment = Experiment::from_value(&resolved);
        let training = training_logs(run, &experiment)?;
        Ok(Self {
            results,
            outputs: metrics.outputs,
            nodes: nodes(plan.nodes),
            experiment,
            resolved,
            spec: text(&run.spec())?.unwrap_or_default(),
            training,
            provenance: json(&run.provenance())?.unwrap_or_default(),
        })
    }
}

/// The logs of all trainings, in the order of the spec's models.
fn training_logs(run: &RunDir, experiment: &Experiment) -> Result<Vec<TrainingLog>, ReportError> {
    let folder = run.models();
    let read = |source| ReportError::Read {
        path: folder.clone(),
        source,
    };
    let mut models = Vec::new();
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            for entry in entries {
                models.push(
                    entry
                        .map_err(read)?
                        .file_name()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(read(error)),
    }
    let place = |model: &String| {
        let known = experiment
            .models
            .iter()
            .position(|entry| entry.id == *model);
        known.unwrap_or(usize::MAX)
    };
    models.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));

    let mut logs = Vec::new();
    for model in models {
        let path = run.train_log_of(&model);
        let Some(text) = text(&path)? else { continue };
        let steps: Result<Vec<TrainingStep>, _> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(serde_json::from_str)
            .collect();
        let steps = steps.map_err(|error| parse(&path, &error))?;
        if !steps.is_empty() {
            logs.push(TrainingLog { model, steps });
        }
    }
    Ok(logs)
}

fn nodes(nodes: Vec<PlanNode>) -> Vec<RunNode> {
    let ids: Vec<String> = nodes.iter().map(|node| node.id.clone()).collect();
    // Inputs are named by id, or by their position in the plan.
    let input = |value: Value| match value {
        Value::String(id) => Some(id),
        Value::Number(index) => index
            .as_u64()
            .and_then(|index| ids.get(index as usize).cloned()),
        _ => None,
    };
    nodes
        .into_iter()
        .map(|node| RunNode {
            label: if node.label.is_empty() {
                node.id.clone()
            } else {
                node.label
            },
            id: node.id,
            kind: node.kind,
            key: node.key,
            inputs: node.inputs.into_iter().filter_map(input).collect(),
            status: node.status,
            reason: node.reason.unwrap_or_default(),
            seconds: node.seconds,
            error: node.error,
        })
        .collect()
}

/// A file's text; `None` when there is no such file.
fn text(path: &Path) -> Result<Option<String>, ReportError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReportError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReportError> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| parse(path, &error))
}

fn parse(path: &Path, error: &serde_json::Error) -> ReportError {
    ReportError::Parse {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}
