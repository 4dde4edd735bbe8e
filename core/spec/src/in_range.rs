//! The ranges of numbers, put into the schema of the part of the language that has them.

use driftgauge_ranges::{End, Range, Table};
use schemars::Schema;
use schemars::transform::Transform;
use serde_json::{Number, Value};

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
            // Of numbers by name, and of a list of them, the range is that of each.
            let several = ["additionalProperties", "items"];
            let several = several.into_iter().find(|key| property.contains_key(*key));
            let property = match several {
                Some(key) => match property.get_mut(key) {
                    Some(Value::Object(each)) => each,
                    _ => continue,
                },
                None => property,
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
