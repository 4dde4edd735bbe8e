//! Models: one source each, and no fine-tune of itself.

use std::collections::HashSet;

use driftgauge_ranges::{Memory, Span};

use super::{Checker, unknown};
use crate::diagnostic::Diagnostic;
use crate::spec::{Adapter, Model, Resources};

impl Checker<'_> {
    pub(super) fn models(&mut self) {
        if self.spec.models.is_empty() {
            self.error(
                Diagnostic::error("no-models", "the spec has no models")
                    .help("add at least one under `models`"),
            );
        }
        for (id, model) in &self.spec.models {
            let sources = model.sources();
            if sources.len() != 1 {
                let keys: Vec<_> = sources
                    .iter()
                    .map(|source| format!("`{}`", source.key()))
                    .collect();
                let has = if keys.is_empty() {
                    "has none".to_owned()
                } else {
                    format!("has {}", keys.join(" and "))
                };
                self.error(
                    Diagnostic::error("one-source", format!("model `{id}` needs exactly one source"))
                        .at(id.span(), has)
                        .help("one of `path`, `hub`, `gguf`, `pretrain`, `finetune`, `adapter`, `endpoint` and `recorded`"),
                );
            }
            self.model(model);
        }
    }

    fn model(&mut self, model: &Model) {
        if let Some(resources) = &model.resources {
            self.resources(resources);
        }
        if let Some(pretrain) = &model.pretrain {
            if !self
                .spec
                .pretrain
                .contains_key(pretrain.settings.get().as_str())
            {
                self.error(unknown("settings", &pretrain.settings, &self.spec.pretrain));
            }
            self.training_data(&pretrain.parts(), &pretrain.settings);
            self.mix(&pretrain.mix, pretrain.dataset.is_some());
        }
        if let Some(finetune) = &model.finetune {
            if !self.spec.models.contains_key(finetune.base.get().as_str()) {
                self.error(unknown("model", &finetune.base, &self.spec.models));
            }
            if !self
                .spec
                .finetune
                .contains_key(finetune.settings.get().as_str())
            {
                self.error(unknown("settings", &finetune.settings, &self.spec.finetune));
            }
            self.training_data(&finetune.parts(), &finetune.settings);
            self.mix(&finetune.mix, finetune.dataset.is_some());
        }
        if let Some(adapter) = &model.adapter {
            self.adapter(adapter);
        }
        for recorded in model.recorded.iter().flat_map(|parts| parts.as_slice()) {
            for evaluation in &recorded.evaluations {
                if !self
                    .spec
                    .evaluations
                    .contains_key(evaluation.get().as_str())
                {
                    self.error(unknown("evaluation", evaluation, &self.spec.evaluations));
                }
            }
            if recorded.files().len() != 1 {
                self.error(
                    Diagnostic::error("one-source", "a recording needs exactly one file")
                        .at(
                            recorded
                                .files()
                                .first()
                                .map(|(_, path)| path.span())
                                .unwrap_or_default(),
                            "",
                        )
                        .help("one of `jsonl`, `json`, `csv`, `tsv`, `parquet`, `harmbench`, `lm_eval`, `inspect`, `promptfoo`, `garak` and `jailbreakbench`"),
                );
            }
            if let Some(filter) = &recorded.filter {
                self.expression(filter);
            }
            // Judges elsewhere have names of all sorts; only what no name of a metric can hold is refused.
            let unfit = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '*');
            for judge in recorded.columns.verdicts.keys() {
                if judge.is_empty() || judge.chars().any(unfit) {
                    let fitting = judge.replace(unfit, "_");
                    self.error(
                        Diagnostic::error("bad-id", format!("`{judge}` is no id of a judge"))
                            .at(judge.span(), "no spaces, `/` or `*`")
                            .help(format!(
                                "judges' ids become parts of metric names; call it `{}`",
                                if fitting.is_empty() {
                                    "judge"
                                } else {
                                    &fitting
                                }
                            )),
                    );
                }
            }
        }
        if let Some(endpoint) = &model.endpoint {
            self.endpoint(endpoint);
        }
        self.nothing_to_load(model);
        self.engine_fits(model);
        if model.hub.is_none()
            && let Some(revision) = &model.revision
        {
            self.error(
                Diagnostic::error("not-together", "`revision` goes with `hub` only")
                    .at(revision.span(), ""),
            );
        }
        if model.gguf.is_none()
            && let Some(tokenizer) = &model.tokenizer
        {
            self.error(
                Diagnostic::error("not-together", "`tokenizer` goes with `gguf` only")
                    .at(tokenizer.span(), "")
                    .help("the folder of another model brings its own `tokenizer.json`"),
            );
        }
    }

    /// Amounts have a unit, and become a line of a job's script.
    fn resources(&mut self, resources: &Resources) {
        let memory = resources.memory.as_ref();
        let memory = memory.and_then(|text| Some((text, text.get().parse::<Memory>().err()?)));
        let time = resources.time.as_ref();
        let time = time.and_then(|text| Some((text, text.get().parse::<Span>().err()?)));
        let constraint = resources.constraint.as_ref().filter(|text| {
            let text = text.get();
            text.trim().is_empty() || text.contains(char::is_control)
        });
        let constraint = constraint.map(|text| {
            (
                text,
                "`constraint` is one line that says something".to_owned(),
            )
        });
        for (text, wrong) in [memory, time, constraint].into_iter().flatten() {
            self.error(Diagnostic::error("bad-resources", wrong).at(text.span(), ""));
        }
    }

    fn adapter(&mut self, adapter: &Adapter) {
        if !self.spec.models.contains_key(adapter.base.get().as_str()) {
            self.error(unknown("model", &adapter.base, &self.spec.models));
        }
        let found = match (&adapter.path, &adapter.hub) {
            (None, None) => Some((&adapter.base, "has neither")),
            (Some(_), Some(hub)) => Some((hub, "has both")),
            _ => None,
        };
        if let Some((place, has)) = found {
            self.error(
                Diagnostic::error(
                    "one-source",
                    "an adapter needs exactly one of `path` and `hub`",
                )
                .at(place.span(), has)
                .help("a folder that PEFT saved, or a repository of the hub that holds one"),
            );
        }
        if let (Some(revision), None) = (&adapter.revision, &adapter.hub) {
            self.error(
                Diagnostic::error("not-together", "`revision` goes with `hub` only")
                    .at(revision.span(), ""),
            );
        }
    }

    /// A fine-tune that is its own ancestor.
    pub(super) fn cycles(&mut self) {
        let base = |id: &str| self.spec.models.get(id)?.base();
        let mut reported: HashSet<&str> = HashSet::new();
        let mut cycles = Vec::new();
        for id in self.spec.models.keys() {
            let mut path: Vec<&str> = vec![id];
            let mut at = base(id);
            while let Some(next) = at {
                if let Some(start) = path.iter().position(|seen| *seen == next.get()) {
                    if path[start..].iter().all(|member| reported.insert(member)) {
                        let mut members: Vec<&str> = path[start..].to_vec();
                        members.push(next);
                        cycles.push((next.span(), members.join(" -> ")));
                    }
                    break;
                }
                path.push(next);
                at = base(next);
            }
        }
        for (span, path) in cycles {
            self.error(
                Diagnostic::error(
                    "cycle",
                    format!("models are fine-tuned from one another in a circle: {path}"),
                )
                .at(span, "closes the circle")
                .help("one of them has to start from a model that is there"),
            );
        }
    }
}
