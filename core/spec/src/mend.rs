//! Everything that does not fit the language, told in one pass: each misfit is mended as it was most likely meant, or left as a
//! hole, and the rest is looked at again.

use std::collections::HashSet;

use serde::Deserialize;

use crate::deserialize::NodeDeserializer;
use crate::diagnostic::{Diagnostic, nearest};
use crate::located::Span;
use crate::misfit::{Misfit, MisfitKind, NodeId};
use crate::numbers;
use crate::other_tools;
use crate::source::Source;
use crate::spec::ExperimentSpec;
use crate::tree::{Node, Value};

/// Sections whose ids are referred to.
const SECTIONS: [&str; 5] = ["models", "datasets", "metrics", "evaluations", "finetune"];

/// More complaints than anybody reads.
const MOST: usize = 100;

/// A spec of which some parts may be holes, what was wrong with it, and where nothing more can be said.
pub(crate) struct Mended {
    /// `None` where nothing of it can be read.
    pub(crate) spec: Option<ExperimentSpec>,
    pub(crate) found: Vec<Diagnostic>,
    damage: Damage,
}

/// Parts of a spec that are not what was written.
#[derive(Default)]
struct Damage {
    /// Entries with a key too many or too few: what is missing there may have been meant by it.
    entries: Vec<Span>,
    /// Sections whose ids are not known.
    sections: HashSet<String>,
}

/// Reads the typed spec off a tree.
pub(crate) fn mended(source: &Source, tree: &mut Node) -> Mended {
    let mut out = Mended {
        spec: None,
        found: Vec::new(),
        damage: Damage::default(),
    };
    // Each round mends one node; a hole that needs keys of its own takes a round for each.
    for _ in 0..MOST * 20 {
        out.found.extend(numbers::out_of_range(tree));
        let misfit = match ExperimentSpec::deserialize(NodeDeserializer(tree)) {
            Ok(spec) => {
                out.spec = Some(spec);
                break;
            }
            Err(misfit) => misfit,
        };
        let Some(at) = misfit.place else {
            out.found
                .push(Diagnostic::error("wrong-type", misfit.to_string()));
            break;
        };
        let Some(path) = path_to(tree, at.node) else {
            break;
        };
        let mender = Mender {
            source,
            path: &path,
            misfit: &misfit,
        };
        if let Some(told) = mender.told(tree) {
            out.found.push(told);
        }
        if !mender.mend(tree, &mut out.damage) || out.found.len() >= MOST {
            break;
        }
    }
    out
}

impl Mended {
    /// Whether a complaint about the mended spec only follows from what was complained of before.
    pub(crate) fn follows(&self, diagnostic: &Diagnostic) -> bool {
        if self.found.is_empty() {
            return false;
        }
        let section = match diagnostic.code.as_ref() {
            "unknown-model" | "no-models" => "models",
            "unknown-dataset" => "datasets",
            "unknown-metric" => "metrics",
            "unknown-evaluation" | "unknown-condition" => "evaluations",
            "unknown-settings" => "finetune",
            _ => "",
        };
        if self.damage.sections.contains(section) {
            return true;
        }
        let nothing = |help: &String| help == "it has none" || help == "it asks none";
        if diagnostic.help.as_ref().is_some_and(nothing) {
            return true;
        }
        let Some((place, _)) = diagnostic.labels.first() else {
            return diagnostic.code != "no-models";
        };
        let within = |entry: &Span| (entry.start..entry.end).contains(&place.start);
        ABSENCES.contains(&diagnostic.code.as_ref()) && self.damage.entries.iter().any(within)
    }
}

/// Codes of what is missing, or too much of it.
const ABSENCES: [&str; 18] = [
    "one-source",
    "one-method",
    "no-models",
    "no-data",
    "no-answer",
    "no-prompt",
    "no-limit",
    "no-judge",
    "no-reference",
    "no-metrics",
    "not-together",
    "no-comparison",
    "no-twin",
    "empty-family",
    "bad-plugin",
    "bad-parse-rule",
    "unknown-module",
    "no-effect",
];

