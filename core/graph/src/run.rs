//! A whole run: execute the plan, then write the run folder from what is in the store.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use driftgauge_problem::{Blame, Explained, Problem};
use driftgauge_record::files::lock::LockRecord;
use driftgauge_record::files::metrics::{MetricsRecord, OutputRecord};
use driftgauge_record::files::provenance::ProvenanceRecord;
use driftgauge_record::{FolderError, Results, RunDir, Schema, write_samples, write_whole};
use driftgauge_store::FileDigests;
use serde_json::Value;

use crate::context::{Context, NodeOutcome};
use crate::earlier::Earlier;
use crate::event::Outcome;
use crate::exec::{Executor, execute};
use crate::folder;
use crate::nodes::artifacts::{artifact_of, comparisons, metric_output};
use crate::nodes::models::{finetune_folder, model_folder};
use crate::nodes::samples::ModelSamples;
use crate::plan::{Kind, Part};
use crate::resolved::ModelSource;
use crate::results::{CompareResult, MetricResult, results};
use crate::sealing;
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
    /// A file of the folder cannot be read or written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Something in the store could not be read.
    #[error("{}", .0.message)]
    Artifact(Problem),
}

impl Explained for RunError {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherContents { .. } => "other-contents",
            Self::Io { .. } => "io",
            Self::Folder(error) => error.code(),
            Self::Artifact(_) => "artifact",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::OtherContents { .. } => {
                Some("name another folder with `--out DIR`; nothing was changed".to_owned())
            }
            Self::Io { .. } => None,
            Self::Folder(error) => error.help(),
            Self::Artifact(problem) => problem.help.clone(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Folder(error) => error.blame(),
            _ => Blame::Run,
        }
    }
}

/// What the run folder records beside what the context knows.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// The spec, with paths that hold from the run folder.
    pub spec_text: String,
    /// Digests of everything read.
    pub lock: LockRecord,
    /// Versions, host and command line; the run adds what it learns.
    pub provenance: ProvenanceRecord,
}

/// Runs the plan and writes the run folder, also after failures: what was made is reported.
///
/// # Errors
/// When the folder cannot be written.
pub async fn run(
    context: Arc<Context>,
    executor: Arc<dyn Executor>,
    out: &RunDir,
    record: &RunRecord,
) -> Result<RunSummary, RunError> {
    round(context, executor, &mut Earlier::default(), out, record).await
}

/// One round of a run; a run that does not search has no other.
pub(crate) async fn round(
    context: Arc<Context>,
    executor: Arc<dyn Executor>,
    earlier: &mut Earlier,
    out: &RunDir,
    record: &RunRecord,
) -> Result<RunSummary, RunError> {
    let started = SystemTime::now();
    let clock = Instant::now();
    make_dir(out.path())?;
    sealing::open(out)?;
    out.write(&folder::resolved(&context.experiment))?;
    write(&out.spec(), &record.spec_text)?;
    out.write(&record.lock)?;
    let mut outcomes = execute(Arc::clone(&context), executor).await;
    earlier.take_up(&context.plan, &mut outcomes);
    History::save(&context.store, &context.experiment.name, &context.plan);
    let seconds = clock.elapsed().as_secs_f64();
    let interrupted = context.cancelled();
    out.write(&folder::plan(&context.plan, &outcomes))?;
    out.write(&provenance(&context, record, started, seconds))?;
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
        let lock = record.lock.clone();
        tokio::task::spawn_blocking(move || write_outputs(&context, &outcomes, &lock, &out))
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
    lock: &LockRecord,
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
    out.write(&results)?;
    let outputs = metrics.into_iter().map(|result| OutputRecord {
        plugin: lock
            .plugins
            .get(&result.metric)
            .cloned()
            .unwrap_or_default(),
        evaluation: result.evaluation,
        metric: result.metric,
        model: result.model,
        output: result.output,
    });
    out.write(&MetricsRecord {
        schema: Schema,
        outputs: outputs.collect(),
    })?;
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
    let mut incomplete = HashSet::new();
    for (index, node) in context.plan.nodes.iter().enumerate() {
        if let Part::Completions {
            evaluation, model, ..
        }
        | Part::Verdicts {
            evaluation, model, ..
        }
        | Part::Divergence {
            evaluation, model, ..
        } = &node.part
            && !succeeded(outcomes, index)
        {
            incomplete.insert((evaluation.as_str(), model.as_str()));
        }
    }
    for (id, evaluation) in &context.experiment.evaluations {
        let is_complete = |model: &&String| !incomplete.contains(&(id.as_str(), model.as_str()));
        let complete: Vec<&String> = evaluation.models.iter().filter(is_complete).collect();
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
            (ModelSource::Finetune { training, .. }, kind)
                if kind == made_by(training.checkpoint) =>
            {
                finetune_folder(context, model)
            }
            _ => None,
        };
        if let Some(source) = source {
            artifact_of(context, index).map_err(RunError::Artifact)?;
            copy_folder(&source, &out.models().join(model), &context.store.digests())?;
            // How long the steps of a checkpoint took, its training knows.
            let trained = match node.kind {
                Kind::Checkpoint => &context.plan.nodes[node.inputs[0]],
                _ => node,
            };
            let fact = trained
                .key
                .as_ref()
                .and_then(|key| context.store.recall(key));
            if let Some(timings) = fact.as_ref().and_then(|fact| fact["timing"].as_array()) {
                add_timings(&source.join(TRAIN_LOG), timings, &out.train_log_of(model))?;
            }
        }
    }
    Ok(())
}

/// The kind of node that leaves what a fine-tune made.
fn made_by(checkpoint: Option<u64>) -> Kind {
    match checkpoint {
        Some(_) => Kind::Checkpoint,
        None => Kind::Finetune,
    }
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

/// Copies a folder of an artifact. What an earlier run copied stays where it still stands, so that a second run copies nothing.
fn copy_folder(from: &Path, to: &Path, digests: &FileDigests) -> Result<(), RunError> {
    make_dir(to)?;
    let entries = fs::read_dir(from).map_err(|source| RunError::Io {
        path: from.to_owned(),
        source,
    })?;
    for entry in entries.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target, digests)?;
        } else if !are_same(&entry.path(), &target, digests) {
            fs::copy(entry.path(), &target).map_err(|source| RunError::Io {
                path: target.clone(),
                source,
            })?;
        }
    }
    Ok(())
}

fn are_same(a: &Path, b: &Path, digests: &FileDigests) -> bool {
    matches!((digests.of(a), digests.of(b)), (Ok(a), Ok(b)) if a == b)
}

fn provenance(
    context: &Context,
    record: &RunRecord,
    started: SystemTime,
    seconds: f64,
) -> ProvenanceRecord {
    let unix = started.duration_since(UNIX_EPOCH);
    let mut provenance = ProvenanceRecord {
        started_unix: unix.map_or(0, |elapsed| elapsed.as_secs()),
        seconds: (seconds * 1000.0).round() / 1000.0,
        ..record.provenance.clone()
    };
    folder::facts(&context.plan, &context.store, &mut provenance);
    provenance
}

fn make_dir(path: &Path) -> Result<(), RunError> {
    fs::create_dir_all(path).map_err(|source| RunError::Io {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), RunError> {
    write_whole(path, text.as_bytes()).map_err(|source| RunError::Io {
        path: path.to_owned(),
        source,
    })
}
