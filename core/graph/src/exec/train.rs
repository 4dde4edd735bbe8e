//! Trainings and merges: one worker process each.

use std::fs;
use std::path::Path;

use driftgauge_record::Message;
use serde::Serialize;
use serde_json::Value;

use super::Context;
use super::process::Worker;
use crate::artifacts::{finetune_folder, model_folder};
use crate::dataset::shuffled;
use crate::event::Event;
use crate::plan::{Kind, Part};
use crate::prompt::Templates;
use crate::resolved::{ModelSource, Training};
use crate::worker::{Job, MergeJob, Reply, TrainJob};

/// Weights up to this size count as small: several such models share the machine.
const SMALL_BYTES: u64 = 512 << 20;

/// Folder inside a training's work folder that the trainer writes to.
const OUT: &str = "out";

/// Parameters up to this number count as small for a training from scratch.
const SMALL_PARAMETERS: u64 = 20_000_000;

/// One training example, as handed to the trainer.
#[derive(Serialize)]
struct Example {
    id: String,
    messages: Vec<Message>,
}

/// Whether several jobs like this one fit on the machine at a time.
pub(super) fn is_small(context: &Context, node: usize) -> bool {
    let node = &context.plan.nodes[node];
    let model = match &node.part {
        Part::Model(model) | Part::Completions { model, .. } => model.clone(),
        Part::Verdicts {
            evaluation, judge, ..
        } => match &context.experiment.evaluations[evaluation].judges[judge].model {
            Some(model) => model.clone(),
            None => return true,
        },
        _ => return true,
    };
    match &context.experiment.models[&model].source {
        ModelSource::Pretrain(training) if node.kind == Kind::Pretrain => training
            .parameters
            .is_some_and(|count| count <= SMALL_PARAMETERS),
        ModelSource::Finetune { base, .. } if node.kind != Kind::Generate => {
            model_folder(context, base).is_some_and(|folder| folder_size(&folder) <= SMALL_BYTES)
        }
        ModelSource::Endpoint(_) | ModelSource::Recorded(_) => true,
        _ => {
            model_folder(context, &model).is_some_and(|folder| folder_size(&folder) <= SMALL_BYTES)
        }
    }
}

fn folder_size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(|entry| fs::metadata(entry.ok()?.path()).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Runs a pretrain, finetune or merge node and commits what it made.
pub(super) async fn run(context: &Context, node: usize, threads: usize) -> Result<(), String> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    let Part::Model(model) = &planned.part else {
        return Err("not a model".to_owned());
    };
    let scratch = context
        .store
        .scratch(key)
        .map_err(|error| error.to_string())?;
    let work = context.store.partial_dir(key);
    fs::create_dir_all(&work)
        .map_err(|error| format!("cannot make `{}`: {error}", work.display()))?;
    let job = match (&context.experiment.models[model].source, planned.kind) {
        (ModelSource::Pretrain(training), _) => train_job(context, training, &work)?,
        (
            ModelSource::Finetune {
                base,
                training,
                init_adapter,
            },
            Kind::Finetune,
        ) => Job::Train(match train_job(context, training, &work)? {
            Job::Train(job) => TrainJob {
                base: model_folder(context, base),
                init_adapter: init_adapter.as_ref().map(|file| file.path.clone()),
                ..job
            },
            _ => return Err("not a training".to_owned()),
        }),
        (ModelSource::Finetune { base, .. }, _) => Job::Merge(MergeJob {
            base: model_folder(context, base).ok_or("the base has no folder")?,
            adapter: finetune_folder(context, model).ok_or("the adapter has no folder")?,
            out: scratch.join("model"),
        }),
        _ => return Err("this model is not trained here".to_owned()),
    };
    let summary = drive(context, &planned.id, &job, threads).await?;
    if planned.kind != Kind::Merge {
        let name = if planned.kind == Kind::Pretrain {
            "model"
        } else {
            "adapter"
        };
        take_result(&work.join(OUT), &scratch.join(name))?;
        let fact = serde_json::json!({ "model": model, "training": summary });
        context.store.remember(key, &fact);
    }
    context
        .store
        .commit(key, &scratch)
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// Moves what a training made into the artifact: its checkpoints stay behind, and so do timings, which differ from run to
/// run.
fn take_result(from: &Path, to: &Path) -> Result<(), String> {
    let problem =
        |error: std::io::Error| format!("cannot keep the result of the training: {error}");
    fs::create_dir_all(to).map_err(problem)?;
    for entry in fs::read_dir(from).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        let name = entry.file_name();
        if entry.path().is_file() && name != "train_timing.jsonl" {
            fs::rename(entry.path(), to.join(name)).map_err(problem)?;
        }
    }
    Ok(())
}

