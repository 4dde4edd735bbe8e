//! A spec as one text: everything that it includes in its place.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::located::Span;
use crate::source::Source;
use crate::tree::{Node, Value};

/// Writes a tree as YAML. What stands at a place that is edited is the edit, which is YAML too.
pub(crate) fn write(source: &Source, tree: &Node, edits: &HashMap<Span, String>) -> String {
    let writer = Writer { source, edits };
    let mut out = String::new();
    for (key, value) in tree.entries() {
        if key.is("include") {
            continue;
        }
        let key = writer.key(key);
        match &value.value {
            Value::Map(entries) if !entries.is_empty() => {
                let _ = writeln!(out, "{key}:");
                for (name, entry) in entries {
                    let _ = writeln!(out, "  {}: {}", writer.key(name), writer.flow(entry));
                }
            }
            Value::List(items) if !items.is_empty() => {
                let _ = writeln!(out, "{key}:");
                for item in items {
                    let _ = writeln!(out, "  - {}", writer.flow(item));
                }
            }
            _ => {
                let _ = writeln!(out, "{key}: {}", writer.flow(value));
            }
        }
    }
    out
}

struct Writer<'a> {
    source: &'a Source,
    edits: &'a HashMap<Span, String>,
}

impl Writer<'_> {
    fn key(&self, key: &Node) -> String {
        match key.as_text() {
            Some(text) if is_plain(text) && matches!(key.value, Value::Text(_)) => text.to_owned(),
            Some(text) => quoted(text),
            None => self.flow(key),
        }
    }

    /// A value in one line.
    fn flow(&self, node: &Node) -> String {
        if !node.span.is_none()
            && !matches!(node.value, Value::Map(_) | Value::List(_))
            && let Some(edit) = self.edits.get(&node.span)
        {
            return edit.clone();
        }
        match &node.value {
            Value::Null | Value::Empty | Value::Hole => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Unsigned(value) => value.to_string(),
            Value::Signed(value) => value.to_string(),
            // As it is written: cells are named by it.
            Value::Float(value) => match self.source.written(node.span).trim() {
                written if written.parse() == Ok(*value) => written.to_owned(),
                _ => format!("{value:?}"),
            },
            Value::Text(text) => quoted(text),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flow(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {}", self.key(key), self.flow(value)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether a key needs no quotes, and can be nothing else than a text.
fn is_plain(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null"
        )
}
