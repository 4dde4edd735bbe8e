//! From YAML text to a typed experiment with positions, and its diagnostics.
//!
//! [`parse`] reads the text into an [`ExperimentSpec`] whose references keep their places, [`check`] says what does not fit
//! together, and [`render_human`] and [`render_json`] show it. [`schema_json`] describes the language to editors.

mod check;
mod de;
mod deserialize;
mod diagnostic;
mod located;
mod numbers;
mod parse;
mod schema;
mod source;
pub mod spec;
mod tree;

pub use check::check;
pub use diagnostic::{Diagnostic, nearest, render_human, render_json};
pub use located::{Located, Span, Text};
pub use parse::parse;
pub use schema::schema_json;
pub use source::{Source, Variables};
pub use spec::ExperimentSpec;
