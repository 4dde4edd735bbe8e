//! Trainings and merges: one worker process each.

use std::fs;
use std::path::Path;

use driftgauge_engine::training::Method;
use driftgauge_engine::worker::{Job, MergeJob, Reply, TrainJob};
use driftgauge_problem::{Context as _, Problem};
use driftgauge_store::{Digest, Manifest, damage_of_folder};
use serde_json::Value;

use super::machines;
use super::process::Worker;
use super::unchanged::{check_adapter, check_files};
use crate::context::Context;
use crate::event::Event;
use crate::nodes::models::{finetune_folder, model_folder};
use crate::plan::{Kind, Part};
use crate::resolved::{ModelSource, Training};
use crate::training_data::{Example, examples};

/// Folder inside a training's work folder that the trainer writes to.
const OUT: &str = "out";

/// File inside the work folder that a worker holds locked while it writes.
const LOCK: &str = "worker.lock";

/// The trainer's log of what differs from run to run.
const TIMING: &str = "train_timing.jsonl";

/// Runs a pretrain, finetune or merge node and commits what it made.
pub(super) async fn run(context: &Context, node: usize, threads: usize) -> Result<(), Problem> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    let Part::Model(model) = &planned.part else {
        return Err("not a model".into());
    };
    let scratch = context.store.scratch(key)?;
    let work = context.store.partial_dir(key);
    fs::create_dir_all(&work)
        .map_err(|error| format!("cannot make `{}`: {error}", work.display()))?;
    let job = match (&context.experiment.models[model].source, planned.kind) {
        (ModelSource::Pretrain(training), _) => {
            Job::Train(Box::new(train_job(context, training, &work)?))
        }
        (
            ModelSource::Finetune {
                base,
                training,
                init_adapter,
            },
            Kind::Finetune | Kind::Checkpoint,
        ) => {
            // A training that is there already, and did not keep this step, goes as far again.
            let step = planned.params["step"].as_u64();
            let keep: Vec<u64> = match step {
                Some(step) => vec![step],
                None => kept(context, node).map(|(step, _)| step).collect(),
            };
            Job::Train(Box::new(TrainJob {
                base: model_folder(context, base),
                init_adapter: init_adapter.as_ref().map(|file| file.path.clone()),
                keep,
                stop_at: step,
                ..train_job(context, training, &work)?
            }))
        }
        (source @ (ModelSource::Finetune { base, .. } | ModelSource::Adapter { base, .. }), _) => {
            let (adapter, whole) = match source {
                ModelSource::Adapter { adapter, .. } => {
                    (adapter.as_ref().map(|a| a.path.clone()), false)
                }
                ModelSource::Finetune { training, .. } => (
                    finetune_folder(context, model),
                    matches!(training.settings.method, Method::Full),
                ),
                _ => (None, false),
            };
            Job::Merge(MergeJob {
                whole,
                base: model_folder(context, base).ok_or("the base has no folder")?,
                adapter: adapter.ok_or("the adapter has no folder")?,
                out: scratch.join("model"),
                lock: work.join(LOCK),
            })
        }
        _ => return Err("this model is not trained here".into()),
    };
    check_base(context, model)?;
    machines::mark(context, key);
    let summary = drive(context, &planned.id, &job, threads).await?;
    check_base(context, model)?;
    if planned.kind == Kind::Checkpoint {
        let step = planned.params["step"].as_u64().unwrap_or_default();
        let from = work.join(OUT).join(TrainJob::kept(step));
        if let Some(damage) = damage_of_folder(&from)? {
            let help = format!("remove `{}` and run again", work.display());
            return Err(Problem::failed(format!("step {step} is damaged: {damage}")).help(help));
        }
        take_result(&from, &scratch.join("adapter"))?;
    } else if planned.kind != Kind::Merge {
        let name = if planned.kind == Kind::Pretrain {
            "model"
        } else {
            "adapter"
        };
        let timing = timing(&work.join(OUT).join(TIMING));
        for (step, key) in kept(context, node) {
            let from = work.join(OUT).join(TrainJob::kept(step));
            // One that is damaged is made when its node is.
            if from.is_dir() && damage_of_folder(&from)?.is_none() {
                let scratch = context.store.scratch(&key)?;
                take_result(&from, &scratch.join("adapter"))?;
                context.store.commit(&key, &scratch)?;
            }
        }
        take_result(&work.join(OUT), &scratch.join(name))?;
        let fact = serde_json::json!({
            "model": model, "training": summary, "timing": timing,
            "machines": machines::of(context, key),
        });
        context.store.remember(key, &fact);
    }
    if matches!(planned.kind, Kind::Checkpoint | Kind::Merge) {
        let fact = serde_json::json!({ "machines": machines::of(context, key) });
        context.store.remember(key, &fact);
    }
    context.store.commit(key, &scratch)?;
    Ok(())
}