/// From the root to a node: the number of the entry of a map (and whether it is its key) or of the item of a list.
type Path = Vec<Step>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Key(usize),
    Value(usize),
    Item(usize),
}

fn path_to(node: &Node, wanted: NodeId) -> Option<Path> {
    fn search(node: &Node, wanted: NodeId, path: &mut Path) -> bool {
        if NodeId::of(node) == wanted {
            return true;
        }
        let mut enter = |node: &Node, step: Step| {
            path.push(step);
            let found = search(node, wanted, path);
            if !found {
                path.pop();
            }
            found
        };
        match &node.value {
            Value::List(items) => {
                let mut numbered = items.iter().enumerate();
                numbered.any(|(number, item)| enter(item, Step::Item(number)))
            }
            Value::Map(entries) => entries.iter().enumerate().any(|(number, (key, value))| {
                enter(key, Step::Key(number)) || enter(value, Step::Value(number))
            }),
            _ => false,
        }
    }
    let mut path = Path::new();
    search(node, wanted, &mut path).then_some(path)
}

fn follow<'a>(tree: &'a mut Node, path: &[Step]) -> Option<&'a mut Node> {
    let mut node = tree;
    for step in path {
        node = match (&mut node.value, step) {
            (Value::List(items), Step::Item(number)) => items.get_mut(*number)?,
            (Value::Map(entries), Step::Key(number)) => &mut entries.get_mut(*number)?.0,
            (Value::Map(entries), Step::Value(number)) => &mut entries.get_mut(*number)?.1,
            _ => return None,
        };
    }
    Some(node)
}

/// One misfit at one node.
struct Mender<'a> {
    source: &'a Source,
    path: &'a [Step],
    misfit: &'a Misfit,
}

