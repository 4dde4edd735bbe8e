//! From a typed spec to a plan, and from a plan to artifacts in a store.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod engine;
