//! The C ABI of metric plugins and the JSON it carries.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod wire;
