//! The layout of a run folder. The names of its JSON files stand with their types, those of everything else here.

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

    /// What happened, one JSON object a line.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// Jobs of a cluster that made parts of the run, with what they said.
    #[must_use]
    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
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
}
