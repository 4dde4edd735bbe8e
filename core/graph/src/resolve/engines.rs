//! Which engine answers for a model whose spec leaves that open: told from its files and the device, before anything is loaded.

use driftgauge_engine::LocalEngine;
use indexmap::IndexMap;

use super::Resolver;
use super::scoring::root;
use crate::resolved::{ModelSource, ResolvedModel};

impl Resolver<'_> {
    /// Settles it for every model that is at hand, or will be made here.
    pub(super) fn engines(&self, models: &mut IndexMap<String, ResolvedModel>) {
        let open = models.iter().filter(|(_, model)| model.engine.is_none());
        let chosen: Vec<(String, LocalEngine)> = open
            .filter_map(|(id, model)| Some((id.clone(), self.chosen(models, model)?)))
            .collect();
        for (id, engine) in chosen {
            models[&id].engine = Some(engine);
        }
    }

    /// A GGUF file is answered by mistral.rs, where it is built in: it multiplies blocks with rounded activations, so that the two do not
    /// say the same to the last digits, and neither may stand for the other unasked.
    pub(super) fn engine_of_gguf(&self) -> LocalEngine {
        match (self.options.built)() {
            Ok(()) => LocalEngine::Mistralrs,
            Err(_) => LocalEngine::Native,
        }
    }

    /// Our own decoder on a processor, where it computes what the spec asks for; mistral.rs for everything else.
    fn chosen(
        &self,
        models: &IndexMap<String, ResolvedModel>,
        model: &ResolvedModel,
    ) -> Option<LocalEngine> {
        let plain = model.quantization.is_none() && matches!(model.dtype.as_str(), "auto" | "f32");
        let computed = match &root(models, model)?.source {
            ModelSource::Folder { gguf: Some(_), .. } => {
                self.engine_of_gguf() == LocalEngine::Native
            }
            ModelSource::Folder { path, .. } => (self.options.computed)(path).is_ok(),
            // Our own trainer makes what we compute.
            ModelSource::Pretrain(_) => true,
            _ => return None,
        };
        Some(match plain && computed && !self.options.on_gpu {
            true => LocalEngine::Native,
            false => LocalEngine::Mistralrs,
        })
    }
}