impl Mender<'_> {
    /// The complaint; `None` for a node that is none of the text.
    fn told(&self, tree: &mut Node) -> Option<Diagnostic> {
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

    /// Puts what was most likely meant, or a hole, in the place of the misfit. Whether anything was changed.
    fn mend(&self, tree: &mut Node, damage: &mut Damage) -> bool {
        match &self.misfit.kind {
            MisfitKind::UnknownKey {
                key,
                expected,
                variant,
            } => self.mend_key(tree, damage, key, expected, *variant),
            MisfitKind::MissingKey(key) => {
                self.damaged(tree, damage, self.path);
                let Some(node) = follow(tree, self.path) else {
                    return false;
                };
                if node.value == Value::Hole {
                    node.value = Value::Map(Vec::new());
                }
                let Value::Map(entries) = &mut node.value else {
                    return false;
                };
                entries.push((Node::text(*key), Node::nowhere(Value::Hole)));
                true
            }
            MisfitKind::OneKey { expected } => {
                self.damaged(tree, damage, self.path);
                let Some(node) = follow(tree, self.path) else {
                    return false;
                };
                if let Value::Map(entries) = &mut node.value
                    && let Some(first) = entries
                        .iter()
                        .position(|(key, _)| expected.iter().any(|known| key.is(known)))
                {
                    let entry = entries.swap_remove(first);
                    *entries = vec![entry];
                    return true;
                }
                hole(node)
            }
            MisfitKind::WrongType { wanted, .. } => self.mend_type(tree, damage, wanted),
            MisfitKind::UnknownValue { .. } | MisfitKind::Other(_) => {
                self.damaged(tree, damage, self.path);
                follow(tree, self.path).is_some_and(hole)
            }
        }
    }

    fn mend_key(
        &self,
        tree: &mut Node,
        damage: &mut Damage,
        key: &str,
        expected: &[String],
        variant: bool,
    ) -> bool {
        let Some((&step, parent)) = self.path.split_last() else {
            // A word that is no key at all, such as `- user` for a turn.
            return follow(tree, self.path).is_some_and(hole);
        };
        let (Step::Key(number) | Step::Value(number) | Step::Item(number)) = step;
        let Some(map) = follow(tree, parent) else {
            return false;
        };
        let meant = other_tools::ours(key, expected)
            .filter(|theirs| theirs.written.is_none())
            .map(|theirs| theirs.ours)
            .or_else(|| nearest(key, expected.iter().map(String::as_str)));
        let taken = meant.is_some_and(|meant| map.get(meant).is_some());
        let Value::Map(entries) = &mut map.value else {
            return follow(tree, self.path).is_some_and(hole);
        };
        if let (Some(meant), false, Step::Key(_)) = (meant, taken, step) {
            entries[number].0.value = Value::Text(meant.to_owned());
            return true;
        }
        if variant {
            self.damaged(tree, damage, parent);
            return follow(tree, parent).is_some_and(hole);
        }
        entries.remove(number);
        self.damaged(tree, damage, parent);
        if parent.is_empty() {
            // Nobody knows what the section was.
            damage.sections.extend(
                SECTIONS
                    .into_iter()
                    .filter(|section| tree.get(section).is_none())
                    .map(str::to_owned),
            );
        }
        true
    }

    fn mend_type(&self, tree: &mut Node, damage: &mut Damage, wanted: &str) -> bool {
        if let Some(Step::Key(number)) = self.path.last() {
            let written = follow(tree, self.path)
                .map(|node| self.source.written(node.span).to_owned())
                .unwrap_or_default();
            let parent = &self.path[..self.path.len() - 1];
            let Some(Value::Map(entries)) = follow(tree, parent).map(|map| &mut map.value) else {
                return false;
            };
            // A name that YAML read as something else.
            entries[*number].0.value = Value::Text(written);
            return true;
        }
        let Some(node) = follow(tree, self.path) else {
            return false;
        };
        let written = self.source.written(node.span).trim().to_owned();
        match (wanted, &node.value) {
            ("a list", Value::Text(_) | Value::Unsigned(_)) => {
                let item = std::mem::replace(node, Node::nowhere(Value::Hole));
                node.span = item.span;
                node.value = Value::List(vec![item]);
                true
            }
            (
                "a text",
                Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_),
            ) => {
                node.value = Value::Text(written);
                true
            }
            _ => {
                self.damaged(tree, damage, self.path);
                follow(tree, self.path).is_some_and(hole)
            }
        }
    }

    /// Remembers that an entry is not what was written.
    fn damaged(&self, tree: &Node, damage: &mut Damage, path: &[Step]) {
        if let [Step::Value(number)] = path
            && let Value::Map(entries) = &tree.value
            && let Some(section) = entries[*number].0.as_text()
        {
            damage.sections.insert(section.to_owned());
            if section == "pretrain" {
                damage.sections.insert("finetune".to_owned());
            }
        }
        if path.is_empty() {
            damage.sections.extend(SECTIONS.map(str::to_owned));
        }
        // The innermost entry that has an id: `models: base: ...`, `evaluations: ask: judges: guard: ...`.
        let mut node = tree;
        for (depth, step) in path.iter().enumerate() {
            node = match (&node.value, *step) {
                (Value::List(items), Step::Item(number)) => {
                    let span = items[number].span;
                    damage.note(path, depth, Span::new(span.start, end_of(&items[number])));
                    &items[number]
                }
                (Value::Map(entries), Step::Key(number) | Step::Value(number)) => {
                    let (key, value) = &entries[number];
                    let end = end_of(value).max(key.span.end);
                    damage.note(path, depth, Span::new(key.span.start, end));
                    value
                }
                _ => return,
            };
        }
    }
}

impl Damage {
    /// An entry and the one around it are damaged by what stands at the end of a path, not whole sections.
    fn note(&mut self, path: &[Step], depth: usize, span: Span) {
        if depth >= 1 && depth + 3 > path.len() && !span.is_none() {
            self.entries.push(span);
        }
    }
}

/// Where what stands inside of a node ends: of maps, the parser gives the beginning alone.
fn end_of(node: &Node) -> usize {
    let inner = match &node.value {
        Value::List(items) => items.iter().map(end_of).max(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| end_of(value).max(key.span.end))
            .max(),
        _ => None,
    };
    inner.unwrap_or(0).max(node.span.end)
}

fn hole(node: &mut Node) -> bool {
    let fresh = node.value != Value::Hole;
    *node = Node::nowhere(Value::Hole);
    fresh
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