/// Follows one worker to its end.
async fn drive(context: &Context, node: &str, job: &Job, threads: usize) -> Result<Value, String> {
    let mut worker = Worker::start(&context.worker_exe, job, threads).await?;
    loop {
        let reply = tokio::select! {
            reply = worker.reply() => reply?,
            () = context.cancel.wait() => return Err("interrupted".to_owned()),
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

/// The job without a base: examples rendered into the node's work folder.
fn train_job(context: &Context, training: &Training, work: &Path) -> Result<Job, String> {
    let examples = work.join("examples.jsonl");
    write_examples(context, training, &examples)?;
    let eval_examples = match &training.eval_dataset {
        None => None,
        Some(dataset) => {
            let path = work.join("eval-examples.jsonl");
            let part = crate::resolved::TrainingData {
                dataset: dataset.clone(),
                turns: training
                    .data
                    .first()
                    .map(|part| part.turns.clone())
                    .unwrap_or_default(),
                filter: None,
                limit: None,
                ratio: None,
                shuffle: None,
            };
            write_lines(&path, &examples_of(context, &part, false)?)?;
            Some(path)
        }
    };
    Ok(Job::Train(TrainJob {
        base: None,
        architecture: training.architecture.clone(),
        eval_fraction: training.eval_fraction,
        save_steps: training.save_steps,
        init_adapter: None,
        chat_template: training
            .chat_template
            .as_ref()
            .map(|file| file.path.clone()),
        settings: training.settings.clone(),
        device: context.device.clone(),
        examples,
        eval_examples,
        // The trainer keeps its checkpoints here, where the next run finds them.
        out: work.join(OUT),
    }))
}

fn write_examples(context: &Context, training: &Training, path: &Path) -> Result<(), String> {
    let mut parts = Vec::new();
    for part in &training.data {
        parts.push(examples_of(context, part, training.data.len() > 1)?);
    }
    let examples = mix(training, parts);
    if examples.is_empty() {
        return Err(
            "no training example is left after filters and limits\nhint: loosen `filter` or raise `limit`"
                .to_owned(),
        );
    }
    write_lines(path, &examples)
}

fn write_lines(path: &Path, examples: &[Example]) -> Result<(), String> {
    let mut text = String::new();
    for example in examples {
        text.push_str(&serde_json::to_string(example).map_err(|error| error.to_string())?);
        text.push('\n');
    }
    fs::write(path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

fn examples_of(
    context: &Context,
    part: &crate::resolved::TrainingData,
    mixed: bool,
) -> Result<Vec<Example>, String> {
    let templates = Templates::default();
    let mut rows = Vec::new();
    for row in &context.experiment.datasets[&part.dataset].rows {
        let wanted = match &part.filter {
            None => true,
            Some(filter) => templates
                .holds(filter, row)
                .map_err(|error| error.to_string())?,
        };
        if wanted {
            rows.push(row.clone());
        }
    }
    if let Some(seed) = part.shuffle {
        rows = shuffled(rows, seed);
    }
    rows.truncate(part.limit.unwrap_or(usize::MAX));
    rows.iter()
        .map(|row| {
            let messages = templates
                .turns(&part.turns, row, None)
                .map_err(|error| error.to_string())?;
            Ok(Example {
                // Ids name rows in the trainer's messages; a mix says which dataset they are from.
                id: if mixed {
                    format!("{}/{}", part.dataset, row.id)
                } else {
                    row.id.clone()
                },
                messages,
            })
        })
        .collect()
}

/// Cuts each part with a ratio to so many rows for each row of the first part.
fn mix(training: &Training, mut parts: Vec<Vec<Example>>) -> Vec<Example> {
    let first = parts.first().map_or(0, Vec::len) as f64;
    for (part, rows) in training.data.iter().zip(&mut parts) {
        if let Some(ratio) = part.ratio {
            // A ratio is positive, and no part has more rows than fit in memory.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            rows.truncate((first * ratio).floor() as usize);
        }
    }
    parts.into_iter().flatten().collect()
}
