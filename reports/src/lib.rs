//! From a run folder to one self-contained HTML report.
//!
//! ```text
//! run folder --read--> RunFiles --build--> Report (report.json) --charts--> SVG --render--> report.html
//! ```
//!
//! Every arrow is a pure function of the folder's files: no engine, no clock, no network. The same folder gives the
//! same bytes. Model output is hostile text here, and for safety experiments harmful text as well: it is escaped at one
//! place ([`render_html`]), and left out altogether unless the spec asks for it (`report: {samples: full}`).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod across;
mod anchor;
mod build;
mod charts;
mod error;
mod files;
mod formats;
mod model;
mod numbers;
mod render;
mod words;
mod write;

pub use across::{AcrossRuns, NamedRun, Step};
pub use error::ReportError;
pub use model::{
    Asked, AxisLine, AxisPoint, AxisSection, Banner, BannerKind, Cell, ComparisonRow,
    CompletionCell, CompletionCount, DatasetInfo, Delta, Drawn, Effect, EvaluationInfo, Family,
    Figure, FigureGroup, Finding, FlipCount, Headline, HeadlineRow, JudgePair, Judging,
    MetricSection, ModelFinding, ModelInfo, NumberRow, PromptInfo, PublishedRow, REPORT_SCHEMA,
    Reading, Report, RunFacts, SampleCell, SampleRow, SampleSection, ScoredMetric, Sentence,
    Shared, TableData, TrainingCurve, VerdictCount,
};
pub use render::{render_across, render_html};
pub use write::{Picture, WrittenCharts, write_report};
