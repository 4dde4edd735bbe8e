//! From YAML text to a typed experiment with positions, and its diagnostics.
//!
//! [`read()`] reads the text into an [`ExperimentSpec`] whose references keep their places, and says everything that does not fit
//! the language or does not fit together; [`render()`] shows it. [`schema_json`] describes the language to editors.

mod check;
mod de;
mod deserialize;
mod diagnostic;
mod expand;
mod in_range;
mod located;
mod mend;
mod misfit;
mod numbers;
mod other_tools;
mod parse;
mod render;
mod schema;
mod source;
pub mod spec;
mod tree;
mod variables;

pub use check::{Used, check};
pub use diagnostic::{Diagnostic, Severity, WARNINGS, nearest};
pub use located::{Located, Span, Text};
pub use parse::{Reading, parse, place_of_key, read, settled};
pub use render::{Form, render, render_human};
pub use schema::schema_json;
pub use source::{Source, Variables};
pub use spec::ExperimentSpec;
