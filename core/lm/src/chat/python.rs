//! The functions and filters that Hugging Face adds to Jinja, behaving as in Python.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// `raise_exception(message)`: the template refuses the conversation.
pub(super) fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// `strftime_now(format)`, at midnight of Friday 26 July 2024.
pub(super) fn strftime_now(format: String) -> Result<String, Error> {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let code = match chars.next() {
            Some('-') => chars.next().map(|code| match code {
                'd' => "26",
                'm' => "7",
                'H' | 'M' | 'S' => "0",
                _ => "",
            }),
            Some(code) => Some(match code {
                'd' | 'e' => "26",
                'b' | 'h' => "Jul",
                'B' => "July",
                'm' => "07",
                'Y' => "2024",
                'y' => "24",
                'a' => "Fri",
                'A' => "Friday",
                'j' => "208",
                'H' | 'M' | 'S' => "00",
                'I' => "12",
                'p' => "AM",
                'F' => "2024-07-26",
                'T' => "00:00:00",
                '%' => "%",
                _ => "",
            }),
            None => None,
        };
        match code {
            Some(text) if !text.is_empty() => out.push_str(text),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("date format `{format}` is not understood"),
                ));
            }
        }
    }
    Ok(out)
}

/// `value | tojson(indent=None)` as Python's `json.dumps(value, ensure_ascii=False)` writes it: a space after `,` and `:`,
/// and no HTML escapes (which minijinja's own filter adds).
pub(super) fn tojson(value: Value, options: Kwargs) -> Result<Value, Error> {
    let indent = options.get::<Option<usize>>("indent")?;
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.get::<Option<bool>>("ensure_ascii")?;
    options.assert_all_used()?;
    let mut out = String::new();
    write_json(&value, indent, sort_keys, 0, &mut out)?;
    Ok(Value::from_safe_string(out))
}

fn write_json(
    value: &Value,
    indent: Option<usize>,
    sort_keys: bool,
    depth: usize,
    out: &mut String,
) -> Result<(), Error> {
    let new_line = |depth: usize, out: &mut String| {
        if let Some(width) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', width * depth));
        }
    };
    let comma = if indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(comma);
                }
                new_line(depth + 1, out);
                write_json(item, indent, sort_keys, depth + 1, out)?;
            }
            if !items.is_empty() {
                new_line(depth, out);
            }
            out.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if sort_keys {
                keys.sort();
            }
            out.push('{');
            for (i, key) in keys.iter().enumerate() {
                if i > 0 {
                    out.push_str(comma);
                }
                new_line(depth + 1, out);
                out.push_str(&scalar(&Value::from(key.to_string()))?);
                out.push_str(": ");
                write_json(&value.get_item(key)?, indent, sort_keys, depth + 1, out)?;
            }
            if !keys.is_empty() {
                new_line(depth, out);
            }
            out.push('}');
        }
        _ => out.push_str(&scalar(value)?),
    }
    Ok(())
}

fn scalar(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))
}

/// Replaces `{% generation %}` ... `{% endgeneration %}`, which marks the assistant's words for TRL and renders as its
/// content, by a block that minijinja knows.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else {
            break;
        };
        let end = start + length + 2;
        let tag = &rest[start..end];
        out.push_str(&rest[..start]);
        let keyword = tag[2..tag.len() - 2].trim_matches(|c: char| c == '-' || c == '+');
        match keyword.trim() {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_looks_as_python_writes_it() {
        let value = Value::from_serialize(serde_json::json!({
            "name": "f", "list": [1, 2.5, null, true], "empty": {}, "none": [], "text": "<é\"&>",
        }));
        let mut flat = String::new();
        write_json(&value, None, false, 0, &mut flat).unwrap();
        assert_eq!(
            flat,
            r#"{"name": "f", "list": [1, 2.5, null, true], "empty": {}, "none": [], "text": "<é\"&>"}"#
        );
        let mut indented = String::new();
        let small = Value::from_serialize(serde_json::json!({"b": [1], "a": {}}));
        write_json(&small, Some(2), true, 0, &mut indented).unwrap();
        assert_eq!(indented, "{\n  \"a\": {},\n  \"b\": [\n    1\n  ]\n}");
    }
}
