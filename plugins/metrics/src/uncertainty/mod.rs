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
mod ranks;
mod reliability;
mod report;
mod texts;

use std::hash::{DefaultHasher, Hash, Hasher};

use driftgauge_plugin_sdk::Words;
use driftgauge_plugin_sdk::prelude::*;

use crate::answers;
use crate::asked::{self, Asked};
use crate::columns::{Conditions, Prompts};
use crate::correctness::{Basis, Known, Marker, Marks};
use crate::estimate::Estimator;
use crate::room::make_room;
pub use config::UncertaintyConfig;
use config::{Chosen, Eos, RECORDED, Token};
use likeliest::Likeliest;
use measures::{List, Measure, Tokens};
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
    /// The id of the number that stands for the metric, and the measure behind it.
    main: String,
    primary: Measure,
    confidence: Measure,
    asked: Asked,
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

/// What is asked of every sample, read for a whole batch.
struct Fields<'a> {
    condition: Vec<Option<&'a str>>,
    prompt: Vec<u32>,
    sample_index: Vec<Option<i64>>,
    finish_reason: Words<'a>,
    text_logprob: Vec<&'a [f64]>,
    /// The logarithms that measures of the token are about.
    of_token: Vec<&'a [f32]>,
    top_entropy: Vec<&'a [f32]>,
    top_mass: Vec<&'a [f32]>,
    entropy: Vec<&'a [f32]>,
    margin: Vec<&'a [f32]>,
    marks: Marks<'a>,
}

impl<'a> Fields<'a> {
    fn of(metric: &mut Uncertainty, batch: Batch<'a>) -> Result<Self, MetricError> {
        let prompt = metric.prompts.rows(batch)?;
        // Lists that no measure needs are not read.
        let list = |list: List| match metric.measures.iter().any(|measure| measure.reads(list)) {
            true => batch.column_f32s(list.field()),
            false => Ok(Vec::new()),
        };
        // Of another number of tokens than is recorded, entropies are computed.
        let recorded = |of: List| match metric.top_k == RECORDED {
            true => list(of),
            false => Ok(Vec::new()),
        };
        Ok(Self {
            condition: batch.column_str("condition")?,
            prompt,
            sample_index: batch.column_i64("sample_index")?,
            finish_reason: batch.column_words("finish_reason")?,
            text_logprob: batch.column_f64s("value.text_logprob")?,
            of_token: batch.column_f32s(metric.token.field())?,
            top_entropy: recorded(List::TopEntropy)?,
            top_mass: recorded(List::TopMass)?,
            entropy: list(List::Entropy)?,
            margin: list(List::Margin)?,
            marks: Marks::of(batch)?,
        })
    }
}

impl Metric for Uncertainty {
    type Config = UncertaintyConfig;

    fn manifest() -> Manifest {
        let manifest = Manifest::new("uncertainty", env!("CARGO_PKG_VERSION"), "Uncertainty")
            .describe(
                "How sure the model was of its own tokens, and whether that predicts correct answers.",
            )
            .reads_top_logprobs("top_k", Some(u64::from(RECORDED)))
            .returns(report::listed())
            .chosen_by(asked::KEY)
            .draws(&report::DRAWN);
        report::reading(report::ranged(manifest))
    }

    fn new(config: UncertaintyConfig, _: &Host<'_>) -> Result<Self, MetricError> {
        let defaults = config.defaults();
        let Chosen {
            primary,
            main,
            confidence,
            asked,
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
            main,
            primary,
            confidence,
            asked,
            top_k: config.top_k,
            ece_bins: config.ece_bins.unwrap_or(defaults.ece_bins),
            marker: Marker::new(config.r#match, F1_THRESHOLD),
            vocabulary: config.vocabulary,
            estimator: config.level.estimator()?.drawn_at_most(config.resamples),
            measures,
            fields,
            prompts: Prompts::default(),
            conditions: Conditions::default(),
        })
    }

    fn update(&mut self, batch: Batch<'_>) -> Result<(), MetricError> {
        let fields = Fields::of(self, batch)?;
        for (place, sample) in batch.samples().enumerate() {
            self.take(&sample, place, &fields)?;
        }
        Ok(())
    }

