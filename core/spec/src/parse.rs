//! From text to the typed spec: YAML to a tree, variables into its texts, the tree into types.

use std::collections::{HashMap, HashSet};

use crate::check::check;
use crate::datasets_of_folder;
use crate::diagnostic::Diagnostic;
use crate::expand::expand;
use crate::include;
use crate::located::{Span, Text};
use crate::mend;
use crate::paths;
use crate::source::{Source, Variables};
use crate::spec::ExperimentSpec;
use crate::tree::{Node, Value};
use crate::variables::Environment;
use crate::whole;

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
    let Put {
        mut tree,
        mut found,
        folders,
    } = match put_together(source, variables) {
        Ok(put) => put,
        Err(diagnostic) => {
            return Reading {
                spec: None,
                found: vec![*diagnostic],
            };
        }
    };
    whole_prefills(&mut tree);
    lift_only(&mut tree, &mut found);
    found.extend(expand(source, &mut tree, variables));
    let mut mended = mend::mended(source, &mut tree);
    if let Some(spec) = &mut mended.spec {
        paths::from_spec(source, spec);
    }
    if let Some(spec) = &mended.spec {
        // What is there for several specs, or for whoever puts a file there, may be left alone.
        let shared = |diagnostic: &Diagnostic| {
            let place = diagnostic.labels.first().map(|(span, _)| *span);
            diagnostic.code == "unused"
                && place.is_some_and(|place| source.is_included(place) || folders.contains(&place))
        };
        let further: Vec<Diagnostic> = check(spec)
            .into_iter()
            .filter(|diagnostic| !mended.follows(diagnostic) && !shared(diagnostic))
            .collect();
        mended.found.extend(further);
    }
    found.extend(mended.found);
    Reading {
        found: settled(mended.spec.as_ref(), found),
        spec: mended.spec,
    }
}

/// The tree of a spec with all that it includes.
struct Put {
    tree: Node,
    found: Vec<Diagnostic>,
    /// Places of the datasets of whole folders.
    folders: Vec<Span>,
}

fn put_together(source: &Source, variables: &Variables) -> Result<Put, Box<Diagnostic>> {
    let (mut trees, mut found) = include::trees(source)?;
    for tree in &mut trees {
        found.extend(once_each(tree));
    }
    let mut folders = Vec::new();
    if trees.iter().any(datasets_of_folder::is_folder) {
        // What is wrong with variables is told when they are put everywhere.
        let unheard = &mut Vec::new();
        let whole = include::merged(source, trees.clone(), unheard);
        let environment = Environment::declared(source, &whole, variables, unheard);
        for tree in trees
            .iter_mut()
            .filter(|tree| datasets_of_folder::is_folder(tree))
        {
            folders.extend(datasets_of_folder::expand(
                source,
                tree,
                &environment,
                &mut found,
            ));
        }
    }
    let mut tree = include::merged(source, trees, &mut found);
    if let Value::Map(entries) = &mut tree.value
        && source.folder().is_some()
    {
        // It was followed, unless it is no list of texts.
        entries.retain(|(key, list)| !(key.is("include") && is_followed(list)));
    }
    Ok(Put {
        tree,
        found,
        folders,
    })
}

fn is_followed(list: &Node) -> bool {
    matches!(&list.value, Value::List(items) if items.iter().all(|item| item.as_text().is_some()))
}

/// The spec as one text that includes nothing, with texts in the place of others: what `edits` says for a place is written there.
/// Nothing where the text cannot be read.
#[must_use]
pub fn whole_text(
    source: &Source,
    spec: &ExperimentSpec,
    edits: &[(Span, String)],
) -> Option<String> {
    let (trees, _) = include::trees(source).ok()?;
    let tree = include::merged(source, trees, &mut Vec::new());
    let own = |(span, _): (Span, String)| {
        // A path that holds a variable keeps it.
        let written = source.written(span).trim_matches(['"', '\'']);
        let path = source.seen_from_spec(span, written);
        (
            span,
            serde_json::Value::from(path.to_string_lossy()).to_string(),
        )
    };
    let mut all: HashMap<Span, String> =
        paths::included(source, spec).into_iter().map(own).collect();
    all.extend(edits.iter().cloned());
    Some(whole::write(source, &tree, &all))
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

/// `only` is a matter of the metric, also where it stands in the configuration of its plugin.
fn lift_only(tree: &mut Node, found: &mut Vec<Diagnostic>) {
    let Some(Value::Map(metrics)) = tree.get_mut("metrics").map(|section| &mut section.value)
    else {
        return;
    };
    for (_, metric) in metrics {
        let inside = metric
            .get_mut("config")
            .and_then(|config| match &mut config.value {
                Value::Map(entries) => {
                    let at = entries.iter().position(|(key, _)| key.is("only"))?;
                    Some(entries.remove(at))
                }
                _ => None,
            });
        let Some((key, only)) = inside else { continue };
        if let Some(other) = metric.get("only") {
            found.push(
                Diagnostic::error(
                    "not-together",
                    "`only` stands beside `config` and inside of it",
                )
                .at(only.span, "")
                .at(other.span, "")
                .help("keep one of them"),
            );
        } else if let Value::Map(entries) = &mut metric.value {
            entries.push((key, only));
        }
    }
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

/// Where a key stands inside of the value at `span`, as a plugin names it: keys inside of others after a dot, places of a list in
/// brackets.
#[must_use]
pub fn place_of_key(source: &Source, span: Span, key: &str) -> Option<Span> {
    let (trees, _) = include::trees(source).ok()?;
    let mut node = trees.iter().find_map(|tree| find(tree, span))?;
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
