//! Everything that does not fit the language, told in one pass: each misfit is mended as it was most likely meant, or left as a
//! hole, and the rest is looked at again.

mod path;
mod told;

use std::collections::HashSet;

use serde::Deserialize;

use self::path::{Step, follow, path_to};
use crate::deserialize::NodeDeserializer;
use crate::diagnostic::{Diagnostic, nearest};
use crate::located::Span;
use crate::misfit::{Misfit, MisfitKind};
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

/// One misfit at one node.
struct Mender<'a> {
    source: &'a Source,
    path: &'a [Step],
    misfit: &'a Misfit,
}

impl Mender<'_> {
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
