//! Which models can be trained, scored and asked: found out before anything runs, from configurations and headers.

use std::path::Path;

use driftgauge_engine::LocalEngine;
use driftgauge_problem::Problem;
use driftgauge_spec::Text;
use indexmap::IndexMap;

use super::Resolver;
use crate::resolved::{ModelSource, ResolvedEvaluation, ResolvedModel};

type Models = IndexMap<String, ResolvedModel>;

impl Resolver<'_> {
    /// Reports every fine-tune whose base the trainer does not compute.
    pub(super) fn trainable(&mut self, models: &Models) {
        let spec = self.spec;
        for (id, model) in &spec.models {
            let Some(finetune) = &model.finetune else {
                continue;
            };
            // A base that is a fine-tune itself is reported where its own base is named.
            let Some(base) = models
                .get(finetune.base.get())
                .filter(|base| !matches!(base.source, ModelSource::Finetune { .. }))
            else {
                continue;
            };
            if let Err(reason) = on_folder(models, base, self.options.trained) {
                self.problem(
                    "not-trainable",
                    finetune.base.span(),
                    format!("`{}`, the base of `{id}`, cannot be fine-tuned: {reason}", finetune.base),
                    Some(
                        "a base is an unquantised folder of a family that `driftgauge` trains, or a model trained from scratch"
                            .to_owned(),
                    ),
                );
            }
        }
    }

    /// Reports every model that an evaluation wants scored and the scorer does not compute.
    pub(super) fn scorable(&mut self, models: &Models) {
        let spec = self.spec;
        for evaluation in spec.evaluations.values() {
            let mut wanted: Vec<(&Text, &str)> = Vec::new();
            if evaluation.score.is_some() || evaluation.perplexity.is_some() {
                // A recording brings its numbers along.
                let asked = evaluation
                    .models
                    .iter()
                    .filter(|id| !is_recorded(models, id.get()));
                wanted.extend(asked.map(|id| (id, "given text is scored")));
            }
            if let Some(kl) = &evaluation.kl {
                let both = evaluation.models.iter().chain([&kl.reference]);
                wanted.extend(both.map(|id| (id, "its distributions are compared (`kl`)")));
            }
            // One complaint per model, at its first place in the evaluation.
            let mut seen = std::collections::HashSet::new();
            wanted.retain(|(id, _)| seen.insert(id.get().clone()));
            for (id, purpose) in wanted {
                if let Err(reason) = self.scored_by_us(models, id.get()) {
                    self.problem(
                        "not-scorable",
                        id.span(),
                        format!("model `{id}` cannot be scored, and here {purpose}: {reason}"),
                        Some(
                            "scoring needs a folder of a family that `driftgauge` computes itself, quantised at most by `engine: native`"
                                .to_owned(),
                        ),
                    );
                }
            }
        }
    }

    fn scored_by_us(&self, models: &Models, id: &str) -> Result<(), Problem> {
        // A model that is not there was reported by itself.
        let Some(model) = models.get(id) else {
            return Ok(());
        };
        if let Some(name) = &model.quantization
            && model.engine != Some(LocalEngine::Native)
        {
            return Err(format!("mistral.rs quantises its weights to `{name}`").into());
        }
        on_folder(models, model, self.options.computed)
    }

    /// Reports every model that is to answer prompts or to judge, and that the engine does not compute.
    pub(super) fn generable(
        &mut self,
        models: &Models,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        let spec = self.spec;
        let mut seen = std::collections::HashSet::new();
        for (id, evaluation) in evaluations {
            // Scored text is not generated.
            let answers = evaluation.score.is_none();
            let asked = evaluation.models.iter().filter(|_| answers);
            let judges = evaluation
                .judges
                .values()
                .filter_map(|judge| judge.model.as_ref());
            for model in asked.chain(judges) {
                let Some(resolved) = models.get(model).filter(|_| seen.insert(model.clone()))
                else {
                    continue;
                };
                let folder = match root(models, resolved).map(|root| &root.source) {
                    Some(ModelSource::Folder {
                        path, gguf: None, ..
                    }) => Some(path),
                    _ => None,
                };
                let reason = match (folder, resolved.engine) {
                    (Some(path), Some(LocalEngine::Native)) => (self.options.computed)(path),
                    (Some(path), _) => (self.options.generated)(path).map_err(|theirs| {
                        let left_open = spec
                            .models
                            .iter()
                            .any(|(name, of_spec)| name.get() == model && of_spec.engine.is_none());
                        match (self.options.computed)(path) {
                            Err(ours) if left_open => of_both(&theirs, ours),
                            _ => theirs,
                        }
                    }),
                    (None, Some(LocalEngine::Mistralrs)) => (self.options.built)(),
                    (None, _) => Ok(()),
                };
                let Err(reason) = reason else {
                    continue;
                };
                let place = spec.evaluations.iter().find(|(name, _)| name.get() == id);
                let span = place.map_or_else(
                    || spec.name.span(),
                    |(name, evaluation)| {
                        let named = evaluation.models.iter().find(|name| name.get() == model);
                        named.unwrap_or(name).span()
                    },
                );
                self.problem(
                    "not-generable",
                    span,
                    format!("model `{model}` cannot be asked: {}", reason.message),
                    reason.help,
                );
            }
        }
    }
}

/// Why neither engine answers: mistral.rs was to do it since our decoder does not, so what has to change is told first.
fn of_both(theirs: &Problem, ours: Problem) -> Problem {
    Problem {
        message: format!(
            "the native decoder does not compute it: {}; nor is it given to mistral.rs: {}",
            ours.message, theirs.message
        ),
        help: ours.help.or_else(|| theirs.help.clone()),
        ..ours
    }
}

/// The model that a chain of fine-tunes begins with.
pub(super) fn root<'a>(models: &'a Models, model: &'a ResolvedModel) -> Option<&'a ResolvedModel> {
    let mut model = model;
    // A circle of bases was reported by itself.
    for _ in 0..=models.len() {
        match &model.source {
            ModelSource::Finetune { base, .. } | ModelSource::Adapter { base, .. } => {
                model = models.get(base)?;
            }
            _ => return Some(model),
        }
    }
    None
}

/// What `check` says of the folder that a model is made from.
fn on_folder(
    models: &Models,
    model: &ResolvedModel,
    check: fn(&Path) -> Result<(), Problem>,
) -> Result<(), Problem> {
    match root(models, model).map(|root| &root.source) {
        Some(ModelSource::Folder { gguf: Some(_), .. }) => Err("it is a GGUF file".into()),
        Some(ModelSource::Folder { path, .. }) => check(path),
        Some(ModelSource::Endpoint(_)) => {
            Err("an endpoint gives no probabilities of given text".into())
        }
        Some(ModelSource::Recorded(_)) => Err("it is a recording".into()),
        // What a repository of the hub holds is known when it is here; our own trainer makes what we compute.
        Some(
            ModelSource::Hub { .. }
            | ModelSource::Pretrain(_)
            | ModelSource::Finetune { .. }
            | ModelSource::Adapter { .. },
        )
        | None => Ok(()),
    }
}

fn is_recorded(models: &Models, id: &str) -> bool {
    models
        .get(id)
        .is_some_and(|model| matches!(model.source, ModelSource::Recorded(_)))
}
