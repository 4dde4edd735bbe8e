//! Which models can be trained and scored: found out before anything runs, from the configuration alone.

use driftgauge_problem::Problem;
use driftgauge_spec::Text;
use indexmap::IndexMap;

use super::Resolver;
use crate::resolved::{ModelSource, ResolvedModel};

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
            if let Err(reason) = self.computed_by_us(models, base) {
                self.problem(
                    "not-trainable",
                    finetune.base.span(),
                    format!("`{}`, the base of `{id}`, cannot be fine-tuned: {reason}", finetune.base),
                    Some(
                        "a base is an unquantised Llama, Mistral, Qwen2 or Qwen3 folder, or a model trained from scratch"
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
                            "scoring needs an unquantised Llama, Mistral, Qwen2 or Qwen3 folder"
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
        if let Some(name) = &model.quantization {
            return Err(format!("its weights are quantised to `{name}` while loading").into());
        }
        self.computed_by_us(models, model)
    }

    fn computed_by_us(&self, models: &Models, model: &ResolvedModel) -> Result<(), Problem> {
        match &model.source {
            ModelSource::Folder { gguf: Some(_), .. } => Err("it is a GGUF file".into()),
            ModelSource::Folder { path, .. } => (self.options.computed)(path),
            // What a repository of the hub holds is known when it is here; our own trainer makes what we compute.
            ModelSource::Hub { .. } | ModelSource::Pretrain(_) => Ok(()),
            ModelSource::Finetune { base, .. } => match models.get(base) {
                Some(base) => self.computed_by_us(models, base),
                None => Ok(()),
            },
            ModelSource::Endpoint(_) => {
                Err("an endpoint gives no probabilities of given text".into())
            }
            ModelSource::Recorded(_) => Err("it is a recording".into()),
        }
    }
}

fn is_recorded(models: &Models, id: &str) -> bool {
    models
        .get(id)
        .is_some_and(|model| matches!(model.source, ModelSource::Recorded(_)))
}
