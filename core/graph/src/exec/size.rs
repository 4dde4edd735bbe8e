//! How large the models of a node are: whether several jobs fit on the machine.

use std::fs;
use std::path::Path;

use crate::context::Context;
use crate::nodes::models::model_folder;
use crate::plan::{Kind, Part};
use crate::resolved::ModelSource;

/// Weights up to this size count as small: several such models share the machine.
const SMALL_BYTES: u64 = 512 << 20;

/// Parameters up to this number count as small for a training from scratch.
const SMALL_PARAMETERS: u64 = 20_000_000;

/// Whether several jobs like this one fit on the machine at a time.
pub(super) fn is_small(context: &Context, node: usize) -> bool {
    let node = &context.plan.nodes[node];
    if let Part::Divergence {
        evaluation, model, ..
    } = &node.part
    {
        // Both models are loaded at once.
        let kl = context.experiment.evaluations[evaluation].kl.as_ref();
        return kl
            .map(|kl| &kl.reference)
            .into_iter()
            .chain([model])
            .all(|model| is_small_to_serve(context, model));
    }
    let model = match &node.part {
        Part::Model(model) | Part::Completions { model, .. } => model.clone(),
        Part::Verdicts {
            evaluation, judge, ..
        } => match &context.experiment.evaluations[evaluation].judges[judge].model {
            Some(model) => model.clone(),
            None => return true,
        },
        _ => return true,
    };
    match &context.experiment.models[&model].source {
        ModelSource::Pretrain(training) if node.kind == Kind::Pretrain => training
            .architecture
            .as_ref()
            .is_some_and(|shape| shape.parameters() <= SMALL_PARAMETERS),
        ModelSource::Finetune { base, .. } | ModelSource::Adapter { base, .. }
            if node.kind != Kind::Generate =>
        {
            model_folder(context, base).is_some_and(|folder| folder_size(&folder) <= SMALL_BYTES)
        }
        ModelSource::Endpoint(_) | ModelSource::Recorded(_) => true,
        _ => is_small_to_serve(context, &model),
    }
}

fn is_small_to_serve(context: &Context, model: &str) -> bool {
    model_folder(context, model).is_some_and(|folder| folder_size(&folder) <= SMALL_BYTES)
}

/// Bytes of the files in a folder.
pub(super) fn folder_size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(|entry| fs::metadata(entry.ok()?.path()).ok())
        .map(|metadata| metadata.len())
        .sum()
}
