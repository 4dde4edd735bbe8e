//! What engines and trainers said of themselves, for `provenance.json`.

use driftgauge_cluster::Machine;
use driftgauge_record::files::provenance::{
    LoadedRecord, MachineRecord, ProvenanceRecord, SpeedRecord,
};
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
    #[serde(default)]
    machines: Vec<Machine>,
}

/// Adds to `record` what is known of the plan's models. A fact that cannot be read (of an older store) costs a line, nothing else.
pub(crate) fn facts(plan: &Plan, store: &Store, record: &mut ProvenanceRecord) {
    let facts = plan.nodes.iter().filter_map(|node| {
        let fact = store.recall(node.key.as_ref()?)?;
        Some((node, serde_json::from_value::<Fact>(fact).ok()?))
    });
    for (node, fact) in facts {
        for machine in &fact.machines {
            made_on(machine, &node.id, &mut record.machines);
        }
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

/// Adds a node to what a machine made.
fn made_on(machine: &Machine, node: &str, machines: &mut Vec<MachineRecord>) {
    let kind = machine.kind();
    let same = |known: &MachineRecord| known.host == machine.host && known.kind == kind;
    let known = match machines.iter().position(same) {
        Some(known) => known,
        None => {
            machines.push(MachineRecord {
                kind,
                host: machine.host.clone(),
                ..MachineRecord::default()
            });
            machines.len() - 1
        }
    };
    let record = &mut machines[known];
    if !record.nodes.iter().any(|known| known == node) {
        record.nodes.push(node.to_owned());
    }
    let job = machine.job.iter().filter(|job| !record.jobs.contains(job));
    record.jobs.extend(job.cloned().collect::<Vec<_>>());
}
