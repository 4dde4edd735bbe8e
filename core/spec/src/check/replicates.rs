//! Models that are further trainings of another one: the same recipe, another seed.

use super::{Checker, unknown};
use crate::diagnostic::Diagnostic;
use crate::located::Text;
use crate::spec::{ExperimentSpec, Model, TrainingSettings};

impl Checker<'_> {
    /// `replicate_of` names the first training of a recipe, which is no further training itself and is made in the same way.
    pub(super) fn replicates(&mut self) {
        let spec = self.spec;
        for (id, model) in &spec.models {
            let Some(named) = &model.replicate_of else {
                continue;
            };
            let Some(first) = spec.models.get(named.get().as_str()) else {
                self.error(unknown("model", named, &spec.models));
                continue;
            };
            if let Some((problem, help)) = problem(spec, id, model, named, first) {
                self.error(
                    Diagnostic::error("bad-replicate", problem)
                        // A cell of a sweep has it from its axis.
                        .at(
                            if named.span().is_none() {
                                id.span()
                            } else {
                                named.span()
                            },
                            "",
                        )
                        .help(help),
                );
            }
        }
    }
}

/// Why `model` is no further training of `first`, and what to do.
fn problem(
    spec: &ExperimentSpec,
    id: &Text,
    model: &Model,
    named: &Text,
    first: &Model,
) -> Option<(String, String)> {
    if named.get() == id.get() {
        return Some((
            format!("model `{id}` is called a replicate of itself"),
            "name the first training of the recipe; it has no `replicate_of`".to_owned(),
        ));
    }
    if let Some(other) = &first.replicate_of {
        return Some((
            format!("model `{named}` is a replicate itself, of `{other}`"),
            format!("every further training names the first one: `replicate_of: {other}`"),
        ));
    }
    if recipe(spec, model) != recipe(spec, first) {
        return Some((
            format!("model `{id}` is made in another way than `{named}`"),
            "replicates differ in their seed alone: give each its own `seed` under `finetune` or `pretrain`; where a sweep's seed also draws the data, call that axis otherwise".to_owned(),
        ));
    }
    (trained(model) && seed(spec, model) == seed(spec, first)).then(|| {
        (
            format!("model `{id}` has the seed of `{named}`: it is the same training"),
            "give each training its own `seed`".to_owned(),
        )
    })
}

/// The model without what may differ between trainings of one recipe, and its settings. A base may be one training of several
/// itself, and a recording, a folder or a server says nothing of how its model was made.
fn recipe(spec: &ExperimentSpec, model: &Model) -> (Model, Option<TrainingSettings>) {
    let mut recipe = Model {
        quantization: model.quantization.clone(),
        chat_template: model.chat_template.clone(),
        dtype: model.dtype,
        engine: model.engine.clone(),
        finetune: model.finetune.clone(),
        pretrain: model.pretrain.clone(),
        ..Model::default()
    };
    let mut settings = settings(spec, model).cloned();
    // Settings may stand under several names that differ in the seed.
    let name = |name: &mut Text| {
        if settings.is_some() {
            *name = Text::default();
        }
    };
    if let Some(finetune) = &mut recipe.finetune {
        finetune.seed = None;
        finetune.base = Text::default();
        name(&mut finetune.settings);
    }
    if let Some(pretrain) = &mut recipe.pretrain {
        pretrain.seed = None;
        name(&mut pretrain.settings);
    }
    if let Some(settings) = &mut settings {
        settings.seed = None;
    }
    (recipe, settings)
}

/// What the model's training names as its settings.
fn settings<'s>(spec: &'s ExperimentSpec, model: &Model) -> Option<&'s TrainingSettings> {
    let finetune = model.finetune.as_ref();
    let tuned = finetune.and_then(|training| spec.finetune.get(training.settings.get().as_str()));
    let pretrain = model.pretrain.as_ref();
    let new = || pretrain.and_then(|training| spec.pretrain.get(training.settings.get().as_str()));
    tuned.or_else(new)
}

fn trained(model: &Model) -> bool {
    model.finetune.is_some() || model.pretrain.is_some()
}

/// The seed of the model's training, and the base that it starts from.
fn seed<'m>(spec: &ExperimentSpec, model: &'m Model) -> (u64, Option<&'m Text>) {
    let finetune = model.finetune.as_ref();
    let pretrain = model.pretrain.as_ref();
    let own = finetune
        .and_then(|training| training.seed.as_ref())
        .or_else(|| pretrain.and_then(|training| training.seed.as_ref()))
        .or_else(|| settings(spec, model).and_then(|settings| settings.seed.as_ref()));
    (
        own.map_or(*spec.seed, |seed| **seed),
        finetune.map(|finetune| &finetune.base),
    )
}
