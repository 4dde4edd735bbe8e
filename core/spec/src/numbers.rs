//! Every number of a spec against its range, which stands in the schema: whatever the schema calls a number has one, so no
//! key can be forgotten.

mod places;

use driftgauge_ranges::{End, Range};

use self::places::{PLACES, Part, Place};
use crate::diagnostic::Diagnostic;
use crate::tree::{Node, Value};

/// One complaint for each number outside of its range, and for each text where a number belongs. A number that fits is put
/// in the place of each, so that the rest of the spec can be looked at as well.
pub(crate) fn out_of_range(tree: &mut Node) -> Vec<Diagnostic> {
    let mut walk = Walk { found: Vec::new() };
    if let Some(spec) = PLACES.first() {
        walk.node(tree, spec);
    }
    walk.found
}

struct Walk {
    found: Vec<Diagnostic>,
}

impl Walk {
    fn node(&mut self, node: &mut Node, place: &Place) {
        // Numbers are looked at from what holds them.
        if !matches!(node.value, Value::List(_) | Value::Map(_)) {
            return;
        }
        for &one in &place.several {
            self.node(node, &PLACES[one]);
        }
        match &mut node.value {
            Value::List(items) => {
                for item in items {
                    self.part("each item", item, place.items);
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    if let Value::Text(key) = &key.value {
                        self.part(key, value, place.of_key(key));
                    }
                }
            }
            _ => {}
        }
    }

    fn part(&mut self, key: &str, node: &mut Node, part: Option<Part>) {
        match part {
            Some(Part::Number(range)) => self.number(key, node, range),
            Some(Part::Place(place)) => self.node(node, &PLACES[place]),
            None => {}
        }
    }

    fn number(&mut self, key: &str, node: &mut Node, range: Range) {
        let fits = match &node.value {
            Value::Unsigned(value) => range.holds_whole(*value),
            Value::Signed(value) => range.holds(*value as f64),
            // A float where a whole number belongs is of the wrong type, also 3.0.
            Value::Float(value) => matches!(range, Range::Real { .. }) && range.holds(*value),
            // Something that is missing is told by the types.
            Value::Null
            | Value::Empty
            | Value::Hole
            | Value::Bool(_)
            | Value::List(_)
            | Value::Map(_) => return,
            Value::Text(_) => false,
        };
        if !fits {
            self.found.push(complaint(key, node, range));
            node.value = fitting(range);
        }
    }
}

fn complaint(key: &str, node: &Node, range: Range) -> Diagnostic {
    let wanted = match range {
        Range::Whole { .. } => "a whole number",
        Range::Real { .. } => "a number",
    };
    let value = match &node.value {
        Value::Unsigned(value) => value.to_string(),
        Value::Signed(value) => value.to_string(),
        Value::Float(value) if value.is_finite() && matches!(range, Range::Whole { .. }) => {
            return Diagnostic::error(
                "wrong-type",
                format!("`{key}` is {value:?}, which is no whole number"),
            )
            .at(node.span, format!("has to be {range}"))
            .help(match value.fract() == 0.0 && value.abs() < 1e15 {
                true => format!("write `{value:.0}`"),
                false => "write a whole number".to_owned(),
            });
        }
        Value::Float(value) => value.to_string(),
        _ => {
            return Diagnostic::error("wrong-type", format!("`{key}` is a text"))
                .at(node.span, format!("has to be {wanted}, {range}"))
                .help(match &node.value {
                    Value::Text(text) if text.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
                        format!("write it without quotes: `{}`", text.trim())
                    }
                    Value::Text(text) => match text.trim().strip_suffix('%') {
                        Some(share) if share.trim().parse::<f64>().is_ok() => {
                            "write a share as a number from 0 to 1: 0.2 for 20%".to_owned()
                        }
                        _ => "numbers stand without quotes, units, signs for percent, underscores and leading zeros".to_owned(),
                    },
                    _ => "write a number".to_owned(),
                });
        }
    };
    let share = match &node.value {
        Value::Unsigned(value) if *value > 1 => Some(*value as f64 / 100.0),
        Value::Float(value) if *value > 1.0 => Some(value / 100.0),
        _ => None,
    };
    let is_share = matches!(range, Range::Real { .. }) && !range.holds(1.5);
    Diagnostic::error("out-of-range", format!("`{key}` is {value}"))
        .at(node.span, format!("has to be {range}"))
        .help(
            match share.filter(|share| is_share && range.holds(*share)) {
                Some(share) => format!("a share is written from 0 to 1: {share} for {value}%"),
                None => format!("write {wanted} {range}"),
            },
        )
}

/// Some number of a range, for what is only looked at.
fn fitting(range: Range) -> Value {
    match range {
        Range::Whole { low, .. } => Value::Unsigned(low),
        Range::Real { low, high } => {
            let (End::Closed(low) | End::Open(low)) = low;
            let (End::Closed(high) | End::Open(high)) = high;
            Value::Float(if range.holds(1.0) {
                1.0
            } else {
                low / 2.0 + high / 2.0
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::places::SCHEMA;
    use crate::schema::{is_numeric, range_of};

    /// Every number of the schema, by its place.
    fn numbers<'a>(place: &str, schema: &'a Json, found: &mut Vec<(String, &'a Json)>) {
        if is_numeric(schema).is_some() {
            found.push((place.to_owned(), schema));
        }
        match schema {
            Json::Object(parts) => {
                for (name, part) in parts {
                    numbers(&format!("{place}/{name}"), part, found);
                }
            }
            Json::Array(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    numbers(&format!("{place}/{at}"), part, found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn every_number_has_a_range() {
        let mut found = Vec::new();
        numbers("", &SCHEMA, &mut found);
        assert!(found.len() > 60, "{}", found.len());
        for (place, property) in found {
            // The version is one number alone.
            if property.get("const").is_none() {
                assert!(range_of(property).is_some(), "{place} has no range");
            }
            if let (Some(range), Some(default)) = (range_of(property), property.get("default")) {
                let fits = default.is_null() || range.holds(default.as_f64().unwrap_or(f64::NAN));
                assert!(fits, "the default of {place} is {default}");
            }
        }
    }

    #[test]
    fn every_range_belongs_to_a_key() {
        let mut found = Vec::new();
        numbers("", &SCHEMA, &mut found);
        for (section, table) in driftgauge_ranges::ALL {
            // Only the trainer knows these.
            if *section == "initial_weights" {
                continue;
            }
            for (key, _) in *table {
                let end = format!("/properties/{key}");
                assert!(
                    found.iter().any(|(place, _)| {
                        let place = place.trim_end_matches("/additionalProperties");
                        let place = place.trim_end_matches("/items");
                        place.ends_with(&end)
                    }),
                    "{section}.{key} is no number of the language"
                );
            }
        }
    }
}
