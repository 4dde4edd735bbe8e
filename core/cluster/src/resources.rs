//! What a job asks for.

use std::collections::BTreeMap;

use driftgauge_ranges::{Memory, Span};
use serde::{Deserialize, Serialize};

/// What a job may use; what is absent is left to what stands behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Processor cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Time limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Span>,
    /// Features that its node has to have, as the queue names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
}

impl Resources {
    /// These, and what they leave open from `others`.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        Self {
            cpus: self.cpus.or(others.cpus),
            memory: self.memory.or(others.memory),
            gpus: self.gpus.or(others.gpus),
            time: self.time.or(others.time),
            constraint: self
                .constraint
                .clone()
                .or_else(|| others.constraint.clone()),
        }
    }
}

impl Resources {
    /// The keys of what is there.
    fn keys(&self) -> Vec<&'static str> {
        let all = [
            ("cpus", self.cpus.is_some()),
            ("gpus", self.gpus.is_some()),
            ("memory", self.memory.is_some()),
            ("time", self.time.is_some()),
            ("constraint", self.constraint.is_some()),
        ];
        let there = all.into_iter().filter(|(_, is_there)| *is_there);
        there.map(|(key, _)| key).collect()
    }

    /// What is asked for in words, by its keys.
    fn parts(&self) -> Vec<(&'static str, String)> {
        let mut parts = Vec::new();
        let plural = |n: u32| if n == 1 { "" } else { "s" };
        if let Some(cpus) = self.cpus {
            parts.push(("cpus", format!("{cpus} cpu{}", plural(cpus))));
        }
        if let Some(gpus) = self.gpus.filter(|&gpus| gpus > 0) {
            parts.push(("gpus", format!("{gpus} gpu{}", plural(gpus))));
        }
        parts.extend(self.memory.map(|memory| ("memory", memory.to_string())));
        parts.extend(self.time.map(|time| ("time", time.to_string())));
        parts.extend(self.constraint.clone().map(|name| ("constraint", name)));
        parts
    }
}

impl std::fmt::Display for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = self.parts().into_iter().map(|(_, amount)| amount);
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}

/// What was reckoned of a job, and from what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reckoned {
    /// Memory and time.
    pub resources: Resources,
    /// What the memory rests on.
    pub memory: String,
    /// What the time rests on.
    pub time: String,
}

/// What a job asks for, and where each amount comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The amounts.
    pub resources: Resources,
    /// Where those come from that are there, by their keys.
    pub from: BTreeMap<&'static str, String>,
}

impl Asked {
    /// Takes each amount from the first that names it.
    pub(crate) fn of(layers: &[(String, &Resources)], reckoned: &Reckoned) -> Self {
        let mut asked = Self {
            resources: Resources::default(),
            from: BTreeMap::new(),
        };
        for (name, layer) in layers {
            let before = asked.resources.clone();
            asked.resources = before.or(layer);
            let new = before.keys();
            for key in asked.resources.keys() {
                if !new.contains(&key) {
                    let from = match (name.as_str(), key) {
                        (RECKONED, "memory") => reckoned.memory.clone(),
                        (RECKONED, "time") => reckoned.time.clone(),
                        (name, _) => name.to_owned(),
                    };
                    asked.from.insert(key, from);
                }
            }
        }
        asked
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = self.resources.parts().into_iter();
        let parts = parts.map(|(key, amount)| match self.from.get(key) {
            Some(from) => format!("{amount} ({from})"),
            None => amount,
        });
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}

/// Name of the layer whose amounts were reckoned.
pub(crate) const RECKONED: &str = "reckoned";

/// What jobs do, as far as their wants differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Training from nothing, and fine-tuning.
    Training,
    /// Merging an adapter into its base.
    Merging,
    /// Completions.
    Generation,
    /// Scores of given text, and divergence.
    Scoring,
    /// Verdicts of a model.
    Judging,
    /// The run itself, where `--detach` puts it into a job.
    Driver,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Training,
        Self::Merging,
        Self::Generation,
        Self::Scoring,
        Self::Judging,
        Self::Driver,
    ];

    /// The key of a profile.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Merging => "merging",
            Self::Generation => "generation",
            Self::Scoring => "scoring",
            Self::Judging => "judging",
            Self::Driver => "driver",
        }
    }

    /// What a job of its kind asks for where nobody said more; its memory follows from the size of its models.
    #[must_use]
    pub fn usual(self) -> Resources {
        let hours = match self {
            Self::Training => 12,
            Self::Merging => 1,
            Self::Generation | Self::Judging => 4,
            Self::Scoring => 2,
            Self::Driver => 24,
        };
        Resources {
            cpus: Some(if self == Self::Driver { 1 } else { 4 }),
            time: Some(Span::of(std::time::Duration::from_secs(hours * 3600))),
            memory: (self == Self::Driver).then_some(Memory::bytes(4 << 30)),
            ..Resources::default()
        }
    }
}
