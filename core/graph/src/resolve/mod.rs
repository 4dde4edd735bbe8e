//! From a checked spec to a resolved experiment: defaults filled, files read and pinned, templates tried on the data.
//!
//! Everything found wrong is collected, with its place in the spec. Nothing is fetched: a source of the hub that is not in
//! the local cache stays unpinned.

mod absent;
mod adapters;
mod categories;
mod choices;
mod configs;
mod data;
mod engines;
mod evaluations;
mod examples;
mod false_answers;
mod folders;
mod judged;
mod leaks;
mod left_out;
mod lengths;
mod measures;
mod merged;
mod models;
mod named;
mod numbers;
mod odd_texts;
mod only;
mod packed;
mod plugins;
mod portable;
mod prepare;
mod readers;
mod recorded_alike;
mod recorded_texts;
mod recorded_twice;
mod recordings;
mod rounded;
mod scoring;
mod served;
mod settings;
mod spelled;
mod stand_ins;
mod targets;
mod training;
mod unproven;
mod unset;
mod warnings;

pub use measures::resolved_metric;
pub use numbers::unknown as unknown_numbers;
pub use plugins::{bad_config, unfit_config};
pub use portable::portable_text;
pub use prepare::{Complaints, Prepared, complaints, prepare};
pub use served::Absent;
pub use unproven::Unproven;

use std::path::{Path, PathBuf};

use driftgauge_data::recording::Readings;
use driftgauge_engine::{LocalEngine, PromptReader, TextFiles, Untrained};
use driftgauge_problem::{Place, Problem};
use driftgauge_spec::{ExperimentSpec, Source, Span, Used};
use driftgauge_store::FileDigests;

use crate::resolved::ResolvedExperiment;

/// How a model reads prompts; `None` where its files are of a kind that is not known here.
pub type Opened = Result<Option<Box<dyn PromptReader>>, Problem>;

/// What resolving needs beside the spec.
#[derive(Debug, Clone)]
pub struct ResolveOptions {
    /// The text of the spec, for the lines of what is found wrong only later.
    pub source: Source,
    /// Folder of the spec: relative paths start here.
    pub base: PathBuf,
    /// At most so many rows of every evaluated dataset.
    pub limit: Option<usize>,
    /// Whether the spec passed its checks. What is missing or dangling in another one was told before.
    pub sound: bool,
    /// Whether model folders, adapters and the hub's cache are looked into. A model that is not looked at counts as one that is
    /// still to be fetched.
    pub models: bool,
    /// Whether models compute on a GPU.
    pub on_gpu: bool,
    /// Remembered digests of large files.
    pub digests: FileDigests,
    /// Whether our own decoder, which scores, computes the model of a folder, or why not. Reads its configuration and the
    /// headers of its weights.
    pub computed: fn(&Path) -> Result<(), Problem>,
    /// Whether it can be trained too.
    pub trained: fn(&Path) -> Result<(), Problem>,
    /// Whether mistral.rs is there at all, or why not.
    pub built: fn() -> Result<(), Problem>,
    /// Whether it computes the model of a folder, or why not.
    pub generated: fn(&Path) -> Result<(), Problem>,
    /// Whether an engine runs a GGUF file with the tokenizer of a folder, or else with the one inside, or why not. Reads the
    /// file's header.
    pub gguf: fn(&Path, Option<&Path>, LocalEngine) -> Result<(), Problem>,
    /// How a model reads prompts, by its files; `None` where they do not tell.
    pub reader: fn(&TextFiles) -> Opened,
    /// How a model that is still to be trained from nothing will read prompts.
    pub untrained: fn(Untrained) -> Option<Box<dyn PromptReader>>,
    /// Why the engine could not be held against an independent computation of the model in a folder, whose weights may be
    /// quantised while loading.
    pub unproven: fn(&TextFiles, Option<&str>) -> Option<String>,
}

/// Collects problems while resolving.
pub(crate) struct Resolver<'a> {
    spec: &'a ExperimentSpec,
    options: &'a ResolveOptions,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    used: Used,
    paths: Vec<(Span, PathBuf)>,
    readings: Readings,
    /// What was read otherwise than it is written, or left out.
    notes: Vec<String>,
}

impl Resolver<'_> {
    fn problem(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let problem = Problem::new(code, message).maybe_help(help).of_input();
        self.problems.push(problem.at(place(span)));
    }

    /// What stops nothing.
    fn warn(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: &str) {
        let warning = Problem::new(code, message).help(help).of_input();
        self.warnings.push(warning.at(place(span)));
    }

    /// What is told in the run and the report, once.
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Takes an error of a part of ours as a problem at a place of the spec.
    fn refuse(&mut self, code: &'static str, span: Span, error: impl Into<Problem>) {
        let problem = Problem {
            code: code.into(),
            ..error.into()
        };
        self.problems.push(problem.of_input().at(place(span)));
    }

    /// A path of the spec, from its folder; remembered so that the run folder's copy of the spec can name it too.
    fn path(&mut self, path: &driftgauge_spec::Text) -> PathBuf {
        if path.get().trim().is_empty() {
            let message = "an empty path names no file";
            self.problem("missing-file", path.span(), message.to_owned(), None);
        }
        let full = self.options.base.join(path.get());
        let absolute = std::path::absolute(&full).unwrap_or_else(|_| full.clone());
        self.paths.push((path.span(), absolute));
        full
    }

    /// Digest of a file named in the spec; a problem when it is not there.
    fn pin(&mut self, path: &driftgauge_spec::Text) -> Option<driftgauge_data::PinnedFile> {
        let full = self.path(path);
        match self.options.digests.of(&full) {
            Ok(digest) => Some(driftgauge_data::PinnedFile { path: full, digest }),
            Err(error) => {
                self.missing(path, &full, &error);
                None
            }
        }
    }

    fn missing(&mut self, path: &driftgauge_spec::Text, full: &Path, error: &std::io::Error) {
        let help = if Path::new(path.get()).is_relative() {
            Some(format!(
                "paths are relative to the spec: `{}` was looked for",
                full.display()
            ))
        } else {
            None
        };
        self.problem(
            "missing-file",
            path.span(),
            format!("cannot read `{}`: {error}", path.get()),
            help,
        );
    }
}

