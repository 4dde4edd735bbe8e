//! The loop over optimiser steps.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Device;
use rayon::prelude::*;

use super::checkpoint::Checkpoints;
use super::config::TrainConfig;
use super::data::Prepared;
use super::event::{StepRecord, StepTiming, TrainEvent, TrainSummary, peak_memory_bytes};
use super::gradients::{Gradients, add_gradients_of_parts, loss_sum};
use super::optimizer::Optimizer;
use super::schedule::factor;
use crate::error::{Error, Result};
use crate::model::{Decoder, DropoutKey, Parameters};
use crate::ops::{AdamW, Weight, clip_factor, gradient_norm, on_pool};
use driftgauge_engine::training::Method;
use driftgauge_engine::worker::TrainJob;

/// Name of the log whose bytes repeat from run to run.
pub const LOG_FILE: &str = "train_log.jsonl";
/// Name of the log of wall times and memory, which do not repeat.
pub const TIMING_FILE: &str = "train_timing.jsonl";

/// A loss this many times the larger of the first loss and the loss of blind guessing is taken for divergence at once.
const DIVERGED: f64 = 4.0;
/// Steps over which a model may be no better than blind guessing before that is taken for divergence.
const PATIENCE: usize = 8;

/// One training, ready to run.
pub(crate) struct Run<'a> {
    pub(crate) decoder: Decoder,
    pub(crate) parameters: Parameters,
    pub(crate) data: &'a Prepared,
    pub(crate) config: &'a TrainConfig,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) out_dir: &'a Path,
    /// Writes what was made so far; nothing for a training whose steps are not kept.
    pub(crate) write: Option<Write<'a>>,
}

/// Writes the parameters as the result of the training into a folder.
pub(crate) type Write<'a> = &'a (dyn Fn(&Parameters, &Path) -> Result<()> + Sync);

