//! The contract between the harness and its metric plugins: a C ABI and the JSON it carries.
//!
//! [`ffi`] is the ABI, the same structures as in `include/driftgauge_metric.h`. [`field`] names what a plugin may read
//! of a sample, [`rows`] serves those fields over the ABI, [`wire`] is the JSON, [`numbers`] says which numbers a manifest
//! lists, [`validate`] what a well-formed output is, [`seen`] what was shown to the plugin that made it, and [`arrays`] takes scores that are given as arrays. Plugin authors import `driftgauge-plugin-sdk` instead of this crate.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arrays;
mod bits;
pub mod clean;
pub mod ffi;
pub mod field;
pub mod limits;
pub mod numbers;
mod output;
pub mod prompts;
pub mod rows;
mod scores;
pub mod seen;
pub mod texts;
pub mod validate;
mod values;
pub mod wire;
