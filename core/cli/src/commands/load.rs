//! From the command line to an experiment and its plan, with every complaint about the spec on the way.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use driftgauge_engine::LocalEngine;
use driftgauge_graph::forecast::Machine;
use driftgauge_graph::plan::EngineIdentity;
use driftgauge_graph::resolve::{
    Prepared as Planned, ResolveOptions, Unproven, complaints, portable_text, prepare as settle,
    resolve,
};
use driftgauge_lm::{GgufFile, Tokenizer};
use driftgauge_problem::{Context as _, Place, Problem, Result};
use driftgauge_spec::{
    Diagnostic, ExperimentSpec, Form, Reading, Severity, Source, Span, Variables, render, settled,
};
use driftgauge_store::{FileDigests, Store};

use crate::args::{Deny, Diagnosing, SpecArgs, SpecFormat, StoreArgs};
use crate::generation;
use crate::metrics::PluginMetrics;

/// A spec that was read, with its text.
pub(super) struct Loaded {
    pub(super) source: Source,
    pub(super) variables: Variables,
    pub(super) reading: Reading,
}

/// Everything a run rests on.
pub(super) struct Prepared {
    pub(super) planned: Planned,
    pub(super) metrics: Arc<PluginMetrics>,
    /// The spec with paths that hold from any folder and variables as they were set.
    pub(super) spec_text: String,
    /// What the self-checks of its models will not prove.
    pub(super) unproven: Vec<Unproven>,
    /// What is worth a warning.
    pub(super) said: Said,
}

/// What became of a spec.
pub(super) enum Outcome<T> {
    /// It can be used.
    Ready(T),
    /// It is wrong; the complaints were written.
    Refused,
}

/// What is said of a spec.
pub(super) struct Said {
    pub(super) source: Source,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Said {
    /// Everything that was found, in the order of the text, without the warnings that the spec allows.
    pub(super) fn new(
        source: Source,
        spec: Option<&ExperimentSpec>,
        diagnostics: Vec<Diagnostic>,
    ) -> Self {
        Self {
            diagnostics: settled(spec, diagnostics),
            source,
        }
    }

    /// Whether nothing may go on.
    pub(super) fn stops(&self, how: Diagnosing) -> bool {
        let denied = how.deny == Some(Deny::Warnings);
        self.diagnostics
            .iter()
            .any(|diagnostic| denied || diagnostic.is_error())
    }

    /// Everything in a form.
    pub(super) fn in_form(&self, form: Form) -> String {
        render(form, &self.source, &self.diagnostics)
    }

    /// Tells people on standard error, and programs on standard output.
    pub(super) fn tell(&self, how: Diagnosing) {
        match form(how.format) {
            Form::Text => eprint!("{}", self.in_form(Form::Text)),
            form => print!("{}", self.in_form(form)),
        }
    }

    /// Tells what stops nothing, beside a result on standard output.
    pub(super) fn mention(&self, how: Diagnosing) {
        match how.format {
            SpecFormat::Github => print!("{}", self.in_form(Form::Github)),
            _ => eprint!("{}", self.in_form(Form::Text)),
        }
    }
}

pub(super) fn form(format: SpecFormat) -> Form {
    match format {
        SpecFormat::Text => Form::Text,
        SpecFormat::Json => Form::Json,
        SpecFormat::Github => Form::Github,
        SpecFormat::Sarif => Form::Sarif,
    }
}

/// Reads and checks a spec, without looking at the files it names.
pub(super) fn read(args: &SpecArgs) -> Result<Loaded> {
    let source = driftgauge_spec::open(&args.spec, args.spec.display().to_string())
        .with_context(|| format!("cannot read the spec `{}`", args.spec.display()))
        .map_err(Problem::of_input)?;
    let variables =
        Variables::from_arguments(&args.set).map_err(|error| Problem::from(error).of_input())?;
    let reading = driftgauge_spec::read(&source, &variables);
    Ok(Loaded {
        source,
        variables,
        reading,
    })
}

/// Whether what is missing may be fetched from the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Nothing is asked.
    Closed,
    /// Sources that are not in the local cache are fetched.
    Open,
}

/// How specs are resolved here.
pub(super) fn resolve_options(
    loaded: &Loaded,
    base: &Path,
    digests: FileDigests,
) -> ResolveOptions {
    ResolveOptions {
        source: loaded.source.clone(),
        base: base.to_owned(),
        limit: None,
        sound: loaded.reading.is_sound(),
        models: true,
        on_gpu: false,
        digests,
        computed: |folder| driftgauge_lm::check_folder(folder).map_err(Problem::from),
        trained: |folder| driftgauge_lm::check_trainable(folder).map_err(Problem::from),
        built: generation::built,
        generated: generation::check_folder,
        gguf: runs,
        reader: generation::reader,
        untrained: driftgauge_lm::untrained,
        unproven: generation::unproven,
    }
}

