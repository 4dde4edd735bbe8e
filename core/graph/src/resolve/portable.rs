//! The spec as it can run again from anywhere.

use std::path::{Path, PathBuf};

use driftgauge_spec::{ExperimentSpec, Source, Span, Variables, whole_text};
use serde_json::json;

/// The spec's text with absolute paths and the variables as they were set, so that it runs again from the run folder.
#[must_use]
pub fn portable_text(
    source: &Source,
    spec: &ExperimentSpec,
    variables: &Variables,
    paths: &[(Span, PathBuf)],
    base: &Path,
) -> String {
    let mut edits: Vec<(Span, String)> = Vec::new();
    for (span, path) in paths {
        let mut others = paths.iter().filter(|(known, _)| known == span);
        let path = match others.all(|(_, other)| other == path) {
            true => path.clone(),
            // A path that a sweep varies keeps its variables.
            false => {
                let written = source.text().get(span.start..span.end).unwrap_or_default();
                let full = base.join(written.trim_matches(['"', '\'']));
                std::path::absolute(&full).unwrap_or(full)
            }
        };
        edits.push((*span, json!(path.to_string_lossy()).to_string()));
    }
    edits.extend(variables.edits(spec));
    edits.retain(|(span, _)| !span.is_none());
    if source.includes() {
        // What it includes may lie elsewhere, or nowhere: it stands in the text itself.
        return whole_text(source, spec, &edits).unwrap_or_default();
    }
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
