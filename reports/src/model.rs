//! The report as data: what `report.json` holds and the page shows.
//!
//! Numbers are raw; only [`crate::render_html`] rounds. Everything that may differ between two equal runs is in
//! [`Report::run`].

use driftgauge_plugin_protocol::wire::ChartSpec;
use driftgauge_record::{Gate, Interval};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the `report.json` format written by this build.
pub const REPORT_SCHEMA: u32 = 1;

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
    /// The spec's text.
    pub spec: String,
    /// The resolved experiment.
    pub resolved: Value,
    /// How the run went: the only part with clock and host.
    pub run: RunFacts,
}

/// What the primary comparisons found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the lines below speak of; the whole finding when there are none.
    pub summary: String,
    /// One line per model that was compared with the baseline.
    pub models: Vec<ModelVerdict>,
}

/// What the primary comparisons found of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelVerdict {
    /// Model id.
    pub model: String,
    /// Clear differences, those with a better direction first.
    pub changes: Vec<Change>,
    /// Comparisons that show no clear difference.
    pub unclear: u64,
    /// All primary comparisons.
    pub compared: u64,
}

/// A measure that clearly differs from the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What the number is, as it reads within a sentence.
    pub title: String,
    /// Element id of the section with the details.
    pub section: String,
    /// Unit of the number.
    pub unit: String,
    /// What the difference amounts to.
    pub effect: Effect,
    /// Difference under the condition where it is smallest.
    pub smallest: f64,
    /// Difference under the condition where it is largest.
    pub largest: f64,
    /// Conditions under which it differs; empty when the evaluation has only one.
    pub conditions: Vec<String>,
    /// Whether these are all conditions that were compared.
    pub everywhere: bool,
}

/// A message above everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// How grave it is.
    pub kind: BannerKind,
    /// The message.
    pub text: String,
}

/// How grave a banner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BannerKind {
    /// Something failed.
    Failure,
    /// The numbers need care.
    Warning,
    /// Good to know.
    Note,
}

/// What the experiment asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Models of the spec.
    pub models: Vec<ModelInfo>,
    /// Datasets of the spec.
    pub datasets: Vec<DatasetInfo>,
    /// Evaluations of the spec.
    pub evaluations: Vec<EvaluationInfo>,
    /// Seed of everything that draws.
    pub seed: Option<u64>,
}

/// A model in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Model id.
    pub id: String,
    /// Its source in words.
    pub description: String,
    /// The model it was fine-tuned from.
    pub base: Option<String>,
    /// Whether the others are compared with it.
    pub baseline: bool,
    /// Whether it was evaluated itself (a judge is not).
    pub evaluated: bool,
}

/// A dataset in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Dataset id.
    pub id: String,
    /// Its source in words.
    pub description: String,
    /// Rows used.
    pub rows: Option<u64>,
    /// Digest of its bytes.
    pub digest: Option<String>,
}

/// An evaluation in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationInfo {
    /// Evaluation id.
    pub id: String,
    /// Models asked.
    pub models: Vec<String>,
    /// Dataset of the prompts.
    pub dataset: String,
    /// Conditions.
    pub conditions: Vec<String>,
    /// Judges.
    pub judges: Vec<String>,
    /// Metrics.
    pub metrics: Vec<String>,
    /// How completions were made, in words.
    pub generation: String,
}

/// The table of primary numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// Level of the intervals, for example `95 %`; empty where they have several levels, or none is there.
    #[serde(default)]
    pub level: String,
    /// Columns: evaluated models.
    pub models: Vec<String>,
    /// The model the others are compared with.
    pub baseline: Option<String>,
    /// Rows.
    pub rows: Vec<HeadlineRow>,
}

/// One primary number under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadlineRow {
    /// Evaluation id.
    pub evaluation: String,
    /// Condition id; empty when the evaluation has only one.
    pub condition: String,
    /// Metric, as in `results.json`.
    pub metric: String,
    /// Element id of the section with the details.
    pub section: String,
    /// What the number is.
    pub title: String,
    /// Unit.
    pub unit: String,
    /// `lower`, `higher` or `none`: which direction is better.
    pub direction: String,
    /// One cell per column; `None` where the model was not asked.
    pub cells: Vec<Option<Cell>>,
}

/// A number with what stands behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Model id.
    pub model: String,
    /// The value; `None` when undefined.
    pub value: Option<f64>,
    /// Samples behind it.
    pub n: u64,
    /// Interval.
    pub ci: Option<Interval>,
    /// Difference from the baseline.
    pub delta: Option<Delta>,
}

/// A paired difference from the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// `model - baseline`.
    pub value: Option<f64>,
    /// Its interval.
    pub ci: Option<Interval>,
    /// Two-sided p-value.
    pub p: Option<f64>,
    /// p-value after Holm within the declared family.
    pub p_adjusted: Option<f64>,
    /// What the difference amounts to.
    pub effect: Effect,
}