/// Reads, checks, resolves and plans. Everything that is wrong is told at once.
pub(super) fn prepare(
    spec: &SpecArgs,
    options: &StoreArgs,
    store: &Store,
    network: Network,
    how: Diagnosing,
) -> Result<Outcome<Prepared>> {
    let loaded = read(spec)?;
    let mut found = loaded.reading.found.clone();
    let Some(spec_read) = &loaded.reading.spec else {
        Said::new(loaded.source.clone(), None, found).tell(how);
        return Ok(Outcome::Refused);
    };
    let base = spec.spec.parent().unwrap_or(Path::new("")).to_owned();
    let resolve_options = ResolveOptions {
        limit: options.limit.map(NonZeroUsize::get),
        // A device that means nothing is refused below.
        on_gpu: device_class(&options.device).is_ok_and(|class| class != "cpu"),
        ..resolve_options(&loaded, &base, store.digests())
    };
    let mut resolved = resolve(spec_read, &resolve_options);
    if let Some(experiment) = &resolved.experiment
        && network == Network::Open
        && !experiment.missing_hub_sources().is_empty()
    {
        crate::hub::fetch(&experiment.missing_hub_sources())?;
        resolved = resolve(spec_read, &resolve_options);
    }
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let metrics = Arc::new(PluginMetrics::new(
        &options.plugin_dirs,
        base.clone(),
        executable,
    ));
    let mut complaints = complaints(&loaded.source, spec_read, metrics.as_ref());
    if let Some(experiment) = &resolved.experiment {
        complaints.hold_names(&loaded.source, spec_read, experiment);
    }
    found.extend(resolved.problems.into_iter().map(diagnostic));
    found.extend(resolved.warnings.into_iter().map(warning));
    let planned = match resolved.experiment {
        None => {
            found.extend(complaints.problems.into_iter().map(diagnostic));
            None
        }
        Some(experiment) => {
            let device =
                device_class(&options.device).map_err(|error| Problem::from(error).of_input())?;
            match settle(spec_read, experiment, complaints, &engine(device)) {
                Ok(planned) => Some(planned),
                Err(problems) => {
                    found.extend(problems.into_iter().map(diagnostic));
                    None
                }
            }
        }
    };
    let said = Said::new(loaded.source.clone(), Some(spec_read), found);
    let Some(planned) = planned.filter(|_| !said.stops(how)) else {
        said.tell(how);
        return Ok(Outcome::Refused);
    };
    Ok(Outcome::Ready(Prepared {
        spec_text: portable_text(
            &loaded.source,
            spec_read,
            &loaded.variables,
            &resolved.paths,
            &base,
        ),
        planned,
        metrics,
        unproven: resolved.unproven,
        said,
    }))
}

/// Whether an engine runs a GGUF file, with the tokenizer of a folder or else with the one inside.
fn runs(file: &Path, tokenizer: Option<&Path>, engine: LocalEngine) -> Result<()> {
    if engine == LocalEngine::Mistralrs {
        generation::built()?;
    }
    let checked = GgufFile::open(file).and_then(|file| {
        driftgauge_lm::check_gguf(&file, engine)?;
        match tokenizer {
            Some(folder) => file.check_tokenizer(&Tokenizer::from_folder(folder)?),
            None => file.tokenizer().map(drop),
        }
    });
    Ok(checked?)
}

/// Where the experiment is to run, as far as speed goes.
pub(super) fn machine(prepared: &Prepared) -> Machine {
    Machine {
        engine: prepared.planned.engine.clone(),
        processor: format!("{}, {}", std::env::consts::ARCH, driftgauge_lm::vectors()),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    }
}

/// Class of the device that models will compute on; part of every key.
fn device_class(device: &str) -> Result<&'static str, driftgauge_lm::Error> {
    let compute = driftgauge_lm::Compute {
        device: Some(device.to_owned()),
        dtype: None,
    };
    compute.device_class()
}

/// What makes completions and trains in this build.
fn engine(device: &str) -> EngineIdentity {
    EngineIdentity {
        generation: generation::ENGINE.to_owned(),
        native: driftgauge_lm::DECODER.to_owned(),
        scoring: driftgauge_lm::SCORER.to_owned(),
        training: driftgauge_lm::TRAINER.to_owned(),
        device: device.to_owned(),
    }
}

/// A problem as the spec's own diagnostics are shown.
pub(super) fn diagnostic(problem: Problem) -> Diagnostic {
    let shown = Diagnostic {
        severity: Severity::Error,
        code: problem.code,
        message: problem.message,
        labels: Vec::new(),
        help: problem.help,
    };
    match problem.place.as_deref() {
        Some(Place::Spec(range)) => shown.at(Span::new(range.start, range.end), ""),
        _ => shown,
    }
}

/// A problem that stops nothing.
pub(super) fn warning(problem: Problem) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        ..diagnostic(problem)
    }
}
