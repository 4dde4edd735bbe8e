//! Training jobs: the graph's settings handed to the trainer, the trainer's events handed to the parent.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use driftgauge_engine::worker::{Replies, Reply, TrainJob};
use driftgauge_record::TrainingStep;
use serde_json::Value;

use super::read;
use crate::train::{
    Example, PretrainConfig, TrainConfig, TrainData, TrainEvent, finetune, pretrain,
};
use crate::{Error, Result};

/// Runs a training; the summary goes to provenance. Between two steps `stop` is looked at: what was done is then saved, and the
/// training ends.
///
/// # Errors
/// When the settings are not the trainer's, a file cannot be read, the training fails or is stopped, or the parent is gone.
pub fn train<W: Write + Send>(
    job: &TrainJob,
    replies: &mut Replies<W>,
    stop: &AtomicBool,
) -> Result<Value> {
    let mut config = TrainConfig::from(job.settings.clone());
    config.save_steps = job.save_steps;
    config.keep.clone_from(&job.keep);
    config.stop_at = job.stop_at;
    config.device = Some(job.device.clone());
    config.init_adapter.clone_from(&job.init_adapter);
    let data = data(job)?;
    let mut failed = None;
    let mut on_event = |event: TrainEvent| {
        if let Some(reply) = reply(event)
            && let Err(error) = replies.send(&reply)
        {
            failed.get_or_insert(error);
        }
    };
    let summary = match &job.base {
        Some(base) => {
            config.chat_template.clone_from(&job.chat_template);
            finetune(base, &data, &config, &job.out, &mut on_event, stop)?
        }
        None => {
            let config = pretrain_config(job, config)?;
            pretrain(&config, &data, &job.out, &mut on_event, stop)?
        }
    };
    if let Some(error) = failed {
        return Err(Error::Config(format!(
            "the parent process is gone: {error}"
        )));
    }
    serde_json::to_value(summary).map_err(|error| Error::Config(error.to_string()))
}

fn pretrain_config(job: &TrainJob, train: TrainConfig) -> Result<PretrainConfig> {
    let shape = job
        .architecture
        .as_ref()
        .ok_or_else(|| Error::Config("a training from scratch needs an architecture".to_owned()))?;
    let chat_template = job.chat_template.as_deref().map(read).transpose()?;
    Ok(PretrainConfig::new(shape, train, chat_template))
}

fn data(job: &TrainJob) -> Result<TrainData> {
    Ok(TrainData {
        examples: examples(&job.examples)?,
        eval: examples(&job.eval_examples)?,
    })
}

fn examples(path: &Path) -> Result<Vec<Example>> {
    read(path)?
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Error::file(path, format!("it is damaged: {error}")))
        })
        .collect()
}

fn reply(event: TrainEvent) -> Option<Reply> {
    match event {
        TrainEvent::Step {
            record,
            total_steps,
            timing,
        } => Some(Reply::Step {
            step: TrainingStep {
                step: record.step,
                epoch: record.epoch,
                loss: record.loss,
                lr: record.lr,
                grad_norm: record.grad_norm,
                tokens: record.tokens,
                eval_loss: record.eval_loss,
            },
            total: total_steps,
            tokens_per_second: timing.tokens_per_second,
        }),
        TrainEvent::Started {
            rows,
            truncated_rows,
            trainable_parameters,
            total_parameters,
            ..
        } => Some(Reply::Note(format!(
            "{rows} rows ({truncated_rows} cut), {trainable_parameters} of {total_parameters} parameters train"
        ))),
        TrainEvent::Preview { id, pieces } => {
            // Brackets mark what carries loss.
            let text: String = pieces
                .into_iter()
                .map(|piece| {
                    if piece.supervised {
                        format!("[[{}]]", piece.text)
                    } else {
                        piece.text
                    }
                })
                .collect();
            Some(Reply::Note(format!(
                "row `{id}`, loss on [[...]]: {}",
                text.escape_debug()
            )))
        }
        TrainEvent::Resumed { step } => Some(Reply::Note(format!("goes on after step {step}"))),
        TrainEvent::Warning { message } => Some(Reply::Note(message)),
        TrainEvent::Saved { .. } => None,
    }
}
