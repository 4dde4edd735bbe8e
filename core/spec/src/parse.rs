//! From text to the typed spec: YAML to a tree, variables into its texts, the tree into types.

use std::collections::HashSet;

use crate::check::check;
use crate::diagnostic::Diagnostic;
use crate::expand::expand;
use crate::located::{Span, Text};
use crate::mend;
use crate::source::{Source, Variables};
use crate::spec::ExperimentSpec;
use crate::tree::{Node, Value};

/// What was made of a text.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The spec; `None` where nothing of it could be read. Where something is wrong, parts of it stand in for what was written.
    pub spec: Option<ExperimentSpec>,
    /// Everything that is wrong, and what is worth a warning, in the order of the text.
    pub found: Vec<Diagnostic>,
}

impl Reading {
    /// Whether the spec can be used.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.spec.is_some() && !self.found.iter().any(Diagnostic::is_error)
    }
}

/// Reads and checks a spec: everything that can be said of the text alone.
#[must_use]
pub fn read(source: &Source, variables: &Variables) -> Reading {
    let mut tree = match tree_of(source) {
        Ok(tree) => tree,
        Err(diagnostic) => {
            return Reading {
                spec: None,
                found: vec![*diagnostic],
            };
        }
    };
    let mut found = once_each(&mut tree);
    whole_prefills(&mut tree);
    found.extend(expand(source, &mut tree, variables));
    let mut mended = mend::mended(source, &mut tree);
    if let Some(spec) = &mended.spec {
        let further: Vec<Diagnostic> = check(spec)
            .into_iter()
            .filter(|diagnostic| !mended.follows(diagnostic))
            .collect();
        mended.found.extend(further);
    }
    found.extend(mended.found);
    Reading {
        found: settled(mended.spec.as_ref(), found),
        spec: mended.spec,
    }
}

/// What is to be told of everything that was found: in the order of the text, each thing once, without the warnings that the spec
/// allows, and without those that only follow from an error.
#[must_use]
pub fn settled(spec: Option<&ExperimentSpec>, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut found = found;
    in_order(&mut found);
    // What is misspelt where it is used looks as if nobody used it.
    let dangling = found.iter().any(|diagnostic| {
        let code = diagnostic.code.as_ref();
        code.starts_with("unknown-") || ["missing-key", "wrong-type", "yaml"].contains(&code)
    });
    for diagnostic in &mut found {
        let next = next_step(&diagnostic.code);
        diagnostic.help.get_or_insert_with(|| next.to_owned());
    }
    found.retain(|diagnostic| {
        let allowed = |code: &Text| code.get().as_str() == diagnostic.code;
        diagnostic.is_error()
            || !(dangling && diagnostic.code == "unused"
                || spec.is_some_and(|spec| spec.allow.iter().any(allowed)))
    });
    found
}

/// Reads a spec.
///
/// # Errors
/// What is wrong with the YAML, the variables, the types or the range of a number, and then all that [`crate::check()`] finds too.
pub fn parse(source: &Source, variables: &Variables) -> Result<ExperimentSpec, Vec<Diagnostic>> {
    let reading = read(source, variables);
    match reading.spec {
        Some(spec) if !reading.found.iter().any(Diagnostic::is_error) => Ok(spec),
        _ => Err(reading.found),
    }
}

/// Sorts by place, and tells once what is said twice of one place.
fn in_order(found: &mut Vec<Diagnostic>) {
    found.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |(span, _)| span.start));
    let mut told = HashSet::new();
    found.retain(|diagnostic| {
        let place = diagnostic.labels.first().map(|(span, _)| *span);
        told.insert((
            diagnostic.code.clone(),
            without_cells(&diagnostic.message),
            place,
        ))
    });
}

/// What to do where nothing more particular is known.
fn next_step(code: &str) -> &'static str {
    match code {
        "not-together" => "keep the one that is meant, and take the other out",
        "one-method" => "write `lora: {rank: 16}`, or `full: true`",
        "bad-name" => "for example `what-tuning-does`",
        "bad-id" => "choose another name",
        "no-models" => "name at least one under `models`",
        "no-comparison" => "name another one, or take it out",
        "missing-file" => "write the path from the folder of the spec",
        _ => "`specs/README.md` shows every key in an example, and the schema says what it means",
    }
}

/// A message without the coordinates of cells: what is wrong with one of them is wrong with all.
fn without_cells(message: &str) -> String {
    let mut out = String::new();
    let mut rest = message;
    while let Some(at) = rest.find('@') {
        out.push_str(&rest[..at]);
        let end = rest[at..]
            .find(['`', ' ', '/'])
            .map_or(rest.len(), |end| at + end);
        rest = &rest[end..];
    }
    out + rest
}