/// The steps of a training that are models of the plan, with the keys of their artifacts.
fn kept(context: &Context, node: usize) -> impl Iterator<Item = (u64, Digest)> {
    let nodes = context.plan.nodes.iter();
    let of_it = nodes.filter(move |other| other.kind == Kind::Checkpoint && other.inputs == [node]);
    let mut steps: Vec<(u64, Digest)> = of_it
        .filter_map(|other| Some((other.params["step"].as_u64()?, other.key.clone()?)))
        .collect();
    steps.sort_by_key(|(step, _)| *step);
    steps.dedup_by_key(|(step, _)| *step);
    steps.into_iter()
}

/// Whether the files of a model's base, and of an adapter that was there already, are still those that its key was made from.
fn check_base(context: &Context, model: &str) -> Result<(), Problem> {
    check_adapter(context, model)?;
    match context.experiment.models[model].source.base() {
        Some(base) => check_files(context, base),
        None => Ok(()),
    }
}

/// Seconds, speed and memory of every step: facts of this run, kept beside the artifact, whose bytes repeat.
fn timing(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Moves what a training made into the artifact: its checkpoints stay behind, and so do timings, which differ from run to
/// run, and the manifest of what it kept.
fn take_result(from: &Path, to: &Path) -> Result<(), Problem> {
    let problem =
        |error: std::io::Error| format!("cannot keep the result of the training: {error}");
    fs::create_dir_all(to).map_err(problem)?;
    for entry in fs::read_dir(from).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        let name = entry.file_name();
        if entry.path().is_file() && name != TIMING && name != Manifest::FILE {
            fs::rename(entry.path(), to.join(name)).map_err(problem)?;
        }
    }
    Ok(())
}

/// Follows one worker to its end.
async fn drive(context: &Context, node: &str, job: &Job, threads: usize) -> Result<Value, Problem> {
    let mut worker = Worker::start(&context.worker_exe, job, threads).await?;
    loop {
        let reply = tokio::select! {
            reply = worker.reply() => reply?,
            () = context.cancel.wait() => {
                if matches!(job, Job::Train(_)) {
                    save_and_end(context, node, worker).await;
                }
                return Err("interrupted".into());
            }
        };
        match reply {
            Reply::Step {
                step,
                total,
                tokens_per_second,
            } => context.observer.observe(&Event::Progress {
                node: node.to_owned(),
                done: step.step,
                total,
                detail: format!("loss {:.4}, {tokens_per_second:.0} tok/s", step.loss),
            }),
            Reply::Note(text) => context.note(node, text),
            Reply::Done(summary) => {
                worker.finish().await;
                return Ok(summary);
            }
            Reply::Fatal(error) => return Err(error),
            _ => {}
        }
    }
}

/// Lets a training save what it did, after the step it is at, and end.
async fn save_and_end(context: &Context, node: &str, mut worker: Worker) {
    worker.stop().await;
    loop {
        match worker.reply().await {
            Ok(Reply::Fatal(error)) => {
                context.note(node, error.message);
                return;
            }
            Ok(Reply::Done(_)) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The job without a base: examples rendered into the node's work folder.
fn train_job(context: &Context, training: &Training, work: &Path) -> Result<TrainJob, Problem> {
    let all = examples(training, &context.experiment.datasets)?;
    let (train, eval) = (
        work.join("examples.jsonl"),
        work.join("eval-examples.jsonl"),
    );
    write_lines(&train, &all.train)?;
    write_lines(&eval, &all.eval)?;
    Ok(TrainJob {
        base: None,
        architecture: training.architecture.clone(),
        save_steps: training.save_steps,
        keep: Vec::new(),
        stop_at: None,
        init_adapter: None,
        chat_template: training
            .chat_template
            .as_ref()
            .map(|file| file.path.clone()),
        settings: training.settings.clone(),
        device: context.device.clone(),
        examples: train,
        eval_examples: eval,
        // The trainer keeps its checkpoints here, where the next run finds them.
        out: work.join(OUT),
        lock: work.join(LOCK),
    })
}

fn write_lines(path: &Path, examples: &[Example]) -> Result<(), Problem> {
    let mut text = String::new();
    for example in examples {
        text.push_str(&serde_json::to_string(example)?);
        text.push('\n');
    }
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}
