//! What refers to cells: the models of evaluations, bases, judges, comparisons, gates and published values.

use std::collections::BTreeSet;

use super::axes::Coordinates;
use super::cells::Cells;
use crate::diagnostic::Diagnostic;
use crate::tree::{Node, Value};

/// Whether an evaluation asks `all` models.
pub(super) fn asks_for_all(tree: &Node) -> bool {
    entries(tree.get("evaluations"))
        .any(|(_, entry)| entry.get("models").is_some_and(|models| models.is("all")))
}

/// Whether each model is compared with its own base.
pub(super) fn compares_own(tree: &Node) -> bool {
    let baseline = tree
        .get("compare")
        .and_then(|compare| compare.get("baseline"));
    baseline.is_some_and(|baseline| baseline.is("own"))
        && tree
            .get("models")
            .is_none_or(|models| models.get("own").is_none())
}

/// Puts the names of cells where selectors stand.
pub(super) fn rewrite(
    tree: &mut Node,
    models: &Cells,
    evaluations: &Cells,
    found: &mut Vec<Diagnostic>,
) {
    let everybody = everybody(tree);
    let bases = compares_own(tree).then(|| own_bases(tree, models));
    let mut rewriting = Rewriting {
        models,
        evaluations,
        found,
    };
    if let Some(Value::Map(entries)) = tree.get_mut("models").map(|section| &mut section.value) {
        for (key, entry) in entries {
            let at = key.as_text().and_then(|name| models.named(name));
            rewriting.model(entry, at.map(|cell| &cell.coordinates));
        }
    }
    if let Some(Value::Map(entries)) = tree
        .get_mut("evaluations")
        .map(|section| &mut section.value)
    {
        for (key, entry) in entries {
            let at = key.as_text().and_then(|name| evaluations.named(name));
            rewriting.evaluation(entry, at.map(|cell| &cell.coordinates), &everybody);
        }
    }
    if let Some(compare) = tree.get_mut("compare") {
        rewriting.compare(compare, bases.as_deref());
    }
    if let Some(Value::List(gates)) = tree.get_mut("gates").map(|gates| &mut gates.value) {
        let all = std::mem::take(gates);
        gates.extend(all.into_iter().flat_map(|gate| rewriting.gate(&gate)));
    }
    if let Some(Value::Map(searches)) = tree.get_mut("search").map(|search| &mut search.value) {
        for (_, search) in searches {
            rewriting.search(search);
        }
    }
    if let Some(Value::List(expected)) =
        tree.get_mut("expected").map(|expected| &mut expected.value)
    {
        for published in expected {
            for (key, cells) in [
                ("model", models),
                ("baseline", models),
                ("evaluation", evaluations),
            ] {
                rewriting.one(published.get_mut(key), cells, None);
            }
        }
    }
}

fn entries(section: Option<&Node>) -> impl Iterator<Item = &(Node, Node)> {
    let entries = match section.map(|section| &section.value) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    entries.iter()
}

/// The models that `all` stands for: every one that judges nothing.
fn everybody(tree: &Node) -> Vec<String> {
    let mut judging = BTreeSet::new();
    for (_, evaluation) in entries(tree.get("evaluations")) {
        for (_, judge) in entries(evaluation.get("judges")) {
            for (_, settings) in entries(Some(judge)) {
                judging.extend(settings.get("model").and_then(Node::as_text));
            }
        }
    }
    let ids = entries(tree.get("models")).filter_map(|(key, _)| key.as_text());
    ids.filter(|id| !judging.contains(id))
        .map(str::to_owned)
        .collect()
}

/// Each model that is made from another one, with that one.
fn own_bases(tree: &Node, models: &Cells) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (key, entry) in entries(tree.get("models")) {
        let base = ["finetune", "adapter"]
            .into_iter()
            .find_map(|method| entry.get(method)?.get("base")?.as_text());
        if let (Some(id), Some(base)) = (key.as_text(), base) {
            let at = models.named(id).map(|cell| &cell.coordinates);
            let base = models
                .one(base, key.span, at, &mut Vec::new())
                .unwrap_or_else(|| base.to_owned());
            out.push((id.to_owned(), base));
        }
    }
    out
}

struct Rewriting<'a> {
    models: &'a Cells,
    evaluations: &'a Cells,
    found: &'a mut Vec<Diagnostic>,
}

