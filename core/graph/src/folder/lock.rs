//! `lock.json`: digests of everything that was read.

use driftgauge_engine::PluginIdentity;
use driftgauge_record::Schema;
use driftgauge_record::files::lock::{EngineRecord, LockRecord, LockedDataset, LockedModel};
use driftgauge_record::files::metrics::PluginRecord;
use indexmap::IndexMap;

use super::resolved::hub;
use crate::plan::EngineIdentity;
use crate::resolved::{ModelSource, ResolvedExperiment, ResolvedModel};

/// The digests that an experiment rests on.
pub(crate) fn lock(
    experiment: &ResolvedExperiment,
    engine: &EngineIdentity,
    plugins: &IndexMap<String, PluginIdentity>,
) -> LockRecord {
    let datasets = experiment.datasets.iter().map(|(id, dataset)| {
        let locked = LockedDataset {
            source: dataset.source.clone(),
            blake3: dataset.digest.as_ref().map(ToString::to_string),
            rows: dataset.rows_selected.map(|rows| rows as u64),
            hub: dataset.hub.as_ref().map(hub),
        };
        (id.clone(), locked)
    });
    let models = experiment.models.iter();
    let models = models.filter_map(|(id, model)| Some((id.clone(), model_of(model)?)));
    let plugins = plugins.iter().map(|(id, plugin)| {
        let record = PluginRecord {
            id: plugin.id.clone(),
            version: plugin.version.clone(),
            digest: plugin.digest.to_string(),
            shows: plugin.shows.clone(),
            in_process: plugin.in_process,
        };
        (id.clone(), record)
    });
    LockRecord {
        schema: Schema,
        datasets: datasets.collect(),
        models: models.collect(),
        plugins: plugins.collect(),
        engine: EngineRecord {
            generation: engine.generation.clone(),
            native: engine.native.clone(),
            scoring: engine.scoring.clone(),
            training: engine.training.clone(),
            device: engine.device.clone(),
        },
    }
}

/// A model that comes from outside; `None` for one that the run makes or that is not at hand.
fn model_of(model: &ResolvedModel) -> Option<LockedModel> {
    let blake3 = match &model.source {
        ModelSource::Folder { digest, .. } => vec![digest.to_string()],
        ModelSource::Recorded(recordings) => recordings
            .iter()
            .map(|recorded| recorded.file.digest.to_string())
            .collect(),
        ModelSource::Adapter { adapter, .. } => {
            adapter.iter().map(|file| file.digest.to_string()).collect()
        }
        ModelSource::Endpoint(_) => Vec::new(),
        ModelSource::Hub(_) | ModelSource::Pretrain(_) | ModelSource::Finetune { .. } => {
            return None;
        }
    };
    Some(LockedModel {
        description: model.description.clone(),
        blake3,
        hub: model.hub.as_ref().map(hub),
    })
}
