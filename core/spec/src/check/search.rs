//! Searches: what is looked for has to be measured of every candidate, and there has to be a choice.

use driftgauge_cell as cell;
use std::collections::BTreeSet;

use super::Checker;
use super::unknown;
use crate::diagnostic::Diagnostic;
use crate::located::{Located, Text};
use crate::spec::{MetricPath, Search};

impl Checker<'_> {
    pub(super) fn searches(&mut self) {
        for (id, search) in &self.spec.search {
            self.goal(id, search);
            self.candidates(id, search);
            self.bounds(search);
        }
    }

    /// One number is searched by.
    fn goal(&mut self, id: &Text, search: &Search) {
        match (&search.maximise, &search.minimise) {
            (Some(path), None) | (None, Some(path)) => {
                self.measured(path, search.condition.as_ref(), search);
            }
            (Some(_), Some(second)) => self.error(
                Diagnostic::error(
                    "not-together",
                    format!("`{id}` looks for the most and the least"),
                )
                .at(second.span(), "one of the two is too many")
                .help("keep `maximise` or `minimise`; two searches may look at the same cells"),
            ),
            (None, None) => self.error(
                Diagnostic::error("missing-key", format!("`{id}` looks for nothing"))
                    .at(id.span(), "")
                    .help("add `maximise: evaluation/metric` or `minimise: evaluation/metric`"),
            ),
        }
    }

    /// A number that has to be measured of every candidate, under one condition.
    fn measured(&mut self, path: &Text, condition: Option<&Text>, search: &Search) {
        self.path(path);
        let Some(parts) = MetricPath::parse(path) else {
            return;
        };
        for model in &search.models {
            self.asked(model, Some(parts.evaluation));
        }
        match condition {
            Some(condition) => self.condition(condition, parts.evaluation),
            None => {
                let evaluation = self.spec.evaluations.get(parts.evaluation);
                let conditions = evaluation.map(|evaluation| &evaluation.conditions);
                if let Some(several) = conditions.filter(|conditions| conditions.len() > 1) {
                    let ids: Vec<String> = several.keys().map(|id| format!("`{id}`")).collect();
                    self.error(
                        Diagnostic::error(
                            "missing-key",
                            format!(
                                "`{}` is measured under several conditions",
                                parts.evaluation
                            ),
                        )
                        .at(path.span(), "which one?")
                        .help(format!("add `condition`: {}", ids.join(", "))),
                    );
                }
            }
        }
    }

    fn candidates(&mut self, id: &Text, search: &Search) {
        let baseline = self.spec.compare.as_ref().map(|compare| &compare.baseline);
        if let Some(model) = search
            .models
            .iter()
            .find(|model| baseline.is_some_and(|baseline| baseline.get() == model.get()))
        {
            self.error(
                Diagnostic::error("no-comparison", "the baseline is no candidate")
                    .at(model.span(), "everything else is compared with it"),
            );
        }
        let axis = search.halving.as_ref().map(|halving| &halving.axis);
        let mut candidates: BTreeSet<String> = BTreeSet::new();
        let mut rungs: BTreeSet<(String, &str)> = BTreeSet::new();
        for model in &search.models {
            let name = model.get();
            let candidate = cell::without(name, |own| {
                own == cell::SEED || axis.is_some_and(|axis| axis.get() == own)
            });
            if let Some(axis) = axis {
                match cell::label(name, axis) {
                    Some(label) => _ = rungs.insert((candidate.clone(), label)),
                    None => {
                        self.no_axis(axis, model);
                        return;
                    }
                }
            }
            candidates.insert(candidate);
        }
        if candidates.len() < 2 {
            self.error(
                Diagnostic::error("no-choice", format!("`{id}` has nothing to choose from"))
                    .at(
                        search.models.first().map_or(id.span(), Located::span),
                        match candidates.len() {
                            0 => "no model",
                            _ => "one candidate: cells that differ in `seed` or in the axis of `halving` alone are one",
                        },
                    )
                    .help("name a model with `vary`, which makes several"),
            );
            return;
        }
        let Some(axis) = axis else { return };
        let labels: BTreeSet<&str> = rungs.iter().map(|(_, label)| *label).collect();
        if labels.len() < 2 {
            self.error(
                Diagnostic::error("no-choice", format!("`{axis}` has one value here"))
                    .at(axis.span(), "halving goes from one to the next")
                    .help("leave `halving` out, or give the axis several values"),
            );
        } else if rungs.len() < labels.len() * candidates.len() {
            self.error(
                Diagnostic::error(
                    "uneven",
                    format!("not every candidate of `{id}` has every value of `{axis}`"),
                )
                .at(axis.span(), "")
                .help("take the `except` away that leaves some out, or search without `halving`"),
            );
        }
    }

    fn no_axis(&mut self, axis: &Text, model: &Text) {
        let axes: Vec<String> = cell::coordinates(model)
            .map(|(own, _)| format!("`{own}`"))
            .collect();
        self.error(
            Diagnostic::error("unknown-axis", format!("`{model}` has no axis `{axis}`"))
                .at(axis.span(), "no axis of this name")
                .help(match axes.is_empty() {
                    true => "it is not varied".to_owned(),
                    false => format!("its axes are {}", axes.join(", ")),
                }),
        );
    }

    fn bounds(&mut self, search: &Search) {
        for bound in &search.subject_to {
            self.measured(&bound.metric, bound.condition.as_ref(), search);
            if bound.limits().count() == 0 {
                self.error(
                    Diagnostic::error("no-limit", "this holds of every candidate")
                        .at(bound.metric.span(), "")
                        .help("add `upper`, `lower`, `drop` or `rise`"),
                );
            }
            let baseline = self.spec.compare.as_ref().map(|compare| &compare.baseline);
            let compared = bound.limits().find(|(limit, _)| limit.is_of_difference());
            let Some((limit, at)) = compared else {
                continue;
            };
            match baseline {
                None => self.error(
                    Diagnostic::error("no-comparison", "no model is compared with another one")
                        .at(
                            at.span(),
                            format!("`{}` is from the baseline", limit.as_str()),
                        )
                        .help("name a `baseline` in `compare`"),
                ),
                Some(baseline) => {
                    if let Some(parts) = MetricPath::parse(&bound.metric)
                        && let Some(evaluation) = self.spec.evaluations.get(parts.evaluation)
                        && !evaluation.models.contains(baseline)
                    {
                        let written = Located::new(baseline.get().clone(), at.span());
                        self.asked(&written, Some(parts.evaluation));
                    }
                }
            }
        }
        for model in &search.models {
            if !self.spec.models.contains_key(model.get().as_str()) {
                self.error(unknown("model", model, &self.spec.models));
            }
        }
    }
}
