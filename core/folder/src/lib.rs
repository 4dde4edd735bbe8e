//! What a model folder says, read in one place for everyone who needs it: which files hold its weights, which tokens are
//! special, which tokens end an answer, and what an adapter in PEFT's layout does.
//!
//! Generation, training, merging, scoring and identity ask the same functions, so that no two of them can take a folder for
//! different models. Where a folder can be taken in two ways, they follow transformers 5, or refuse it by name. Nothing here
//! knows a tensor library or an engine: headers and settings are read, weights only where two of them have to be held against
//! each other.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod adapter;
pub mod class;
pub mod ends;
mod error;
pub mod generation;
mod header;
pub mod inert;
pub mod nulls;
pub mod positions;
pub mod rebuilt;
pub mod special;
pub mod weights;

pub use error::{Error, Refusal, Result};
pub use weights::{Weights, inspect, weight_files};
