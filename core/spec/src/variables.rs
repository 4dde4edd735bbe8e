//! Variables: typed values under names, put where texts say `${name}`.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, nearest};
use crate::located::Span;
use crate::source::{Source, Variables};
use crate::spec::ExperimentSpec;
use crate::tree::{Node, Value};

/// The variables of a spec with their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `None` for one that has to be set and was not.
    values: IndexMap<String, Option<Node>>,
}

impl Environment {
    /// The variables under `vars`, those that were set from outside with their new values.
    pub(crate) fn declared(
        source: &Source,
        tree: &Node,
        set: &Variables,
        found: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut environment = Self::default();
        if let Some(Value::Map(vars)) = tree.get("vars").map(|vars| &vars.value) {
            for (key, default) in vars {
                let Some(name) = key.as_text() else {
                    continue;
                };
                let mut value = default.clone();
                // A default may be made of the variables before it.
                environment.put(&mut value, found);
                let value = match set.get(name) {
                    Some(text) => Some(from_outside(text, &default.value)),
                    None => declaration(source, name, value, found),
                };
                environment.values.insert(name.to_owned(), value);
            }
        }
        for name in set.names() {
            if !environment.values.contains_key(name) {
                found.push(environment.unknown_setting(name));
            }
        }
        environment
    }

    /// The same with further variables, or other values of them.
    pub(crate) fn with<'a>(&self, bindings: impl Iterator<Item = (&'a String, &'a Node)>) -> Self {
        let mut out = self.clone();
        for (name, value) in bindings {
            out.values.insert(name.clone(), Some(value.clone()));
        }
        out
    }

    fn unknown_setting(&self, name: &str) -> Diagnostic {
        let known: Vec<_> = self.values.keys().map(|name| format!("`{name}`")).collect();
        let known = match known.as_slice() {
            [] => "none".to_owned(),
            known => known.join(", "),
        };
        Diagnostic::error(
            "unknown-variable",
            format!("`--set {name}` names no variable of the spec"),
        )
        .help(format!("declared under `vars`: {known}"))
    }

    /// Fills every text of a node; one that is nothing but `${name}` becomes the value itself.
    pub(crate) fn put(&self, node: &mut Node, found: &mut Vec<Diagnostic>) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.put(item, found)),
            Value::Map(entries) => {
                for (_, value) in entries {
                    self.put(value, found);
                }
            }
            Value::Text(text) if text.contains("${") => {
                let text = std::mem::take(text);
                self.put_text(node, &text, found);
            }
            _ => {}
        }
    }

    fn put_text(&self, node: &mut Node, text: &str, found: &mut Vec<Diagnostic>) {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            // `$${x}` is the text `${x}`.
            if rest[..start].ends_with('$') {
                out.push_str(&rest[..start - 1]);
                out.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            let Some(length) = rest[start..].find('}') else {
                break;
            };
            let name = rest[start + 2..start + length].trim();
            let alone = start == 0 && length + 1 == text.len();
            out.push_str(&rest[..start]);
            rest = &rest[start + length + 1..];
            match self.values.get(name) {
                Some(Some(value)) if alone => {
                    node.value = value.value.clone();
                    node.said.clone_from(&value.said);
                    return;
                }
                Some(Some(value)) => out.push_str(value.as_text().unwrap_or_default()),
                Some(None) => {
                    found.push(unset(name, node.span));
                    node.value = Value::Hole;
                    node.said = Some(text.to_owned());
                    return;
                }
                None => {
                    found.push(self.unknown(name, node.span));
                    // It stands there, whatever it is.
                    node.value = Value::Hole;
                    node.said = Some(text.to_owned());
                    return;
                }
            }
        }
        out.push_str(rest);
        node.value = Value::Text(out);
    }

    fn unknown(&self, name: &str, span: Span) -> Diagnostic {
        let diagnostic =
            Diagnostic::error("unknown-variable", format!("there is no variable `{name}`"))
                .at(span, "used here");
        match nearest(name, self.values.keys().map(String::as_str)) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!(
                "declare it under `vars` and set it with `--set {name}=VALUE`; `$${{...}}` is the text `${{...}}` itself"
            )),
        }
    }
}

