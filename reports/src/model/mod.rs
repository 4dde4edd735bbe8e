//! The report as data: what `report.json` holds and the page shows.
//!
//! Numbers are raw; only [`crate::render_html`] rounds. Everything that may differ between two equal runs is in
//! [`Report::run`].

mod asked;
mod axes;
mod figure;
mod judges;
mod numbers;
mod opening;
mod published;
mod reading;
mod run;
mod samples;
mod section;

use driftgauge_record::files::resolved::{ExperimentRecord, SampleMode};
use driftgauge_record::{Gate, Searched, visible_json};
use serde::{Deserialize, Serialize};

pub use asked::{Asked, DatasetInfo, EvaluationInfo, ModelInfo, PromptInfo};
pub use axes::{AxisLine, AxisPoint, AxisSection};
pub use figure::{Figure, TrainingCurve};
pub use judges::{JudgePair, Judging};
pub use numbers::{Cell, Delta, Effect, Headline, HeadlineRow, Shared};
pub use opening::{Banner, BannerKind, Finding, ModelFinding, Sentence};
pub use published::PublishedRow;
pub use reading::{Drawn, Family, Reading};
pub use run::RunFacts;
pub use samples::{
    CompletionCell, CompletionCount, FlipCount, SampleCell, SampleRow, SampleSection, ScoredMetric,
    VerdictCount,
};
pub use section::{ComparisonRow, FigureGroup, MetricSection, NumberRow, TableData};

/// Version of the `report.json` format written by this build.
pub const REPORT_SCHEMA: u32 = 3;

/// The condition of an evaluation whose spec names none.
pub(crate) const ONLY_CONDITION: &str = "default";

/// A report, ready to be rendered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    pub verdict: Finding,
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
    /// Searches among the cells of a sweep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<Searched>,
    /// How far the judges agree with each other.
    pub judging: Vec<Judging>,
    /// What became of the completions, by evaluation, condition and model.
    pub completions: Vec<CompletionCount>,
    /// Numbers along the axes that the spec varies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<AxisSection>,
    /// Loss curves.
    pub training: Vec<TrainingCurve>,
    /// How much of the samples is shown.
    pub sample_mode: SampleMode,
    /// The samples, prompt by prompt.
    pub samples: Vec<SampleSection>,
    /// What a reader has to know of the methods of this report.
    pub reading: Reading,
    /// The spec's text.
    pub spec: String,
    /// The resolved experiment.
    pub resolved: Option<ExperimentRecord>,
    /// How the run went: the only part with clock, host and state of the store. `None` in a report that has to be the same for the
    /// same samples.
    pub run: Option<RunFacts>,
}

/// That numbers rest on more than one kind of machine: a fact of the run, which a stable report leaves out.
pub(crate) const KINDS_OF_MACHINES: &str = "Parts of this run were made on different kinds of machines, whose numbers may differ in their last digits:";

impl Report {
    /// The report without how the run went: the same bytes for the same samples, whatever the clock, the host, the command line and
    /// the store were.
    #[must_use]
    pub fn stable(mut self) -> Self {
        self.run = None;
        self.banners
            .retain(|banner| banner.text != KINDS_OF_MACHINES);
        self
    }

    /// The text of `report.json`. It may be printed: what would move a terminal's cursor or hide text stands as an escape.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let mut text = visible_json(&text).into_owned();
        text.push('\n');
        text
    }

    /// All charts, in the order of the page.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let sections = self.sections.iter().flat_map(|section| {
            let groups = section.groups.iter().flat_map(|group| group.figures.iter());
            section.figures.iter().chain(groups)
        });
        let training = self.training.iter().map(|curve| &curve.figure);
        let axes = self.axes.iter().map(|section| &section.figure);
        self.headline
            .forests
            .iter()
            .chain(sections)
            .chain(axes)
            .chain(training)
    }
}