/// A resolved experiment, and the places in the spec that name files.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The experiment; `None` where something is wrong.
    pub experiment: Option<ResolvedExperiment>,
    /// Everything that is wrong, in the order of the spec's sections.
    pub problems: Vec<Problem>,
    /// What is worth a warning.
    pub warnings: Vec<Problem>,
    /// Each path of the spec with what it stands for, from the root of the file system.
    pub paths: Vec<(Span, PathBuf)>,
    /// What the self-checks of its models will not prove.
    pub unproven: Vec<Unproven>,
}

/// Resolves a spec. What nothing uses is not looked at.
#[must_use]
pub fn resolve(spec: &ExperimentSpec, options: &ResolveOptions) -> Resolved {
    let mut resolver = Resolver {
        spec,
        options,
        problems: Vec::new(),
        warnings: Vec::new(),
        used: Used::by(spec),
        paths: Vec::new(),
        readings: Readings::default(),
        notes: Vec::new(),
    };
    let datasets = resolver.datasets();
    let mut models = resolver.models(&datasets);
    resolver.engines(&mut models);
    let metrics = resolver.metrics();
    let evaluations = resolver.evaluations(&datasets);
    resolver.only(&datasets, &models, &evaluations);
    resolver.templates(&models, &evaluations);
    resolver.trainable(&models);
    resolver.rounded(&models);
    resolver.targets(&models);
    resolver.merged(&models);
    resolver.scorable(&models);
    resolver.generable(&models, &evaluations);
    let left_over = resolver.recorded_samples(&datasets, &models, &evaluations);
    resolver.notes.extend(resolver.readings.notes());
    resolver.notes.extend(left_over);
    resolver.constant_prompts(&datasets, &evaluations);
    resolver.same_stand_ins(&datasets, &evaluations);
    resolver.limits(&datasets);
    resolver.ranks(&models);
    resolver.reachable(&datasets, &evaluations);
    resolver.leaks(&datasets, &models, &evaluations);
    let compare = resolver.compare();
    resolver.categories(&datasets, &evaluations);
    let gates = resolver.gates();
    let expected = resolver.expected(&evaluations);
    if !options.sound || !resolver.problems.is_empty() {
        return Resolved {
            experiment: None,
            problems: resolver.problems,
            warnings: resolver.warnings,
            paths: resolver.paths,
            unproven: Vec::new(),
        };
    }
    let searches = crate::search::resolve(spec, &evaluations);
    let report_charts = resolver.charts();
    let mut experiment = ResolvedExperiment {
        name: spec.name.get().clone(),
        description: text(spec.description.as_ref()),
        title: spec
            .report
            .title
            .as_ref()
            .map_or_else(|| spec.name.get().clone(), |title| title.get().clone()),
        seed: *spec.seed,
        notes: resolver.notes,
        datasets,
        models,
        metrics,
        evaluations,
        compare,
        gates,
        searches,
        expected,
        report_samples: spec.report.samples,
        report_charts,
        readings: resolver.readings,
    };
    let odd = recorded_texts::told(spec, &experiment);
    resolver.warnings.extend(odd);
    let unlike = recorded_alike::told(spec, &experiment);
    let notes = unlike.iter().map(|warning| warning.message.clone());
    experiment.notes.extend(notes);
    resolver.warnings.extend(unlike);
    let (mut unreadable, mut unproven) = (Vec::new(), Vec::new());
    if options.models {
        let mut readers = readers::Readers::new(&experiment, options);
        let warnings = &mut resolver.warnings;
        unreadable = lengths::unreadable(spec, &experiment, &mut readers, warnings);
        unreadable.extend(lengths::trainings(
            spec,
            &experiment,
            &mut readers,
            warnings,
        ));
        unreadable.extend(packed::too_few(spec, &experiment, &mut readers));
        let judged = judged::judged(spec, &experiment, &mut readers);
        unreadable.extend(judged.problems);
        resolver.warnings.extend(judged.warnings);
        unreadable.extend(readers.unreadable(spec));
        unproven = unproven::unproven(&experiment, options);
    }
    Resolved {
        experiment: unreadable.is_empty().then_some(experiment),
        problems: unreadable,
        warnings: resolver.warnings,
        unproven,
        paths: resolver.paths,
    }
}

/// A place of the spec's text.
fn place(span: Span) -> Place {
    Place::Spec(span.start..span.end)
}

fn text(text: Option<&driftgauge_spec::Text>) -> String {
    text.map(|text| text.get().clone()).unwrap_or_default()
}
