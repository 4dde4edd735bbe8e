//! The bootstrap (Efron 1979): one resample of items per replicate, whatever is measured on it.
//!
//! [`Items`] holds the columns of all models and conditions side by side, draws each replicate once, and gives [`Totals`],
//! from which any number of statistics are read; [`Resampler`] gives the drawn weights themselves, for statistics that are
//! not functions of totals (a rank statistic, say). The functions of [`mean`], [`cluster`] and [`hierarchical`] are the
//! common cases.

pub mod cluster;
pub(crate) mod draw;
mod exact;
pub(crate) mod expansion;
pub mod hierarchical;
pub mod items;
pub mod mean;
pub mod replicates;
pub mod resampler;

pub use cluster::cluster_mean_interval;
pub use hierarchical::{hierarchical_difference, hierarchical_mean};
pub use items::{Items, Totals};
pub use mean::{mean_interval, mean_interval_bca, paired_mean_difference};
pub use replicates::Replicates;
pub use resampler::Resampler;

/// The generator behind every draw of this crate: ChaCha with 8 rounds, keyed by the seed, one stream per replicate.
pub const GENERATOR: &str = "ChaCha8";

/// The quantile that bounds are read off with: type 7 of Hyndman and Fan (1996), which numpy and R use unless told otherwise.
pub const QUANTILE: &str = "type 7";

/// How often and from which seed items are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Confidence level.
    pub level: f64,
    /// Replicates: at least 2,000 for an interval, 10,000 for a report.
    pub resamples: usize,
    /// Seed. The same seed and the same items give the same draws.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: 0.95,
            resamples: 10_000,
            seed: 0,
        }
    }
}