impl Rewriting<'_> {
    fn model(&mut self, entry: &mut Node, at: Option<&Coordinates>) {
        let models = self.models;
        for method in ["finetune", "adapter"] {
            let base = entry
                .get_mut(method)
                .and_then(|method| method.get_mut("base"));
            self.one(base, models, at);
        }
        self.one(entry.get_mut("replicate_of"), models, None);
        let evaluations = self.evaluations;
        let recordings = match entry
            .get_mut("recorded")
            .map(|recorded| &mut recorded.value)
        {
            Some(Value::List(items)) => items.iter_mut().collect(),
            Some(Value::Map(_)) => entry.get_mut("recorded").into_iter().collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        for recording in recordings {
            self.many(recording.get_mut("evaluations"), evaluations);
        }
    }

    fn evaluation(&mut self, entry: &mut Node, at: Option<&Coordinates>, everybody: &[String]) {
        let (models, evaluations) = (self.models, self.evaluations);
        if let Some(asked) = entry.get_mut("models") {
            if asked.is("all") {
                let name = |id: &String| Node {
                    span: asked.span,
                    ..Node::text(id.clone())
                };
                asked.value = Value::List(everybody.iter().map(name).collect());
            } else {
                self.many(Some(asked), models);
            }
        }
        let reference = entry.get_mut("kl").and_then(|kl| kl.get_mut("reference"));
        self.one(reference, models, at);
        for key in ["over_refusal_of", "judge_check"] {
            self.one(entry.get_mut(key), evaluations, at);
        }
        if let Some(Value::Map(judges)) = entry.get_mut("judges").map(|judges| &mut judges.value) {
            for (_, judge) in judges {
                if let Value::Map(kinds) = &mut judge.value {
                    for (_, settings) in kinds {
                        self.one(settings.get_mut("model"), models, at);
                    }
                }
            }
        }
    }

    fn compare(&mut self, compare: &mut Node, bases: Option<&[(String, String)]>) {
        let (models, evaluations) = (self.models, self.evaluations);
        match bases {
            None => self.one(compare.get_mut("baseline"), models, None),
            Some(bases) => own(compare, bases, self.found),
        }
        if let Some(Value::List(pairs)) = compare.get_mut("pairs").map(|pairs| &mut pairs.value) {
            let all = std::mem::take(pairs);
            for pair in all {
                let sides = match &pair.value {
                    Value::List(sides) if sides.len() == 2 => sides,
                    _ => {
                        pairs.push(pair);
                        continue;
                    }
                };
                let firsts = self.selected(&sides[0], models);
                let seconds = self.selected(&sides[1], models);
                for first in &firsts {
                    for second in &seconds {
                        pairs.push(Node {
                            value: Value::List(vec![first.clone(), second.clone()]),
                            ..pair.clone()
                        });
                    }
                }
            }
        }
        for key in ["family", "exploratory"] {
            self.paths(compare.get_mut(key), evaluations);
        }
        if let Some(Value::Map(families)) = compare
            .get_mut("families")
            .map(|families| &mut families.value)
        {
            for (_, family) in families {
                self.paths(family.get_mut("members"), evaluations);
            }
        }
    }

    /// A gate for every cell that matches.
    fn gate(&mut self, gate: &Node) -> Vec<Node> {
        let (models, evaluations) = (self.models, self.evaluations);
        let metrics = match gate.get("metric") {
            Some(metric) => self.path(metric, evaluations),
            None => return vec![gate.clone()],
        };
        let asked = match gate.get("model") {
            Some(model) => self.selected(model, models),
            None => return vec![gate.clone()],
        };
        let mut out = Vec::new();
        for metric in &metrics {
            for model in &asked {
                let mut one = gate.clone();
                if let Some(place) = one.get_mut("metric") {
                    place.clone_from(metric);
                }
                if let Some(place) = one.get_mut("model") {
                    place.clone_from(model);
                }
                out.push(one);
            }
        }
        out
    }

    fn search(&mut self, search: &mut Node) {
        let (models, evaluations) = (self.models, self.evaluations);
        self.many(search.get_mut("models"), models);
        for key in ["maximise", "minimise"] {
            self.one_path(search.get_mut(key), evaluations);
        }
        if let Some(Value::List(bounds)) =
            search.get_mut("subject_to").map(|bounds| &mut bounds.value)
        {
            for bound in bounds {
                self.one_path(bound.get_mut("metric"), evaluations);
            }
        }
    }

    /// `evaluation/metric` of one cell of the evaluation.
    fn one_path(&mut self, path: Option<&mut Node>, cells: &Cells) {
        let Some(path) = path else { return };
        let Some((evaluation, metric)) = path.as_text().and_then(|text| text.split_once('/'))
        else {
            return;
        };
        if let Some(name) = cells.one(evaluation, path.span, None, self.found) {
            path.value = Value::Text(format!("{name}/{metric}"));
        }
    }

    /// A node for every cell that a reference means; the reference itself where it names no sweep.
    fn selected(&mut self, reference: &Node, cells: &Cells) -> Vec<Node> {
        let Some(text) = reference.as_text() else {
            return vec![reference.clone()];
        };
        match cells.selected(text, reference.span, self.found) {
            None => vec![reference.clone()],
            Some(selected) => selected
                .into_iter()
                .map(|cell| Node {
                    value: Value::Text(cell.name.clone()),
                    ..reference.clone()
                })
                .collect(),
        }
    }

    fn one(&mut self, reference: Option<&mut Node>, cells: &Cells, at: Option<&Coordinates>) {
        let Some(reference) = reference else { return };
        let Some(text) = reference.as_text() else {
            return;
        };
        if let Some(name) = cells.one(text, reference.span, at, self.found) {
            reference.value = Value::Text(name);
        }
    }

    fn many(&mut self, list: Option<&mut Node>, cells: &Cells) {
        if let Some(Value::List(items)) = list.map(|list| &mut list.value) {
            let all = std::mem::take(items);
            items.extend(all.iter().flat_map(|item| self.selected(item, cells)));
        }
    }

    fn paths(&mut self, list: Option<&mut Node>, cells: &Cells) {
        if let Some(Value::List(items)) = list.map(|list| &mut list.value) {
            let all = std::mem::take(items);
            items.extend(all.iter().flat_map(|item| self.path(item, cells)));
        }
    }

    /// `evaluation/metric` for every cell of the evaluation.
    fn path(&mut self, path: &Node, cells: &Cells) -> Vec<Node> {
        let Some((evaluation, metric)) = path.as_text().and_then(|text| text.split_once('/'))
        else {
            return vec![path.clone()];
        };
        match cells.selected(evaluation, path.span, self.found) {
            None => vec![path.clone()],
            Some(selected) => selected
                .into_iter()
                .map(|cell| Node {
                    value: Value::Text(format!("{}/{metric}", cell.name)),
                    ..path.clone()
                })
                .collect(),
        }
    }
}

