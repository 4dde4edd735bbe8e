//! Uncertainty: how sure a model was of its own tokens, apart for correct and incorrect answers, and whether that sureness
//! predicts correctness.
//!
//! The primary number is the mean top-k entropy, k = 10 (`primary` chooses another): it is bounded, needs no recorded
//! vocabulary, and is the one that recorded studies have too. Each measure is taken per completion, averaged over the
//! completions of a prompt, then over prompts. Over given texts instead of answers the metric is the held-out loss.

mod calibration;
mod config;
mod further;
mod likeliest;
mod measures;
mod reliability;
mod report;
mod texts;

use std::hash::{DefaultHasher, Hash, Hasher};

use driftgauge_plugin_sdk::prelude::*;

use crate::answers;
use crate::columns::{Conditions, Prompts};
use crate::correctness::{Basis, Known, Marker};
use crate::estimate::Estimator;
pub use config::UncertaintyConfig;
use config::{Chosen, Eos, RECORDED, Token};
use likeliest::Likeliest;
use measures::{Measure, Tokens};
use texts::Texts;

/// Rounding of a stored log-probability: one that is above 0 by more is an error.
const ROUNDING: f32 = 1e-4;

/// From this token F1 on an answer counts as correct.
const F1_THRESHOLD: f64 = 0.5;

/// The metric `uncertainty`.
#[derive(Debug)]
pub struct Uncertainty {
    eos: Eos,
    token: Token,
    primary: Measure,
    confidence: Measure,
    top_k: u32,
    ece_bins: usize,
    marker: Marker,
    vocabulary: Option<u32>,
    estimator: Estimator,
    measures: Vec<Measure>,
    /// Fields of the recorded value of each measure, the first that a sample has.
    fields: Vec<Vec<String>>,
    prompts: Prompts,
    conditions: Conditions<Gathered>,
}

/// Completions of one condition, as parallel lists.
#[derive(Debug, Default)]
struct Gathered {
    /// Row of the prompt.
    prompt: Vec<u32>,
    /// Whether the answer is correct, where that is known.
    correct: Vec<Option<bool>>,
    /// Who said so.
    basis: Basis,
    /// Answers without a text, which the other answers' texts have to explain; by place in the lists.
    open: Vec<(usize, Known)>,
    /// Hash of the normalised answer, for self-consistency.
    answer: Vec<u64>,
    /// By measure, in the order of the metric's measures; NaN where undefined.
    values: Vec<Vec<f64>>,
    /// By measure: how many values were recorded, and how many come from tokens.
    told: Vec<(u64, u64)>,
    /// By measure: which of its fields the recorded values stand in.
    named: Vec<usize>,
    /// Whether some prompt was sampled several times.
    repeated: bool,
    /// Whether some prompt was asked several times, whatever came of it.
    asked_again: bool,
    /// Completions that were not made.
    failed: Vec<u32>,
    /// Completions that stopped, of which an end token was to be dropped and none is marked as one.
    undropped: u64,
    /// Completions without a single counted token, and without recorded values.
    without: u64,
    /// Given texts that were scored.
    texts: Texts,
}

impl Metric for Uncertainty {
    type Config = UncertaintyConfig;

    fn manifest() -> Manifest {
        let manifest = Manifest::new("uncertainty", env!("CARGO_PKG_VERSION"), "Uncertainty")
            .describe(
                "How sure the model was of its own tokens, and whether that predicts correct answers.",
            )
            .reads_top_logprobs("top_k", Some(u64::from(RECORDED)))
            .returns(report::listed());
        report::reading(report::ranged(manifest))
    }

