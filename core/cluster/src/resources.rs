//! What a job asks for.

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

impl std::fmt::Display for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        let plural = |n: u32| if n == 1 { "" } else { "s" };
        if let Some(cpus) = self.cpus {
            parts.push(format!("{cpus} cpu{}", plural(cpus)));
        }
        if let Some(gpus) = self.gpus.filter(|&gpus| gpus > 0) {
            parts.push(format!("{gpus} gpu{}", plural(gpus)));
        }
        parts.extend(self.memory.map(|memory| memory.to_string()));
        parts.extend(self.time.map(|time| time.to_string()));
        parts.extend(self.constraint.clone());
        f.write_str(&parts.join(", "))
    }
}

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