/// `baseline: own`: the base that most models were made from is the baseline, every other base a pair of its own.
fn own(compare: &mut Node, bases: &[(String, String)], found: &mut Vec<Diagnostic>) {
    let Some(baseline) = compare.get_mut("baseline") else {
        return;
    };
    let count = |base: &str| bases.iter().filter(|(_, own)| own == base).count();
    // The first of those that are named most often.
    let most = bases
        .iter()
        .map(|(_, base)| base)
        .rev()
        .max_by_key(|base| count(base));
    let Some(most) = most.cloned() else {
        found.push(
            Diagnostic::error("no-comparison", "`baseline: own` compares each model with the one that it was made from, and none is")
                .at(baseline.span, "no model has a base")
                .help("name the model that others are compared with"),
        );
        return;
    };
    let span = baseline.span;
    baseline.value = Value::Text(most.clone());
    let pairs: Vec<Node> = bases
        .iter()
        .filter(|(_, base)| *base != most)
        .map(|(id, base)| Node {
            span,
            ..Node::nowhere(Value::List(vec![
                Node {
                    span,
                    ..Node::text(base.clone())
                },
                Node {
                    span,
                    ..Node::text(id.clone())
                },
            ]))
        })
        .collect();
    if pairs.is_empty() {
        return;
    }
    match compare.get_mut("pairs").map(|pairs| &mut pairs.value) {
        Some(Value::List(known)) => known.extend(pairs),
        Some(_) => {}
        None => {
            if let Value::Map(entries) = &mut compare.value {
                entries.push((Node::text("pairs"), Node::nowhere(Value::List(pairs))));
            }
        }
    }
}
