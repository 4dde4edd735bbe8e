//! Searching among the cells of a sweep for the best one.

use driftgauge_ranges as ranges;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::in_range::InRange;
use crate::located::{Located, Text};

/// The best of several cells of a sweep, by one number and within limits on others. Cells that differ in their `seed` alone are one
/// candidate, and their mean counts.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The cells: the id of a varied model, or selectors such as `tuned@rank=8`.
    pub models: Vec<Text>,
    /// `evaluation/metric`, or `evaluation/metric.number`, of which the largest is looked for. Either this or `minimise`.
    #[serde(default)]
    pub maximise: Option<Text>,
    /// `evaluation/metric`, or `evaluation/metric.number`, of which the smallest is looked for.
    #[serde(default)]
    pub minimise: Option<Text>,
    /// Condition id of that number; needed where the evaluation has several.
    #[serde(default)]
    pub condition: Option<Text>,
    /// Limits that the best one has to keep. Measured values are held against them, not the ends of intervals as in `gates`.
    #[serde(default)]
    pub subject_to: Vec<Bound>,
    /// Goes on with the best ones alone, from one value of an axis to the next; without it every cell is made.
    #[serde(default)]
    pub halving: Option<Halving>,
}

impl Search {
    /// The number that is searched by, and whether more of it is better. Of two, the first; a check refuses both and neither.
    #[must_use]
    pub fn objective(&self) -> Option<(&Text, bool)> {
        let most = self.maximise.as_ref().map(|path| (path, true));
        most.or_else(|| self.minimise.as_ref().map(|path| (path, false)))
    }
}

/// A limit on a number of each candidate.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::BOUND))]
pub struct Bound {
    /// `evaluation/metric`, or `evaluation/metric.number`.
    pub metric: Text,
    /// Condition id; needed where the evaluation has several.
    #[serde(default)]
    pub condition: Option<Text>,
    /// At most this.
    #[serde(default)]
    pub upper: Option<Located<f64>>,
    /// At least this.
    #[serde(default)]
    pub lower: Option<Located<f64>>,
    /// At most so far below the baseline.
    #[serde(default)]
    pub drop: Option<Located<f64>>,
    /// At most so far above the baseline.
    #[serde(default)]
    pub rise: Option<Located<f64>>,
}

impl Bound {
    /// Its limits, by their keys.
    pub fn limits(&self) -> impl Iterator<Item = (Limit, &Located<f64>)> {
        let limits = [
            (Limit::Upper, &self.upper),
            (Limit::Lower, &self.lower),
            (Limit::Drop, &self.drop),
            (Limit::Rise, &self.rise),
        ];
        limits
            .into_iter()
            .filter_map(|(limit, at)| Some((limit, at.as_ref()?)))
    }
}

/// What a limit is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The value, from above.
    Upper,
    /// The value, from below.
    Lower,
    /// How far the value lies below the baseline's.
    Drop,
    /// How far it lies above.
    Rise,
}

impl Limit {
    /// The key of the spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Lower => "lower",
            Self::Drop => "drop",
            Self::Rise => "rise",
        }
    }

    /// Whether a difference from the baseline is meant.
    #[must_use]
    pub fn is_of_difference(self) -> bool {
        matches!(self, Self::Drop | Self::Rise)
    }
}

/// Successive halving: all candidates at the first value of an axis, the best of them at the next.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = InRange(ranges::HALVING))]
pub struct Halving {
    /// An axis of `vary` whose values are from the cheapest to the dearest: steps of a training (`checkpoint: "${step}"`), numbers of
    /// examples.
    pub axis: Text,
    /// Share of the candidates that goes on each time, rounded up.
    #[serde(default = "default_keep")]
    pub keep: Located<f64>,
}

fn default_keep() -> Located<f64> {
    Located::nowhere(0.5)
}