impl Run<'_> {
    /// Trains to the end, from the newest checkpoint where there is one.
    pub(crate) fn train(
        &self,
        on_event: &mut dyn FnMut(TrainEvent),
        cancel: &AtomicBool,
    ) -> Result<TrainSummary> {
        let walk = self.data.walk(self.config);
        let total = self.config.settings.steps(walk.rows);
        let mut optimizer = Optimizer::new(
            &self.parameters,
            AdamW {
                beta1: self.config.settings.adam_beta1,
                beta2: self.config.settings.adam_beta2,
                eps: self.config.settings.adam_epsilon,
                weight_decay: self.config.settings.weight_decay,
            },
        )?;
        let end = self.config.stop_at.map_or(total, |stop| stop.min(total));
        if let Some(beyond) = self.config.keep.iter().find(|step| **step > total) {
            return Err(Error::Config(format!(
                "checkpoint {beyond} lies beyond the {total} steps of the training"
            )));
        }
        let frozen_before = self.frozen_digest()?;
        let mut records =
            self.checkpoints
                .resume(&self.parameters, &mut optimizer, &mut |damage| {
                    let message = format!("a checkpoint is damaged, {damage}: it is not taken up");
                    on_event(TrainEvent::Warning { message });
                })?;
        if !records.is_empty() {
            on_event(TrainEvent::Resumed {
                step: optimizer.steps,
            });
        }
        let mut logs = Logs::create(self.out_dir, &records)?;
        while optimizer.steps < end {
            if cancel.load(Ordering::Relaxed) {
                self.checkpoints
                    .save(optimizer.steps, &self.parameters, &optimizer, &records)?;
                return Err(Error::Cancelled {
                    step: optimizer.steps,
                });
            }
            let start = Instant::now();
            let mut record = on_pool(self.decoder.device(), || {
                let rows = walk.step(optimizer.steps);
                let mut record = self.step(&rows, &mut optimizer, total, &records)?;
                record.eval_loss = self.evaluate_at(record.step, total)?;
                Ok::<_, Error>(record)
            })?;
            record.epoch = walk.epoch(record.step);
            let timing = timing(&record, start);
            logs.append(&record, timing)?;
            records.push(record.clone());
            on_event(TrainEvent::Step {
                record,
                total_steps: end,
                timing,
            });
            if self.config.keep.contains(&optimizer.steps) {
                self.keep(optimizer.steps, &records)?;
            }
            let save = self
                .config
                .save_steps
                .is_some_and(|every| optimizer.steps.is_multiple_of(every));
            if save && optimizer.steps < total {
                self.checkpoints
                    .save(optimizer.steps, &self.parameters, &optimizer, &records)?;
                on_event(TrainEvent::Saved {
                    step: optimizer.steps,
                });
            }
        }
        if self.frozen_digest()? != frozen_before {
            return Err(Error::Guard(
                "the frozen weights of the base model changed while training".to_owned(),
            ));
        }
        Ok(self.summary(&records))
    }

    /// Keeps what was made so far beside the result, with the log up to here.
    fn keep(&self, step: u64, records: &[StepRecord]) -> Result<()> {
        let Some(write) = self.write else {
            return Ok(());
        };
        let path = self.out_dir.join(TrainJob::kept(step));
        crate::files::replace_folder(&path, |folder| {
            write(&self.parameters, folder)?;
            let mut log = (folder.join(LOG_FILE), Vec::new());
            for record in records {
                serde_json::to_writer(&mut log.1, record).map_err(|e| Error::file(&log.0, e))?;
                log.1.push(b'\n');
            }
            crate::files::write_bytes(&log.0, &log.1)?;
            driftgauge_store::seal_folder(folder).map_err(|e| Error::file(folder, e))
        })
    }

    /// One optimiser step over its micro-batches.
    fn step(
        &self,
        micro_batches: &[Vec<usize>],
        optimizer: &mut Optimizer,
        total: u64,
        records: &[StepRecord],
    ) -> Result<StepRecord> {
        let config = self.config;
        let done = optimizer.steps;
        let targets: usize = micro_batches
            .iter()
            .map(|rows| self.data.targets(rows))
            .sum();
        let (mut gradients, mut loss, mut tokens) = (Gradients::new(), 0.0, 0);
        for (number, rows) in micro_batches.iter().enumerate() {
            let mut parts = self.data.parts(&self.decoder, rows, self.sizes().0)?;
            for (part, batch) in parts.iter_mut().enumerate() {
                batch.pass.dropout = Some(DropoutKey {
                    seed: config.settings.seed,
                    step: done,
                    micro_batch: number as u64,
                    part: part as u64,
                });
                tokens += batch.tokens as u64;
            }
            loss += add_gradients_of_parts(
                &self.decoder,
                &self.parameters,
                &parts,
                config.settings.gradient_checkpointing,
                &mut gradients,
            )?;
        }
        // Losses were summed: the mean is over the supervised tokens of the whole step, however they were accumulated.
        let mean = 1.0 / targets as f64;
        let loss = loss * mean;
        let grad_norm = gradient_norm(gradients.values())? * mean;
        let blind = (self.decoder.config.vocab_size as f64).ln();
        // Saturated weights pass no gradient on at all: the model is lost, whatever its loss. (At the first step, the guard
        // below names the parameter.)
        let stuck = done > 0 && grad_norm == 0.0 && loss > 0.0;
        if !grad_norm.is_finite() || stuck || diverged(loss, records, blind) {
            return Err(Error::Diverged {
                step: done + 1,
                loss,
                grad_norm,
                checkpoint: self.checkpoints.newest()?,
            });
        }
        self.check_gradients(done, &gradients)?;
        let clip = match config.settings.max_grad_norm {
            0.0 => 1.0,
            limit => clip_factor(grad_norm, limit),
        };
        let factor = factor(
            config.settings.lr_scheduler,
            done,
            config.warmup(total),
            total,
        );
        let lr = config.settings.learning_rate * factor;
        optimizer.step(&self.parameters, &gradients, lr, clip * mean)?;
        Ok(StepRecord {
            step: done + 1,
            epoch: 0.0,
            loss,
            lr,
            grad_norm,
            tokens,
            target_tokens: targets as u64,
            eval_loss: None,
        })
    }

    /// Every parameter has a gradient, and at the start every second factor of an adapter has one that is not zero: the
    /// graph reaches all of them.
    fn check_gradients(&self, done: u64, gradients: &Gradients) -> Result<()> {
        for name in self.parameters.keys() {
            let Some(gradient) = gradients.get(name) else {
                return Err(Error::Guard(format!("`{name}` got no gradient")));
            };
            if done == 0 && name.ends_with("lora_B.weight") && gradient_norm([gradient])? == 0.0 {
                return Err(Error::Guard(format!("the gradient of `{name}` is zero")));
            }
        }
        Ok(())
    }

    fn evaluate_at(&self, step: u64, total: u64) -> Result<Option<f64>> {
        let due = step == total
            || self
                .config
                .settings
                .eval_steps
                .is_some_and(|every| step.is_multiple_of(every));
        if !due || !self.data.has_eval() {
            return Ok(None);
        }
        let (mut loss, mut targets) = (0.0, 0);
        let size = self.config.settings.per_device_batch_size;
        for batch in self.data.eval_batches(&self.decoder, size) {
            let (batch, n) = batch?;
            loss += loss_sum(&self.decoder, &batch)?;
            targets += n;
        }
        Ok(Some(loss / targets as f64))
    }

    /// Digest of the weights that must not move; nothing for full training.
    fn frozen_digest(&self) -> Result<Option<blake3::Hash>> {
        if matches!(self.config.settings.method, Method::Full) {
            return Ok(None);
        }
        let weights = self.decoder.frozen_weights();
        let digest = |weight: &Weight| -> Result<blake3::Hash> {
            let mut hasher = blake3::Hasher::new();
            match weight {
                Weight::Plain(weight) => {
                    crate::tensors::hash_elements(weight.tensor(), &mut hasher)?;
                }
                Weight::Quantized(weight) => weight.for_each_piece(|bytes| {
                    hasher.update(bytes);
                })?,
            }
            Ok(hasher.finalize())
        };
        let digests: Vec<_> = match self.decoder.device() {
            Device::Cpu => weights.par_iter().map(digest).collect::<Result<_>>()?,
            _ => weights.iter().map(digest).collect::<Result<_>>()?,
        };
        let mut hasher = blake3::Hasher::new();
        for digest in digests {
            hasher.update(digest.as_bytes());
        }
        Ok(Some(hasher.finalize()))
    }

    fn summary(&self, records: &[StepRecord]) -> TrainSummary {
        let loss = |record: Option<&StepRecord>| record.map_or(f64::NAN, |r| r.loss);
        let (trainable, total) = self.sizes();
        TrainSummary {
            steps: records.len() as u64,
            first_loss: loss(records.first()),
            last_loss: loss(records.last()),
            eval_loss: records.last().and_then(|r| r.eval_loss),
            tokens: records.iter().map(|r| r.tokens).sum(),
            rows: self.data.len(),
            truncated_rows: self.data.truncated(),
            trainable_parameters: trainable,
            total_parameters: total,
            base_quantization: self.config.settings.base_quantization,
        }
    }

    /// Numbers of weights: those that move, and all.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let trainable = self
            .parameters
            .values()
            .map(|p| p.tensor().elem_count())
            .sum();
        let frozen: usize = self
            .decoder
            .frozen_weights()
            .iter()
            .map(Weight::elem_count)
            .sum();
        (trainable, trainable + frozen)
    }

    /// Memory of the weights that do not move.
    pub(crate) fn frozen_bytes(&self) -> usize {
        let frozen = self.decoder.frozen_weights();
        frozen.iter().map(Weight::bytes).sum()
    }
}

