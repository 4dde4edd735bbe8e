//! A whole run: execute the plan, then write the run folder from what is in the store.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use driftgauge_problem::{Explained, Problem};
use driftgauge_record::{Results, RunDir, write_samples};
use serde_json::{Value, json};

use crate::context::{Context, NodeOutcome};
use crate::event::Outcome;
use crate::exec::execute;
use crate::nodes::artifacts::{artifact_of, comparisons, metric_output};
use crate::nodes::models::{finetune_folder, model_folder};
use crate::nodes::samples::ModelSamples;
use crate::plan::{Kind, Part};
use crate::resolved::ModelSource;
use crate::results::{CompareResult, MetricResult, results};
use crate::why::History;

/// What a run came to.
#[derive(Debug)]
pub struct RunSummary {
    /// Every number that could be made.
    pub results: Results,
    /// Outcome per node of the plan; `None` for nodes that an interruption kept from starting or ending.
    pub outcomes: Vec<Option<NodeOutcome>>,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
    /// Answers that servers did not give; the next run asks for them again.
    pub unanswered: u64,
}

impl RunSummary {
    /// Nodes that ended in `outcome`.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes
            .iter()
            .flatten()
            .filter(|node| node.outcome == outcome)
            .count()
    }

    /// Whether a gate of the spec failed.
    #[must_use]
    pub fn gate_failed(&self) -> bool {
        self.results.gates.iter().any(|gate| !gate.passed)
    }
}

/// Why a run folder cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder belongs to something else.
    #[error("`{}` holds {what}", path.display())]
    OtherContents {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        what: String,
    },
    /// The file system refused.
    #[error("cannot write `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Something in the store could not be read.
    #[error("{}", .0.message)]
    Artifact(Problem),
}

impl Explained for RunError {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherContents { .. } => "other-contents",
            Self::Io { .. } => "io",
            Self::Artifact(_) => "artifact",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::OtherContents { .. } => {
                Some("name another folder with `--out DIR`; nothing was changed".to_owned())
            }
            Self::Io { .. } => None,
            Self::Artifact(problem) => problem.help.clone(),
        }
    }
}

/// What the run folder records beside what the context knows.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// The spec, with paths that hold from the run folder.
    pub spec_text: String,
    /// Digests of everything read, for `lock.json`.
    pub lock: Value,
    /// Facts for `provenance.json`: versions, host, command line.
    pub provenance: Value,
}

/// Refuses a folder that holds another experiment or something that is no run.
///
/// # Errors
/// With what was found in the folder.
pub fn check_run_folder(out: &RunDir, experiment: &str) -> Result<(), RunError> {
    let other = |what: String| RunError::OtherContents {
        path: out.path().to_owned(),
        what,
    };
    if out.path().is_file() {
        return Err(other("a file, not a folder".to_owned()));
    }
    let Ok(mut entries) = fs::read_dir(out.path()) else {
        return Ok(());
    };
    match fs::read_to_string(out.resolved()) {
        Ok(text) => {
            let name = serde_json::from_str::<Value>(&text)
                .ok()
                .and_then(|value| value["name"].as_str().map(str::to_owned))
                .unwrap_or_default();
            if name == experiment {
                Ok(())
            } else {
                Err(other(format!(
                    "a run of another experiment, `{name}`; this one is `{experiment}`"
                )))
            }
        }
        Err(_) if entries.next().is_none() => Ok(()),
        Err(_) => Err(other("files that are no run of driftgauge".to_owned())),
    }
}

/// Runs the plan and writes the run folder, also after failures: what was made is reported.
///
/// # Errors
/// When the folder cannot be written.
pub async fn run(
    context: Arc<Context>,
    out: &RunDir,
    record: &RunRecord,
) -> Result<RunSummary, RunError> {
    let started = SystemTime::now();
    let clock = Instant::now();
    make_dir(out.path())?;
    write_json(&out.resolved(), &json!(context.experiment))?;
    write(&out.spec(), &record.spec_text)?;
    write_json(&out.lock(), &record.lock)?;
    let outcomes = execute(Arc::clone(&context)).await;
    History::save(&context.store, &context.experiment.name, &context.plan);
    let seconds = clock.elapsed().as_secs_f64();
    let interrupted = context.cancelled();
    write_json(&out.plan(), &plan_with_outcomes(&context, &outcomes))?;
    write_json(
        &out.provenance(),
        &provenance(&context, record, started, seconds),
    )?;
    let keys = context
        .plan
        .nodes
        .iter()
        .filter_map(|node| node.key.as_ref());
    let unanswered = keys.filter_map(|key| context.store.provisional(key)).sum();
    let results = if interrupted {
        Results::default()
    } else {
        let out = out.clone();
        let context = Arc::clone(&context);
        let outcomes = outcomes.clone();
        tokio::task::spawn_blocking(move || write_outputs(&context, &outcomes, &out))
            .await
            .unwrap_or_else(|error| {
                Err(RunError::Artifact(
                    format!("internal error: {error}").into(),
                ))
            })?
    };
    Ok(RunSummary {
        results,
        outcomes,
        seconds,
        interrupted,
        unanswered,
    })
}

