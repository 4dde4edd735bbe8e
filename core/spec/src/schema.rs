//! The JSON schema of the spec language, for editors.

mod rules;

use driftgauge_ranges::{End, Range};
use serde_json::Value;

use crate::spec::ExperimentSpec;

/// The schema as JSON text, ending in a line break.
#[must_use]
pub fn schema_json() -> String {
    let mut schema = schemars::schema_for!(ExperimentSpec).to_value();
    rules::add(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The range that a part of the schema gives a number: `None` for one without.
pub(crate) fn range_of(property: &Value) -> Option<Range> {
    let (minimum, maximum) = (property.get("minimum"), property.get("maximum"));
    if is_numeric(property)? == "integer" {
        return Some(Range::whole(minimum?.as_u64()?, maximum?.as_u64()?));
    }
    let end = |closed: Option<&Value>, open: &str| {
        let open = property.get(open).and_then(Value::as_f64).map(End::Open);
        open.or_else(|| closed.and_then(Value::as_f64).map(End::Closed))
    };
    Some(Range::Real {
        low: end(minimum, "exclusiveMinimum")?,
        high: end(maximum, "exclusiveMaximum")?,
    })
}

/// `integer` or `number` for what may be nothing else (but absent).
pub(crate) fn is_numeric(property: &Value) -> Option<&str> {
    let types: Vec<&str> = match property.get("type")? {
        Value::String(word) => vec![word],
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let mut numeric = types.into_iter().filter(|word| *word != "null");
    let word = numeric
        .next()
        .filter(|word| ["integer", "number"].contains(word))?;
    numeric.next().is_none().then_some(word)
}
