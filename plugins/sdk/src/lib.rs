//! What the author of a metric plugin imports.
//!
//! A metric is a type that implements [`Metric`]; [`export_metrics!`] turns one or more of them into a plugin library.
//! `plugins/README.md` walks through a first plugin. [`statistics`] has the intervals of the report, [`testing`] runs a metric over a few samples, through the same C
//! calls that the harness makes.
//!
//! ```
//! use driftgauge_plugin_sdk::prelude::*;
//!
//! #[derive(Default)]
//! struct Shouting {
//!     loud: u64,
//!     n: u64,
//! }
//!
//! impl Metric for Shouting {
//!     type Config = NoConfig;
//!
//!     fn manifest() -> Manifest {
//!         Manifest::new("shouting", env!("CARGO_PKG_VERSION"), "Completions in capitals")
//!     }
//!
//!     fn new(_: NoConfig, _: &Host<'_>) -> Result<Self, MetricError> {
//!         Ok(Self::default())
//!     }
//!
//!     fn update(&mut self, batch: Batch<'_>) -> Result<(), MetricError> {
//!         for sample in batch.samples() {
//!             let text = sample.str("completion")?;
//!             self.loud += u64::from(!text.is_empty() && text == text.to_uppercase());
//!             self.n += 1;
//!         }
//!         Ok(())
//!     }
//!
//!     fn finish(self, _: &Host<'_>) -> Result<MetricOutput, MetricError> {
//!         let share = (self.n > 0).then(|| self.loud as f64 / self.n as f64);
//!         let mut output = MetricOutput::new();
//!         output.scalars.push(
//!             Scalar::new("shouting", "Share in capitals", "default")
//!                 .value(share, self.n)
//!                 .unit("ratio")
//!                 .primary(),
//!         );
//!         Ok(output)
//!     }
//! }
//!
//! export_metrics!(Shouting);
//!
//! let output = driftgauge_plugin_sdk::testing::run::<Shouting>(
//!     &serde_json::json!({}),
//!     &[serde_json::json!({"completion": {"text": "NO"}}), serde_json::json!({"completion": {"text": "yes"}})],
//! )
//! .unwrap();
//! assert_eq!(output.scalars[0].value, Some(0.5));
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod column;
mod error;
pub mod export;
mod host;
mod metric;
pub mod statistics;
pub mod testing;

pub use batch::{Batch, Sample};
pub use column::{StrLists, Words};
pub use driftgauge_plugin_protocol::{ffi, numbers, prompts, texts, wire};
pub use error::{ErrorKind, MetricError};
pub use host::{Host, LogLevel};
pub use metric::{Metric, NoConfig};

/// Everything a metric usually needs.
pub mod prelude {
    pub use crate::wire::{
        Axis, ChartKind, ChartSpec, Direction, Interval, MOST_POOLED, Manifest, MetricOutput,
        Point, Pooled, PooledNumber, PooledStatistic, Scalar, ScoreKind, ScoreValues, Scores,
        Series, Table, UNBOUNDED,
    };
    pub use crate::{Batch, Host, LogLevel, Metric, MetricError, NoConfig, Sample, export_metrics};
}
