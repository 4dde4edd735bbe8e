//! AdamW over named parameters.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::gradients::Gradients;
use crate::error::{Error, Result};
use crate::model::Parameters;
use crate::ops::AdamW;

/// The optimiser's settings and state: two moments per parameter, in f32.
pub(crate) struct Optimizer {
    settings: AdamW,
    /// Steps done.
    pub(crate) steps: u64,
    moments: BTreeMap<String, Moments>,
}

/// Running means of a parameter's gradient and squared gradient.
struct Moments {
    m: Tensor,
    v: Tensor,
}

impl Optimizer {
    /// An optimiser at step 0.
    pub(crate) fn new(parameters: &Parameters, settings: AdamW) -> Result<Self> {
        let moments = parameters
            .iter()
            .map(|(name, parameter)| {
                let zeros =
                    || Tensor::zeros(parameter.dims(), DType::F32, parameter.tensor().device());
                let moments = Moments {
                    m: zeros()?,
                    v: zeros()?,
                };
                Ok((name.clone(), moments))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            settings,
            steps: 0,
            moments,
        })
    }

    /// Moves every parameter against its gradient times `gradient_factor`.
    pub(crate) fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        learning_rate: f64,
        gradient_factor: f64,
    ) -> Result<()> {
        self.steps += 1;
        for (name, parameter) in parameters {
            let (Some(gradient), Some(Moments { m, v })) =
                (gradients.get(name), self.moments.get(name))
            else {
                return Err(Error::Guard(format!("parameter `{name}` got no gradient")));
            };
            let settings = AdamW {
                weight_decay: if decays(name) {
                    self.settings.weight_decay
                } else {
                    0.0
                },
                ..self.settings
            };
            settings.step(
                parameter.tensor(),
                gradient,
                m,
                v,
                self.steps,
                learning_rate,
                gradient_factor,
            )?;
        }
        Ok(())
    }

    /// The moments as tensors named `m.<parameter>` and `v.<parameter>`.
    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        self.moments
            .iter()
            .flat_map(|(name, Moments { m, v })| {
                [
                    (format!("m.{name}"), m.clone()),
                    (format!("v.{name}"), v.clone()),
                ]
            })
            .collect()
    }

    /// Takes up the moments that [`Self::state`] gave out after `steps` steps.
    pub(crate) fn restore(
        &mut self,
        steps: u64,
        mut read: impl FnMut(&str) -> Result<Tensor>,
    ) -> Result<()> {
        self.steps = steps;
        for (name, moments) in &mut self.moments {
            let device = moments.m.device().clone();
            let mut moment = |prefix| {
                read(&format!("{prefix}.{name}"))?
                    .to_device(&device)
                    .map_err(Error::from)
            };
            *moments = Moments {
                m: moment("m")?,
                v: moment("v")?,
            };
        }
        Ok(())
    }
}

/// Whether weight decay applies: as in transformers, to matrices but not to biases and normalisations.
fn decays(name: &str) -> bool {
    !(name.ends_with(".bias") || name.ends_with("norm.weight"))
}
