//! Weights that are rounded to blocks, beside an adapter or while a model answers: whether their rows are whole blocks is known before
//! anything runs, from headers or from the shape that is to be trained.

use std::collections::BTreeMap;

use driftgauge_engine::Rounding;
use driftgauge_problem::Problem;
use indexmap::IndexMap;

use super::Resolver;
use super::scoring::root;
use crate::resolved::{ModelSource, ResolvedModel};

type Models = IndexMap<String, ResolvedModel>;

impl Resolver<'_> {
    /// Reports every model whose weights do not fit into the blocks that its spec asks for.
    pub(super) fn rounded(&mut self, models: &Models) {
        let spec = self.spec;
        for (id, model) in &spec.models {
            let Some(resolved) = models.get(id.get()) else {
                continue;
            };
            if let Some(name) = &model.quantization
                && let Err(reason) = fits(models, resolved, resolved.rounding())
            {
                let said = format!("model `{id}` cannot be asked: {}", reason.message);
                self.problem("not-generable", name.span(), said, reason.help);
            }
            if let (ModelSource::Finetune { training, .. }, Some(finetune)) =
                (&resolved.source, &model.finetune)
                && let Some(format) = training.settings.base_quantization
                && let Err(reason) = fits(models, resolved, Rounding::Blocks(format))
            {
                let said = format!(
                    "the base of `{id}` cannot be rounded by `base_quantization: {format}` of `{}`",
                    finetune.settings
                );
                self.problem("not-trainable", finetune.base.span(), said, reason.help);
            }
        }
    }
}

/// Whether the rows of a model's weights are whole blocks. Of what is still to be fetched nothing is known.
fn fits(models: &Models, model: &ResolvedModel, rounding: Rounding) -> Result<(), Problem> {
    if !matches!(rounding, Rounding::Blocks(_)) {
        return Ok(());
    }
    match shapes(models, model) {
        Some(shapes) => rounding.fits(&shapes),
        None => Ok(()),
    }
}

fn shapes(models: &Models, model: &ResolvedModel) -> Option<BTreeMap<String, Vec<u64>>> {
    match &root(models, model)?.source {
        ModelSource::Folder {
            path, gguf: None, ..
        } => Some(driftgauge_folder::inspect(path).ok()?.shapes()),
        ModelSource::Pretrain(training) => Some(training.architecture.as_ref()?.modules()),
        _ => None,
    }
}
