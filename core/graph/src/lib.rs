//! From a typed spec to a plan, and from a plan to artifacts in a store.

pub mod across;
mod artifacts;
pub mod compare;
pub mod dataset;
pub mod degenerate;
pub mod digest;
mod divergence;
pub mod engine;
pub mod event;
pub mod exec;
pub mod hub;
pub mod judge;
mod model_files;
pub mod plan;
pub mod prompt;
mod random;
mod recorded;
pub mod remote;
pub mod resolve;
pub mod resolved;
pub mod results;
pub mod run;
mod samples;
mod sampling;
mod score;
pub mod store;
pub mod training_data;
pub mod why;
pub mod worker;

pub use random::Random;
