//! Trainings whose rows, packed into sequences, are fewer than one step takes, or than a checkpoint needs: told before anything runs, as far
//! as tokens can be counted.

use std::collections::HashSet;

use driftgauge_engine::{Packing, PromptReader};
use driftgauge_problem::{Place, Problem};
use driftgauge_spec::ExperimentSpec;
use driftgauge_spec::spec::Model;

use super::place;
use super::readers::Readers;
use crate::resolved::{ModelSource, ResolvedExperiment, Training};
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
        if !training.settings.packing || told.contains(&named.get()) {
            continue;
        }
        let (Ok(examples), Some(reader)) = (
            examples(training, &experiment.datasets),
            readers.of(id.get()),
        ) else {
            continue;
        };
        let Some(packed) = Packed::new(reader, &examples.train, training) else {
            continue;
        };
        if let Some(problem) = packed.fewer_than_a_step(id.get(), training) {
            told.insert(named.get());
            out.push(problem.of_input().at(place(named.span())));
        } else if let Some((problem, span)) = packed.before_a_checkpoint(model, training) {
            out.push(problem.of_input().at(span));
        }
    }
    out
}

/// Rows that examples are packed into.
struct Packed {
    rows: usize,
    /// Tokens of a row at most.
    capacity: usize,
    examples: usize,
}

impl Packed {
    /// As the trainer packs them; no more rows than are asked for are counted. `None` where tokens cannot be.
    fn new(reader: &dyn PromptReader, examples: &[Example], training: &Training) -> Option<Self> {
        let settings = &training.settings;
        let longest = reader.limits().scored;
        let capacity = settings.max_seq_length.unwrap_or(longest).min(longest);
        let enough = match training.checkpoint {
            Some(_) => usize::MAX,
            None => settings.rows_per_step(),
        };
        let (mut rows, mut packing) = (0, Packing::new(capacity));
        for example in examples {
            let length = reader.learnt(&example.messages).ok()??.min(capacity);
            rows += usize::from(packing.begins_row(length));
            if rows >= enough {
                break;
            }
        }
        Some(Self {
            rows,
            capacity,
            examples: examples.len(),
        })
    }

    fn fewer_than_a_step(&self, id: &str, training: &Training) -> Option<Problem> {
        let Self {
            rows,
            capacity,
            examples,
        } = self;
        let step = training.settings.rows_per_step();
        let problem = || {
            let message = format!(
                "a step of the training of `{id}` takes {step} rows (`per_device_batch_size` times `gradient_accumulation_steps`), and \
                 `packing` makes {rows} rows of {capacity} tokens of its {examples} examples"
            );
            Problem::new("out-of-range", message)
                .help("lower one of the two or `max_seq_length`, or leave `packing` out")
        };
        (*rows < step).then(problem)
    }

    /// Steps that are asked for are held against the checkpoint where the spec is read.
    fn before_a_checkpoint(&self, model: &Model, training: &Training) -> Option<(Problem, Place)> {
        let at = training.checkpoint?;
        let written = model.finetune.as_ref()?.checkpoint.as_ref()?;
        let (rows, steps) = (self.rows, training.settings.steps(self.rows));
        let beyond = at > steps && training.settings.max_steps.is_none();
        let problem = || {
            let message = format!(
                "`checkpoint: {at}` lies beyond the training, which takes {steps} steps with its {rows} packed rows"
            );
            Problem::new("out-of-range", message)
                .help("lower it, or raise `max_steps` or `epochs` of the settings")
        };
        beyond.then(|| (problem(), place(written.span())))
    }
}