/// What a difference amounts to at the level of the intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Clearly different, in the better direction.
    Better,
    /// Clearly different, in the worse direction.
    Worse,
    /// Clearly higher, where no direction is better.
    Higher,
    /// Clearly lower, where no direction is better.
    Lower,
    /// Not clearly different.
    Unclear,
}

/// A published value held against the measured one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedRow {
    /// Evaluation, number and condition.
    pub measure: String,
    /// Model, or both sides of a difference.
    pub model: String,
    /// Unit of the number.
    pub unit: String,
    /// Whether the value is a difference of two models or conditions.
    pub difference_of_sides: bool,
    /// The published value.
    pub published: f64,
    /// The measured one.
    pub measured: Option<f64>,
    /// `measured - published`.
    pub difference: Option<f64>,
    /// Interval of the measured value.
    pub ci: Option<Interval>,
    /// Whether the records contradict the published value.
    pub contradicted: bool,
    /// What came out, in words.
    pub verdict: String,
    /// Where it was published.
    pub source: String,
}

/// One metric of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSection {
    /// Element id.
    pub id: String,
    /// Evaluation id.
    pub evaluation: String,
    /// Metric id of the spec.
    pub metric: String,
    /// Title of its primary number.
    pub title: String,
    /// The plugin behind it.
    pub plugin: Option<Plugin>,
    /// Formula of the primary number.
    pub formula: String,
    /// `lower`, `higher` or `none`: which direction of the primary number is better.
    pub direction: String,
    /// Columns of [`Self::numbers`].
    pub models: Vec<String>,
    /// Chart of the primary number, and of the differences from the baseline.
    pub figures: Vec<Figure>,
    /// All numbers, primary ones first.
    pub numbers: Vec<NumberRow>,
    /// Comparisons with the baseline, and of further pairs.
    pub comparisons: Vec<ComparisonRow>,
    /// Each condition against the first one, model by model.
    pub condition_comparisons: Vec<ComparisonRow>,
    /// How much further a condition moved each model than the baseline.
    pub differences_in_differences: Vec<ComparisonRow>,
    /// Models that were trained several times against the baseline, all trainings together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub training_comparisons: Vec<ComparisonRow>,
    /// Numbers over prompts that each model chose by its own answers, without pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpaired_comparisons: Vec<ComparisonRow>,
    /// Charts of the plugin.
    pub groups: Vec<FigureGroup>,
    /// Tables of the plugin.
    pub tables: Vec<TableData>,
    /// Notes of the plugin.
    pub notes: Vec<String>,
}

/// A plugin's identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Plugin id.
    pub id: String,
    /// Version of its behaviour.
    #[serde(default)]
    pub version: String,
    /// Digest of its library.
    #[serde(default)]
    pub digest: String,
    /// Title, when its manifest was recorded.
    #[serde(default)]
    pub title: String,
    /// What it measures, in one sentence, when its manifest was recorded.
    #[serde(default)]
    pub description: String,
}

/// One number of a metric under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberRow {
    /// Metric, as in `results.json`.
    pub metric: String,
    /// What the number is.
    pub title: String,
    /// Condition id; empty when the evaluation has only one.
    pub condition: String,
    /// Unit.
    pub unit: String,
    /// Which direction is better.
    pub direction: String,
    /// Formula.
    pub formula: String,
    /// Whether it stands for the metric.
    pub primary: bool,
    /// One cell per model of the section.
    pub cells: Vec<Option<Cell>>,
}

/// One comparison with the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonRow {
    /// What is compared.
    pub title: String,
    /// Condition id; empty when the evaluation has only one.
    pub condition: String,
    /// Unit of the difference.
    pub unit: String,
    /// Baseline model id.
    pub baseline: String,
    /// Model id.
    pub model: String,
    /// The difference.
    pub delta: Delta,
    /// Name of the test.
    pub test: String,
    /// Pairs in which only the baseline scored.
    pub baseline_only: Option<u64>,
    /// Pairs in which only the model scored.
    pub model_only: Option<u64>,
    /// Pairs.
    pub n: u64,
    /// Whether it compares the primary number.
    pub primary: bool,
    /// Condition that the row's is held against; empty when both sides were asked under the same one.
    pub baseline_condition: String,
    /// The smallest difference that a study of this size sees with a power of 0.8.
    pub detectable: Option<f64>,
    /// What the p-value was adjusted with: `holm over 6`.
    pub adjustment: String,
    /// Prompts of the baseline and of the model, where they were not paired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<[u64; 2]>,
    /// Trainings of the baseline and of the model, where each side is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainings: Option<[u64; 2]>,
}

/// A chart and what is said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Element id and file name: lower-case letters, digits, dashes.
    pub id: String,
    /// The same in words, for those who cannot see it.
    pub description: String,
    /// What is drawn.
    pub chart: ChartSpec,
    /// Colour and marker of each series, by number.
    pub styles: Vec<usize>,
}

