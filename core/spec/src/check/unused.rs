//! What a spec defines and nothing uses: it is neither fetched nor read, and most likely a reference is missing.

use std::collections::HashSet;

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::located::Text;
use crate::spec::{ExperimentSpec, Judge, Model};

/// Ids that something uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Models.
    pub models: HashSet<String>,
    /// Datasets.
    pub datasets: HashSet<String>,
    /// Metrics.
    pub metrics: HashSet<String>,
    /// Settings under `finetune`.
    pub finetune: HashSet<String>,
    /// Settings under `pretrain`.
    pub pretrain: HashSet<String>,
}

impl Used {
    /// Of a spec. A training is something asked for, also where no evaluation asks its model.
    #[must_use]
    pub fn by(spec: &ExperimentSpec) -> Self {
        let mut used = Self::default();
        let mut take = |id: &Text| {
            used.models.insert(id.get().clone());
        };
        for evaluation in spec.evaluations.values() {
            let reference = evaluation.kl.iter().map(|kl| &kl.reference);
            let judges = evaluation.judges.values().filter_map(Judge::model);
            evaluation
                .models
                .iter()
                .chain(reference)
                .chain(judges)
                .for_each(&mut take);
        }
        if let Some(compare) = &spec.compare {
            take(&compare.baseline);
        }
        for (id, model) in &spec.models {
            if is_trained(model) || spec.evaluations.is_empty() {
                take(id);
            }
        }
        // A model rests on its base, a further training on the first of its recipe.
        loop {
            let before = used.models.len();
            for (id, model) in &spec.models {
                if used.models.contains(id.get()) {
                    let rests_on = model.base().into_iter().chain(&model.replicate_of);
                    used.models.extend(rests_on.map(|id| id.get().clone()));
                }
            }
            if used.models.len() == before {
                break;
            }
        }
        let ids = |ids: &mut HashSet<String>, more: &Text| {
            ids.insert(more.get().clone());
        };
        for evaluation in spec.evaluations.values() {
            ids(&mut used.datasets, &evaluation.dataset);
            if let Some(examples) = &evaluation.examples {
                ids(&mut used.datasets, &examples.dataset);
            }
            for metric in &evaluation.metrics {
                ids(&mut used.metrics, metric);
            }
        }
        for model in spec.models.values() {
            if let Some(finetune) = &model.finetune {
                ids(&mut used.finetune, &finetune.settings);
                for part in finetune.parts() {
                    ids(&mut used.datasets, part.dataset);
                }
            }
            if let Some(pretrain) = &model.pretrain {
                ids(&mut used.pretrain, &pretrain.settings);
                for part in pretrain.parts() {
                    ids(&mut used.datasets, part.dataset);
                }
            }
        }
        let finetune = spec
            .finetune
            .iter()
            .filter(|(id, _)| used.finetune.contains(id.get()));
        let pretrain = spec
            .pretrain
            .iter()
            .filter(|(id, _)| used.pretrain.contains(id.get()));
        let held_out = finetune.chain(pretrain);
        let held_out = held_out.filter_map(|(_, settings)| settings.eval_dataset.as_ref());
        used.datasets.extend(held_out.map(|id| id.get().clone()));
        used
    }
}

fn is_trained(model: &Model) -> bool {
    model.finetune.is_some() || model.pretrain.is_some()
}

impl Checker<'_> {
    pub(super) fn unused(&mut self) {
        let spec = self.spec;
        let used = Used::by(spec);
        let asked: HashSet<&str> = spec
            .evaluations
            .values()
            .flat_map(|evaluation| {
                let judges = evaluation.judges.values().filter_map(|judge| judge.model());
                let reference = evaluation.kl.iter().map(|kl| &kl.reference);
                evaluation.models.iter().chain(judges).chain(reference)
            })
            .map(|id| id.get().as_str())
            .collect();
        let bases: HashSet<&str> = spec
            .models
            .values()
            .filter_map(|model| Some(model.base()?.get().as_str()))
            .collect();
        for (id, model) in &spec.models {
            let name = id.get().as_str();
            if !used.models.contains(name) {
                self.never(id, "model", "it is neither fetched nor read: add it to the `models` of an evaluation, or take it out");
            } else if is_trained(model)
                && !spec.evaluations.is_empty()
                && !asked.contains(name)
                && !bases.contains(name)
            {
                self.never(
                    id,
                    "model",
                    "it is trained, and no evaluation asks it: add it to the `models` of one",
                );
            }
        }
        for (ids, used, what, help) in [
            (
                spec.datasets.keys().collect::<Vec<_>>(),
                &used.datasets,
                "dataset",
                "it is neither fetched nor read: name it as the `dataset` of an evaluation or a training, or take it out",
            ),
            (
                spec.metrics.keys().collect(),
                &used.metrics,
                "metric",
                "add it to the `metrics` of an evaluation, or take it out",
            ),
            (
                spec.finetune.keys().collect(),
                &used.finetune,
                "settings",
                "name them as the `settings` of a model's `finetune`, or take them out",
            ),
            (
                spec.pretrain.keys().collect(),
                &used.pretrain,
                "settings",
                "name them as the `settings` of a model's `pretrain`, or take them out",
            ),
        ] {
            for id in ids {
                if !used.contains(id.get()) {
                    self.never(id, what, help);
                }
            }
        }
    }

    fn never(&mut self, id: &Text, what: &str, help: &str) {
        let verb = if what == "settings" { "are" } else { "is" };
        self.error(
            Diagnostic::warning("unused", format!("{what} `{id}` {verb} never used"))
                .at(id.span(), "nothing names it")
                .help(help),
        );
    }
}
