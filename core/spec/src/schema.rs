//! The JSON schema of the spec language, for editors.

use driftgauge_ranges::{End, Range, Table};
use schemars::Schema;
use schemars::transform::Transform;
use serde_json::{Number, Value};

use crate::spec::ExperimentSpec;

/// The schema as JSON text, ending in a line break.
#[must_use]
pub fn schema_json() -> String {
    let schema = schemars::schema_for!(ExperimentSpec);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The range of every key of a table, put where the schema describes the key.
pub(crate) struct InRange(pub(crate) Table);

impl Transform for InRange {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(Value::Object(properties)) = schema.get_mut("properties") else {
            return;
        };
        for (key, range) in self.0 {
            let Some(Value::Object(property)) = properties.get_mut(*key) else {
                continue;
            };
            // What the type alone says of a number.
            property.shift_remove("minimum");
            let mut set = |end: &str, value: f64| {
                property.insert(end.to_owned(), Number::from_f64(value).into());
            };
            match *range {
                Range::Whole { low, high } => {
                    property.insert("minimum".to_owned(), low.into());
                    property.insert("maximum".to_owned(), high.into());
                }
                Range::Real { low, high } => {
                    match low {
                        End::Closed(low) => set("minimum", low),
                        End::Open(low) => set("exclusiveMinimum", low),
                    }
                    match high {
                        End::Closed(high) => set("maximum", high),
                        End::Open(high) => set("exclusiveMaximum", high),
                    }
                }
            }
        }
    }
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
