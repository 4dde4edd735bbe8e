//! How an engine is held against another one: the same prompts, the same greedy tokens, the same ln p.

use serde::{Deserialize, Serialize};

/// What the native engine is held against when it is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Witness {
    /// A forward pass of ours, with kernels of its own.
    #[default]
    Forward,
    /// mistral.rs, where it computes the model; a forward pass elsewhere.
    Mistralrs,
}

/// Prompts that engines answer to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// Their tokens; the last one may be as long as anything that will be asked.
    pub prompts: Vec<Vec<u32>>,
    /// Tokens of each greedy answer.
    pub steps: usize,
}

impl Probes {
    /// The last position that they reach.
    #[must_use]
    pub fn reach(&self) -> usize {
        let longest = self.prompts.iter().map(Vec::len).max();
        longest.map_or(0, |prompt| prompt + self.steps)
    }
}

/// A greedy answer to a probe: each token with its ln p.
pub type ProbeAnswer = Vec<(u32, f64)>;

/// What a witness says of probes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Testimony {
    /// Its answers.
    Answers {
        /// Of each probe; `None` where the witness does not compute so far what the model's files say.
        answers: Vec<Option<ProbeAnswer>>,
        /// How far it does.
        beyond: Option<String>,
    },
    /// It does not compute the model: why.
    NotComputed(String),
}

/// What was proven of the native engine and a model, on one kind of processor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The last position that was proven.
    pub reach: usize,
    /// Short probes, to be asked again at every load.
    pub probes: Probes,
    /// What the witness answered to them.
    pub answers: Vec<ProbeAnswer>,
    /// What was compared and what came out.
    pub detail: String,
}