/// A turn has one key, its role; of `{prefill: "...", tokens: 5}` both keys become the value of that one.
fn whole_prefills(node: &mut Node) {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                let is_prefill = match &item.value {
                    Value::Map(entries) => entries.iter().any(|(key, value)| {
                        key.is("prefill") && !matches!(value.value, Value::Map(_))
                    }),
                    _ => false,
                };
                if is_prefill {
                    let key = Node {
                        span: item.span,
                        ..Node::text("prefill")
                    };
                    let inner = std::mem::replace(&mut item.value, Value::Hole);
                    let inner = Node {
                        span: item.span,
                        ..Node::nowhere(inner)
                    };
                    item.value = Value::Map(vec![(key, inner)]);
                } else {
                    whole_prefills(item);
                }
            }
        }
        Value::Map(entries) => entries
            .iter_mut()
            .for_each(|(_, value)| whole_prefills(value)),
        _ => {}
    }
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        strict_booleans: true,
        duplicate_keys: serde_yaml::options::DuplicateKeyPolicy::PassThrough,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: serde_yaml::options::NonFiniteFloatPolicy::PassThrough,
    }
}

fn tree_of(source: &Source) -> Result<Node, Box<Diagnostic>> {
    let written = source.text().lines().map(str::trim_start);
    let mut written = written.filter(|line| !line.is_empty() && !line.starts_with('#'));
    if written.next().is_none() {
        return Err(Box::new(
            Diagnostic::error("yaml", "the spec is empty").help(
                "a spec begins with `version: 1` and `name`; `specs/demo.yaml` is a whole one",
            ),
        ));
    }
    let mut tree = match serde_yaml::from_str_with_options::<Node>(source.text(), options()) {
        Ok(tree) => tree,
        // In `{n: ${n}}` YAML takes the inner braces for a map.
        Err(error) => masked_tree(source).ok_or_else(|| Box::new(yaml_error(source, &error)))?,
    };
    tree.remember(source.text());
    match binary(source, &tree) {
        Some(span) => Err(Box::new(
            Diagnostic::error("yaml", "binary data is not understood here")
                .at(span, "behind `!!binary`")
                .help("write the text itself"),
        )),
        None => Ok(tree),
    }
}

/// The tree of a text in which variables stand without quotes where YAML wants them: their braces are hidden from it.
fn masked_tree(source: &Source) -> Option<Node> {
    let text = source.text();
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let inner = &rest[start + 2..];
        let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
        masked.push_str(&rest[..start]);
        match end {
            Some(end) if end > 0 && inner[end..].starts_with('}') => {
                masked.push_str("$(");
                masked.push_str(&inner[..end]);
                masked.push(')');
                rest = &inner[end + 1..];
            }
            _ => {
                masked.push_str("${");
                rest = inner;
            }
        }
    }
    masked.push_str(rest);
    let mut tree = serde_yaml::from_str_with_options::<Node>(&masked, options()).ok()?;
    unmask(&mut tree, text);
    Some(tree)
}

/// Puts back the braces of variables in the texts of a tree.
fn unmask(node: &mut Node, source: &str) {
    let written = source
        .get(node.span.start..node.span.end)
        .unwrap_or_default();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| unmask(item, source)),
        Value::Map(entries) => {
            for (key, value) in entries {
                unmask(key, source);
                unmask(value, source);
            }
        }
        Value::Text(text) if written.contains("${") => {
            let mut out = String::new();
            let mut rest = text.as_str();
            while let Some(start) = rest.find("$(") {
                let inner = &rest[start + 2..];
                let name = inner.split(')').next().unwrap_or_default();
                out.push_str(&rest[..start]);
                if inner.len() > name.len() && written.contains(&format!("${{{name}}}")) {
                    out.push_str(&format!("${{{name}}}"));
                    rest = &inner[name.len() + 1..];
                } else {
                    out.push_str("$(");
                    rest = inner;
                }
            }
            out.push_str(rest);
            *text = out;
        }
        _ => {}
    }
}

/// The place of a value that YAML was told to decode.
fn binary(source: &Source, node: &Node) -> Option<Span> {
    match &node.value {
        Value::List(items) => items.iter().find_map(|item| binary(source, item)),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| binary(source, value)),
        Value::Text(_) => {
            let before = source.text().get(..node.span.start).unwrap_or_default();
            let tagged = before.trim_end().ends_with("!!binary")
                || source
                    .written(node.span)
                    .trim_start()
                    .starts_with("!!binary");
            tagged.then_some(node.span)
        }
        _ => None,
    }
}

/// Where a key stands inside of the value at `span`, as a plugin names it: keys inside of others after a dot, places of a list in
/// brackets.
#[must_use]
pub fn place_of_key(source: &Source, span: Span, key: &str) -> Option<Span> {
    let tree: Node = serde_yaml::from_str_with_options(source.text(), options()).ok()?;
    let mut node = find(&tree, span)?;
    let mut place = None;
    for step in key.split(['.', '[']).filter(|step| !step.is_empty()) {
        node = match &node.value {
            Value::Map(entries) => {
                let named = |(key, _): &&(Node, Node)| matches!(&key.value, Value::Text(text) if text == step);
                let (key, value) = entries.iter().find(named)?;
                place = Some(key.span);
                value
            }
            Value::List(items) => {
                let item = items.get(step.trim_end_matches(']').parse::<usize>().ok()?)?;
                place = Some(item.span);
                item
            }
            _ => return place,
        };
    }
    place
}

