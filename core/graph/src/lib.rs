//! From a typed spec to a plan, and from a plan to artifacts in a store.

pub mod across;
mod artifacts;
mod divergence;
pub mod event;
pub mod exec;
mod model_files;
pub mod plan;
mod recorded;
pub mod remote;
pub mod resolve;
pub mod resolved;
pub mod results;
pub mod run;
mod samples;
mod score;
pub mod training_data;
pub mod why;
