//! The methods behind the numbers of this report, for those who want to draw or adjust them again.

use driftgauge_record::Resampling;
use serde::{Deserialize, Serialize};

/// What was drawn and adjusted, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// p-value below which a difference is clear: one less the level of the intervals.
    pub threshold: f64,
    /// Generator and quantiles, where the results name them.
    pub resampling: Option<Resampling>,
    /// Draws behind the intervals and tests of differences.
    pub differences: Option<Drawn>,
    /// Draws behind the intervals of numbers.
    pub numbers: Option<Drawn>,
    /// p-values that were adjusted together.
    pub families: Vec<Family>,
}

/// How often was drawn, over several intervals and tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// Fewest draws.
    pub fewest: u64,
    /// Most draws.
    pub most: u64,
    /// Seeds, ascending.
    pub seeds: Vec<u64>,
}

/// A family of p-values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// `holm` or `benjamini-hochberg`.
    pub method: String,
    /// p-values adjusted together: the fewest and the most, where a family is adjusted in parts.
    pub sizes: [u64; 2],
}
