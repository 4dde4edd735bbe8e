//! The plan: a DAG of nodes with their keys. Making it reads no weights and runs nothing.

mod builder;
mod comparisons;
mod evaluations;

use std::collections::HashMap;
use std::sync::OnceLock;

use driftgauge_engine::PluginIdentity;
use driftgauge_store::Digest;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::builder::Builder;
use crate::resolved::ResolvedExperiment;

/// What a node does, with the version of its behaviour: raised when the same inputs would give other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Selects rows.
    Dataset,
    /// A model folder that is there already.
    Model,
    /// Trains from scratch.
    Pretrain,
    /// Fine-tunes.
    Finetune,
    /// Takes what a fine-tune was after some of its steps.
    Checkpoint,
    /// Merges an adapter into a plain folder.
    Merge,
    /// Generates completions.
    Generate,
    /// Scores given text.
    Score,
    /// Judges completions.
    Judge,
    /// Runs a metric plugin.
    Metric,
    /// Compares a model with the baseline.
    Compare,
}

impl Kind {
    /// The word used in files and keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Model => "model",
            Self::Pretrain => "pretrain",
            Self::Finetune => "finetune",
            Self::Checkpoint => "checkpoint",
            Self::Merge => "merge",
            Self::Generate => "generate",
            Self::Score => "score",
            Self::Judge => "judge",
            Self::Metric => "metric",
            Self::Compare => "compare",
        }
    }

    /// Version of the kind's behaviour.
    #[must_use]
    pub fn version(self) -> u32 {
        match self {
            // 3: numbers over prompts that each model chose itself are compared too. 4: very many scores are not drawn. 5: equal
            // 0/1 scores of several trainings have Newcombe's interval. 6: nothing is held against a number made in another way.
            // 7: draws are named, prompts without a pair counted. 8: differences that are all equal have a careful interval or none.
            // 9: numbers of pooled answers (AUROC, calibration error, kappa) are compared too. 10: few prompts or clusters are not drawn.
            Self::Compare => 10,
            // 2: shares held out exactly, mixes counted exactly, a base's own chat template. 3: what closes answers is an end token,
            // special tokens come from all of a tokenizer's files, an adapter to start from is known by its settings too.
            // A checkpoint has the key of its training among its inputs. 4: `tokenizer_config.json` settles the flags of tokens.
            // 5: a sign that begins an expression is one, new special tokens have the order of their file.
            Self::Pretrain | Self::Finetune => 5,
            // 2: values keep their type: bytes are text, null is absent, a system turn of null is none. 3: times of Parquet in
            // nanoseconds are text. 4: decimals of Parquet keep their digits as text, numbers of single and half precision are the shortest.
            Self::Dataset => 4,
            // 2: plain text begins as the tokenizer begins a text; the chat template of the spec is used. 3: prompt and text are
            // encoded together, special tokens come from all of a tokenizer's files. 4: flags of tokens, as for trainings.
            // 5: choices are as long as their characters. 6: signs and new special tokens, as for trainings.
            Self::Score => 6,
            // 2: rows without a context have no system turn; loops are found also where the limit cuts them.
            // 3: an answer of one token disturbs neither itself nor the next one. 4: special tokens come from all of a tokenizer's
            // files. 5: flags of tokens, as for trainings; every error of a recording is one. 6: so is one in a column that says so
            // by its name, and what guardrails flagged. 7: signs and new special tokens, as for trainings; a server's log-probabilities
            // are those of the answer.
            Self::Generate => 7,
            // 2: the context stands apart from the behavior. 3 and 4: as for completions. 5: verdicts are read behind marks and
            // reasoning, and not where they contradict themselves; `p_unsafe` is taken where the verdict stands. 6: flags of tokens, as
            // for trainings. 7: a word that names a denied value (`unsafe: false`) is no verdict, nor is a number on another scale, one
            // that counts something, or one that was cut off. 8: what corrects itself, or is explained by its contrary, is none. 9: what is
            // quoted corrects nothing, and what is said of the request is no contrary. 10: accents are composed, hyphens and quotes plain.
            // 11: what stands behind a verdict has to agree with it; signs and new special tokens, as for trainings.
            Self::Judge => 11,
            _ => 1,
        }
    }

    /// Whether the node starts a process that loads or trains a model.
    #[must_use]
    pub fn is_heavy(self) -> bool {
        matches!(
            self,
            Self::Pretrain
                | Self::Finetune
                | Self::Checkpoint
                | Self::Merge
                | Self::Generate
                | Self::Score
                | Self::Judge
        )
    }
}

