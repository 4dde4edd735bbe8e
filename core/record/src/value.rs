//! Values of a row, as everything that reads one takes them: `serde_json::Value` from file to template, filter, reference,
//! recording and metric. Null is absent; a text is never taken for a number or a truth value.

use driftgauge_plugin_protocol::rows::Lookup;
use indexmap::IndexMap;
use serde_json::Value;

/// A column of a row: by its name, else by a path into nested columns, as `output.completion` or `choices.0.text`.
#[must_use]
pub fn column<'a>(columns: &'a IndexMap<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = columns.get(path) {
        return Some(value);
    }
    // The longest name first, since names may hold dots themselves.
    let dots = path.char_indices().filter(|(_, c)| *c == '.');
    let mut dots: Vec<usize> = dots.map(|(at, _)| at).collect();
    dots.reverse();
    dots.into_iter()
        .find_map(|at| inside(columns.get(&path[..at])?, &path[at + 1..]))
}

fn inside<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let (found, rest) = match value {
        Value::Object(fields) => match fields.get(path) {
            Some(found) => (found, None),
            None => (fields.get(name)?, rest),
        },
        Value::Array(items) => (items.get(name.parse::<usize>().ok()?)?, rest),
        _ => return None,
    };
    match rest {
        Some(rest) => inside(found, rest),
        None => Some(found),
    }
}

/// Whether a path names two cells of a row: `meta.id` is a column, and `id` stands in the column `meta` as well.
#[must_use]
pub fn is_ambiguous(columns: &IndexMap<String, Value>, path: &str) -> bool {
    let dots = path.char_indices().filter(|(_, c)| *c == '.');
    let nested = dots.map(|(at, _)| match columns.get(&path[..at]) {
        Some(value) => places(value, &path[at + 1..]),
        None => 0,
    });
    let flat = usize::from(columns.contains_key(path));
    path.contains('.') && flat + nested.sum::<usize>() > 1
}

/// How many cells inside a value a path names.
fn places(value: &Value, path: &str) -> usize {
    let inner = |fields: &dyn Fn(&str) -> Option<Value>| -> usize {
        let dots = path.char_indices().filter(|(_, c)| *c == '.');
        let nested =
            dots.filter_map(|(at, _)| Some(places(&fields(&path[..at])?, &path[at + 1..])));
        usize::from(fields(path).is_some()) + nested.sum::<usize>()
    };
    match value {
        Value::Object(fields) => inner(&|name| fields.get(name).cloned()),
        Value::Array(items) => inner(&|name| items.get(name.parse::<usize>().ok()?).cloned()),
        _ => 0,
    }
}

/// The text of a scalar; `None` for null, lists and objects.
#[must_use]
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// What a value is, for messages: `text`, `a number`, `a truth value`, `null`, `a list` or `an object`.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A column as a metric's number: numbers, and truth values as 0 and 1. Anything else but null is no number.
#[must_use]
pub fn number(value: Option<&Value>) -> Lookup<f64> {
    match value {
        None | Some(Value::Null) => Lookup::Null,
        Some(Value::Bool(flag)) => Lookup::Present(f64::from(u8::from(*flag))),
        Some(Value::Number(number)) => number.as_f64().into(),
        Some(_) => Lookup::OtherType,
    }
}

/// A number with so many decimal places, a half to the even neighbour and of the exact number, as Python rounds; places below 0 are
/// tens, hundreds, ...
#[must_use]
pub fn rounded(number: f64, places: i32) -> f64 {
    match usize::try_from(places) {
        Ok(places) => format!("{number:.places$}").parse().unwrap_or(number),
        Err(_) => {
            let scale = 10_f64.powi(places);
            (number * scale).round_ties_even() / scale
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> IndexMap<String, Value> {
        let Value::Object(fields) = value else {
            panic!("no object");
        };
        fields.into_iter().collect()
    }

    #[test]
    fn nested_columns_are_found_by_path() {
        let row = row(json!({
            "a.b": 1, "a": {"b": 2, "c": {"d": [3, 4]}, "e.f": 5}, "x": null
        }));
        let at = |path| column(&row, path).cloned();
        assert_eq!(at("a.b"), Some(json!(1)), "a name comes before a path");
        assert_eq!(at("a.c.d.1"), Some(json!(4)));
        assert_eq!(at("a.e.f"), Some(json!(5)));
        assert_eq!(at("x"), Some(Value::Null));
        assert_eq!(at("x.y"), None);
        assert!(is_ambiguous(&row, "a.b"), "twice");
        for path in ["a.c.d.1", "a.e.f", "x", "x.y", "a"] {
            assert!(!is_ambiguous(&row, path), "{path}");
        }
        assert_eq!(at("a.c.d.2"), None);
    }

    /// `round` of Python 3.12.
    #[test]
    fn halves_are_rounded_as_python_does() {
        for (number, places, expected) in [
            (2.5, 0, 2.0),
            (-2.5, 0, -2.0),
            (3.5, 0, 4.0),
            (2.675, 2, 2.67),
            (0.125, 2, 0.12),
            (1250.0, -2, 1200.0),
        ] {
            assert_eq!(rounded(number, places), expected, "{number}, {places}");
        }
    }

    #[test]
    fn text_is_no_number() {
        assert_eq!(number(Some(&json!("5"))), Lookup::OtherType);
        assert_eq!(number(Some(&json!(5))), Lookup::Present(5.0));
        assert_eq!(number(Some(&json!(true))), Lookup::Present(1.0));
        assert_eq!(number(Some(&Value::Null)), Lookup::Null);
        assert_eq!(number(None), Lookup::Null);
    }
}