/// The variables that the texts of a node name.
pub(crate) fn mentioned(node: &Node) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| out.extend(mentioned(item))),
        Value::Map(entries) => entries
            .iter()
            .for_each(|(_, value)| out.extend(mentioned(value))),
        Value::Text(text) => {
            let mut rest = text.as_str();
            while let Some(start) = rest.find("${") {
                let inner = &rest[start + 2..];
                if !rest[..start].ends_with('$')
                    && let Some(end) = inner.find('}')
                {
                    out.insert(inner[..end].trim().to_owned());
                }
                rest = inner;
            }
        }
        _ => {}
    }
    out
}

fn unset(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(
        "unset-variable",
        format!("the variable `{name}` has no value"),
    )
    .at(span, "used here")
    .help(format!("set it with `--set {name}=VALUE`"))
}

/// A value from the command line has the type that YAML reads, unless the default is a text.
fn from_outside(text: &str, default: &Value) -> Node {
    let value = match default {
        Value::Text(_) => None,
        _ => plain(text),
    };
    Node {
        span: Span::NONE,
        value: value.unwrap_or_else(|| Value::Text(text.to_owned())),
        said: Some(text.to_owned()),
    }
}

/// The number or the truth value that YAML reads in a text, if it is one.
fn plain(text: &str) -> Option<Value> {
    let value = serde_yaml::from_str::<Value>(text).ok();
    value.filter(|value| {
        matches!(
            value,
            Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_)
        )
    })
}

impl Variables {
    /// Replacements that make the variables that were set the defaults of the text: place and new YAML.
    #[must_use]
    pub fn edits(&self, spec: &ExperimentSpec) -> Vec<(Span, String)> {
        spec.vars
            .iter()
            .filter_map(|(name, default)| {
                let value = self.get(name)?;
                Some((default.0.span(), as_default(value, &default.0)))
            })
            .collect()
    }
}

/// A value from the command line as it stands in a spec in the place of a default: of the type that it had there.
fn as_default(text: &str, default: &serde_json::Value) -> String {
    match plain(text).filter(|_| !default.is_string()) {
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Unsigned(value)) => value.to_string(),
        Some(Value::Signed(value)) => value.to_string(),
        // Read again as it was read: it is no other number.
        Some(Value::Float(_)) => text.trim().to_owned(),
        _ => serde_json::Value::from(text).to_string(),
    }
}

/// The value of a default; `None` for a variable that has to be set.
fn declaration(
    source: &Source,
    name: &str,
    mut value: Node,
    found: &mut Vec<Diagnostic>,
) -> Option<Node> {
    match &value.value {
        Value::Null | Value::Empty => return None,
        Value::List(_) | Value::Map(_) => {
            found.push(
                Diagnostic::error(
                    "wrong-type",
                    format!("the variable `{name}` is {}", value.kind()),
                )
                .at(
                    value.span,
                    "has to be a text, a number, or `true` or `false`",
                )
                .help(
                    "several values of a variable stand under `vary`, on a model or an evaluation",
                ),
            );
            value.value = Value::Hole;
        }
        Value::Text(_) | Value::Hole => {}
        _ => value.said = Some(source.written(value.span).to_owned()),
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_variable_that_was_set_keeps_the_type_of_its_default() {
        for (text, default, written) in [
            ("3", json!(2), "3"),
            ("-3", json!(2), "-3"),
            ("1e-4", json!(0.1), "1e-4"),
            ("false", json!(null), "false"),
            ("3", json!("2"), "\"3\""),
            ("1 or x", json!(2), "\"1 or x\""),
        ] {
            assert_eq!(as_default(text, &default), written);
        }
    }
}
