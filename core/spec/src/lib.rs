//! From YAML text to a typed experiment with positions, and its diagnostics.
//!
//! [`read()`] reads the text into an [`ExperimentSpec`] whose references keep their places, and says everything that does not fit
//! the language or does not fit together; [`render()`] shows it. [`schema_json`] describes the language to editors.

mod check;
mod datasets_of_folder;
mod de;
mod deserialize;
mod diagnostic;
mod expand;
mod expression;
mod in_range;
mod include;
mod located;
mod mend;
mod misfit;
mod numbers;
mod other_tools;
mod parse;
mod paths;
mod render;
mod schema;
mod shards;
mod source;
pub mod spec;
mod tree;
mod variables;
mod whole;
mod yaml;

pub use check::{Used, check, least_resamples};
pub use diagnostic::{Diagnostic, Severity, WARNINGS, nearest};
pub use expression::{ends_early, is_too_deep};
pub use include::{open, presets, with_includes};
pub use located::{Located, Span, Text};
pub use parse::{Reading, parse, place_of_key, read, settled, whole_text};
pub use render::{Form, render, render_human};
pub use schema::schema_json;
pub use shards::{files_of, unpacked_name};
pub use source::{Source, Variables};
pub use spec::ExperimentSpec;
