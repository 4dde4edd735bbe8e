//! What a job is told to do, and what it says of its end: files beside its script.

use std::io;
use std::path::{Path, PathBuf};

use driftgauge_problem::{Context as _, Problem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Number of both formats.
pub const SCHEMA: u32 = 1;

/// What a job is told to make, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkOrder {
    /// Number of the format.
    pub schema: u32,
    /// Version of the program that wrote it; another one would make other keys.
    pub driftgauge: String,
    /// The spec, as the run folder has it.
    pub spec: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// Folders with plugins.
    pub plugin_dirs: Vec<PathBuf>,
    /// Rows of every evaluated dataset at most.
    pub limit: Option<usize>,
    /// Where models compute.
    pub device: String,
    /// Whether no socket is opened.
    pub offline: bool,
    /// Whether a model that is not wholly proven is refused.
    pub strict: bool,
    /// Cores that were asked for.
    pub cpus: Option<u32>,
    /// Keys of the nodes to make.
    pub keys: Vec<String>,
    /// Their names, for people.
    pub nodes: Vec<String>,
    /// Into what they are divided, where each task of an array makes a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<Shards>,
}

/// How the items of nodes are divided among the tasks of an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shards {
    /// Each node into so many ranges of about the same length.
    pub of: u32,
    /// Those that this array makes.
    pub tasks: Vec<u32>,
}

/// The file in which a job, or a task of one, says how it ended.
#[must_use]
pub fn end_file(task: Option<u32>) -> String {
    match task {
        Some(task) => format!("end-{task}.json"),
        None => "end.json".to_owned(),
    }
}

/// The file in which a job, or a task of one, says what happens in it.
#[must_use]
pub fn events_file(task: Option<u32>) -> String {
    match task {
        Some(task) => format!("events-{task}.jsonl"),
        None => "events.jsonl".to_owned(),
    }
}

/// What a job says when it ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobEnd {
    /// Number of the format.
    pub schema: u32,
    /// What told it to stop before it was done.
    pub stopped: Option<Stop>,
    /// The nodes that it was to make.
    pub nodes: Vec<NodeEnd>,
    /// Where it ran.
    pub machine: Machine,
}

/// What told a job to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Its time is nearly over.
    Time,
    /// It has to make room, or someone cancelled it.
    Asked,
}

/// What became of a node in a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEnd {
    /// Key of the node.
    pub key: String,
    /// Whether its artifact is there.
    pub made: bool,
    /// Why it is not.
    pub error: Option<Problem>,
}

/// Where something was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Name of the machine.
    pub host: String,
    /// Its processor.
    pub processor: String,
    /// Vectors that the kernels used.
    pub vectors: String,
    /// Its GPUs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// The driver of the GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The queue's id of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

impl Machine {
    /// What it has in common with others of its kind: numbers may differ between kinds.
    #[must_use]
    pub fn kind(&self) -> String {
        let mut parts = vec![self.processor.clone(), self.vectors.clone()];
        parts.extend(self.gpus.first().cloned());
        parts.extend(
            self.driver
                .as_ref()
                .map(|driver| format!("driver {driver}")),
        );
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }
}

/// Reads a JSON file; `None` where there is none.
///
/// # Errors
/// When it cannot be read, or is not what it should be.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Problem> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read `{}`", path.display()))?,
    };
    let value = serde_json::from_str(&text);
    value
        .map(Some)
        .with_context(|| format!("`{}` is not as driftgauge writes it", path.display()))
}

/// Writes a JSON file that is there whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Problem> {
    let whole = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = serde_json::to_vec_pretty(value)
        .map_err(io::Error::from)
        .and_then(|bytes| std::fs::write(&whole, bytes))
        .and_then(|()| std::fs::rename(&whole, path));
    written.with_context(|| format!("cannot write `{}`", path.display()))
}