/// Name of a training's log inside its artifact.
const TRAIN_LOG: &str = "train_log.jsonl";

fn succeeded(outcomes: &[Option<NodeOutcome>], node: usize) -> bool {
    outcomes[node]
        .as_ref()
        .is_some_and(|end| matches!(end.outcome, Outcome::Ran | Outcome::Reused))
}

/// Everything that depends on artifacts: results, metric details, samples, models.
fn write_outputs(
    context: &Context,
    outcomes: &[Option<NodeOutcome>],
    out: &RunDir,
) -> Result<Results, RunError> {
    let mut metrics = Vec::new();
    let mut compared = Vec::new();
    for (index, node) in context.plan.nodes.iter().enumerate() {
        if !succeeded(outcomes, index) {
            continue;
        }
        match &node.part {
            Part::Metric {
                evaluation,
                metric,
                model,
            } => metrics.push(MetricResult {
                evaluation: evaluation.clone(),
                metric: metric.clone(),
                model: model.clone(),
                output: metric_output(context, index).map_err(RunError::Artifact)?,
            }),
            Part::Comparison {
                evaluation,
                metric,
                baseline,
                model,
                ..
            } => compared.push(CompareResult {
                evaluation: evaluation.clone(),
                metric: metric.clone(),
                baseline: baseline.clone().unwrap_or_default(),
                model: model.clone(),
                compared: comparisons(context, index).map_err(RunError::Artifact)?,
            }),
            Part::Trainings {
                evaluation,
                metric,
                baseline,
                model,
                ..
            } => compared.push(CompareResult {
                evaluation: evaluation.clone(),
                metric: metric.clone(),
                baseline: baseline.clone(),
                model: model.clone(),
                compared: comparisons(context, index).map_err(RunError::Artifact)?,
            }),
            _ => {}
        }
    }
    let results = results(&context.experiment, &metrics, &compared);
    write_json(&out.results(), &json!(results))?;
    let outputs: Vec<Value> = metrics
        .iter()
        .map(|result| {
            let settings = &context.experiment.metrics[&result.metric];
            let plugin = context.metrics.identify(settings).ok();
            json!({
                "evaluation": result.evaluation,
                "metric": result.metric,
                "model": result.model,
                "plugin": plugin,
                "output": result.output,
            })
        })
        .collect();
    write_json(&out.metrics(), &json!({ "schema": 1, "outputs": outputs }))?;
    write_sample_tables(context, outcomes, out)?;
    copy_models(context, outcomes, out)?;
    Ok(results)
}

/// One Parquet file per evaluation, models and conditions in the order of the spec.
fn write_sample_tables(
    context: &Context,
    outcomes: &[Option<NodeOutcome>],
    out: &RunDir,
) -> Result<(), RunError> {
    make_dir(&out.samples())?;
    for (id, evaluation) in &context.experiment.evaluations {
        let complete: Vec<&String> = evaluation
            .models
            .iter()
            .filter(|model| {
                context.plan.nodes.iter().enumerate().all(|(index, node)| {
                    let concerns = match &node.part {
                        Part::Completions {
                            evaluation,
                            model: m,
                            ..
                        }
                        | Part::Verdicts {
                            evaluation,
                            model: m,
                            ..
                        }
                        | Part::Divergence {
                            evaluation,
                            model: m,
                            ..
                        } => evaluation == id && m == *model,
                        _ => false,
                    };
                    !concerns || succeeded(outcomes, index)
                })
            })
            .collect();
        let mut failure = None;
        let samples =
            complete
                .iter()
                .flat_map(|model| match ModelSamples::new(context, id, model) {
                    Ok(samples) => Box::new(samples.whole()) as Box<dyn Iterator<Item = _>>,
                    Err(error) => Box::new(std::iter::once(Err(error.to_string()))),
                });
        let good = samples.map_while(|sample| sample.map_err(|error| failure = Some(error)).ok());
        write_samples(&out.samples_of(id), good)
            .map_err(|error| RunError::Artifact(error.into()))?;
        if let Some(error) = failure {
            return Err(RunError::Artifact(error.into()));
        }
    }
    Ok(())
}

/// Adapters and models made here, with their training logs.
fn copy_models(
    context: &Context,
    outcomes: &[Option<NodeOutcome>],
    out: &RunDir,
) -> Result<(), RunError> {
    for (index, node) in context.plan.nodes.iter().enumerate() {
        let Part::Model(model) = &node.part else {
            continue;
        };
        if !succeeded(outcomes, index) {
            continue;
        }
        let source = match (&context.experiment.models[model].source, node.kind) {
            (ModelSource::Pretrain(_), Kind::Pretrain) => model_folder(context, model),
            (ModelSource::Finetune { .. }, Kind::Finetune) => finetune_folder(context, model),
            _ => None,
        };
        if let Some(source) = source {
            artifact_of(context, index).map_err(RunError::Artifact)?;
            copy_folder(&source, &out.models().join(model))?;
            let fact = node.key.as_ref().and_then(|key| context.store.recall(key));
            if let Some(timings) = fact.as_ref().and_then(|fact| fact["timing"].as_array()) {
                add_timings(&source.join(TRAIN_LOG), timings, &out.train_log_of(model))?;
            }
        }
    }
    Ok(())
}

