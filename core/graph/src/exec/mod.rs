//! Execution: runs what is missing from the store, in the order the plan allows.
//!
//! Heavy nodes (those that load or train a model) are made by an [`Executor`]: in worker processes of this machine, a few at a time,
//! or as jobs of a cluster; nodes that wait for the same model share one load. Everything else runs in this process. A node that fails
//! stops only what depends on it.

mod executor;
mod healed;
mod jobs;
mod local;
mod machines;
mod process;
mod proofs;
mod scheduler;
mod serve;
mod session;
mod shard;
mod shared;
mod size;
mod slots;
mod train;
mod unchanged;

pub use executor::{Executor, Here, Making, Place};
pub use jobs::{Jobs, JobsSettings, PlannedJob, RecordedJob, recorded_jobs};
pub use local::Local;
pub use process::KILLED;
pub use scheduler::{execute, execute_only};
pub use shard::OneShard;
pub use slots::available_memory;
