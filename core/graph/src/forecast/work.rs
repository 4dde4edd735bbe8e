//! How much there is to do in a node, before any of it is done.

use std::collections::HashMap;
use std::path::Path;

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::TurnTemplate;
use driftgauge_engine::training::Method;
use driftgauge_engine::{LocalEngine, Rounding};
use serde_json::Value;

use super::is_work;
use crate::plan::{EngineIdentity, Kind, Part, Plan};
use crate::resolved::{ModelSource, ResolvedEvaluation, ResolvedExperiment, Training};

/// Bytes of text that a token stands for, where no tokenizer was asked.
const BYTES_OF_A_TOKEN: u64 = 4;
/// Rows that are looked at for how long rows are.
const LOOKED_AT: usize = 32;
/// Bytes of what is kept of each token: id, ln p, entropies.
const BYTES_KEPT_OF_A_TOKEN: u64 = 16;
/// Memory of a process beside weights and caches.
const BESIDES: u64 = 256 << 20;

/// Where a plan is to run.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The engines.
    pub engine: EngineIdentity,
    /// Kind of the processor.
    pub processor: String,
    /// Its cores.
    pub cores: usize,
}

/// How much there is to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Work {
    pub(crate) kind: String,
    /// What does it.
    pub(crate) engine: String,
    /// Weights of the model; 0 where there is none.
    pub(crate) parameters: u64,
    /// Tokens to read and, at most, to make.
    pub(crate) tokens: u64,
    /// Prompts, rows or examples.
    pub(crate) items: u64,
    /// Floating-point operations for each token and parameter.
    pub(crate) operations: u64,
    /// Bytes of memory, as a guess.
    pub(crate) memory: u64,
    /// Bytes left in the store, as a guess.
    pub(crate) disk: u64,
    /// Whether the source is still to be fetched.
    pub(crate) is_fetched: bool,
}

/// The work of the nodes of a plan. What several nodes have in common is looked at once.
pub(crate) struct Works<'a> {
    experiment: &'a ResolvedExperiment,
    plan: &'a Plan,
    machine: &'a Machine,
    parameters: HashMap<&'a str, u64>,
    bytes_of_a_row: HashMap<&'a str, u64>,
}

impl<'a> Works<'a> {
    pub(crate) fn new(
        experiment: &'a ResolvedExperiment,
        plan: &'a Plan,
        machine: &'a Machine,
    ) -> Self {
        Self {
            experiment,
            plan,
            machine,
            parameters: HashMap::new(),
            bytes_of_a_row: HashMap::new(),
        }
    }

    pub(crate) fn of(&mut self, node: usize) -> Work {
        let planned = &self.plan.nodes[node];
        let work = Work {
            kind: planned.kind.as_str().to_owned(),
            items: planned.items.unwrap_or(1),
            is_fetched: planned.key.is_none() && planned.inputs.is_empty(),
            ..Work::default()
        };
        if !is_work(planned.kind) {
            return work;
        }
        match &planned.part {
            Part::Dataset(id) => Work {
                disk: work.items * self.row(id),
                ..work
            },
            Part::Model(model) => self.of_model(planned.kind, model, work),
            Part::Completions {
                evaluation,
                condition,
                model,
            } => {
                let (resolved, prompt) = self.put(evaluation, condition);
                let (engine, made) = match planned.kind {
                    Kind::Generate => (self.engine_of(model), resolved.generate.max_tokens as u64),
                    _ => (self.machine.engine.scoring.clone(), 0),
                };
                self.asked(work, model, engine, prompt + made)
            }
            Part::Divergence {
                evaluation,
                condition,
                model,
            } => {
                let (resolved, prompt) = self.put(evaluation, condition);
                let engine = format!("{} divergence", self.machine.engine.scoring);
                let tokens = prompt + resolved.generate.max_tokens as u64;
                self.asked(work, model, engine, 2 * tokens)
            }
            Part::Verdicts {
                evaluation,
                condition,
                judge,
                ..
            } => {
                let (resolved, prompt) = self.put(evaluation, condition);
                match &resolved.judges[judge].model {
                    Some(model) => {
                        let engine = self.engine_of(model);
                        let tokens = prompt + resolved.generate.max_tokens as u64;
                        self.asked(work, model, engine, tokens)
                    }
                    None => Work {
                        engine: "rules".to_owned(),
                        disk: 100 * work.items,
                        ..work
                    },
                }
            }
            Part::Metric { metric, .. } => Work {
                engine: self.experiment.metrics[metric].plugin.clone(),
                disk: 200 * work.items,
                memory: 1000 * work.items,
                ..work
            },
            Part::Comparison { .. } | Part::Trainings { .. } => Work {
                disk: 10_000,
                ..work
            },
        }
    }

    /// An evaluation, and the tokens of its prompt under a condition.
    fn put(&mut self, evaluation: &str, condition: &str) -> (&'a ResolvedEvaluation, u64) {
        let resolved = &self.experiment.evaluations[evaluation];
        let turns = &resolved.conditions[condition].turns;
        (resolved, self.prompt(&resolved.dataset, turns))
    }

