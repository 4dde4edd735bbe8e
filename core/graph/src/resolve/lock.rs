//! What an experiment reads, pinned: the content of `lock.json`.

use driftgauge_engine::PluginIdentity;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::plan::EngineIdentity;
use crate::resolved::{ModelSource, ResolvedExperiment};

/// Digests of everything that an experiment reads.
pub(super) fn lock(
    experiment: &ResolvedExperiment,
    engine: &EngineIdentity,
    plugins: &IndexMap<String, PluginIdentity>,
) -> Value {
    let datasets: Map<_, _> = experiment
        .datasets
        .iter()
        .map(|(id, dataset)| {
            let mut pinned = json!({ "source": dataset.source, "blake3": dataset.digest, "rows": dataset.rows_selected });
            if let Some(hub) = &dataset.hub {
                pinned["hub"] = json!(hub);
            }
            (id.clone(), pinned)
        })
        .collect();
    let models: Map<_, _> = experiment
        .models
        .iter()
        .filter_map(|(id, model)| {
            let mut pinned = json!({ "description": model.description });
            match &model.source {
                ModelSource::Folder { digest, .. } => pinned["blake3"] = json!(digest),
                ModelSource::Recorded(recordings) => {
                    pinned["blake3"] = match recordings.as_slice() {
                        [recorded] => json!(recorded.file.digest),
                        several => {
                            let digests = several.iter().map(|recorded| &recorded.file.digest);
                            json!(digests.collect::<Vec<_>>())
                        }
                    };
                }
                ModelSource::Endpoint(_) => pinned["weights"] = json!("not pinned"),
                _ => return None,
            }
            if let Some(hub) = &model.hub {
                pinned["hub"] = json!(hub);
            }
            Some((id.clone(), pinned))
        })
        .collect();
    json!({ "datasets": datasets, "models": models, "plugins": plugins, "engine": engine })
}
