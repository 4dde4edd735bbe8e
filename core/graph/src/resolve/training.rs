//! Trainings: every setting filled in, and the examples made once so that wrong data is found early.

use driftgauge_engine::training::{
    BaseQuantization, ComputeType, DecoderShape, LoraConfig, LrScheduler, Method, Order,
    TargetModules, TrainOn, TrainingCompute, TrainingSettings,
};
use driftgauge_spec::spec::{self, DataPart};
use driftgauge_spec::{Located, Text};
use indexmap::IndexMap;

use super::Resolver;
use super::models::turns;
use crate::resolved::{ResolvedDataset, Training, TrainingData};
use crate::training_data::{DataError, examples};

type Datasets = IndexMap<String, ResolvedDataset>;

impl Resolver<'_> {
    pub(super) fn training(
        &mut self,
        settings: &spec::TrainingSettings,
        settings_id: &Text,
        parts: &[DataPart<'_>],
        seed: Option<&Located<u64>>,
        checkpoint: Option<&Located<usize>>,
        datasets: &Datasets,
    ) -> Option<Training> {
        let seed = seed
            .or(settings.seed.as_ref())
            .map_or(*self.spec.seed, |seed| **seed);
        let mut data = Vec::new();
        for part in parts {
            data.push(TrainingData {
                dataset: part.dataset.get().clone(),
                turns: turns(part.messages),
                filter: part.filter.map(|filter| filter.get().clone()),
                limit: part.limit.map(|limit| **limit),
                count: part.count.map(|count| **count),
                ratio: part.ratio.map(|ratio| **ratio),
                shuffle: part
                    .shuffle
                    .map(|shuffle| shuffle.seed.as_ref().map_or(*self.spec.seed, |seed| **seed)),
            });
        }
        let training = Training {
            settings: filled(settings, seed),
            architecture: settings.architecture.as_ref().map(shape),
            data,
            eval_fraction: settings.eval_fraction.as_ref().map(|share| **share),
            eval_dataset: settings.eval_dataset.as_ref().map(|id| id.get().clone()),
            save_steps: settings.save_steps.as_ref().map(|steps| **steps as u64),
            checkpoint: checkpoint.map(|step| **step as u64),
            chat_template: None,
        };
        let rows = self.try_training_data(&training, settings_id, parts, datasets);
        if let Some(step) = checkpoint {
            self.within_training(step, &training.settings, rows);
        }
        Some(training)
    }

    /// A checkpoint lies within its training, as far as its steps are known: those of packed rows are not before they are encoded.
    fn within_training(
        &mut self,
        step: &Located<usize>,
        settings: &TrainingSettings,
        rows: Option<usize>,
    ) {
        let of_epochs = || Some(settings.steps(rows.filter(|_| !settings.packing)?));
        let Some(steps) = settings.max_steps.or_else(of_epochs) else {
            return;
        };
        if **step as u64 > steps {
            self.problem(
                "out-of-range",
                step.span(),
                format!("`checkpoint: {step}` lies beyond the training, which takes {steps} steps"),
                Some("lower it, or raise `max_steps` or `epochs` of the settings".to_owned()),
            );
        }
    }

    /// Makes the examples once, so that wrong data is found before anything runs; how many are learnt from.
    fn try_training_data(
        &mut self,
        training: &Training,
        settings: &Text,
        parts: &[DataPart<'_>],
        datasets: &Datasets,
    ) -> Option<usize> {
        let names = training.data.iter().map(|part| &part.dataset);
        // A dataset that has a problem of its own, or is not on this machine yet, cannot be looked at.
        let all_there = names.chain(&training.eval_dataset).all(|name| {
            datasets
                .get(name)
                .is_some_and(|d| d.rows_selected.is_some())
        });
        if !all_there {
            return None;
        }
        let error = match examples(training, datasets) {
            Ok(made) => return Some(made.train.len()),
            Err(error) => error,
        };
        let answer = |part: usize, turn: usize| parts[part].messages[turn].template().span();
        let (code, span) = match &error {
            DataError::Template {
                part,
                turn: Some(turn),
                ..
            } => ("bad-template", answer(*part, *turn)),
            DataError::Template { part, .. } => (
                "bad-template",
                parts[*part].filter.map_or(settings.span(), Located::span),
            ),
            DataError::EmptyAnswer { part, turn, .. } => ("no-answer", answer(*part, *turn)),
            DataError::TooFewRows { part, .. } => {
                let part = &parts[*part];
                let count = part.count.map(Located::span);
                (
                    "too-few-rows",
                    count
                        .or(part.ratio.map(Located::span))
                        .unwrap_or(part.dataset.span()),
                )
            }
            DataError::Nothing => ("empty-dataset", settings.span()),
            DataError::BatchTooLarge { .. } => ("out-of-range", settings.span()),
        };
        self.refuse(code, span, error);
        None
    }
}

/// Settings of a spec with every default filled in.
fn filled(settings: &spec::TrainingSettings, seed: u64) -> TrainingSettings {
    TrainingSettings {
        method: settings
            .lora
            .as_ref()
            .map_or(Method::Full, |lora| Method::Lora(adapter(lora))),
        learning_rate: *settings.learning_rate,
        lr_scheduler: match settings.lr_scheduler {
            spec::LrScheduler::Linear => LrScheduler::Linear,
            spec::LrScheduler::Cosine => LrScheduler::Cosine,
            spec::LrScheduler::Constant => LrScheduler::Constant,
        },
        warmup_steps: steps(settings.warmup_steps.as_ref()),
        warmup_ratio: settings.warmup_ratio.as_deref().copied(),
        weight_decay: *settings.weight_decay,
        max_grad_norm: *settings.max_grad_norm,
        adam_beta1: *settings.adam_beta1,
        adam_beta2: *settings.adam_beta2,
        adam_epsilon: *settings.adam_epsilon,
        per_device_batch_size: *settings.per_device_batch_size,
        gradient_accumulation_steps: *settings.gradient_accumulation_steps,
        epochs: settings.epochs.as_deref().copied(),
        max_steps: steps(settings.max_steps.as_ref()),
        max_seq_length: settings.max_seq_length.as_deref().copied(),
        packing: settings.packing,
        gradient_checkpointing: settings.gradient_checkpointing,
        order: match settings.order {
            spec::Order::Shuffled => Order::Shuffled,
            spec::Order::Sequential => Order::Sequential,
        },
        seed,
        train_on: match settings.train_on {
            spec::TrainOn::Responses => TrainOn::Responses,
            spec::TrainOn::All => TrainOn::All,
        },
        eval_steps: steps(settings.eval_steps.as_ref()),
        compute: TrainingCompute {
            dtype: match settings.dtype {
                spec::TrainingDtype::Auto => ComputeType::Auto,
                spec::TrainingDtype::F32 => ComputeType::F32,
                spec::TrainingDtype::Bf16 => ComputeType::Bf16,
            },
        },
        base_quantization: settings
            .base_quantization
            .as_deref()
            .map(|format| match format {
                spec::BaseQuantization::Q4_0 => BaseQuantization::Q4_0,
                spec::BaseQuantization::Q4k => BaseQuantization::Q4k,
                spec::BaseQuantization::Q5k => BaseQuantization::Q5k,
                spec::BaseQuantization::Q6k => BaseQuantization::Q6k,
                spec::BaseQuantization::Q8_0 => BaseQuantization::Q8_0,
            }),
    }
}

fn steps(steps: Option<&Located<usize>>) -> Option<u64> {
    steps.map(|steps| **steps as u64)
}

fn adapter(lora: &spec::Lora) -> LoraConfig {
    LoraConfig {
        rank: *lora.rank,
        alpha: lora
            .alpha
            .as_ref()
            .map_or(*lora.rank as f64, |alpha| **alpha),
        dropout: *lora.dropout,
        target_modules: TargetModules::List(lora.target_modules.names()),
        rslora: lora.rslora,
        dora: lora.dora,
        rank_pattern: lora
            .rank_pattern
            .iter()
            .map(|(name, rank)| (name.get().clone(), **rank))
            .collect(),
        alpha_pattern: lora
            .alpha_pattern
            .iter()
            .map(|(name, alpha)| (name.get().clone(), **alpha))
            .collect(),
        modules_to_save: lora
            .modules_to_save
            .iter()
            .map(|name| name.get().clone())
            .collect(),
    }
}

fn shape(shape: &spec::Architecture) -> DecoderShape {
    let heads = &shape.num_attention_heads;
    DecoderShape {
        hidden_size: *shape.hidden_size,
        intermediate_size: *shape.intermediate_size,
        num_hidden_layers: *shape.num_hidden_layers,
        num_attention_heads: **heads,
        num_key_value_heads: **shape.num_key_value_heads.as_ref().unwrap_or(heads),
        vocab_size: *shape.vocab_size,
        max_position_embeddings: *shape.max_position_embeddings,
        tie_word_embeddings: shape.tie_word_embeddings,
        rope_theta: *shape.rope_theta,
    }
}
