//! `tojson`, as `json.dumps` writes it.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::text::float;

/// How a value is written.
struct Layout {
    indent: Option<usize>,
    item: String,
    key: String,
    sort_keys: bool,
    ascii: bool,
}

/// `value | tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)` as Python's `json.dumps` writes it: a space after
/// `,` and `:`, and no HTML escapes (which minijinja's own filter adds).
pub(super) fn tojson(value: Value, options: Kwargs) -> Result<Value, Error> {
    let indent = options.get::<Option<usize>>("indent")?;
    let indent = indent.map(super::methods::bounded).transpose()?;
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let separators = match separators.as_deref() {
        None => [if indent.is_some() { "," } else { ", " }, ": "].map(str::to_owned),
        Some([item, key]) => [item.clone(), key.clone()],
        Some(_) => return Err(invalid("`separators` are two texts")),
    };
    let [item, key] = separators;
    let layout = Layout {
        indent,
        item,
        key,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ascii: options
            .get::<Option<bool>>("ensure_ascii")?
            .unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    layout.write(&value, 0, &mut out)?;
    Ok(Value::from_safe_string(out))
}

impl Layout {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list(('[', ']'), depth, items.len(), out, |index, out| {
                    self.write(&items[index], depth + 1, out)
                })
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                self.list(('{', '}'), depth, keys.len(), out, |index, out| {
                    self.string(&key_text(&keys[index]), out);
                    out.push_str(&self.key);
                    self.write(&value.get_item(&keys[index])?, depth + 1, out)
                })
            }
            ValueKind::None => {
                out.push_str("null");
                Ok(())
            }
            ValueKind::Bool => {
                out.push_str(if value.is_true() { "true" } else { "false" });
                Ok(())
            }
            ValueKind::Number => {
                out.push_str(&number(value));
                Ok(())
            }
            ValueKind::String => {
                self.string(value.as_str().unwrap_or_default(), out);
                Ok(())
            }
            kind => Err(invalid(&format!("{kind} has no JSON"))),
        }
    }

    fn list(
        &self,
        (open, close): (char, char),
        depth: usize,
        length: usize,
        out: &mut String,
        write: impl Fn(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let new_line = |depth: usize, out: &mut String| {
            if let Some(width) = self.indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', width * depth));
            }
        };
        out.push(open);
        for index in 0..length {
            if index > 0 {
                out.push_str(&self.item);
            }
            new_line(depth + 1, out);
            write(index, out)?;
        }
        if length > 0 {
            new_line(depth, out);
        }
        out.push(close);
        Ok(())
    }

    fn string(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if u32::from(c) < 0x20 || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(number) if !value.is_integer() => match number {
            n if n.is_nan() => "NaN".to_owned(),
            n if n.is_infinite() => if n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
            n => float(n),
        },
        _ => value.to_string(),
    }
}

fn key_text(key: &Value) -> String {
    match key.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => key.is_true().to_string(),
        ValueKind::Number => number(key),
        _ => key.to_string(),
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: serde_json::Value, indent: Option<usize>, sort_keys: bool) -> String {
        let value = Value::from_serialize(value);
        let options = [
            ("indent", Value::from(indent)),
            ("sort_keys", Value::from(sort_keys)),
        ];
        tojson(value, options.into_iter().collect())
            .unwrap()
            .to_string()
    }

    #[test]
    fn json_looks_as_python_writes_it() {
        let value = serde_json::json!({
            "name": "f", "list": [1, 2.5, null, true], "empty": {}, "none": [], "text": "<é\"&>",
        });
        assert_eq!(
            json(value, None, false),
            r#"{"name": "f", "list": [1, 2.5, null, true], "empty": {}, "none": [], "text": "<é\"&>"}"#
        );
        let small = serde_json::json!({"b": [1], "a": {}});
        assert_eq!(
            json(small, Some(2), true),
            "{\n  \"a\": {},\n  \"b\": [\n    1\n  ]\n}"
        );
    }
}