/// Which part of the experiment a node stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A dataset.
    Dataset(String),
    /// A model's weights: found, trained, fine-tuned or merged.
    Model(String),
    /// Completions or scores of one model under one condition.
    Completions {
        /// Evaluation id.
        evaluation: String,
        /// Condition id.
        condition: String,
        /// Model id.
        model: String,
    },
    /// Verdicts on them.
    Verdicts {
        /// Evaluation id.
        evaluation: String,
        /// Condition id.
        condition: String,
        /// Model id.
        model: String,
        /// Judge id.
        judge: String,
    },
    /// How far the model is from its reference, token by token.
    Divergence {
        /// Evaluation id.
        evaluation: String,
        /// Condition id.
        condition: String,
        /// Model id.
        model: String,
    },
    /// A metric of one model over one evaluation.
    Metric {
        /// Evaluation id.
        evaluation: String,
        /// Metric id.
        metric: String,
        /// Model id.
        model: String,
    },
    /// The same metric of a model against the baseline's, and under each condition against the first one. Of the baseline, the
    /// conditions alone; of a further pair, the models alone.
    Comparison {
        /// Evaluation id.
        evaluation: String,
        /// Metric id.
        metric: String,
        /// Id of the model it is held against.
        #[serde(default)]
        baseline: Option<String>,
        /// Model id.
        model: String,
        /// The condition that the others are held against, when they are.
        #[serde(default)]
        first_condition: Option<String>,
    },
    /// The same metric of all trainings of a model against all those of the baseline.
    Trainings {
        /// Evaluation id.
        evaluation: String,
        /// Metric id.
        metric: String,
        /// Id of the baseline's first training.
        baseline: String,
        /// Id of the model's first training.
        model: String,
        /// How many of the inputs, from the first on, are trainings of the baseline.
        baseline_trainings: usize,
    },
}

/// One node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// Readable id, unique in the plan; never part of a key.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// What it stands for.
    pub part: Part,
    /// Its key; `None` while a source of the hub is not pinned.
    pub key: Option<Digest>,
    /// The parameters in the key.
    pub params: Value,
    /// Nodes it needs, by position.
    pub inputs: Vec<usize>,
    /// Prompts, rows or examples it goes through, when known.
    pub items: Option<u64>,
}

/// What identifies the engine that makes completions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineIdentity {
    /// Engine and version, for example `mistral.rs 0.8.1`.
    pub generation: String,
    /// The batched decoder, for example `driftgauge-lm decoder 2`.
    pub native: String,
    /// What scores given text, for example `driftgauge-lm scorer 3`.
    pub scoring: String,
    /// The trainer, for example `driftgauge-lm 1`.
    pub training: String,
    /// Device class: `cpu` or `cuda`.
    pub device: String,
}

/// Where the identity of a judge's plugin stands among those of the metrics, whose ids have no space.
#[must_use]
pub fn judge_plugin(evaluation: &str, judge: &str) -> String {
    format!("judge {evaluation}/{judge}")
}

/// All nodes, inputs before those who need them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Where each part stands, found once: a run asks for thousands.
    #[serde(skip)]
    places: OnceLock<HashMap<Part, usize>>,
}

impl Plan {
    /// Plans an experiment. `plugins` holds the identity of each metric's plugin, and of each judge's by [`judge_plugin`].
    #[must_use]
    pub fn of(
        experiment: &ResolvedExperiment,
        engine: &EngineIdentity,
        plugins: &IndexMap<String, PluginIdentity>,
    ) -> Self {
        let mut builder = Builder::new(experiment, engine, plugins);
        builder.datasets();
        builder.models();
        builder.evaluations();
        builder.plan
    }

    /// Position of the node with that id.
    #[must_use]
    pub fn position(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// Position of the node that stands for `part`; of a model, the first of those that lead to it.
    #[must_use]
    pub fn place_of(&self, part: &Part) -> Option<usize> {
        let places = self.places.get_or_init(|| {
            let nodes = self.nodes.iter().enumerate().rev();
            nodes.map(|(at, node)| (node.part.clone(), at)).collect()
        });
        places.get(part).copied()
    }
}
