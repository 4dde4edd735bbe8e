//! What a plugin says of itself, read and checked.

use std::collections::HashSet;

use driftgauge_plugin_protocol::clean::{acts, clean_line};
use driftgauge_plugin_protocol::field::Field;
use driftgauge_plugin_protocol::wire::Manifest;

/// Fields that one metric may have shown.
const MOST_SHOWN: usize = 8;

/// Reads and checks a manifest.
pub(crate) fn parse_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| format!("is not as described: {error}"))?;
    checked(&manifest)?;
    Ok(manifest)
}

/// Whether a manifest says what can be.
///
/// # Errors
/// With what it says instead.
pub(crate) fn checked(manifest: &Manifest) -> Result<(), String> {
    let sound = |id: &str| {
        !id.is_empty()
            && id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if !sound(&manifest.id) || manifest.id.len() > 64 {
        return Err(format!(
            "has the id `{}`: up to 64 letters, digits, `-`, `_` and `.` make an id",
            clean_line(&manifest.id, 64)
        ));
    }
    for (field, text) in [
        ("version", &manifest.version),
        ("title", &manifest.title),
        ("description", &manifest.description),
    ] {
        let longest = if field == "version" { 64 } else { 2048 };
        if text.len() > longest || text.chars().any(|c| acts(c) && c != '\n') {
            return Err(format!(
                "has a `{field}` of more than {longest} bytes or with control characters"
            ));
        }
    }
    for (id, [low, high]) in &manifest.ranges {
        if low.is_nan() || high.is_nan() || low > high {
            return Err(format!(
                "has a range of `{}` that does not go up",
                clean_line(id, 64)
            ));
        }
    }
    let mut seen = HashSet::new();
    for field in &manifest.required_fields {
        if Field::parse(field).is_none() || !seen.insert(field) {
            return Err(format!(
                "requires the field `{}`, which does not exist or appears twice",
                clean_line(field, 64)
            ));
        }
    }
    for (id, fields) in &manifest.reads {
        let unknown = fields.iter().find(|field| Field::parse(field).is_none());
        if let Some(field) = unknown {
            return Err(format!(
                "says that `{}` reads the field `{}`, which does not exist",
                clean_line(id, 64),
                clean_line(field, 64)
            ));
        }
    }
    let mut shown = HashSet::new();
    for field in &manifest.shows {
        let known = Field::parse(field).is_some_and(|field| field.can_be_shown());
        if !known || !shown.insert(field) || shown.len() > MOST_SHOWN {
            return Err(format!(
                "shows the field `{}`: up to {MOST_SHOWN} of `row.COLUMN`, `value.NAME`, `score.JUDGE`, `p_unsafe.JUDGE`, \
                 `categories.JUDGE` and lists of tokens can be shown, each once",
                clean_line(field, 64)
            ));
        }
    }
    if let Some(reads) = &manifest.top_logprobs
        && manifest.config_schema["properties"][&reads.key].is_null()
    {
        return Err(format!(
            "takes the number of likeliest tokens from `{}`, which its configuration does not have",
            clean_line(&reads.key, 64)
        ));
    }
    if let Some(key) = &manifest.chosen_by
        && manifest.config_schema["properties"][key].is_null()
    {
        return Err(format!(
            "takes the numbers that are asked for from `{}`, which its configuration does not have",
            clean_line(key, 64)
        ));
    }
    if !manifest.drawn.is_empty() && manifest.config_schema["properties"]["resamples"].is_null() {
        return Err(
            "has numbers whose intervals are drawn, and no `resamples` in its configuration"
                .to_owned(),
        );
    }
    Ok(())
}
