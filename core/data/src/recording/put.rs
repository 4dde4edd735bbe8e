//! What a row of a recording says of its question: what was asked, what is right, and how it was put to the model.

use std::borrow::Cow;
use std::collections::BTreeMap;

use driftgauge_record::value::{column, scalar_text};
use driftgauge_spec::spec::RecordedFormat;
use serde_json::Value;

use crate::dataset::Row;

/// What a row was asked and what its answer was held against, by the field that says it, in a form that two runs of one tool share.
pub(super) fn question(format: RecordedFormat, row: &Row) -> BTreeMap<&'static str, Value> {
    let fields: &[&str] = match format {
        RecordedFormat::LmEval => &["doc", "target"],
        RecordedFormat::Inspect => &["input", "target"],
        RecordedFormat::Promptfoo => &["vars", "testCase.assert"],
        RecordedFormat::Garak => &["prompt"],
        RecordedFormat::Jailbreakbench => &["goal"],
        // The test case of a behavior differs from attack to attack.
        RecordedFormat::Harmbench => &["context_str"],
        RecordedFormat::Rows(_) => &OWN_QUESTIONS,
    };
    // A document that was not written is known by its digest alone.
    let hashed = format == RecordedFormat::LmEval && !row.columns.contains_key("doc");
    let fields = fields.iter().chain(hashed.then_some(&"doc_hash"));
    said(row, fields)
}

/// How a row's question was put to the model: what may differ where the question is the same.
pub(super) fn put(format: RecordedFormat, row: &Row) -> BTreeMap<&'static str, Value> {
    let fields: &[&str] = match format {
        RecordedFormat::LmEval => &["prompt_hash"],
        RecordedFormat::Inspect => &["choices"],
        RecordedFormat::Promptfoo => &["prompt.raw"],
        RecordedFormat::Rows(_)
        | RecordedFormat::Garak
        | RecordedFormat::Jailbreakbench
        | RecordedFormat::Harmbench => &[],
    };
    said(row, fields.iter())
}

fn said<'f>(
    row: &Row,
    fields: impl Iterator<Item = &'f &'static str>,
) -> BTreeMap<&'static str, Value> {
    let said = fields.filter_map(|field| {
        let cell = column(&row.columns, field).filter(|cell| !cell.is_null())?;
        Some((*field, plain(&without_answer(&listed(cell)))))
    });
    said.collect()
}

/// A conversation without the answer that ends it, where one does.
fn without_answer(said: &Value) -> Cow<'_, Value> {
    match said.as_array().map(Vec::as_slice) {
        Some([asked @ .., last]) if !asked.is_empty() && last["role"] == "assistant" => {
            Cow::Owned(asked.to_vec().into())
        }
        _ => Cow::Borrowed(said),
    }
}

/// What columns of one's own are called that say what was asked, or what is right. The first ones are those of `export`.
const OWN_QUESTIONS: [&str; 7] = [
    "messages",
    "references",
    "prompt",
    "question",
    "input",
    "target",
    "reference",
];

/// A list that a table holds as text.
pub(super) fn listed(cell: &Value) -> Cow<'_, Value> {
    let text = cell.as_str().filter(|text| text.starts_with('['));
    match text.map(serde_json::from_str) {
        Some(Ok(list @ Value::Array(_))) => Cow::Owned(list),
        _ => Cow::Borrowed(cell),
    }
}

/// A question without what differs from run to run and from version to version: numbers as text, and of a message nothing but
/// who says what.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => {
            let is_message = fields.contains_key("role") && fields.contains_key("content");
            let kept = fields
                .iter()
                .filter(|(name, _)| !is_message || matches!(name.as_str(), "role" | "content"));
            kept.map(|(name, value)| (name.clone(), plain(value)))
                .collect()
        }
        Value::Bool(flag) => Value::from(if *flag { "True" } else { "False" }),
        other => scalar_text(other).map_or(Value::Null, Value::from),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_compared_by_who_says_what() {
        let one = json!([{"id": "x1", "role": "user", "content": "q", "source": "input"}]);
        let other = json!([{"role": "user", "content": "q"}]);
        assert_eq!(plain(&one), plain(&other));
        assert_ne!(
            plain(&one),
            plain(&json!([{"role": "user", "content": "r"}]))
        );
    }
}