    fn finish(mut self, _: &Host<'_>) -> Result<MetricOutput, MetricError> {
        for gathered in self.conditions.values_mut() {
            let mut open = std::mem::take(&mut gathered.open);
            Known::in_order(&mut open);
            for (place, known) in open {
                let score = self.marker.score(known, &mut gathered.basis);
                gathered.correct[place] = score.map(|score| self.marker.is_correct(score));
            }
        }
        Ok(self.report())
    }
}

impl Uncertainty {
    /// Takes the sample at a place of its batch.
    fn take(
        &mut self,
        sample: &Sample<'_>,
        place: usize,
        fields: &Fields<'_>,
    ) -> Result<(), MetricError> {
        let tokens = self.tokens(sample, place, fields)?;
        let row = fields.prompt[place] as usize;
        let condition = match fields.condition[place] {
            Some(condition) => condition,
            None => sample.str("condition")?,
        };
        let (_, gathered) = self.conditions.entry(condition);
        let text = fields.text_logprob[place];
        if !text.is_empty() {
            return gathered
                .texts
                .add(row, text)
                .map_err(|error| error.sample(sample.str("sample_id").unwrap_or_default()));
        }
        let index = match fields.sample_index[place] {
            Some(index) => index,
            None => sample.i64("sample_index")?,
        };
        gathered.asked_again |= index > 0;
        let finish_reason = fields.finish_reason.get(place);
        if finish_reason == Some("error") {
            gathered.failed.push(u32::try_from(row).unwrap_or(u32::MAX));
            return Ok(());
        }
        gathered.values.resize_with(self.measures.len(), Vec::new);
        gathered.told.resize(self.measures.len(), (0, 0));
        gathered.named.resize(self.measures.len(), 0);
        // Where no measure is asked for, none lacks.
        let mut any = self.measures.is_empty();
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
            make_room(values, 1);
            values.push(value.unwrap_or(f64::NAN));
        }
        gathered.without += u64::from(!any);
        let ended = self.eos == Eos::Drop && finish_reason == Some("stop");
        if ended && !tokens.logprob.is_empty() && sample.i64("ends_with_eos")? == 0 {
            gathered.undropped += 1;
        }
        let known = (place, sample);
        let known = fields.marks.known(self.marker, known, &gathered.basis)?;
        let correct = if known.is_open() {
            gathered.open.push((gathered.correct.len(), known));
            None
        } else {
            self.marker.score(known, &mut gathered.basis)
        };
        let correct = correct.map(|score| self.marker.is_correct(score));
        make_room(&mut gathered.correct, 1);
        gathered.correct.push(correct);
        make_room(&mut gathered.prompt, 1);
        // Prompts are at most as many as samples, which fit in memory.
        gathered.prompt.push(u32::try_from(row).unwrap_or(u32::MAX));
        gathered.repeated |= index > 0;
        if self.measures.contains(&Measure::SelfInconsistency) {
            let answer = sample.opt_str("completion")?.unwrap_or_default();
            gathered.answer.push(fingerprint(answer));
        }
        Ok(())
    }

    /// The lists of a sample, without the end token where it is to be dropped.
    fn tokens<'a>(
        &self,
        sample: &Sample<'a>,
        place: usize,
        fields: &Fields<'a>,
    ) -> Result<Tokens<'a>, MetricError> {
        let drop = match self.eos {
            Eos::Keep => false,
            Eos::Drop => sample.i64("ends_with_eos")? != 0,
            Eos::DropLast => true,
        };
        let of_token = self.token.field();
        let all = fields.of_token[place];
        let list =
            |lists: &[&'a [f32]]| without_last(lists.get(place).copied().unwrap_or_default(), drop);
        let logprob = without_last(all, drop);
        if let Some(token) = logprob.iter().position(|&l| l > ROUNDING || l.is_nan()) {
            return Err(impossible(format!(
                "`{of_token}` is {} at token {token}, which is no logarithm of a probability",
                logprob[token]
            ))
            .sample(sample.str("sample_id")?));
        }
        let (top_entropy, top_mass) = if self.top_k == RECORDED {
            (
                list(&fields.top_entropy).into(),
                list(&fields.top_mass).into(),
            )
        } else {
            let likeliest = Likeliest::new(sample.f32s("token_top_logprobs")?, all.len())
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
            entropy: list(&fields.entropy),
            margin: list(&fields.margin),
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
mod few;
#[cfg(test)]
mod tests;