/// Whether the weights are lost. Normalised layers keep the loss of a ruined model finite: it ends near blind guessing
/// (`ln` of the vocabulary), which a model that knew more at its first step never comes back to by itself.
fn diverged(loss: f64, records: &[StepRecord], blind: f64) -> bool {
    let first = records.first().map_or(loss, |first| first.loss);
    if !loss.is_finite() || loss > DIVERGED * first.max(blind) {
        return true;
    }
    if records.len() < PATIENCE {
        return false;
    }
    let recent = &records[records.len() + 1 - PATIENCE..];
    let mean = (loss + recent.iter().map(|r| r.loss).sum::<f64>()) / PATIENCE as f64;
    let limit = if first < 0.8 * blind {
        0.95 * blind
    } else {
        1.25 * first.max(blind)
    };
    mean > limit
}

fn timing(record: &StepRecord, start: Instant) -> StepTiming {
    let seconds = start.elapsed().as_secs_f64();
    StepTiming {
        step: record.step,
        seconds,
        tokens_per_second: record.tokens as f64 / seconds.max(1e-9),
        peak_memory_bytes: peak_memory_bytes(),
    }
}

/// The two logs, one line per step.
struct Logs {
    steps: (PathBuf, File),
    timing: (PathBuf, File),
}

impl Logs {
    /// Starts the logs with the steps done before.
    fn create(folder: &Path, records: &[StepRecord]) -> Result<Self> {
        let timings = earlier_timings(&folder.join(TIMING_FILE), records.len() as u64);
        let open = |name: &str| -> Result<(PathBuf, File)> {
            let path = folder.join(name);
            let file = File::create(&path).map_err(Error::io("write", &path))?;
            Ok((path, file))
        };
        let mut logs = Self {
            steps: open(LOG_FILE)?,
            timing: open(TIMING_FILE)?,
        };
        for record in records {
            write_line(&mut logs.steps, record)?;
        }
        for timing in &timings {
            write_line(&mut logs.timing, timing)?;
        }
        Ok(logs)
    }

