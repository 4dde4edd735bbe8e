//! `provenance.json`: clock, host, versions and what engines and trainers said of themselves. Beside `plan.json` and
//! `events.jsonl` the only file that differs between two equal runs.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lock::EngineRecord;
use crate::folder::{RunFile, Schema};

/// The whole of `provenance.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenanceRecord {
    /// Number of the format.
    pub schema: Schema<1>,
    /// Version of driftgauge.
    pub driftgauge: String,
    /// What makes completions and trains.
    pub engine: EngineRecord,
    /// What can be expected of a second run.
    pub determinism: String,
    /// The command line.
    pub command: Vec<String>,
    /// The machine.
    pub host: HostRecord,
    /// When the run began, in seconds since 1970.
    pub started_unix: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// What the engine proved of each model that it loaded.
    pub self_checks: IndexMap<String, LoadedRecord>,
    /// What the trainer says of each training: [`Value`]s, since every trainer has its own figures, and nothing reads them.
    pub trainings: IndexMap<String, Value>,
    /// How fast completions of each model were made.
    pub generation: IndexMap<String, SpeedRecord>,
    /// Where the nodes were made that train or load a model, as far as that is known.
    #[serde(default)]
    pub machines: Vec<MachineRecord>,
}

impl ProvenanceRecord {
    /// What the self-checks could not prove, by model.
    pub fn unproven(&self) -> impl Iterator<Item = (&str, &CheckRecord)> {
        let checks = self.self_checks.iter().flat_map(|(model, loaded)| {
            let checks = loaded.checks.iter();
            checks.map(move |check| (model.as_str(), check))
        });
        checks.filter(|(_, check)| check.outcome == "unproven")
    }
}

impl ProvenanceRecord {
    /// The kinds of machines with the nodes that each made, in order; numbers of different kinds may differ in their last digits.
    #[must_use]
    pub fn kinds(&self) -> IndexMap<&str, Vec<&str>> {
        let mut kinds: IndexMap<&str, Vec<&str>> = IndexMap::new();
        for machine in &self.machines {
            let nodes = kinds.entry(&machine.kind).or_default();
            nodes.extend(machine.nodes.iter().map(String::as_str));
        }
        kinds
    }

    /// A node that machines of different kinds had a part in.
    #[must_use]
    pub fn made_on_several(&self) -> Vec<&str> {
        let kinds = self.kinds();
        let mut several: Vec<&str> = Vec::new();
        for nodes in kinds.values() {
            for &node in nodes {
                let of = kinds.values().filter(|nodes| nodes.contains(&node)).count();
                if of > 1 && !several.contains(&node) {
                    several.push(node);
                }
            }
        }
        several
    }
}

impl RunFile for ProvenanceRecord {
    const NAME: &'static str = "provenance.json";
    const SCHEMA: u32 = 1;
}

/// The machine of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRecord {
    /// Operating system.
    pub os: String,
    /// Processor family.
    pub arch: String,
    /// Vectors that the kernels used, chosen when the run began: `AVX-512, 512 bits`, `AVX2, 256 bits`, ...
    #[serde(default)]
    pub vectors: String,
    /// Cores that the run could use.
    pub cores: u64,
    /// Heavy processes at a time.
    pub jobs: u64,
}

/// A machine that made parts of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineRecord {
    /// What it has in common with others of its kind: processor, vectors, GPU and its driver. Numbers may differ between kinds.
    pub kind: String,
    /// Its name.
    pub host: String,
    /// The queue's ids of the jobs that ran there.
    pub jobs: Vec<String>,
    /// Ids of the nodes that it made, or had a part in.
    pub nodes: Vec<String>,
}

/// What an engine says of a model it loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadedRecord {
    /// Engine and version.
    pub engine: String,
    /// Device, for example `cpu`.
    pub device: String,
    /// Compute type, for example `f32`.
    pub dtype: String,
    /// How many requests may be in flight at once without changing any result.
    pub max_in_flight: u64,
    /// The self-check.
    pub checks: Vec<CheckRecord>,
}

/// One check that an engine makes of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRecord {
    /// Its name, for example `logits-agree`.
    pub name: String,
    /// `passed`, `failed`, `skipped`, `avoided` or `unproven`.
    pub outcome: String,
    /// What was compared and what came out.
    pub detail: String,
}

/// How fast completions were made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeedRecord {
    /// Worker processes that shared the prompts.
    pub workers: u64,
    /// Seconds until the first of them was ready.
    pub loading_seconds: f64,
    /// Seconds from then to the last answer.
    pub seconds: f64,
    /// Completions made; those of an earlier, interrupted run not counted.
    pub completions: u64,
    /// Their tokens, prompts not counted.
    pub tokens: u64,
    /// `tokens / seconds`.
    pub tokens_per_second: f64,
}
