//! Settings of a training, with the names that PEFT, TRL and Axolotl use.

use std::path::PathBuf;

use driftgauge_engine::training::{ComputeType, Method, TrainingSettings};
use serde::Serialize;

use crate::compute::Compute;
use crate::error::{Error, Result};
use crate::lora;
use crate::ranges;

/// Settings of a training, and where it runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TrainConfig {
    /// What decides the result.
    pub settings: TrainingSettings,
    /// `auto`, `cpu`, `cuda` or `cuda:N`; absent as `auto`.
    pub device: Option<String>,
    /// A checkpoint every so many steps. Does not change the result.
    pub save_steps: Option<u64>,
    /// Steps after which what was made so far is kept beside the result. Does not change it.
    #[serde(skip)]
    pub keep: Vec<u64>,
    /// Steps after which the training ends before its time: only what is kept is made.
    #[serde(skip)]
    pub stop_at: Option<u64>,
    /// PEFT adapter to start from: its folder, or its weights file with `adapter_config.json` beside it.
    pub init_adapter: Option<PathBuf>,
    /// Chat template file for a fine-tune, instead of the base's own.
    pub chat_template: Option<PathBuf>,
    /// What `adapter_config.json` names as its base.
    pub base_model_name: Option<String>,
}

impl From<TrainingSettings> for TrainConfig {
    fn from(settings: TrainingSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }
}

impl TrainConfig {
    /// The device, and the type that it computes in.
    pub(crate) fn compute(&self) -> Compute {
        let dtype = match self.settings.compute.dtype {
            ComputeType::Auto => None,
            ComputeType::F32 => Some("f32".to_owned()),
            ComputeType::Bf16 => Some("bf16".to_owned()),
        };
        Compute {
            device: self.device.clone(),
            dtype,
        }
    }

    /// Checks every number, without looking at data or model.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that makes no sense.
    pub fn validate(&self) -> Result<()> {
        ranges::hold(ranges::TRAINING, &self.numbers())?;
        let refuse = |reason: &str| Err(Error::Config(reason.to_owned()));
        if self.settings.warmup_steps.is_some() && self.settings.warmup_ratio.is_some() {
            return refuse("`warmup_steps` and `warmup_ratio` say the same thing twice")
                .map_err(|error| error.hint("keep one"));
        }
        match &self.settings.method {
            // An adapter to start from brings its own settings.
            Method::Lora(_) if self.init_adapter.is_some() => Ok(()),
            Method::Lora(lora) => lora::validate(lora),
            Method::Full if self.settings.base_quantization.is_some() => {
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
        let TrainingSettings {
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
            eval_steps,
            method: _,
            lr_scheduler: _,
            packing: _,
            gradient_checkpointing: _,
            order: _,
            train_on: _,
            compute: _,
            base_quantization: _,
        } = &self.settings;
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
            ("save_steps", self.save_steps.map(|steps| steps as f64)),
            ("eval_steps", eval_steps.map(|steps| steps as f64)),
        ];
        given
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    /// Steps over which the learning rate rises.
    pub(crate) fn warmup(&self, total: u64) -> u64 {
        let ratio = self.settings.warmup_ratio.unwrap_or(0.0);
        self.settings
            .warmup_steps
            .unwrap_or_else(|| (ratio * total as f64).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use driftgauge_engine::training::{BaseQuantization, LoraConfig};

    use super::*;

    #[test]
    fn the_warmup_is_counted() {
        let config = TrainConfig::from(TrainingSettings {
            warmup_ratio: Some(0.03),
            ..TrainingSettings::default()
        });
        config.validate().unwrap();
        assert_eq!(config.warmup(100), 3);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        type Change = fn(&mut TrainConfig);
        let cases: [(Change, &str); 9] = [
            (|c| c.settings.learning_rate = 0.0, "learning_rate"),
            (
                |c| c.settings.per_device_batch_size = 0,
                "per_device_batch_size",
            ),
            (
                |c| (c.settings.warmup_steps, c.settings.warmup_ratio) = (Some(1), Some(0.1)),
                "warmup_ratio",
            ),
            (|c| c.settings.epochs = Some(-1.0), "epochs"),
            (
                |c| {
                    c.settings.method = Method::Full;
                    c.settings.base_quantization = Some(BaseQuantization::Q4k);
                },
                "base_quantization",
            ),
            (|c| c.settings.adam_beta2 = 1.0, "adam_beta2"),
            (|c| c.settings.adam_epsilon = -1.0, "adam_epsilon"),
            (|c| c.settings.max_seq_length = Some(1), "max_seq_length"),
            (
                |c| {
                    c.settings.method = Method::Lora(LoraConfig {
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
