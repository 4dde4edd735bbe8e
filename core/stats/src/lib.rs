//! Intervals, tests and calibration as pure functions: no input, no output, no clock, no global state.
//!
//! Conventions that hold everywhere:
//! - no data, one value, all-equal values or a single class give `None`, or a conservative interval whose [`Interval::method`]
//!   says which one ([`proportion::wilson_bounded`], [`paired::newcombe_means`]): never a point, for values that do not vary say
//!   nothing about how much they could. NaN and infinity never come out, and inputs that hold one give `None`;
//! - results do not depend on the order of the samples, on how they were sharded, or on the number of threads: sums are
//!   exact ([`summary::ExactSum`]), and what is resampled is sorted first;
//! - randomness is [`bootstrap::GENERATOR`] from a seed that the caller names.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod agreement;
pub mod bootstrap;
pub mod calibration;
pub mod clustered;
pub mod correction;
pub mod did;
pub mod effect;
pub mod multiplicity;
pub mod paired;
pub mod permutation;
pub mod power;
pub mod proportion;
pub mod rank;
pub mod regression;
pub mod special;
pub mod summary;
pub mod unpaired;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use special::normal_quantile;

/// A confidence interval and how it was made, as it stands in what plugins give and in results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Confidence level, for example 0.95.
    pub level: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Method, for example `wilson`.
    pub method: String,
    /// What was drawn for it; absent when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<Draws>,
}

/// Random draws behind a result: together with [`bootstrap::GENERATOR`], all that is needed to draw them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draws {
    /// How often was drawn.
    pub resamples: u64,
    /// Seed of the generator.
    pub seed: u64,
}

impl Interval {
    pub(crate) fn new(level: f64, low: f64, high: f64, method: &str) -> Self {
        Self {
            level,
            low,
            high,
            method: method.to_owned(),
            draws: None,
        }
    }

    /// Whether `value` lies within the bounds, both included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// A test's statistic and two-sided p-value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Name, for example `welch-t`.
    pub name: String,
    /// Value of the test statistic.
    pub statistic: f64,
    /// Degrees of freedom, where the reference distribution has them.
    pub degrees_of_freedom: Option<f64>,
    /// Two-sided p-value.
    pub p: f64,
}

/// Whether a confidence level (or a power, or a significance level) can be used.
pub(crate) fn is_open_probability(level: f64) -> bool {
    level > 0.0 && level < 1.0
}

/// Whether every value is a number.
pub(crate) fn all_finite(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}
