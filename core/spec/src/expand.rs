//! Variables and sweeps, put into the tree before it is read as a spec: `vary` on a model or an evaluation becomes one entry for
//! each cell, with the settings and datasets that it names, and what refers to cells names each of them.
//!
//! Nothing here knows the types of the language. A spec without `vary` comes out with its variables filled in, and nothing else.

mod axes;
mod cells;
mod references;

use std::collections::{BTreeMap, BTreeSet};

use driftgauge_cell::SEED;

use self::axes::{Axes, Coordinates};
use self::cells::{Cell, Cells};
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Variables};
use crate::tree::{Node, Value};
use crate::variables::{Environment, mentioned};

/// Cells of one spec, unless it says `max_cells`.
const MOST_CELLS: u64 = 1_000;

/// Fills in variables and makes the cells of every sweep.
pub(crate) fn expand(source: &Source, tree: &mut Node, set: &Variables) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let environment = Environment::declared(source, tree, set, &mut found);
    let mut expansion = Expansion {
        source,
        environment,
        found,
        most: tree.get("max_cells").and_then(count).unwrap_or(MOST_CELLS),
        models: Cells::default(),
        evaluations: Cells::default(),
        copies: BTreeMap::new(),
        plain: BTreeSet::new(),
    };
    expansion.tree(tree);
    expansion.found
}

fn count(node: &Node) -> Option<u64> {
    match node.value {
        Value::Unsigned(count) => Some(count),
        _ => None,
    }
}

/// Sections whose entries a cell may need a copy of its own of.
const REACHED: [&str; 3] = ["finetune", "pretrain", "datasets"];

