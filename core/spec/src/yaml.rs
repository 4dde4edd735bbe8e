//! From YAML text to a tree whose nodes know their places, and what the parser says in words of a spec.

use crate::diagnostic::Diagnostic;
use crate::located::Span;
use crate::source::Source;
use crate::tree::{Node, Value};

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

/// The tree of one file.
pub(crate) fn tree_of(source: &Source) -> Result<Node, Box<Diagnostic>> {
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
    if let Some((second, first)) = merged_twice(source) {
        return Err(Box::new(
            Diagnostic::error("duplicate-key", "the key `<<` stands here twice")
                .at(second, "the second one")
                .at(first, "the first one")
                .help("one `<<` takes several anchors, of which the first has the word: `<<: [*one, *other]`"),
        ));
    }
    match binary(source, &tree) {
        Some(span) => Err(Box::new(
            Diagnostic::error("yaml", "binary data is not understood here")
                .at(span, "behind `!!binary`")
                .help("write the text itself"),
        )),
        None => Ok(tree),
    }
}

/// Places of a second and a first `<<` in one map: YAML merges both, and says nothing of what the second one cannot set any more.
fn merged_twice(source: &Source) -> Option<(Span, Span)> {
    if source.text().matches("<<").count() < 2 {
        return None;
    }
    let mut as_written = options();
    as_written.merge_keys = serde_yaml::options::MergeKeyPolicy::AsOrdinary;
    let read = |text: &str| serde_yaml::from_str_with_options::<Node>(text, as_written.clone());
    let tree = read(source.text()).or_else(|_| read(&masked(source.text())));
    second_merge(&tree.ok()?)
}

fn second_merge(node: &Node) -> Option<(Span, Span)> {
    match &node.value {
        Value::List(items) => items.iter().find_map(second_merge),
        Value::Map(entries) => {
            let mut merges = entries.iter().filter(|(key, _)| key.is("<<"));
            match (merges.next(), merges.next()) {
                (Some((first, _)), Some((second, _))) => Some((second.span, first.span)),
                _ => entries.iter().find_map(|(_, value)| second_merge(value)),
            }
        }
        _ => None,
    }
}

/// The tree of a text in which variables stand without quotes where YAML wants them.
fn masked_tree(source: &Source) -> Option<Node> {
    let text = source.text();
    let mut tree = serde_yaml::from_str_with_options::<Node>(&masked(text), options()).ok()?;
    unmask(&mut tree, text);
    Some(tree)
}

/// The text with the braces of its variables hidden from YAML; every place stays what it is.
fn masked(text: &str) -> String {
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
    masked
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
