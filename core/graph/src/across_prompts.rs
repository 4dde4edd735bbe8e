//! Whether the samples of two runs that have one id were asked one thing: what a template, an example or a stand-in put into a
//! prompt is known of the samples alone.

use std::collections::HashMap;
use std::path::Path;

use driftgauge_record::{AskedSample, SampleTableError, each_asked};
use driftgauge_store::Digest;

/// What two samples have to share, with its name. The row is looked at where it is scored by itself.
const PARTS: [&str; 5] = [
    "prompt",
    "accepted answers",
    "false answer",
    "category",
    "scored row",
];

/// What every sample of one condition was asked, part by part.
type Asked = HashMap<(String, String), [Digest; PARTS.len()]>;

/// Why samples with the same ids do not belong together; `None` where all of them do.
///
/// # Errors
/// When the samples of one of the runs cannot be read.
pub(crate) fn asked_otherwise(
    a: &Path,
    b: &Path,
    scored: bool,
) -> Result<Option<String>, SampleTableError> {
    let ours = asked(a, scored)?;
    let theirs = asked(b, scored)?;
    let mut shared: Vec<_> = ours
        .keys()
        .filter(|key| theirs.contains_key(*key))
        .collect();
    shared.sort_unstable();
    let other = |key: &&&(String, String)| ours[**key] != theirs[**key];
    let different: Vec<_> = shared.iter().filter(other).collect();
    let Some(first) = different.first() else {
        return Ok(None);
    };
    let (condition, id) = first;
    let differs = |part: &usize| ours[**first][*part] != theirs[**first][*part];
    let part = (0..PARTS.len())
        .find(differs)
        .map_or("", |part| PARTS[part]);
    Ok(Some(format!(
        "{} of {} samples with the same ids were asked or marked by something else: of `{id}` under condition `{condition}` the {part} differs",
        different.len(),
        shared.len(),
    )))
}

fn asked(path: &Path, scored: bool) -> Result<Asked, SampleTableError> {
    let mut out = Asked::new();
    each_asked(path, |sample| {
        let key = (sample.condition.to_owned(), sample.sample_id.to_owned());
        out.entry(key).or_insert_with(|| parts(&sample, scored));
    })?;
    Ok(out)
}

fn parts(sample: &AskedSample<'_>, scored: bool) -> [Digest; PARTS.len()] {
    let row = if scored { sample.row } else { "" };
    [
        serde_json::json!(sample.messages),
        serde_json::json!(sample.references),
        serde_json::json!(sample.wrong_answer),
        serde_json::json!(sample.category),
        serde_json::json!(row),
    ]
    .map(|part| Digest::of(part.to_string().as_bytes()))
}
