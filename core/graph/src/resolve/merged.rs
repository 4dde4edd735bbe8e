//! Merges into weights of sixteen bits, which keep of a small update only what those can hold.

use std::collections::BTreeSet;

use driftgauge_engine::training::Method;
use indexmap::IndexMap;

use super::Resolver;
use crate::resolved::{ModelSource, ResolvedModel};

type Models = IndexMap<String, ResolvedModel>;

/// Types of sixteen bits, with the part of a weight below which nothing is kept of an update.
const ROUNDED: [(&str, u32); 2] = [("BF16", 512), ("F16", 4096)];

impl Resolver<'_> {
    /// Says which models are merged into weights that round their updates, once for each base.
    pub(super) fn merged(&mut self, models: &Models) {
        let mut by_root: IndexMap<&str, Vec<&str>> = IndexMap::new();
        for (id, model) in models {
            let base = model.source.base().filter(|_| is_merged(&model.source));
            if let Some(root) = base.and_then(|base| stored(base, models)) {
                by_root.entry(root).or_default().push(id);
            }
        }
        for (root, ids) in by_root {
            let Some((stored, part)) = rounding(&models[root]) else {
                continue;
            };
            let others = match ids.len() - 1 {
                0 => String::new(),
                n => format!(" (and {n} more)"),
            };
            self.note(format!(
                "`{}`{others} is merged into the weights of `{root}`, which are stored in {stored}: of an update, what is less than a {part}th of \
                 a weight is rounded away. A base that is stored in F32 keeps it.",
                ids[0]
            ));
        }
    }
}

/// Whether a model is an update of another one's weights.
fn is_merged(source: &ModelSource) -> bool {
    match source {
        ModelSource::Adapter { .. } => true,
        ModelSource::Finetune { training, .. } => {
            matches!(training.settings.method, Method::Lora(_))
        }
        _ => false,
    }
}

/// The model in whose types a model's weights are stored, where that is a folder. A training of every weight stores them in F32.
fn stored<'a>(id: &'a str, models: &'a Models) -> Option<&'a str> {
    match &models.get(id)?.source {
        ModelSource::Folder { gguf: None, .. } => Some(id),
        source if is_merged(source) => stored(source.base()?, models),
        _ => None,
    }
}

/// The type that the matrices of a folder are stored in, where it rounds, and how much.
fn rounding(model: &ResolvedModel) -> Option<(&'static str, u32)> {
    let ModelSource::Folder { path, .. } = &model.source else {
        return None;
    };
    // A folder that cannot be read was reported by itself.
    let weights = driftgauge_folder::inspect(path).ok()?;
    let matrices = weights.tensors.values();
    let types: BTreeSet<&str> = matrices
        .filter(|(_, slot)| slot.shape.len() == 2)
        .map(|(_, slot)| slot.dtype.as_str())
        .collect();
    ROUNDED.into_iter().find(|(name, _)| types.contains(name))
}
