//! From the command line to an experiment and its plan, with every complaint about the spec on the way.

use std::path::Path;
use std::sync::Arc;

use driftgauge_graph::plan::EngineIdentity;
use driftgauge_graph::resolve::{
    Prepared as Planned, ResolveOptions, Resolved, Unproven, portable_text, prepare as settle,
    resolve,
};
use driftgauge_lm::GgufFile;
use driftgauge_problem::{Context as _, Place, Problem, Result};
use driftgauge_spec::{
    Diagnostic, ExperimentSpec, Source, Span, Variables, check, parse, render_human,
};
use driftgauge_store::Store;

use crate::args::{SpecArgs, StoreArgs};
use crate::metrics::PluginMetrics;

/// A spec that was read, with its text.
pub(super) struct Loaded {
    pub(super) source: Source,
    pub(super) spec: ExperimentSpec,
    pub(super) variables: Variables,
}

/// Everything a run rests on.
pub(super) struct Prepared {
    pub(super) planned: Planned,
    pub(super) metrics: Arc<PluginMetrics>,
    /// The spec with paths that hold from any folder and variables as they were set.
    pub(super) spec_text: String,
    /// What the self-checks of its models will not prove.
    pub(super) unproven: Vec<Unproven>,
}

/// What became of a spec.
pub(super) enum Outcome<T> {
    /// It can be used.
    Ready(T),
    /// It is wrong; the complaints are on standard error.
    Refused,
}

/// Reads and checks a spec, without looking at the files it names.
pub(super) fn read(args: &SpecArgs) -> Result<Result<Loaded, (Source, Vec<Diagnostic>)>> {
    let text = std::fs::read_to_string(&args.spec)
        .with_context(|| format!("cannot read the spec `{}`", args.spec.display()))
        .map_err(Problem::of_input)?;
    let source = Source::new(args.spec.display().to_string(), text);
    let variables =
        Variables::from_arguments(&args.set).map_err(|error| Problem::from(error).of_input())?;
    Ok(match parse(&source, &variables) {
        Err(diagnostics) => Err((source, diagnostics)),
        Ok(spec) => {
            let diagnostics = check(&spec);
            if diagnostics.is_empty() {
                Ok(Loaded {
                    source,
                    spec,
                    variables,
                })
            } else {
                Err((source, diagnostics))
            }
        }
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

/// Reads, checks, resolves and plans.
pub(super) fn prepare(
    spec: &SpecArgs,
    options: &StoreArgs,
    store: &Store,
    network: Network,
) -> Result<Outcome<Prepared>> {
    let loaded = match read(spec)? {
        Ok(loaded) => loaded,
        Err((source, diagnostics)) => return Ok(refuse(&source, &diagnostics)),
    };
    let base = spec.spec.parent().unwrap_or(Path::new("")).to_owned();
    let resolve_options = ResolveOptions {
        source: loaded.source.clone(),
        base: base.clone(),
        limit: options.limit,
        digests: store.digests(),
        computed: |folder| driftgauge_lm::check_folder(folder).map_err(Problem::from),
        trained: |folder| driftgauge_lm::check_trainable(folder).map_err(Problem::from),
        generated: |folder| driftgauge_mistralrs::check_folder(folder).map_err(Problem::from),
        gguf: runs,
        reader: driftgauge_mistralrs::reader,
        unproven: driftgauge_mistralrs::unproven,
    };
    let mut resolved = resolve(&loaded.spec, &resolve_options);
    if let Ok(Resolved { experiment, .. }) = &resolved
        && network == Network::Open
        && !experiment.missing_hub_sources().is_empty()
    {
        crate::hub::fetch(&experiment.missing_hub_sources())?;
        resolved = resolve(&loaded.spec, &resolve_options);
    }
    let refused = |problems: Vec<Problem>| {
        let diagnostics: Vec<_> = problems.into_iter().map(diagnostic).collect();
        Ok(refuse(&loaded.source, &diagnostics))
    };
    let Resolved {
        experiment,
        paths,
        unproven,
    } = match resolved {
        Ok(resolved) => resolved,
        Err(problems) => return refused(problems),
    };
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let metrics = Arc::new(PluginMetrics::new(&options.plugin_dirs, base, executable));
    let device = device_class(&options.device).map_err(|error| Problem::from(error).of_input())?;
    let planned = match settle(
        &loaded.source,
        &loaded.spec,
        experiment,
        metrics.as_ref(),
        &engine(device),
    ) {
        Ok(planned) => planned,
        Err(problems) => return refused(problems),
    };
    Ok(Outcome::Ready(Prepared {
        spec_text: portable_text(&loaded.source, &loaded.spec, &loaded.variables, &paths),
        planned,
        metrics,
        unproven,
    }))
}

fn refuse<T>(source: &Source, diagnostics: &[Diagnostic]) -> Outcome<T> {
    eprint!("{}", render_human(source, diagnostics));
    Outcome::Refused
}

/// Whether mistral.rs runs a GGUF file, with the tokenizer of a folder or else with the one inside.
fn runs(file: &Path, tokenizer: Option<&Path>) -> Result<()> {
    let checked = GgufFile::open(file).and_then(|file| {
        file.check()?;
        match tokenizer {
            Some(_) => Ok(()),
            None => file.tokenizer().map(drop),
        }
    });
    Ok(checked?)
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
        generation: driftgauge_mistralrs::ENGINE.to_owned(),
        training: driftgauge_lm::TRAINER.to_owned(),
        device: device.to_owned(),
    }
}

/// A problem as the spec's own diagnostics are shown.
pub(super) fn diagnostic(problem: Problem) -> Diagnostic {
    let shown = Diagnostic {
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
