//! The layout of a run folder: the one place where its file names are spelled.

use std::path::{Path, PathBuf};

/// Paths inside the folder that `driftgauge run --out DIR` writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Names the folder; nothing is read or made.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The spec, which runs again as it is.
    #[must_use]
    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.yaml")
    }

    /// The resolved experiment: defaults filled, every source pinned.
    #[must_use]
    pub fn resolved(&self) -> PathBuf {
        self.0.join("resolved.json")
    }

    /// Digests of everything the run read.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock.json")
    }

    /// What happened, one JSON object a line.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// Every number.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        self.0.join("results.json")
    }

    /// The plan with each node's key and outcome.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// Per-metric details (tables, chart specs, notes) as the plugins returned them.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.json")
    }

    /// The report as data.
    #[must_use]
    pub fn report_json(&self) -> PathBuf {
        self.0.join("report.json")
    }

    /// The report.
    #[must_use]
    pub fn report_html(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// Drawn charts.
    #[must_use]
    pub fn charts(&self) -> PathBuf {
        self.0.join("charts")
    }

    /// Samples, one Parquet file per evaluation.
    #[must_use]
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    /// Samples of one evaluation.
    #[must_use]
    pub fn samples_of(&self, evaluation: &str) -> PathBuf {
        self.samples().join(format!("{evaluation}.parquet"))
    }

    /// What training left behind, by model.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.0.join("models")
    }

    /// The training log of one model.
    #[must_use]
    pub fn train_log_of(&self, model: &str) -> PathBuf {
        self.models().join(model).join("train_log.jsonl")
    }

    /// Clock, host and versions: the only file that differs between two equal runs, beside `events.jsonl`.
    #[must_use]
    pub fn provenance(&self) -> PathBuf {
        self.0.join("provenance.json")
    }
}
