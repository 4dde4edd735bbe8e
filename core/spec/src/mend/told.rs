//! What is said of a misfit.

use super::Mender;
use super::path::{Step, follow};
use crate::diagnostic::{Diagnostic, nearest};
use crate::located::Span;
use crate::misfit::MisfitKind;
use crate::other_tools;
use crate::tree::{Node, Value};

impl Mender<'_> {
    /// The complaint; `None` for a node that is none of the text.
    pub(super) fn told(&self, tree: &mut Node) -> Option<Diagnostic> {
        let mut span = self.misfit.place?.span;
        if self.path.is_empty() && span.is_none() {
            // The spec itself begins where everything else is nowhere.
            span = Span::new(0, 1.min(self.source.text().len()));
        }
        let name = self.name(tree);
        let node = follow(tree, self.path)?;
        if span.is_none() {
            return None;
        }
        Some(match &self.misfit.kind {
            MisfitKind::UnknownKey { key, expected, .. } => unknown_key(span, key, expected),
            MisfitKind::UnknownValue { value, expected } => {
                Diagnostic::error("unknown-value", format!("unknown value `{value}`"))
                    .at(span, "not known here")
                    .help(known("known values", value, expected))
            }
            MisfitKind::MissingKey(key) => {
                Diagnostic::error("missing-key", format!("the key `{key}` is missing"))
                    .at(self.first_line(span), format!("add `{key}` here"))
            }
            MisfitKind::OneKey { expected } => {
                Diagnostic::error("one-key", "exactly one key has to stand here")
                    .at(self.first_line(span), format!("this is {}", counted(node)))
                    .help(match node.get("role").is_some() {
                        true => "the role is the key: `{user: \"{{ question }}\"}`".to_owned(),
                        false => format!("one of {}", quoted(expected)),
                    })
            }
            MisfitKind::WrongType { wanted, keys } => self.wrong_type(&name, node, wanted, keys),
            MisfitKind::Other(message) => {
                Diagnostic::error("wrong-type", message.clone()).at(self.first_line(span), "")
            }
        })
    }

    fn wrong_type(&self, name: &str, node: &Node, wanted: &str, keys: &[String]) -> Diagnostic {
        let written = self.source.written(node.span);
        let message = match node.value {
            Value::Empty => format!("{name} is left empty"),
            _ => format!("{name} has to be {wanted}"),
        };
        let is = match &node.value {
            Value::Empty => "nothing stands here".to_owned(),
            Value::Bool(_)
            | Value::Null
            | Value::Unsigned(_)
            | Value::Signed(_)
            | Value::Float(_) => {
                format!("YAML reads {}", node.kind())
            }
            _ => format!("this is {}", node.kind()),
        };
        let diagnostic =
            Diagnostic::error("wrong-type", message).at(self.first_line(node.span), is);
        let scalar = written.lines().count() <= 1 && written.len() < 60;
        if let Some(template) = self.template_at(node) {
            return diagnostic.help(format!(
                "YAML reads braces as a map; put the template in quotes: `\"{template}\"`"
            ));
        }
        match (wanted, &node.value) {
            (
                "a text",
                Value::Bool(_)
                | Value::Null
                | Value::Unsigned(_)
                | Value::Signed(_)
                | Value::Float(_),
            ) => diagnostic.help(format!(
                "put it in quotes where it is a name: `\"{written}\"`"
            )),
            (_, Value::Empty) => {
                diagnostic.help(format!("give it a value ({wanted}), or leave the key out"))
            }
            ("a list", Value::Text(_) | Value::Unsigned(_)) if scalar => {
                diagnostic.help(format!("write `[{written}]`"))
            }
            ("a list of two", Value::List(_)) => diagnostic.help("write `[first, second]`"),
            ("a list", Value::Map(_)) => {
                diagnostic.help("each entry begins with `- `, or stands in `[...]`")
            }
            ("a map of names", Value::List(_)) => diagnostic.help(
                "each entry stands under its own name, `name: {...}`, instead of behind a `- `",
            ),
            ("`true` or `false`", Value::Text(text)) => diagnostic.help(match text.as_str() {
                "yes" | "on" | "y" | "Yes" | "YES" | "On" | "ON" | "True" | "true" | "TRUE" => {
                    "write `true`, without quotes"
                }
                "no" | "off" | "n" | "No" | "NO" | "Off" | "OFF" | "False" | "false" | "FALSE" => {
                    "write `false`, without quotes"
                }
                _ => "write `true` or `false`, without quotes",
            }),
            ("`true` or `false`", _) => diagnostic.help("write `true` or `false`"),
            _ if !keys.is_empty() => diagnostic.help(format!("its keys are {}", quoted(keys))),
            ("a map of names", _) => diagnostic.help("write `name: {...}`, one entry for each"),
            ("a text", Value::List(_)) => diagnostic.help("write one of them, without brackets"),
            _ => diagnostic.help(format!("write {wanted} here")),
        }
    }

    /// A template that YAML read as a map. Of a map, the parser gives the beginning alone.
    fn template_at(&self, node: &Node) -> Option<&str> {
        let Value::Map(_) = &node.value else {
            return None;
        };
        let from = self.source.text().get(node.span.start..)?;
        let line = from.lines().next()?;
        let template = line.starts_with("{{") || line.starts_with("{%");
        template.then(|| line.find("}}").map_or(line, |end| &line[..end + 2]))
    }

    /// What the node is called: the key that it stands under.
    fn name(&self, tree: &Node) -> String {
        let mut node = tree;
        let mut name = "the spec".to_owned();
        for (depth, step) in self.path.iter().enumerate() {
            node = match (&node.value, *step) {
                (Value::List(items), Step::Item(number)) => {
                    if depth + 1 == self.path.len() && !name.starts_with("each") {
                        name = format!("each item of {name}");
                    }
                    &items[number]
                }
                (Value::Map(entries), Step::Value(number)) => {
                    let (key, value) = &entries[number];
                    if let Some(key) = key.as_text() {
                        name = format!("`{key}`");
                    }
                    value
                }
                (Value::Map(_), Step::Key(_)) => return "a key".to_owned(),
                _ => return name,
            };
        }
        name
    }

    /// The whole of a container would be underlined; its first line is enough.
    fn first_line(&self, span: Span) -> Span {
        let rest = self
            .source
            .text()
            .get(span.start..span.end)
            .unwrap_or_default();
        let end = rest.find('\n').map_or(span.end, |line| span.start + line);
        Span::new(span.start, end)
    }
}

fn counted(node: &Node) -> String {
    match &node.value {
        Value::Map(entries) if entries.is_empty() => "empty".to_owned(),
        Value::Map(entries) => {
            let keys: Vec<String> = entries
                .iter()
                .filter_map(|(key, _)| Some(format!("`{}`", key.as_text()?)))
                .collect();
            keys.join(" and ")
        }
        _ => node.kind().to_owned(),
    }
}

fn unknown_key(span: Span, key: &str, expected: &[String]) -> Diagnostic {
    let diagnostic =
        Diagnostic::error("unknown-key", format!("unknown key `{key}`")).at(span, "not known here");
    match other_tools::ours(key, expected) {
        Some(theirs) => diagnostic.help(match theirs.written {
            Some(written) => format!("here it is `{written}`"),
            None => format!("here it is `{}`", theirs.ours),
        }),
        None => diagnostic.help(known("known keys", key, expected)),
    }
}

/// All names that were possible, the nearest one first.
fn known(title: &str, wrong: &str, expected: &[String]) -> String {
    let all = format!("{title}: {}", quoted(expected));
    match nearest(wrong, expected.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`? {all}"),
        None => all,
    }
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
