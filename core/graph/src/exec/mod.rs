//! Execution: runs what is missing from the store, in the order the plan allows.
//!
//! Heavy nodes (those that load or train a model) run in worker processes, a few at a time; nodes that wait for the same
//! model share one load. Everything else runs in this process. A node that fails stops only what depends on it.

mod healed;
mod process;
mod proofs;
mod scheduler;
mod serve;
mod session;
mod shared;
mod size;
mod slots;
mod train;
mod unchanged;

pub use scheduler::execute;
pub use slots::available_memory;