/// Writes a training's log with the speed and memory of each step, which the artifact leaves out: its bytes repeat.
fn add_timings(log: &Path, timings: &[Value], to: &Path) -> Result<(), RunError> {
    let text = fs::read_to_string(log).map_err(|source| RunError::Io {
        path: log.to_owned(),
        source,
    })?;
    let timings: HashMap<u64, &Value> = timings
        .iter()
        .filter_map(|timing| Some((timing["step"].as_u64()?, timing)))
        .collect();
    let mut lines = String::new();
    for line in text.lines() {
        let Ok(mut step) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let timing = step["step"].as_u64().and_then(|step| timings.get(&step));
        if let Some(timing) = timing {
            for key in ["seconds", "tokens_per_second", "peak_memory_bytes"] {
                step[key] = timing[key].clone();
            }
        }
        lines.push_str(&step.to_string());
        lines.push('\n');
    }
    write(to, &lines)
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), RunError> {
    make_dir(to)?;
    let entries = fs::read_dir(from).map_err(|source| RunError::Io {
        path: from.to_owned(),
        source,
    })?;
    for entry in entries.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if !same_size_and_newer(&entry.path(), &target) {
            fs::copy(entry.path(), &target).map_err(|source| RunError::Io {
                path: target.clone(),
                source,
            })?;
        }
    }
    Ok(())
}

/// Whether a copy made by an earlier run still stands, so that a second run copies nothing.
fn same_size_and_newer(from: &Path, to: &Path) -> bool {
    let (Ok(from), Ok(to)) = (fs::metadata(from), fs::metadata(to)) else {
        return false;
    };
    from.len() == to.len() && matches!((from.modified(), to.modified()), (Ok(a), Ok(b)) if b >= a)
}

fn plan_with_outcomes(context: &Context, outcomes: &[Option<NodeOutcome>]) -> Value {
    let nodes: Vec<Value> = context
        .plan
        .nodes
        .iter()
        .zip(outcomes)
        .map(|(node, end)| {
            let inputs: Vec<&String> = node
                .inputs
                .iter()
                .map(|&input| &context.plan.nodes[input].id)
                .collect();
            json!({
                "id": node.id,
                "kind": node.kind,
                "label": node.id,
                "key": node.key,
                "inputs": inputs,
                "items": node.items,
                "status": end.as_ref().map_or(json!("interrupted"), |end| json!(end.outcome)),
                "seconds": end.as_ref().map(|end| end.seconds),
                "error": end.as_ref().and_then(|end| end.error.as_ref().map(ToString::to_string)),
            })
        })
        .collect();
    json!({ "nodes": nodes })
}

fn provenance(context: &Context, record: &RunRecord, started: SystemTime, seconds: f64) -> Value {
    let unix = started
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    let mut self_checks = serde_json::Map::new();
    let mut trainings = serde_json::Map::new();
    let mut generation = serde_json::Map::new();
    let facts = context
        .plan
        .nodes
        .iter()
        .filter_map(|node| context.store.recall(node.key.as_ref()?));
    for fact in facts {
        let model = fact["model"].as_str().unwrap_or_default().to_owned();
        if !fact["loaded"].is_null() {
            if !fact["speed"].is_null() {
                generation.insert(model.clone(), fact["speed"].clone());
            }
            // A model that both generates and is scored has one entry: the one that something was proven in.
            let proven = |loaded: &Value| loaded["checks"].as_array().map_or(0, Vec::len);
            let known = self_checks.get(&model).map_or(0, proven);
            if known == 0 || proven(&fact["loaded"]) > known {
                self_checks.insert(model, fact["loaded"].clone());
            }
        } else if !fact["training"].is_null() {
            trainings.insert(model, fact["training"].clone());
        }
    }
    let mut value = record.provenance.clone();
    value["started_unix"] = json!(unix);
    value["seconds"] = json!((seconds * 1000.0).round() / 1000.0);
    value["self_checks"] = Value::Object(self_checks);
    value["trainings"] = Value::Object(trainings);
    value["generation"] = Value::Object(generation);
    value
}

fn make_dir(path: &Path) -> Result<(), RunError> {
    fs::create_dir_all(path).map_err(|source| RunError::Io {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), RunError> {
    fs::write(path, text).map_err(|source| RunError::Io {
        path: path.to_owned(),
        source,
    })
}

fn write_json(path: &Path, value: &Value) -> Result<(), RunError> {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    write(path, &text)
}