/// The map or list at a place.
fn find(node: &Node, span: Span) -> Option<&Node> {
    match &node.value {
        Value::Map(_) | Value::List(_) if node.span == span => Some(node),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| find(value, span)),
        Value::List(items) => items.iter().find_map(|item| find(item, span)),
        _ => None,
    }
}

/// Takes out keys that stand twice in one map, with a complaint for each.
fn once_each(node: &mut Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    match &mut node.value {
        Value::List(items) => found.extend(items.iter_mut().flat_map(once_each)),
        Value::Map(entries) => {
            let mut known: Vec<(String, Span)> = Vec::new();
            entries.retain(|(key, _)| {
                let Some(name) = key.as_text() else {
                    return true;
                };
                if let Some((_, first)) = known.iter().find(|(known, _)| known == name) {
                    found.push(
                        Diagnostic::error(
                            "duplicate-key",
                            format!("the key `{name}` stands here twice"),
                        )
                        .at(key.span, "the second one")
                        .at(*first, "the first one")
                        .help("keep one of them, or put their contents together under it"),
                    );
                    return false;
                }
                known.push((name.to_owned(), key.span));
                true
            });
            found.extend(entries.iter_mut().flat_map(|(_, value)| once_each(value)));
        }
        _ => {}
    }
    found
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
        let start = place_of(source, &location);
        let length = source.text()[start..]
            .chars()
            .next()
            .map_or(0, char::len_utf8);
        Span::new(start, start + length)
    });
    let (message, help) = plain(message.trim());
    let diagnostic = Diagnostic::error("yaml", format!("this is not well-formed YAML: {message}"));
    let diagnostic = match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic
            .help("see the line above as well: a bracket, a quote or a `:` may be missing there"),
    };
    match span {
        Some(span) => diagnostic.at(span, "here"),
        None => diagnostic,
    }
}

/// The byte of a place: by offset where the parser gives one, else by line and column.
fn place_of(source: &Source, location: &serde_yaml::Location) -> usize {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let by_line = source.byte_at(number(location.line()), number(location.column()));
    let offset = location.span().byte_offset().map(number);
    let mut start = match offset {
        Some(offset) if offset > 0 => offset,
        _ => by_line,
    }
    .min(source.text().len());
    while !source.text().is_char_boundary(start) {
        start -= 1;
    }
    start
}

/// What the parser says in words of a spec, and what to do.
fn plain(message: &str) -> (&str, Option<&'static str>) {
    const KNOWN: [(&str, &str, &str); 14] = [
        (
            "tabs disallowed",
            "a tab stands where lines are indented",
            "indent with spaces",
        ),
        (
            "tab",
            "a tab stands where lines are indented",
            "indent with spaces",
        ),
        (
            "did not find expected key",
            "this line is indented otherwise than the block it belongs to",
            "the keys of one map begin in the same column",
        ),
        (
            "multiple YAML documents",
            "a second document begins here",
            "one file holds one experiment: take out the `---` and what follows",
        ),
        (
            "recursive",
            "an alias stands inside of what its own anchor marks",
            "`*name` stands for what `&name` marks further up, as a whole",
        ),
        (
            "recursion limit",
            "maps or lists stand too deep inside of one another",
            "a spec is a few levels deep; a bracket or an indentation is too much",
        ),
        (
            "unknown anchor",
            "this alias has no anchor before it",
            "`*name` stands for what `&name` marks further up",
        ),
        (
            "unsupported",
            "a tag is not understood here",
            "write the value without its `!tag`; variables are written `${name}` and set with `--set`",
        ),
        (
            "tag",
            "a tag is not understood here",
            "write the value without its `!tag`; variables are written `${name}` and set with `--set`",
        ),
        (
            "binary",
            "binary data is not understood here",
            "write the text itself",
        ),
        (
            "invalid trailing content",
            "a text goes on behind its closing quote",
            "a quote inside of a quoted text is written `\\\"`, or `''` in single quotes; or a closing quote is missing above",
        ),
        ("unclosed", "", "close it, or put the text in quotes"),
        (
            "mapping values are not allowed",
            "a `:` stands where no key can be",
            "put the text in quotes, or indent the line like the one above",
        ),
        (
            "while scanning a quoted scalar",
            "a quote is not closed",
            "close it; texts of several lines are easier behind `|` or `>-`",
        ),
    ];
    for (sign, words, help) in KNOWN {
        if message.contains(sign) {
            return (if words.is_empty() { message } else { words }, Some(help));
        }
    }
    (message, None)
}
