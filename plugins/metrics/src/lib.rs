//! The mathematics of the built-in metrics.
//!
//! Each metric is one module: its configuration, what it gathers sample by sample, what it reports. The plugin libraries
//! beside this crate only export them. Shared parts: [`columns`] (per-prompt scores), [`estimate`] (means and rates with
//! intervals), [`asked`] (which numbers are wanted), [`answers`] (when an answer matches), [`correctness`] (whether the rule or the recording says so).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answers;
pub mod asked;
mod asr;
mod cells;
pub mod columns;
pub mod correctness;
mod drift;
pub mod estimate;
mod room;
#[cfg(test)]
mod tables;
mod truthfulness;
mod uncertainty;

pub use asr::{Asr, AsrConfig, JudgeError};
pub use drift::{Drift, DriftConfig};
pub use truthfulness::{Truthfulness, TruthfulnessConfig};
pub use uncertainty::{Uncertainty, UncertaintyConfig};
