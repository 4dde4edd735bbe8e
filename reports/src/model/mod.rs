//! The report as data: what `report.json` holds and the page shows.
//!
//! Numbers are raw; only [`crate::render_html`] rounds. Everything that may differ between two equal runs is in
//! [`Report::run`].

mod asked;
mod figure;
mod numbers;
mod opening;
mod published;
mod reading;
mod run;
mod samples;
mod section;

use driftgauge_record::Gate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use asked::{Asked, DatasetInfo, EvaluationInfo, ModelInfo};
pub use figure::{Figure, TrainingCurve};
pub use numbers::{Cell, Delta, Effect, Headline, HeadlineRow, Shared};
pub use opening::{Banner, BannerKind, Change, ModelVerdict, Verdict};
pub use published::PublishedRow;
pub use reading::{Drawn, Family, Reading};
pub use run::{RunFacts, RunNode};
pub use samples::{
    CompletionCell, CompletionCount, SampleCell, SampleMode, SampleRow, SampleSection, VerdictCount,
};
pub use section::{ComparisonRow, FigureGroup, MetricSection, NumberRow, Plugin, TableData};

/// Version of the `report.json` format written by this build.
pub const REPORT_SCHEMA: u32 = 1;

/// The condition of an evaluation whose spec names none.
pub(crate) const ONLY_CONDITION: &str = "default";

/// A report, ready to be rendered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_SCHEMA`].
    pub schema: u32,
    /// Title of the page.
    pub title: String,
    /// Name of the experiment.
    pub name: String,
    /// Description of the experiment.
    pub description: String,
    /// The finding, model by model.
    pub verdict: Verdict,
    /// What a reader has to know before believing the numbers.
    pub banners: Vec<Banner>,
    /// What was asked.
    pub asked: Asked,
    /// Every primary number by model.
    pub headline: Headline,
    /// One section per metric of an evaluation.
    pub sections: Vec<MetricSection>,
    /// Published values held against measured ones.
    pub expected: Vec<PublishedRow>,
    /// Gates and what they found.
    pub gates: Vec<Gate>,
    /// What became of the completions, by evaluation, condition and model.
    pub completions: Vec<CompletionCount>,
    /// Loss curves.
    pub training: Vec<TrainingCurve>,
    /// How much of the samples is shown.
    pub sample_mode: SampleMode,
    /// The samples, prompt by prompt.
    pub samples: Vec<SampleSection>,
    /// What a reader has to know of the methods of this report.
    #[serde(default)]
    pub reading: Reading,
    /// The spec's text.
    pub spec: String,
    /// The resolved experiment.
    pub resolved: Value,
    /// How the run went: the only part with clock and host.
    pub run: RunFacts,
}

impl Report {
    /// All charts, in the order of the page.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let sections = self.sections.iter().flat_map(|section| {
            let groups = section.groups.iter().flat_map(|group| group.figures.iter());
            section.figures.iter().chain(groups)
        });
        sections.chain(self.training.iter().map(|curve| &curve.figure))
    }
}
