//! From YAML text to a typed experiment with positions, and its diagnostics.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod de;
mod located;
pub mod spec;

pub use located::{Located, Span, Text};
pub use spec::*;