    fn new(config: UncertaintyConfig, _: &Host<'_>) -> Result<Self, MetricError> {
        let defaults = config.defaults();
        let Chosen {
            primary,
            confidence,
            measures,
        } = config.chosen()?;
        // A column that the configuration gives to one measure is that of no other.
        let is_taken = |column: &str| config.recorded.values().any(|name| name == column);
        let fields = measures
            .iter()
            .map(|measure| {
                let id = measure.id();
                let names = match config.recorded.get(id.as_ref()) {
                    Some(name) => vec![name.as_str()],
                    None => {
                        let column = measure.column().filter(|name| !is_taken(name));
                        [id.as_ref()].into_iter().chain(column).collect()
                    }
                };
                let fields = names.into_iter().map(|name| format!("value.{name}"));
                fields.collect()
            })
            .collect();
        Ok(Self {
            eos: config.eos.unwrap_or(defaults.eos),
            token: config.token.unwrap_or(defaults.token),
            primary,
            confidence,
            top_k: config.top_k,
            ece_bins: config.ece_bins.unwrap_or(defaults.ece_bins),
            marker: Marker::new(config.r#match, F1_THRESHOLD),
            vocabulary: config.vocabulary,
            estimator: config.level.estimator()?.drawn(config.resamples)?,
            measures,
            fields,
            prompts: Prompts::default(),
            conditions: Conditions::default(),
        })
    }

    fn update(&mut self, batch: Batch<'_>) -> Result<(), MetricError> {
        for sample in batch.samples() {
            self.take(&sample)?;
        }
        Ok(())
    }

    fn finish(mut self, _: &Host<'_>) -> Result<MetricOutput, MetricError> {
        for gathered in self.conditions.values_mut() {
            for (place, known) in std::mem::take(&mut gathered.open) {
                let score = self.marker.score(known, &mut gathered.basis);
                gathered.correct[place] = score.map(|score| self.marker.is_correct(score));
            }
        }
        Ok(self.report())
    }
}

impl Uncertainty {
    fn take(&mut self, sample: &Sample<'_>) -> Result<(), MetricError> {
        let tokens = self.tokens(sample)?;
        let row = self.prompts.of(sample)?;
        let (_, gathered) = self.conditions.entry(sample.str("condition")?);
        let text = sample.f64s("value.text_logprob")?;
        if !text.is_empty() {
            return gathered
                .texts
                .add(row, text)
                .map_err(|error| error.sample(sample.str("sample_id").unwrap_or_default()));
        }
        gathered.asked_again |= sample.i64("sample_index")? > 0;
        if sample.opt_str("finish_reason")? == Some("error") {
            gathered.failed.push(u32::try_from(row).unwrap_or(u32::MAX));
            return Ok(());
        }
        gathered.values.resize_with(self.measures.len(), Vec::new);
        gathered.told.resize(self.measures.len(), (0, 0));
        gathered.named.resize(self.measures.len(), 0);
        let mut any = false;
        for ((((measure, fields), values), told), named) in self
            .measures
            .iter()
            .zip(&self.fields)
            .zip(&mut gathered.values)
            .zip(&mut gathered.told)
            .zip(&mut gathered.named)
        {
            let computed = measure.of(&tokens);
            let mut value = computed;
            for (place, field) in fields.iter().enumerate() {
                if value.is_none() {
                    value = recorded(sample, *measure, field)?;
                    if value.is_some() {
                        *named = place;
                    }
                }
            }
            told.0 += u64::from(computed.is_none() && value.is_some());
            told.1 += u64::from(computed.is_some());
            any |= value.is_some();
            values.push(value.unwrap_or(f64::NAN));
        }
        gathered.without += u64::from(!any);
        let ended = self.eos == Eos::Drop && sample.opt_str("finish_reason")? == Some("stop");
        if ended && !tokens.logprob.is_empty() && sample.i64("ends_with_eos")? == 0 {
            gathered.undropped += 1;
        }
        let correct = match self.marker.known(sample)? {
            Some(known) if known.is_open() => {
                gathered.open.push((gathered.correct.len(), known));
                None
            }
            known => known.and_then(|known| self.marker.score(known, &mut gathered.basis)),
        };
        let correct = correct.map(|score| self.marker.is_correct(score));
        gathered.correct.push(correct);
        // Prompts are at most as many as samples, which fit in memory.
        gathered.prompt.push(u32::try_from(row).unwrap_or(u32::MAX));
        gathered.repeated |= sample.i64("sample_index")? > 0;
        if self.measures.contains(&Measure::SelfInconsistency) {
            let answer = sample.opt_str("completion")?.unwrap_or_default();
            gathered.answer.push(fingerprint(answer));
        }
        Ok(())
    }

    /// The lists of a sample, without the end token where it is to be dropped.
    fn tokens<'a>(&self, sample: &Sample<'a>) -> Result<Tokens<'a>, MetricError> {
        let drop = match self.eos {
            Eos::Keep => false,
            Eos::Drop => sample.i64("ends_with_eos")? != 0,
            Eos::DropLast => true,
        };
        let list = |field: &str| Ok::<_, MetricError>(without_last(sample.f32s(field)?, drop));
        let of_token = match self.token {
            Token::Emitted => "token_logprob",
            Token::Top1 => "token_top1_logprob",
        };
        let logprob = list(of_token)?;
        if let Some(place) = logprob.iter().position(|&l| l > ROUNDING || l.is_nan()) {
            return Err(impossible(format!(
                "`{of_token}` is {} at token {place}, which is no logarithm of a probability",
                logprob[place]
            ))
            .sample(sample.str("sample_id")?));
        }
        let (top_entropy, top_mass) = if self.top_k == RECORDED {
            (
                list("token_top10_entropy")?.into(),
                list("token_top10_mass")?.into(),
            )
        } else {
            let places = sample.f32s(of_token)?.len();
            let likeliest = Likeliest::new(sample.f32s("token_top_logprobs")?, places)
                .map_err(|error| error.sample(sample.str("sample_id").unwrap_or_default()))?;
            let (entropy, mass) = likeliest.sums(self.top_k);
            (
                without_last(&entropy, drop).to_vec().into(),
                without_last(&mass, drop).to_vec().into(),
            )
        };
        Ok(Tokens {
            logprob,
            top_entropy,
            top_mass,
            entropy: list("token_entropy")?,
            margin: list("token_margin")?,
            vocabulary: self.vocabulary,
        })
    }
}

/// A list with one entry per token, without the last one where that is to be dropped.
fn without_last(list: &[f32], drop: bool) -> &[f32] {
    match list {
        [kept @ .., _] if drop => kept,
        all => all,
    }
}

/// The recorded value of a measure, for samples without token lists.
fn recorded(
    sample: &Sample<'_>,
    measure: Measure,
    field: &str,
) -> Result<Option<f64>, MetricError> {
    let Some(value) = sample.opt_f64(field)?.filter(|value| value.is_finite()) else {
        return Ok(None);
    };
    let (least, most) = measure.range();
    // Recordings are rounded.
    if value < least - 1e-6 || value > most + 1e-6 {
        let name = field.strip_prefix("value.").unwrap_or(field);
        let limit = if value < least {
            format!("at least {least}")
        } else {
            format!("at most {most}")
        };
        return Err(impossible(format!(
            "the recorded `{name}` is {value}, but a {} is {limit}",
            measure.title().to_lowercase()
        ))
        .sample(sample.str("sample_id")?));
    }
    Ok(Some(value.clamp(least, most)))
}

fn impossible(message: String) -> MetricError {
    MetricError::data(message)
        .help("logarithms are natural, and probabilities lie between 0 and 1; look at the column of the recording")
        .code("impossible-value")
}

/// Equal for answers that are equal after normalisation.
fn fingerprint(answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    answers::normalise(answer).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
