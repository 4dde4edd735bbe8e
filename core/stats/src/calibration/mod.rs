//! How well a confidence predicts correctness: calibration (does 0.8 mean right in 80 of 100?) and ranking (are the surer
//! answers the right ones?).
//!
//! Everything is a function of [`Predictions`]: the answers grouped by equal confidence. Ties therefore never depend on the
//! order in which answers were recorded.

pub mod bins;
pub mod brier;
pub mod contrast;
mod curves;
mod groups;
mod intervals;
mod large;
pub mod predictions;
pub mod prompts;
pub mod ranking;
mod sorted;

pub use bins::{Bin, Binned, Closed};
pub use brier::Brier;
pub use contrast::{Answers, Contrast, Pooled, contrasts, delong_test};
pub use groups::Group;
pub use predictions::Predictions;
pub use prompts::Prompted;
pub use ranking::{RankStatistic, paired_rank_difference};
