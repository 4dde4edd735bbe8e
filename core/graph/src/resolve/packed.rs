//! Trainings whose rows, packed into sequences, are fewer than one step takes, or than a checkpoint needs: told before anything runs, as far
//! as tokens can be counted.

use std::collections::HashSet;

use driftgauge_engine::PromptReader;
use driftgauge_problem::Problem;
use driftgauge_spec::ExperimentSpec;

use super::place;
use super::readers::Readers;
use crate::resolved::{ModelSource, ResolvedExperiment};
use crate::training_data::{Example, examples};

/// One problem for the settings of each training at most.
pub(super) fn too_few(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    readers: &mut Readers<'_>,
) -> Vec<Problem> {
    let mut out = Vec::new();
    let mut told = HashSet::new();
    for (id, model) in &spec.models {
        let resolved = experiment.models.get(id.get());
        let Some(ModelSource::Finetune { training, .. } | ModelSource::Pretrain(training)) =
            resolved.map(|model| &model.source)
        else {
            continue;
        };
        let named = match (&model.finetune, &model.pretrain) {
            (Some(finetune), _) => &finetune.settings,
            (None, Some(pretrain)) => &pretrain.settings,
            (None, None) => continue,
        };
        let settings = &training.settings;
        if !settings.packing || told.contains(&named.get()) {
            continue;
        }
        let step = settings.per_device_batch_size * settings.gradient_accumulation_steps;
        let (Ok(examples), Some(reader)) = (
            examples(training, &experiment.datasets),
            readers.of(id.get()),
        ) else {
            continue;
        };
        let capacity = reader.limits().scored;
        let capacity = settings
            .max_seq_length
            .map_or(capacity, |longest| longest.min(capacity));
        let enough = match training.checkpoint {
            Some(_) => usize::MAX,
            None => step,
        };
        let Some(rows) = packed(reader, &examples.train, capacity, enough) else {
            continue;
        };
        if let (Some(at), Some(epochs), true) = (training.checkpoint, settings.epochs, rows >= step)
        {
            let per_epoch = rows
                .div_ceil(settings.per_device_batch_size)
                .div_ceil(settings.gradient_accumulation_steps);
            let steps = ((epochs * per_epoch as f64).ceil() as u64).max(1);
            let written = model
                .finetune
                .as_ref()
                .and_then(|made| made.checkpoint.as_ref());
            if let Some(written) = written.filter(|_| at > steps && settings.max_steps.is_none()) {
                let message = format!(
                    "`checkpoint: {at}` lies beyond the training, which takes {steps} steps with its {rows} packed rows"
                );
                let problem = Problem::new("out-of-range", message)
                    .help("lower it, or raise `max_steps` or `epochs` of the settings");
                out.push(problem.of_input().at(place(written.span())));
            }
        }
        if rows < step {
            told.insert(named.get());
            let message = format!(
                "a step of the training of `{id}` takes {step} rows (`per_device_batch_size` times `gradient_accumulation_steps`), and \
                 `packing` makes {rows} rows of {capacity} tokens of its {} examples",
                examples.train.len()
            );
            let problem = Problem::new("out-of-range", message)
                .help("lower one of the two or `max_seq_length`, or leave `packing` out");
            out.push(problem.of_input().at(place(named.span())));
        }
    }
    out
}

/// Rows of at most `capacity` tokens that examples are packed into, in their order, as the trainer does; no more than `enough` are counted.
/// `None` where tokens cannot be.
fn packed(
    reader: &dyn PromptReader,
    examples: &[Example],
    capacity: usize,
    enough: usize,
) -> Option<usize> {
    let (mut rows, mut free) = (0, 0);
    for example in examples {
        let length = reader.learnt(&example.messages).ok()??.min(capacity);
        if rows == 0 || length > free {
            if rows == enough {
                break;
            }
            rows += 1;
            free = capacity;
        }
        free -= length;
    }
    Some(rows)
}