    fn append(&mut self, record: &StepRecord, timing: StepTiming) -> Result<()> {
        write_line(&mut self.steps, record)?;
        write_line(&mut self.timing, &timing)
    }
}

/// How long the steps took that a checkpoint brings back. Steps after it are done again, and a torn line is no loss.
fn earlier_timings(path: &Path, steps: u64) -> Vec<StepTiming> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str::<StepTiming>(line).ok())
        .filter(|timing| timing.step <= steps)
        .collect()
}

fn write_line((path, file): &mut (PathBuf, File), value: &impl serde::Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(value).map_err(|e| Error::file(path, e))?;
    line.push(b'\n');
    file.write_all(&line).map_err(Error::io("write", path))
}

#[cfg(test)]
mod guards;

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f64]) -> Vec<StepRecord> {
        losses
            .iter()
            .enumerate()
            .map(|(index, &loss)| StepRecord {
                step: index as u64 + 1,
                epoch: 0.0,
                loss,
                lr: 1e-3,
                grad_norm: 1.0,
                tokens: 1,
                target_tokens: 1,
                eval_loss: None,
            })
            .collect()
    }

    #[test]
    fn only_a_lost_model_counts_as_diverged() {
        let blind = 10.0;
        assert!(diverged(f64::NAN, &[], blind));
        assert!(diverged(41.0, &history(&[10.0]), blind));
        // A hard batch, or a hard part of the data after an easy one.
        assert!(!diverged(20.0, &history(&[2.0; 20]), blind));
        assert!(!diverged(
            7.0,
            &history(&[0.5, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0]),
            blind
        ));
        // From nothing, the loss begins at blind guessing.
        assert!(!diverged(10.1, &history(&[10.0; 20]), blind));
        assert!(diverged(
            13.0,
            &history(&[vec![10.0], vec![13.0; 7]].concat()),
            blind
        ));
        // A model that knew something and lost it.
        assert!(diverged(
            9.9,
            &history(&[vec![2.0], vec![9.9; 7]].concat()),
            blind
        ));
        assert!(!diverged(
            9.9,
            &history(&[vec![2.0], vec![9.9; 6]].concat()),
            blind
        ));
    }
}
