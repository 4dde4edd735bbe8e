//! Settings of a training, with the names that PEFT, TRL and Axolotl use.

use std::path::PathBuf;

use driftgauge_engine::training::{
    BaseQuantization, ComputeType, LrScheduler, Method, Order, TrainOn, TrainingCompute,
    TrainingSettings,
};
use serde::Serialize;

use crate::compute::Compute;
use crate::error::{Error, Result};
use crate::lora;
use crate::ranges;

/// Settings of a training, and where it runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainConfig {
    /// What is trained.
    pub method: Method,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// How the learning rate moves after the warmup.
    pub lr_scheduler: LrScheduler,
    /// Steps over which the learning rate rises from 0. At most one of this and `warmup_ratio`.
    pub warmup_steps: Option<u64>,
    /// The same as a fraction of all steps, rounded up.
    pub warmup_ratio: Option<f64>,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm; 0 for no clipping.
    pub max_grad_norm: f64,
    /// AdamW's decay of the mean gradient.
    pub adam_beta1: f64,
    /// AdamW's decay of the mean squared gradient.
    pub adam_beta2: f64,
    /// AdamW's epsilon.
    pub adam_epsilon: f64,
    /// Rows of a micro-batch.
    pub per_device_batch_size: usize,
    /// Micro-batches of an optimiser step.
    pub gradient_accumulation_steps: usize,
    /// Passes over the data; 3 when neither this nor `max_steps` is given.
    pub epochs: Option<f64>,
    /// Optimiser steps; wins over `epochs`.
    pub max_steps: Option<u64>,
    /// Longest row in tokens; the model's context when absent.
    pub max_seq_length: Option<usize>,
    /// Put several rows into one sequence; attention does not cross them.
    pub packing: bool,
    /// Compute each layer again on the way back instead of keeping its activations.
    pub gradient_checkpointing: bool,
    /// Order of the rows.
    pub order: Order,
    /// Seed of initial values, order and dropout.
    pub seed: u64,
    /// Which tokens carry loss.
    pub train_on: TrainOn,
    /// A checkpoint every so many steps. Does not change the result.
    pub save_steps: Option<u64>,
    /// Steps after which what was made so far is kept beside the result. Does not change it.
    #[serde(skip)]
    pub keep: Vec<u64>,
    /// Steps after which the training ends before its time: only what is kept is made.
    #[serde(skip)]
    pub stop_at: Option<u64>,
    /// Loss over the evaluation rows every so many steps, and at the end.
    pub eval_steps: Option<u64>,
    /// PEFT adapter to start from: its folder, or its weights file with `adapter_config.json` beside it.
    pub init_adapter: Option<PathBuf>,
    /// Chat template file for a fine-tune, instead of the base's own.
    pub chat_template: Option<PathBuf>,
    /// What `adapter_config.json` names as its base.
    pub base_model_name: Option<String>,
    /// Device and type.
    pub compute: Compute,
    /// Round the frozen weights of the linear modules to this format. Only with LoRA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_quantization: Option<BaseQuantization>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self::from(&TrainingSettings::default())
    }
}

impl From<&TrainingSettings> for TrainConfig {
    /// Taken apart without `..`, so that nothing that decides a result is lost.
    fn from(settings: &TrainingSettings) -> Self {
        let TrainingSettings {
            method,
            learning_rate,
            lr_scheduler,
            warmup_steps,
            warmup_ratio,
            weight_decay,
            max_grad_norm,
            adam_beta1,
            adam_beta2,
            adam_epsilon,
            per_device_batch_size,
            gradient_accumulation_steps,
            epochs,
            max_steps,
            max_seq_length,
            packing,
            gradient_checkpointing,
            order,
            seed,
            train_on,
            eval_steps,
            compute: TrainingCompute { dtype },
            base_quantization,
        } = settings;
        let dtype = match dtype {
            ComputeType::Auto => None,
            ComputeType::F32 => Some("f32".to_owned()),
            ComputeType::Bf16 => Some("bf16".to_owned()),
        };
        Self {
            method: method.clone(),
            learning_rate: *learning_rate,
            lr_scheduler: *lr_scheduler,
            warmup_steps: *warmup_steps,
            warmup_ratio: *warmup_ratio,
            weight_decay: *weight_decay,
            max_grad_norm: *max_grad_norm,
            adam_beta1: *adam_beta1,
            adam_beta2: *adam_beta2,
            adam_epsilon: *adam_epsilon,
            per_device_batch_size: *per_device_batch_size,
            gradient_accumulation_steps: *gradient_accumulation_steps,
            epochs: *epochs,
            max_steps: *max_steps,
            max_seq_length: *max_seq_length,
            packing: *packing,
            gradient_checkpointing: *gradient_checkpointing,
            order: *order,
            seed: *seed,
            train_on: *train_on,
            save_steps: None,
            keep: Vec::new(),
            stop_at: None,
            eval_steps: *eval_steps,
            init_adapter: None,
            chat_template: None,
            base_model_name: None,
            compute: Compute {
                device: None,
                dtype,
            },
            base_quantization: *base_quantization,
        }
    }
}

