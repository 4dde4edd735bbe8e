//! `driftgauge check`: reads a spec, the data and the plugins that it names, and reports everything that is wrong, without looking
//! at a model. With `--no-files` it looks at the text alone, and asks only the plugins that came with this binary. With `--executor`
//! it looks at the profile of a cluster instead.

use std::path::Path;

use driftgauge_engine::MetricRunner;
use driftgauge_graph::resolve::{
    ResolveOptions, bad_config, complaints, resolve, unfit_config, unknown_numbers,
};
use driftgauge_problem::{Context as _, Result};
use driftgauge_spec::{Diagnostic, ExperimentSpec, Source, whole_text};
use driftgauge_store::FileDigests;

use super::load::{self, Loaded, Said};
use crate::args::{CheckArgs, SpecArgs, SpecFormat};
use crate::exit::Exit;
use crate::metrics::PluginMetrics;

pub(crate) fn run(args: &CheckArgs) -> Result<Exit> {
    let spec = match (&args.executor, &args.spec) {
        (Some(executor), _) => return super::check_executor::run(executor, args.diagnosing.format),
        (None, spec) => SpecArgs {
            spec: spec.clone().unwrap_or_default(),
            set: args.set.clone(),
        },
    };
    let loaded = load::read(&spec)?;
    let path = &spec.spec;
    let mut found = loaded.reading.found.clone();
    if let Some(spec) = &loaded.reading.spec {
        let base = path.parent().unwrap_or(Path::new(""));
        let executable = std::env::current_exe().context("cannot find this program's own file")?;
        let plugins = PluginMetrics::new(&args.plugin_dirs, base.to_owned(), executable);
        let further = match args.no_files {
            true => of_text(&loaded.source, spec, &plugins),
            false => of_files(&loaded, spec, base, &plugins),
        };
        let further = further
            .into_iter()
            .filter(|more| !follows(more, &loaded.reading.found));
        found.extend(further);
    }
    let whole = loaded.reading.spec.as_ref().filter(|_| args.resolved);
    let whole =
        whole.and_then(|spec| whole_text(&loaded.source, spec, &loaded.variables.edits(spec)));
    let said = Said::new(loaded.source, loaded.reading.spec.as_ref(), found);
    said.tell(args.diagnosing);
    if said.stops(args.diagnosing) {
        return Ok(Exit::Usage);
    }
    if let Some(whole) = whole {
        print!("{}", driftgauge_record::visible(&whole));
        return Ok(Exit::Done);
    }
    if let (SpecFormat::Text, Some(spec)) = (args.diagnosing.format, &loaded.reading.spec) {
        println!("{}: `{}` is well-formed", path.display(), spec.name);
    }
    Ok(Exit::Done)
}

/// Whether an error is there because what stands in its place is wrong already, as a path with a variable that has no value.
fn follows(error: &Diagnostic, found: &[Diagnostic]) -> bool {
    let place = |diagnostic: &Diagnostic| diagnostic.labels.first().map(|(span, _)| *span);
    let meets = |known: &Diagnostic| {
        let places = place(known).zip(place(error));
        places.is_some_and(|(known, own)| known.start < own.end && own.start < known.end)
    };
    error.is_error() && found.iter().filter(|known| known.is_error()).any(meets)
}

/// What the data and the plugins say.
fn of_files(
    loaded: &Loaded,
    spec: &ExperimentSpec,
    base: &Path,
    plugins: &PluginMetrics,
) -> Vec<Diagnostic> {
    let options = ResolveOptions {
        models: false,
        ..load::resolve_options(loaded, base, FileDigests::forgetful())
    };
    let resolved = resolve(spec, &options);
    let mut refused = complaints(&loaded.source, spec, plugins);
    if let Some(experiment) = &resolved.experiment {
        refused.hold_names(&loaded.source, spec, experiment);
    }
    let wrong = resolved.problems.into_iter().chain(refused.problems);
    let mut found: Vec<Diagnostic> = wrong.map(load::diagnostic).collect();
    found.extend(resolved.warnings.into_iter().map(load::warning));
    found
}

/// Configurations that the built-in plugins refuse, and numbers that they do not return.
fn of_text(source: &Source, spec: &ExperimentSpec, plugins: &PluginMetrics) -> Vec<Diagnostic> {
    let metrics = spec.metrics.values();
    let refused = metrics.flat_map(|metric| {
        let Some(resolved) = plugins.installed(metric) else {
            return Vec::new();
        };
        let unfit = plugins
            .manifest(&resolved)
            .map(|manifest| unfit_config(source, metric, &manifest))
            .unwrap_or_default();
        if !unfit.is_empty() {
            return unfit;
        }
        let refused = plugins.check_config(&resolved).err();
        refused
            .map(|refused| bad_config(source, metric, refused))
            .into_iter()
            .collect()
    });
    let unknown = unknown_numbers(spec, |id| {
        plugins.manifest(&plugins.installed(spec.metrics.get(id)?)?)
    });
    refused.chain(unknown).map(load::diagnostic).collect()
}
