//! The JSON schema of the spec language, for editors.

use crate::spec::ExperimentSpec;

/// The schema as JSON text, ending in a line break.
#[must_use]
pub fn schema_json() -> String {
    let schema = schemars::schema_for!(ExperimentSpec);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