impl TrainConfig {
    /// Checks every number, without looking at data or model.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that makes no sense.
    pub fn validate(&self) -> Result<()> {
        ranges::hold(ranges::TRAINING, &self.numbers())?;
        let refuse = |reason: &str| Err(Error::Config(reason.to_owned()));
        if self.warmup_steps.is_some() && self.warmup_ratio.is_some() {
            return refuse("`warmup_steps` and `warmup_ratio` say the same thing twice")
                .map_err(|error| error.hint("keep one"));
        }
        match &self.method {
            // An adapter to start from brings its own settings.
            Method::Lora(_) if self.init_adapter.is_some() => Ok(()),
            Method::Lora(lora) => lora::validate(lora),
            Method::Full if self.base_quantization.is_some() => {
                refuse("`base_quantization` needs `lora`: full training has no frozen weights")
            }
            Method::Full if self.init_adapter.is_some() => {
                refuse("`init_adapter` needs `lora`: full training has no adapter")
            }
            Method::Full => Ok(()),
        }
    }

    /// Every number by its key. Taken apart without `..`, so that no new one is forgotten.
    fn numbers(&self) -> Vec<(&'static str, f64)> {
        let Self {
            learning_rate,
            warmup_steps,
            warmup_ratio,
            weight_decay,
            max_grad_norm,
            adam_beta1,
            adam_beta2,
            adam_epsilon,
            per_device_batch_size,
            gradient_accumulation_steps,
            epochs,
            max_steps,
            max_seq_length,
            seed,
            save_steps,
            eval_steps,
            keep: _,
            stop_at: _,
            method: _,
            lr_scheduler: _,
            packing: _,
            gradient_checkpointing: _,
            order: _,
            train_on: _,
            init_adapter: _,
            chat_template: _,
            base_model_name: _,
            compute: _,
            base_quantization: _,
        } = self;
        let given = [
            ("learning_rate", Some(*learning_rate)),
            ("warmup_steps", warmup_steps.map(|steps| steps as f64)),
            ("warmup_ratio", *warmup_ratio),
            ("weight_decay", Some(*weight_decay)),
            ("max_grad_norm", Some(*max_grad_norm)),
            ("adam_beta1", Some(*adam_beta1)),
            ("adam_beta2", Some(*adam_beta2)),
            ("adam_epsilon", Some(*adam_epsilon)),
            ("per_device_batch_size", Some(*per_device_batch_size as f64)),
            (
                "gradient_accumulation_steps",
                Some(*gradient_accumulation_steps as f64),
            ),
            ("epochs", *epochs),
            ("max_steps", max_steps.map(|steps| steps as f64)),
            ("max_seq_length", max_seq_length.map(|length| length as f64)),
            ("seed", Some(*seed as f64)),
            ("save_steps", save_steps.map(|steps| steps as f64)),
            ("eval_steps", eval_steps.map(|steps| steps as f64)),
        ];
        given
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    /// Optimiser steps of the whole training.
    pub(crate) fn total_steps(&self, steps_per_epoch: u64) -> u64 {
        self.max_steps.unwrap_or_else(|| {
            let epochs = self.epochs.unwrap_or(3.0);
            ((epochs * steps_per_epoch as f64).ceil() as u64).max(1)
        })
    }

    /// Steps over which the learning rate rises.
    pub(crate) fn warmup(&self, total: u64) -> u64 {
        let ratio = self.warmup_ratio.unwrap_or(0.0);
        self.warmup_steps
            .unwrap_or_else(|| (ratio * total as f64).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use driftgauge_engine::training::LoraConfig;

    use super::*;

    #[test]
    fn steps_and_warmup_are_counted() {
        let config = TrainConfig {
            warmup_ratio: Some(0.03),
            ..TrainConfig::default()
        };
        config.validate().unwrap();
        assert_eq!(config.warmup(100), 3);
        assert_eq!(config.total_steps(7), 21);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        type Change = fn(&mut TrainConfig);
        let cases: [(Change, &str); 9] = [
            (|c| c.learning_rate = 0.0, "learning_rate"),
            (|c| c.per_device_batch_size = 0, "per_device_batch_size"),
            (
                |c| (c.warmup_steps, c.warmup_ratio) = (Some(1), Some(0.1)),
                "warmup_ratio",
            ),
            (|c| c.epochs = Some(-1.0), "epochs"),
            (
                |c| {
                    c.method = Method::Full;
                    c.base_quantization = Some(BaseQuantization::Q4k);
                },
                "base_quantization",
            ),
            (|c| c.adam_beta2 = 1.0, "adam_beta2"),
            (|c| c.adam_epsilon = -1.0, "adam_epsilon"),
            (|c| c.max_seq_length = Some(1), "max_seq_length"),
            (
                |c| {
                    c.method = Method::Lora(LoraConfig {
                        alpha: -3.0,
                        ..LoraConfig::default()
                    });
                },
                "alpha",
            ),
        ];
        for (spoil, name) in cases {
            let mut config = TrainConfig::default();
            spoil(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
