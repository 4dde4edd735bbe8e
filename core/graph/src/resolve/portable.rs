//! The spec as it can run again from anywhere.

use std::path::PathBuf;

use driftgauge_spec::{ExperimentSpec, Source, Span, Variables};
use serde_json::json;

/// The spec's text with absolute paths and the variables as they were set, so that it runs again from the run folder.
#[must_use]
pub fn portable_text(
    source: &Source,
    spec: &ExperimentSpec,
    variables: &Variables,
    paths: &[(Span, PathBuf)],
) -> String {
    let mut edits: Vec<(Span, String)> = paths
        .iter()
        .map(|(span, path)| (*span, json!(path.to_string_lossy()).to_string()))
        .collect();
    edits.extend(variables.edits(spec));
    edits.retain(|(span, _)| !span.is_none());
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    edits.dedup_by_key(|(span, _)| *span);
    let mut text = source.text().to_owned();
    for (span, replacement) in edits {
        if text.is_char_boundary(span.start) && text.is_char_boundary(span.end) {
            text.replace_range(span.start..span.end, &replacement);
        }
    }
    text
}
