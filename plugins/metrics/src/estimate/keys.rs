//! What a configuration asks of intervals: their level, and how often those of the bootstrap are drawn.

use driftgauge_plugin_sdk::MetricError;
use driftgauge_stats::bootstrap::Options;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Estimator;

/// Replicates of a bootstrap interval, unless the experiment asks for another number.
const RESAMPLES: u32 = 10_000;
/// Items times replicates that are drawn at most, but for [`FEWEST`]. The error of a drawn 2.5 % bound is about
/// 2.7 se / sqrt(replicates), and se is sd / sqrt(items): from 5,000 items on, fifty million draws leave 0.04 percentage points for
/// an sd of 1 (0.12 where each ten items are one prompt), whatever the number of items.
const MOST_DRAWN: usize = 50_000_000;
/// Fewest replicates of an interval.
const FEWEST: usize = 200;

/// The key `level` of a metric's configuration: the level of every interval that the metric gives. The harness fills it in from
/// `compare.level` of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Level(pub(super) f64);

impl Default for Level {
    fn default() -> Self {
        Self(0.95)
    }
}

impl Level {
    /// What makes estimates of this level.
    ///
    /// # Errors
    /// When no interval has such a level.
    pub fn estimator(self) -> Result<Estimator, MetricError> {
        if (0.5..1.0).contains(&self.0) {
            Ok(Estimator {
                level: self.0,
                resamples: RESAMPLES,
            })
        } else {
            Err(
                MetricError::config(format!("`level` is {}, not from 0.5 to below 1", self.0))
                    .help("0.95 is usual; `compare.level` sets it for the whole experiment"),
            )
        }
    }
}

/// The key `resamples` of a metric's configuration: replicates of its bootstrap intervals. The harness fills it in from
/// `compare.resamples` of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Resamples(#[schemars(range(min = 1))] u32);

impl Default for Resamples {
    fn default() -> Self {
        Self(RESAMPLES)
    }
}

/// As [`Resamples`], where 0 is for no bootstrap interval at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Draws(u32);

impl Default for Draws {
    fn default() -> Self {
        Self(RESAMPLES)
    }
}

impl Estimator {
    /// The same, with so many replicates of a bootstrap interval.
    ///
    /// # Errors
    /// When there are none.
    pub fn drawn(self, Resamples(resamples): Resamples) -> Result<Self, MetricError> {
        if resamples == 0 {
            return Err(MetricError::config("`resamples` is 0")
                .help("leave it out: `compare.resamples` sets it for the whole experiment"));
        }
        Ok(Self { resamples, ..self })
    }

    /// The same, with so many replicates, or none: then [`Self::draws`] says so.
    #[must_use]
    pub fn drawn_at_most(self, Draws(resamples): Draws) -> Self {
        Self { resamples, ..self }
    }

    /// Whether bootstrap intervals are wanted.
    #[must_use]
    pub fn draws(self) -> bool {
        self.resamples > 0
    }

    /// How bootstrap intervals of numbers over so many items are drawn: from [`driftgauge_stats::bootstrap::GENERATOR`] with seed 0, whatever the
    /// experiment's seed, so that recorded completions give the same numbers in every experiment.
    #[must_use]
    pub fn bootstrap(self, items: usize) -> Options {
        self.bootstrap_often(items, 1)
    }

    /// As [`Self::bootstrap`], so many times as often: for numbers that spread further than a share does.
    #[must_use]
    pub fn bootstrap_often(self, items: usize, times: usize) -> Options {
        let affordable = (MOST_DRAWN / items.max(1)).max(FEWEST);
        Options {
            level: self.level,
            resamples: (self.resamples as usize * times).min(affordable),
            seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Estimator {
        Level::default().estimator().unwrap()
    }

    #[test]
    fn bounds_are_drawn_as_often_as_is_asked_while_that_helps() {
        let resamples = |estimator: Estimator, items| estimator.bootstrap(items).resamples;
        assert_eq!(resamples(usual(), 1_000), 10_000);
        assert_eq!(resamples(usual(), 5_000), 10_000);
        assert_eq!(resamples(usual(), 20_000), 2_500);
        assert_eq!(resamples(usual(), 1_000_000), 200);
        let few = usual().drawn(Resamples(500)).unwrap();
        assert_eq!(resamples(few, 1_000), 500);
        assert_eq!(usual().bootstrap_often(1_000, 4).resamples, 40_000);
        assert_eq!(usual().bootstrap_often(10_000, 4).resamples, 5_000);
        assert!(usual().drawn(Resamples(0)).is_err());
    }
}
