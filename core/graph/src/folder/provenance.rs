//! What engines and trainers said of themselves, for `provenance.json`.

use driftgauge_record::files::provenance::{LoadedRecord, ProvenanceRecord, SpeedRecord};
use driftgauge_store::Store;
use serde::Deserialize;
use serde_json::Value;

use crate::plan::Plan;

/// A fact of the store, as the nodes keep it.
#[derive(Deserialize)]
struct Fact {
    #[serde(default)]
    model: String,
    #[serde(default)]
    loaded: Option<LoadedRecord>,
    #[serde(default)]
    speed: Option<SpeedRecord>,
    #[serde(default)]
    training: Option<Value>,
}

/// Adds to `record` what is known of the plan's models. A fact that cannot be read (of an older store) costs a line, nothing else.
pub(crate) fn facts(plan: &Plan, store: &Store, record: &mut ProvenanceRecord) {
    let facts = plan
        .nodes
        .iter()
        .filter_map(|node| store.recall(node.key.as_ref()?));
    for fact in facts.filter_map(|fact| serde_json::from_value::<Fact>(fact).ok()) {
        let model = fact.model;
        if let Some(loaded) = fact.loaded {
            if let Some(speed) = fact.speed {
                record.generation.insert(model.clone(), speed);
            }
            // A model that both generates and is scored has one entry: the one that something was proven in.
            let known = record
                .self_checks
                .get(&model)
                .map_or(0, |known| known.checks.len());
            if known == 0 || loaded.checks.len() > known {
                record.self_checks.insert(model, loaded);
            }
        } else if let Some(training) = fact.training {
            record.trainings.insert(model, training);
        }
    }
}