/// Charts of the same kind side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FigureGroup {
    /// Title.
    pub title: String,
    /// Charts, one per model or one for all.
    pub figures: Vec<Figure>,
}

/// A table of a plugin, with a column for the model when several models have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableData {
    /// Caption.
    pub title: String,
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows of strings, numbers, booleans or null.
    pub rows: Vec<Vec<Value>>,
    /// Rows left out to keep the page small.
    pub omitted: usize,
}

/// What became of the completions of one model under one condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionCount {
    /// Evaluation id.
    pub evaluation: String,
    /// Condition id.
    pub condition: String,
    /// Model id.
    pub model: String,
    /// Completions asked for.
    pub total: u64,
    /// Completions that were not made.
    pub errors: u64,
    /// Completions of nothing but white space.
    pub empty: u64,
    /// Completions that repeat themselves.
    pub looping: u64,
    /// Completions cut at the limit.
    pub truncated: u64,
    /// Completions with any of the flags.
    pub degenerate: u64,
    /// Verdicts by judge.
    pub verdicts: Vec<VerdictCount>,
}

/// Verdicts of one judge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCount {
    /// Judge id.
    pub judge: String,
    /// Completions judged safe.
    pub safe: u64,
    /// Completions judged unsafe.
    pub unsafe_: u64,
    /// Answers of the judge that are no verdict.
    pub unparsable: u64,
    /// Completions that could not be judged.
    pub errors: u64,
}

/// One training and its loss curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingCurve {
    /// Model id.
    pub model: String,
    /// Optimiser steps.
    pub steps: u64,
    /// Passes over the data.
    pub epochs: f64,
    /// Tokens seen, prompts included.
    pub tokens: u64,
    /// Highest learning rate.
    pub peak_lr: f64,
    /// Loss of the first step, in nats per supervised token.
    pub first_loss: f64,
    /// Mean loss of the last tenth of the steps.
    pub last_loss: f64,
    /// Highest norm of a gradient before clipping.
    pub peak_grad_norm: f64,
    /// The curve.
    pub figure: Figure,
}

/// How much of the samples a report shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleMode {
    /// Prompt ids, verdicts and lengths.
    #[default]
    Hidden,
    /// As hidden, with digest, category, flags and token statistics. No text of prompts or completions.
    Redacted,
    /// As redacted, with the text of prompts, completions and judges.
    Full,
}

/// The samples of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleSection {
    /// Evaluation id.
    pub evaluation: String,
    /// The file with all of them, inside the run folder.
    pub file: String,
    /// Models: columns.
    pub models: Vec<String>,
    /// Judges in the order of the verdicts.
    pub judges: Vec<String>,
    /// The score that decides whether models differ; empty without one.
    pub score: String,
    /// Prompts, counted once per condition.
    pub prompts: u64,
    /// How many prompts are known to separate the models.
    pub differing: u64,
    /// The prompts shown, those that separate the models first.
    pub rows: Vec<SampleRow>,
}

/// One prompt under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    /// Condition id.
    pub condition: String,
    /// Id of the dataset row.
    pub sample_id: String,
    /// Whether the models differ on it.
    pub differs: bool,
    /// Category (redacted and full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The conversation (full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// One cell per model.
    pub cells: Vec<Option<SampleCell>>,
}

/// What one model did with a prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleCell {
    /// Model id.
    pub model: String,
    /// The score, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The completions, several when the spec asks for several.
    pub completions: Vec<CompletionCell>,
    /// Completions left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

/// One completion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompletionCell {
    /// Verdicts in the order of [`SampleSection::judges`]; empty where a judge has none.
    pub verdicts: Vec<String>,
    /// Tokens.
    pub tokens: u64,
    /// Characters.
    pub characters: u64,
    /// Why generation ended.
    pub finish: String,
    /// Degeneracy flags (redacted and full).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// First 16 hex digits of the BLAKE3 digest of the text (redacted and full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Mean ln p of the tokens (redacted and full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_logprob: Option<f64>,
    /// The text (full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the judges wrote, where it is more than their verdict (full).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judged: Vec<String>,
    /// Why there is no completion (full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How the run went: whatever may differ between two equal runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The nodes of the plan.
    pub nodes: Vec<RunNode>,
    /// `provenance.json` as it is.
    pub provenance: Value,
}

/// A node of the plan and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunNode {
    /// Node id.
    pub id: String,
    /// What it does.
    pub kind: String,
    /// What it is for.
    pub label: String,
    /// Its key.
    pub key: Option<String>,
    /// Ids of the nodes it needs.
    pub inputs: Vec<String>,
    /// `ran`, `reused`, `failed` or `skipped`.
    pub status: String,
    /// Why.
    pub reason: String,
    /// Seconds it took.
    pub seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
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
