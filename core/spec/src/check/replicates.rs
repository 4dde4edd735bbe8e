//! Models that are further trainings of another one: the same recipe, another seed.

use super::{Checker, unknown};
use crate::diagnostic::Diagnostic;
use crate::located::Text;
use crate::spec::Model;

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
            if let Some((problem, help)) = problem(id, model, named, first) {
                self.error(
                    Diagnostic::error("bad-replicate", problem)
                        .at(named.span(), "")
                        .help(help),
                );
            }
        }
    }
}

/// Why `model` is no further training of `first`, and what to do.
fn problem(id: &Text, model: &Model, named: &Text, first: &Model) -> Option<(String, String)> {
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
    if recipe(model) != recipe(first) {
        return Some((
            format!("model `{id}` is made in another way than `{named}`"),
            "replicates differ in their seed alone: give each its own `seed` under `finetune` or `pretrain`".to_owned(),
        ));
    }
    (trained(model) && seed(model) == seed(first)).then(|| {
        (
            format!("model `{id}` has the seed of `{named}`: it is the same training"),
            "give each training its own `seed`".to_owned(),
        )
    })
}

/// The model without what may differ between trainings of one recipe. A base may be one training of several itself, and a
/// recording, a folder or a server says nothing of how its model was made.
fn recipe(model: &Model) -> Model {
    let mut recipe = Model {
        quantization: model.quantization.clone(),
        chat_template: model.chat_template.clone(),
        dtype: model.dtype,
        engine: model.engine.clone(),
        finetune: model.finetune.clone(),
        pretrain: model.pretrain.clone(),
        ..Model::default()
    };
    if let Some(finetune) = &mut recipe.finetune {
        finetune.seed = None;
        finetune.base = Text::default();
    }
    if let Some(pretrain) = &mut recipe.pretrain {
        pretrain.seed = None;
    }
    recipe
}

fn trained(model: &Model) -> bool {
    model.finetune.is_some() || model.pretrain.is_some()
}

/// The seed in the model's own words and the base that it starts from.
fn seed(model: &Model) -> (Option<u64>, Option<&Text>) {
    let finetune = model.finetune.as_ref();
    let own = finetune.map(|finetune| finetune.seed.as_ref());
    let own = own.or_else(|| {
        model
            .pretrain
            .as_ref()
            .map(|pretrain| pretrain.seed.as_ref())
    });
    (
        own.flatten().map(|seed| **seed),
        finetune.map(|finetune| &finetune.base),
    )
}
