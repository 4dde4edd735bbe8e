//! The trait a metric implements.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::wire::{Manifest, MetricOutput};
use crate::{Batch, Host, MetricError};

/// A metric: it sees all samples of one evaluation and one model, condition after condition in the order of the spec,
/// and returns numbers, tables and chart descriptions.
pub trait Metric: Sized {
    /// Its configuration, as users write it in the spec. Derive `Deserialize` with `deny_unknown_fields`, so that a
    /// misspelt key is an error, and `JsonSchema`, which documents the keys.
    type Config: DeserializeOwned + JsonSchema;

    /// What the metric says of itself. `config_schema` is filled in from [`Metric::Config`].
    fn manifest() -> Manifest;

    /// Makes an instance.
    ///
    /// # Errors
    /// When the configuration makes no sense ([`MetricError::config`]).
    fn new(config: Self::Config, host: &Host<'_>) -> Result<Self, MetricError>;

    /// Takes a batch of samples. The batch and what is borrowed from it end with the call.
    ///
    /// # Errors
    /// When a sample makes no sense ([`MetricError::data`]).
    fn update(&mut self, batch: Batch<'_>) -> Result<(), MetricError>;

    /// Returns the result. Undefined values are `None`, never NaN. `host` takes what is worth a line in the log, and says
    /// whether the run is being stopped.
    ///
    /// # Errors
    /// When no result can be given at all.
    fn finish(self, host: &Host<'_>) -> Result<MetricOutput, MetricError>;
}

/// The configuration of a metric that has none.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
