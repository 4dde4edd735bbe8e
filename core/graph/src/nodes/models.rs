//! Where the models of an experiment lie, and what a worker loads for them.

use std::path::PathBuf;

use driftgauge_engine::LoadModel;
use driftgauge_problem::Problem;
use driftgauge_store::Store;

use crate::context::Context;
use crate::model_files::has_template;
use crate::plan::{Kind, Part, Plan};
use crate::resolved::{ModelSource, ResolvedExperiment};

fn node_folder(
    plan: &Plan,
    store: &Store,
    kind: Kind,
    model: &str,
    inside: &str,
) -> Option<PathBuf> {
    let node = plan
        .nodes
        .iter()
        .find(|node| node.kind == kind && node.part == Part::Model(model.to_owned()))?;
    Some(store.artifact_dir(node.key.as_ref()?).join(inside))
}

/// The plain folder of a model: as found, as trained, or as merged.
pub(crate) fn model_folder(context: &Context, model: &str) -> Option<PathBuf> {
    folder_of(&context.experiment, &context.plan, &context.store, model)
}

/// The same, before anything runs.
#[must_use]
pub fn folder_of(
    experiment: &ResolvedExperiment,
    plan: &Plan,
    store: &Store,
    model: &str,
) -> Option<PathBuf> {
    match &experiment.models.get(model)?.source {
        ModelSource::Folder { path, .. } => Some(path.clone()),
        ModelSource::Pretrain(_) => node_folder(plan, store, Kind::Pretrain, model, "model"),
        ModelSource::Finetune { .. } | ModelSource::Adapter { .. } => {
            node_folder(plan, store, Kind::Merge, model, "model")
        }
        _ => None,
    }
}

/// The adapter (or whole model) that a fine-tune left.
pub(crate) fn finetune_folder(context: &Context, model: &str) -> Option<PathBuf> {
    let kind = match &context.experiment.models.get(model)?.source {
        ModelSource::Finetune { training, .. } if training.checkpoint.is_some() => Kind::Checkpoint,
        _ => Kind::Finetune,
    };
    node_folder(&context.plan, &context.store, kind, model, "adapter")
}

/// What a worker loads for a model.
pub(crate) fn load_model(context: &Context, model: &str) -> Result<LoadModel, Problem> {
    let resolved = &context.experiment.models[model];
    let folder = model_folder(context, model)
        .ok_or_else(|| format!("model `{model}` has no folder on this machine to load"))?;
    let (gguf, tokenizer) = match &resolved.source {
        ModelSource::Folder {
            gguf, tokenizer, ..
        } => (gguf.clone(), tokenizer.clone()),
        _ => (None, None),
    };
    Ok(LoadModel {
        folder,
        gguf,
        tokenizer,
        quantization: resolved.quantization.clone(),
        chat_template: resolved
            .chat_template
            .as_ref()
            .map(|file| file.path.clone()),
        dtype: resolved.dtype.clone(),
        device: context.device.clone(),
        plain_text: false,
        longest: None,
        engine: resolved.engine.unwrap_or_default(),
        witness: resolved.witness,
        proof: None,
        strict: context.strict,
    })
}

/// Whether a model has a chat template of its own.
pub(crate) fn has_chat_template(context: &Context, model: &str) -> bool {
    if context.experiment.models[model].chat_template.is_some() {
        return true;
    }
    let folder = match &context.experiment.models[model].source {
        // The template inside a GGUF file is not looked for: judges then have the layout that is documented for them.
        ModelSource::Folder {
            gguf: Some(_),
            tokenizer,
            ..
        } => match tokenizer {
            Some(folder) => folder.clone(),
            None => return false,
        },
        _ => match model_folder(context, model) {
            Some(folder) => folder,
            // A remote model applies its own template.
            None => return true,
        },
    };
    has_template(&folder)
}
