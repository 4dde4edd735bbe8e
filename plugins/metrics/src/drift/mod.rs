//! Drift: how far a model's next-token distributions have moved from a reference model's, by position of the response.
//!
//! Both models are given the same tokens (the reference's own response, or a given text); the harness records the divergence
//! at each position. Fine-tuning that only bends the first few tokens shows as a curve that falls off fast (Qi and others
//! 2024, arXiv 2406.05946).

mod report;

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_stats::summary::ExactSum;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use crate::asked::{self, Asked};
use crate::columns::{Column, Conditions, Prompts};
use crate::estimate::{Estimator, Level, Resamples};

/// Whether the reference's end token counts as a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It counts.
    #[default]
    Keep,
    /// It is dropped where one was produced.
    Drop,
}

/// Configuration of [`Drift`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftConfig {
    /// Whether the reference's end token counts.
    pub eos: End,
    /// How many first tokens the number `kl_first` is taken over.
    pub first: usize,
    /// Positions of the response that the curve and the table show.
    pub positions: usize,
    /// The numbers that are returned beside `kl`, by their ids; all when absent. Nothing else is computed, and there are no tables and
    /// charts.
    #[schemars(schema_with = "statistics")]
    pub statistics: Option<Vec<String>>,
    /// Level of every interval; that of `compare` when absent.
    pub level: Level,
    /// Replicates of every bootstrap interval, fewer of very many samples; those of `compare` when absent.
    pub resamples: Resamples,
}

impl Default for DriftConfig {
    fn default() -> Self {
        Self {
            eos: End::default(),
            first: 5,
            positions: 64,
            statistics: None,
            level: Level::default(),
            resamples: Resamples::default(),
        }
    }
}

/// Every number.
const LISTED: [&str; 4] = ["kl", "kl_first", "top1_agreement", "exact_match"];

/// The numbers that can be asked for.
fn known() -> Vec<String> {
    LISTED.map(str::to_owned).to_vec()
}

/// The schema of `statistics`.
fn statistics(_: &mut SchemaGenerator) -> Schema {
    asked::schema_of(&known())
}

/// The metric `drift`.
#[derive(Debug)]
pub struct Drift {
    config: DriftConfig,
    asked: Asked,
    estimator: Estimator,
    prompts: Prompts,
    conditions: Conditions<Gathered>,
}

/// Divergences of one condition.
#[derive(Debug, Default)]
struct Gathered {
    /// Mean over the positions of a response.
    kl: Column,
    /// Mean over its first positions.
    first: Column,
    /// Share of positions with the same likeliest token.
    top1: Column,
    /// 1 where the greedy outputs are the same.
    exact: Column,
    positions: Vec<Position>,
    samples: u64,
    missing: u64,
}

/// What all responses say at one position.
#[derive(Debug, Default, Clone)]
struct Position {
    kl: ExactSum,
    squares: ExactSum,
    agreed: u64,
}

impl Metric for Drift {
    type Config = DriftConfig;

    fn manifest() -> Manifest {
        Manifest::new("drift", env!("CARGO_PKG_VERSION"), "Drift").describe(
            "How far the next-token distributions have moved from those of the reference model, given the same tokens.",
        )
        .returns(LISTED)
        .chosen_by(asked::KEY)
        .range("*", 0.0, UNBOUNDED)
        .range("top1_agreement", 0.0, 1.0)
        .range("exact_match", 0.0, 1.0)
    }

    fn new(config: DriftConfig, _: &Host<'_>) -> Result<Self, MetricError> {
        if config.first == 0 || config.positions == 0 {
            return Err(MetricError::config("`first` and `positions` count from 1")
                .help("leave them out for the first 5 tokens and a curve over 64 positions"));
        }
        Ok(Self {
            estimator: config.level.estimator()?.drawn(config.resamples)?,
            asked: Asked::new(config.statistics.as_deref(), &known())?,
            config,
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

    fn finish(self, _: &Host<'_>) -> Result<MetricOutput, MetricError> {
        Ok(self.report())
    }
}

impl Drift {
    fn take(&mut self, sample: &Sample<'_>) -> Result<(), MetricError> {
        let (_, gathered) = self.conditions.entry(sample.str("condition")?);
        gathered.samples += 1;
        let (kl, agree) = (
            sample.f64s("value.kl")?,
            sample.f64s("value.kl_top1_agree")?,
        );
        if kl.is_empty() {
            gathered.missing += 1;
            return Ok(());
        }
        let sample_id = sample.str("sample_id")?;
        check(kl, agree).map_err(|error| error.sample(sample_id))?;
        let row = self.prompts.of(sample)?;
        if let Some(exact) = sample.opt_f64("value.kl_exact_match")? {
            gathered
                .exact
                .add(row, Some(f64::from(u8::from(exact > 0.5))));
        }
        let ended = sample.opt_f64("value.kl_eos")?.is_some_and(|eos| eos > 0.5);
        let kept = kl.len() - usize::from(ended && self.config.eos == End::Drop);
        let (kl, agree) = (&kl[..kept], &agree[..kept.min(agree.len())]);
        if kl.is_empty() {
            return Ok(());
        }
        let average = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
        gathered.kl.add(row, Some(average(kl)));
        let first = &kl[..kl.len().min(self.config.first)];
        gathered.first.add(row, Some(average(first)));
        if !agree.is_empty() {
            gathered.top1.add(row, Some(average(agree)));
        }
        let shown = kl.len().min(self.config.positions);
        if gathered.positions.len() < shown {
            gathered.positions.resize(shown, Position::default());
        }
        for (place, position) in gathered.positions.iter_mut().enumerate().take(shown) {
            position.kl.add(kl[place]);
            position.squares.add(kl[place] * kl[place]);
            position.agreed += u64::from(agree.get(place).is_some_and(|&agreed| agreed > 0.5));
        }
        Ok(())
    }
}

/// Refuses divergences that cannot be; rounding may leave one a little below 0.
fn check(kl: &[f64], agree: &[f64]) -> Result<(), MetricError> {
    let bad = |message: String| {
        MetricError::data(message)
            .help("`kl` has one divergence in nats per position, `kl_top1_agree` as many zeros and ones")
            .code("bad-divergence")
    };
    if let Some(place) = kl.iter().position(|kl| !kl.is_finite() || *kl < -1e-6) {
        return Err(bad(format!(
            "`kl` is {} at position {}, which is no divergence",
            kl[place],
            place + 1
        )));
    }
    if !agree.is_empty() && agree.len() != kl.len() {
        return Err(bad(format!(
            "`kl` has {} positions and `kl_top1_agree` {}",
            kl.len(),
            agree.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