    fn of_model(&mut self, kind: Kind, model: &'a str, work: Work) -> Work {
        let parameters = self.parameters(model);
        let engine = self.machine.engine.training.clone();
        let work = Work {
            engine,
            parameters,
            ..work
        };
        let weights = 4 * parameters;
        let merged = Work {
            memory: 2 * weights + BESIDES,
            disk: weights,
            ..work.clone()
        };
        let (ModelSource::Pretrain(training) | ModelSource::Finetune { training, .. }) =
            &self.experiment.models[model].source
        else {
            return merged;
        };
        if kind == Kind::Merge {
            return merged;
        }
        let row = self.prompt_of_training(training);
        let items = work.items;
        let settings = &training.settings;
        let steps = settings.max_steps.map(|steps| {
            let batch = settings.per_device_batch_size * settings.gradient_accumulation_steps;
            steps * batch as u64
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a row is no row"
        )]
        let passes = (items as f64 * settings.epochs.unwrap_or(3.0)) as u64;
        let is_full = kind == Kind::Pretrain || matches!(settings.method, Method::Full);
        Work {
            tokens: steps.unwrap_or(passes) * row,
            // Forward and backward; without gradients of the weights a third less.
            operations: if is_full { 6 } else { 4 },
            // Weights, gradients and two moments of what moves.
            memory: weights * if is_full { 4 } else { 1 } + BESIDES,
            disk: if is_full { weights } else { weights / 50 },
            ..work
        }
    }

    fn asked(&mut self, work: Work, model: &'a str, engine: String, tokens: u64) -> Work {
        let parameters = self.parameters(model);
        let weights = self.in_memory(model, parameters);
        Work {
            engine,
            parameters,
            tokens: tokens * work.items,
            operations: 2,
            memory: match weights {
                0 => BESIDES,
                weights => weights + LocalEngine::NATIVE_CACHE + BESIDES,
            },
            disk: BYTES_KEPT_OF_A_TOKEN * tokens * work.items,
            ..work
        }
    }

    fn engine_of(&self, model: &str) -> String {
        let model = &self.experiment.models[model];
        match (&model.source, model.engine) {
            (ModelSource::Endpoint(endpoint), _) => {
                format!("{} {}", endpoint.base_url, endpoint.model)
            }
            (ModelSource::Recorded(_), _) => "recorded".to_owned(),
            (_, Some(LocalEngine::Native)) => self.machine.engine.native.clone(),
            _ => self.machine.engine.generation.clone(),
        }
    }

    /// Bytes of a model's weights while it answers, at most.
    fn in_memory(&self, model: &str, parameters: u64) -> u64 {
        let resolved = &self.experiment.models[model];
        match &resolved.source {
            // Blocks stay blocks: there it is their bytes that are counted.
            ModelSource::Folder { gguf: Some(_), .. } => parameters,
            _ => {
                let rounding = resolved.rounding();
                let rounded = self.folder_of(model).filter(|_| rounding != Rounding::None);
                let weights = rounded.and_then(|folder| driftgauge_folder::inspect(folder).ok());
                weights.map_or(4 * parameters, |weights| {
                    rounding.bytes_of(&weights.shapes())
                })
            }
        }
    }

    /// The folder that a model is, or is made from: of the same shapes.
    fn folder_of(&self, model: &str) -> Option<&Path> {
        match &self.experiment.models[model].source {
            ModelSource::Folder { path, .. } => Some(path),
            source => self.folder_of(source.base()?),
        }
    }

    /// Weights of a model, told from the headers of its files or from its shape, and for a GGUF file its bytes; 0 where they are not
    /// here.
    fn parameters(&mut self, model: &'a str) -> u64 {
        if let Some(&known) = self.parameters.get(model) {
            return known;
        }
        let parameters = match &self.experiment.models[model].source {
            ModelSource::Folder {
                path,
                gguf: Some(file),
                ..
            } => std::fs::metadata(path.join(file)).map_or(0, |file| file.len()),
            ModelSource::Folder { path, .. } => {
                driftgauge_folder::inspect(path).map_or(0, |weights| weights.parameters())
            }
            ModelSource::Pretrain(training) => {
                let shape = training.architecture.as_ref();
                shape.map_or(0, driftgauge_engine::training::DecoderShape::parameters)
            }
            ModelSource::Finetune { base, .. } | ModelSource::Adapter { base, .. } => {
                self.parameters(base)
            }
            ModelSource::Hub(_) | ModelSource::Endpoint(_) | ModelSource::Recorded(_) => 0,
        };
        self.parameters.insert(model, parameters);
        parameters
    }

    /// Tokens of a prompt: its own words and those of a row.
    fn prompt(&mut self, dataset: &'a str, turns: &[TurnTemplate]) -> u64 {
        let words: usize = turns.iter().map(|turn| turn.template.len()).sum();
        (words as u64 + self.row(dataset)) / BYTES_OF_A_TOKEN + 1
    }

    fn prompt_of_training(&mut self, training: &'a Training) -> u64 {
        let parts = training.data.iter();
        let longest = parts.map(|part| self.prompt(&part.dataset, &part.turns));
        longest.max().unwrap_or(1)
    }

    /// Bytes of text in a row, on average.
    fn row(&mut self, dataset: &'a str) -> u64 {
        if let Some(&known) = self.bytes_of_a_row.get(dataset) {
            return known;
        }
        let rows = &self.experiment.datasets[dataset].rows;
        let some = &rows[..rows.len().min(LOOKED_AT)];
        let bytes: u64 = some.iter().map(bytes).sum();
        let bytes = bytes / (some.len() as u64).max(1);
        self.bytes_of_a_row.insert(dataset, bytes);
        bytes
    }
}

fn bytes(row: &Row) -> u64 {
    let values = row.columns.values();
    let bytes: usize = values
        .map(|value| match value {
            Value::String(text) => text.len(),
            other => other.to_string().len(),
        })
        .sum();
    bytes as u64
}