struct Expansion<'a> {
    source: &'a Source,
    environment: Environment,
    found: Vec<Diagnostic>,
    most: u64,
    models: Cells,
    evaluations: Cells,
    /// Copies of settings and datasets by section and new id.
    copies: BTreeMap<(&'static str, String), Node>,
    /// Settings and datasets that something names as they are, by section and id.
    plain: BTreeSet<(&'static str, String)>,
}

impl Expansion<'_> {
    fn tree(&mut self, tree: &mut Node) {
        let swept: Vec<&str> = ["models", "evaluations"]
            .into_iter()
            .filter(|section| has_sweeps(tree.get(section)))
            .collect();
        let before = tree.clone();
        for section in ["models", "evaluations"] {
            if let Some(node) = tree.get_mut(section) {
                self.section(section, node, &before);
            }
        }
        let Value::Map(entries) = &mut tree.value else {
            return;
        };
        for (key, value) in entries.iter_mut() {
            let Some(name) = key.as_text() else {
                continue;
            };
            match REACHED.iter().find(|section| **section == name) {
                Some(section) => self.reached(section, value),
                None if ["vars", "models", "evaluations"].contains(&name) => {}
                None => self.environment.put(value, &mut self.found),
            }
        }
        if !swept.is_empty() || references::asks_for_all(tree) || references::compares_own(tree) {
            references::rewrite(tree, &self.models, &self.evaluations, &mut self.found);
        }
    }

    /// The models, or the evaluations: one entry for each cell.
    fn section(&mut self, section: &'static str, node: &mut Node, tree: &Node) {
        let Value::Map(entries) = &mut node.value else {
            self.environment.put(node, &mut self.found);
            return;
        };
        let mut out = Vec::new();
        for (key, mut value) in std::mem::take(entries) {
            if key.as_text().is_some_and(|id| id.contains('@')) {
                self.found.push(
                    Diagnostic::error("bad-id", format!("`{}` is no id", key.as_text().unwrap_or_default()))
                        .at(key.span, "what stands behind `@` is made by `vary`")
                        .help("letters, digits, `-` and `_` only; `vary: {x: [1, 2]}` makes `id@x=1` and `id@x=2`"),
                );
            }
            let Some(vary) = take(&mut value, "vary") else {
                if let Some(except) = take(&mut value, "except") {
                    self.found.push(
                        Diagnostic::error(
                            "not-together",
                            "`except` leaves cells of `vary` out, which is not there",
                        )
                        .at(except.span, "nothing is varied")
                        .help("add `vary`, or take it out"),
                    );
                }
                self.environment.put(&mut value, &mut self.found);
                self.names(section, &value);
                out.push((key, value));
                continue;
            };
            let except = take(&mut value, "except");
            let id = key.as_text().unwrap_or_default().to_owned();
            let axes = Axes::read(self.source, &vary, except.as_ref(), &mut self.found);
            let made = self.models.len() + self.evaluations.len();
            if made as u64 + axes.size() > self.most {
                self.found.push(
                    Diagnostic::error(
                        "too-many-cells",
                        format!(
                            "`vary` makes {} cells of `{id}`, {} in all",
                            axes.size(),
                            made as u64 + axes.size()
                        ),
                    )
                    .at(vary.span, axes.product())
                    .help(format!(
                        "at most {} are made; leave some out with `except`, or say `max_cells: N`",
                        self.most
                    )),
                );
                continue;
            }
            self.unused_axes(section, &axes, &value, tree);
            let mut firsts: BTreeMap<Coordinates, String> = BTreeMap::new();
            for coordinates in axes.cells() {
                let name = format!("{id}@{}", coordinates.name());
                let environment = self.environment.with(coordinates.bindings());
                let mut cell = value.clone();
                match section {
                    "models" => {
                        seeded(&mut cell, &["finetune", "pretrain"], &coordinates);
                        replicate(&mut cell, &coordinates, &name, &mut firsts);
                    }
                    _ => seeded(&mut cell, &["generate"], &coordinates),
                }
                environment.put(&mut cell, &mut self.found);
                self.reach(section, &mut cell, &coordinates, &environment, tree);
                if section == "evaluations" {
                    one_greedy_sample(&mut cell, &coordinates);
                }
                let cells = match section {
                    "models" => &mut self.models,
                    _ => &mut self.evaluations,
                };
                cells.add(Cell {
                    family: id.clone(),
                    name: name.clone(),
                    coordinates,
                });
                let key = Node {
                    value: Value::Text(name),
                    ..key.clone()
                };
                out.push((key, cell));
            }
        }
        *entries = out;
    }

    /// Gives a cell copies of the settings and datasets that it names and that say its variables.
    fn reach(
        &mut self,
        section: &str,
        cell: &mut Node,
        coordinates: &Coordinates,
        environment: &Environment,
        tree: &Node,
    ) {
        let mut copy = |reached: &'static str, id: &mut Node| {
            let Some(name) = id.as_text().map(str::to_owned) else {
                return;
            };
            let Some(entry) = tree.get(reached).and_then(|section| section.get(&name)) else {
                return;
            };
            let said = mentioned(entry);
            let of_axes = coordinates.saying(&said);
            if of_axes.is_empty() {
                self.plain.insert((reached, name));
                return;
            }
            let new = format!("{name}@{of_axes}");
            id.value = Value::Text(new.clone());
            if !self.copies.contains_key(&(reached, new.clone())) {
                let mut entry = entry.clone();
                environment.put(&mut entry, &mut self.found);
                self.copies.insert((reached, new), entry);
            }
        };
        if section == "evaluations" {
            if let Some(id) = cell.get_mut("dataset") {
                copy("datasets", id);
            }
            let examples = cell.get_mut("examples");
            if let Some(id) = examples.and_then(|examples| examples.get_mut("dataset")) {
                copy("datasets", id);
            }
            return;
        }
        for method in ["finetune", "pretrain"] {
            let Some(training) = cell.get_mut(method) else {
                continue;
            };
            if let Some(id) = training.get_mut("settings") {
                copy(method, id);
            }
            if let Some(id) = training.get_mut("dataset") {
                copy("datasets", id);
            }
            if let Some(Value::List(parts)) = training.get_mut("mix").map(|mix| &mut mix.value) {
                for part in parts {
                    if let Some(id) = part.get_mut("dataset") {
                        copy("datasets", id);
                    }
                }
            }
        }
    }

    /// Remembers the settings and datasets that an entry without a sweep names.
    fn names(&mut self, section: &str, entry: &Node) {
        let mut name = |reached: &'static str, id: Option<&Node>| {
            if let Some(id) = id.and_then(Node::as_text) {
                self.plain.insert((reached, id.to_owned()));
            }
        };
        if section == "evaluations" {
            name("datasets", entry.get("dataset"));
            let examples = entry.get("examples");
            name(
                "datasets",
                examples.and_then(|examples| examples.get("dataset")),
            );
            return;
        }
        for method in ["finetune", "pretrain"] {
            let Some(training) = entry.get(method) else {
                continue;
            };
            name(method, training.get("settings"));
            name("datasets", training.get("dataset"));
            if let Some(Value::List(parts)) = training.get("mix").map(|mix| &mix.value) {
                parts
                    .iter()
                    .for_each(|part| name("datasets", part.get("dataset")));
            }
        }
    }

    /// Settings or datasets: those that only cells name are there for the cells alone.
    fn reached(&mut self, section: &'static str, node: &mut Node) {
        let copies: Vec<(String, Node)> = self
            .copies
            .iter()
            .filter(|((of, _), _)| *of == section)
            .map(|((_, id), entry)| (id.clone(), entry.clone()))
            .collect();
        let Value::Map(entries) = &mut node.value else {
            self.environment.put(node, &mut self.found);
            return;
        };
        let mut out = Vec::new();
        for (key, mut value) in std::mem::take(entries) {
            let id = key.as_text().unwrap_or_default().to_owned();
            let start = format!("{id}@");
            let mut own = copies
                .iter()
                .filter(|(copy, _)| copy.starts_with(&start))
                .peekable();
            let only_cells = own.peek().is_some() && !self.plain.contains(&(section, id.clone()));
            for (copy, entry) in own {
                let key = Node {
                    value: Value::Text(copy.clone()),
                    ..key.clone()
                };
                out.push((key, entry.clone()));
            }
            if !only_cells {
                self.environment.put(&mut value, &mut self.found);
                out.push((key, value));
            }
        }
        *entries = out;
    }

    /// Every axis has to change something.
    fn unused_axes(&mut self, section: &str, axes: &Axes, entry: &Node, tree: &Node) {
        let mut said = mentioned(entry);
        for reached in REACHED {
            if let Some(Value::Map(entries)) = tree.get(reached).map(|section| &section.value) {
                for (_, value) in entries {
                    said.extend(mentioned(value));
                }
            }
        }
        for (axis, span) in axes.names() {
            // A base that is varied too agrees with the cell.
            let base = ["finetune", "adapter"]
                .into_iter()
                .find_map(|method| entry.get(method)?.get("base")?.as_text());
            let of_base = base.and_then(|base| {
                tree.get("models")?
                    .get(driftgauge_cell::family(base))?
                    .get("vary")?
                    .get(axis)
            });
            if of_base.is_some() {
                continue;
            }
            let as_seed = axis == SEED && (section == "models" || entry.get("generate").is_some());
            if !as_seed
                && !axes
                    .variables_of(axis)
                    .iter()
                    .any(|name| said.contains(*name))
            {
                self.found.push(
                    Diagnostic::error("unused-axis", format!("nothing says `${{{axis}}}`, so all of its cells are the same"))
                        .at(span, "changes nothing")
                        .help("write it where it belongs, in the entry itself or in the settings or the dataset that it names"),
                );
            }
        }
    }
}

