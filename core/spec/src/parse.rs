//! From text to the typed spec: YAML to a tree, variables into its texts, the tree into types.

use serde::Deserialize;

use crate::check::check;
use crate::deserialize::{Misfit, MisfitKind, NodeDeserializer};
use crate::diagnostic::{Diagnostic, nearest};
use crate::located::Span;
use crate::numbers;
use crate::source::{Source, Variables};
use crate::spec::ExperimentSpec;
use crate::tree::{Node, Value};

/// Keys of other tools whose names are far from ours: theirs, ours, and the value that says the same.
const OTHER_TOOLS: [(&str, &str, &str); 2] = [
    ("load_in_4bit", "base_quantization", "q4k"),
    ("load_in_8bit", "base_quantization", "q8_0"),
];

/// Reads a spec.
///
/// # Errors
/// What is wrong with the YAML, the variables, the types or the range of a number. Only [`crate::check`] looks at what the parts
/// mean together.
pub fn parse(source: &Source, variables: &Variables) -> Result<ExperimentSpec, Vec<Diagnostic>> {
    let options = serde_yaml::options! { strict_booleans: true };
    if source.text().trim().is_empty() {
        return Err(vec![Diagnostic::error("yaml", "the spec is empty").help(
            "a spec begins with `version: 1` and `name`; `specs/demo.yaml` is a whole one",
        )]);
    }
    let mut tree: Node = serde_yaml::from_str_with_options(source.text(), options)
        .map_err(|error| vec![yaml_error(source, &error)])?;
    substitute(&mut tree, variables)?;
    let mut wrong = numbers::out_of_range(source, &mut tree);
    match ExperimentSpec::deserialize(NodeDeserializer(&tree)) {
        Ok(spec) if wrong.is_empty() => return Ok(spec),
        // Numbers in the place of the wrong ones stand in for them, so that everything is told at once.
        Ok(spec) => wrong.extend(check(&spec)),
        Err(misfit) => wrong.push(misfit_error(source, misfit)),
    }
    Err(wrong)
}

fn yaml_error(source: &Source, error: &serde_yaml::Error) -> Diagnostic {
    let text = error.without_snippet().to_string();
    // The place is shown below, so the crate's own words for it are dropped.
    let message = text.split(" at line ").next().unwrap_or(&text);
    let message = match message.split_once(": ") {
        Some((place, rest)) if place.starts_with("error: line") || place.starts_with("line ") => {
            rest
        }
        _ => message,
    };
    let span = error.location().map(|location| {
        let start = location
            .span()
            .byte_offset()
            .and_then(|start| usize::try_from(start).ok())
            .unwrap_or(0)
            .min(source.text().len());
        Span::new(start, (start + 1).min(source.text().len()))
    });
    if let Some(key) = message
        .split_once("duplicate mapping key: ")
        .map(|(_, rest)| rest.split(", set ").next().unwrap_or(rest))
    {
        let twice = Diagnostic::error(
            "duplicate-key",
            format!("the key `{}` stands here twice", key.trim()),
        );
        let twice = twice.help("keep one of them, or put their contents together under it");
        return match span {
            Some(span) => twice.at(span, "the second one"),
            None => twice,
        };
    }
    let diagnostic = Diagnostic::error(
        "yaml",
        format!("this is not well-formed YAML: {}", message.trim()),
    );
    match span {
        Some(span) => diagnostic.at(span, ""),
        None => diagnostic,
    }
}

fn misfit_error(source: &Source, misfit: Misfit) -> Diagnostic {
    let span = misfit.span.unwrap_or(Span::NONE);
    match misfit.kind {
        MisfitKind::UnknownKey { key, expected } => {
            let diagnostic = Diagnostic::error("unknown-key", format!("unknown key `{key}`"))
                .at(span, "not known here");
            if let Some((_, name, value)) = OTHER_TOOLS
                .iter()
                .find(|(theirs, name, _)| *theirs == key && expected.iter().any(|k| k == name))
            {
                return diagnostic.help(format!("here it is `{name}: {value}`"));
            }
            diagnostic.help(known("known keys", &key, &expected))
        }
        MisfitKind::UnknownValue { value, expected } => {
            Diagnostic::error("unknown-value", format!("unknown value `{value}`"))
                .at(span, "not known here")
                .help(known("known values", &value, &expected))
        }
        MisfitKind::MissingKey(key) => {
            // The whole of the container would be underlined; its first line is enough.
            let end = source.text()[span.start..]
                .find('\n')
                .map_or(span.end, |line| span.start + line);
            Diagnostic::error("missing-key", format!("the key `{key}` is missing")).at(
                Span::new(span.start, end.min(span.end).max(span.start)),
                format!("add `{key}` here"),
            )
        }
        MisfitKind::Other(message) => Diagnostic::error("wrong-type", message).at(span, ""),
    }
}

/// All names that were possible, the nearest one first.
fn known(title: &str, wrong: &str, expected: &[String]) -> String {
    let quoted: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
    let all = format!("{title}: {}", quoted.join(", "));
    match nearest(wrong, expected.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`? {all}"),
        None => all,
    }
}

/// Puts the values of variables where texts say `${name}`.
fn substitute(tree: &mut Node, variables: &Variables) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let declared: Vec<(String, Option<String>)> = match &tree.value {
        Value::Map(entries) => entries
            .iter()
            .filter(|(key, _)| key.value == Value::Text("vars".to_owned()))
            .flat_map(|(_, value)| match &value.value {
                Value::Map(vars) => vars.iter().filter_map(declaration).collect(),
                _ => Vec::new(),
            })
            .collect(),
        _ => Vec::new(),
    };
    for name in variables.names() {
        if !declared.iter().any(|(known, _)| known == name) {
            let known: Vec<_> = declared
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            problems.push(
                Diagnostic::error(
                    "unknown-variable",
                    format!("`--set {name}` names no variable of the spec"),
                )
                .help(format!(
                    "declared under `vars`: {}",
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    }
                )),
            );
        }
    }
    tree.each_text(&mut |text, span| {
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else {
                break;
            };
            let name = &rest[start + 2..start + length];
            out.push_str(&rest[..start]);
            let default = declared.iter().find(|(known, _)| known == name);
            match (variables.get(name), default) {
                (Some(value), Some(_)) => out.push_str(value),
                (None, Some((_, Some(value)))) => out.push_str(value),
                (None, Some((_, None))) => problems.push(
                    Diagnostic::error(
                        "unset-variable",
                        format!("the variable `{name}` has no value"),
                    )
                    .at(span, "used here")
                    .help(format!("set it with `--set {name}=VALUE`")),
                ),
                (_, None) => {
                    let diagnostic = Diagnostic::error(
                        "unknown-variable",
                        format!("there is no variable `{name}`"),
                    )
                    .at(span, "used here");
                    problems.push(
                        match nearest(name, declared.iter().map(|(name, _)| name.as_str())) {
                            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                            None => diagnostic.help("declare it under `vars`"),
                        },
                    );
                }
            }
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        *text = out;
    });
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// Name and default of a variable; `None` for one that has to be set.
fn declaration((name, value): &(Node, Node)) -> Option<(String, Option<String>)> {
    let Value::Text(name) = &name.value else {
        return None;
    };
    let default = match &value.value {
        Value::Null => None,
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Unsigned(number) => Some(number.to_string()),
        Value::Signed(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        Value::List(_) | Value::Map(_) => return None,
    };
    Some((name.clone(), default))
}