fn has_sweeps(section: Option<&Node>) -> bool {
    let Some(Value::Map(entries)) = section.map(|section| &section.value) else {
        return false;
    };
    entries.iter().any(|(_, entry)| entry.get("vary").is_some())
}

/// Takes a key out of a map.
fn take(node: &mut Node, wanted: &str) -> Option<Node> {
    let Value::Map(entries) = &mut node.value else {
        return None;
    };
    let at = entries.iter().position(|(key, _)| key.is(wanted))?;
    Some(entries.remove(at).1)
}

/// An axis called `seed` is the seed of what the cell draws, unless it says one itself.
fn seeded(cell: &mut Node, parts: &[&str], coordinates: &Coordinates) {
    let Some(seed) = coordinates.value(SEED) else {
        return;
    };
    for part in parts {
        if let Some(part) = cell.get_mut(part)
            && part.get("seed").is_none()
            && let Value::Map(entries) = &mut part.value
        {
            entries.push((Node::text("seed"), seed.clone()));
        }
    }
}

/// Cells that differ in their seed alone are trainings of one recipe.
fn replicate(
    cell: &mut Node,
    coordinates: &Coordinates,
    name: &str,
    firsts: &mut BTreeMap<Coordinates, String>,
) {
    if coordinates.value(SEED).is_none() || cell.get("replicate_of").is_some() {
        return;
    }
    let others = coordinates.without(SEED);
    match firsts.get(&others) {
        Some(first) => {
            if let Value::Map(entries) = &mut cell.value {
                entries.push((Node::text("replicate_of"), Node::text(first.clone())));
            }
        }
        None => {
            firsts.insert(others, name.to_owned());
        }
    }
}

/// A greedy cell of an evaluation that varies its temperature draws nothing, so one sample of a prompt is all there is.
fn one_greedy_sample(cell: &mut Node, coordinates: &Coordinates) {
    let Some(generate) = cell.get_mut("generate") else {
        return;
    };
    let greedy = match generate.get("temperature").map(|node| &node.value) {
        Some(Value::Unsigned(0)) => true,
        Some(Value::Float(value)) => *value == 0.0,
        _ => false,
    };
    let varied = coordinates.any(|value| {
        generate
            .get("temperature")
            .is_some_and(|own| own.value == value.value)
    });
    if greedy
        && varied
        && let Some(samples) = generate.get_mut("samples")
    {
        samples.value = Value::Unsigned(1);
    }
}
