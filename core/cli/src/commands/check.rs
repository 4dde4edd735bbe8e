//! `driftgauge check`: reads a spec and reports everything that is wrong with it, without looking at other files but the plugins
//! that came with this binary, which know their configuration and the numbers that a spec may name.

use driftgauge_engine::MetricRunner;
use driftgauge_graph::resolve::{bad_config, unknown_numbers};
use driftgauge_problem::{Context as _, Result};
use driftgauge_spec::{Diagnostic, ExperimentSpec, Source, render_human, render_json};

use super::load;
use crate::args::{CheckArgs, Format};
use crate::exit::Exit;
use crate::metrics::PluginMetrics;

pub(crate) fn run(args: &CheckArgs) -> Result<Exit> {
    let loaded = match load::read(&args.spec)? {
        Ok(loaded) => loaded,
        Err((source, diagnostics)) => return Ok(refuse(args, &source, &diagnostics)),
    };
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let plugins = PluginMetrics::new(&[], std::path::PathBuf::new(), executable);
    let mut problems = configurations(&loaded.source, &loaded.spec, &plugins);
    let unknown = unknown_numbers(&loaded.spec, |id| {
        plugins.manifest(&plugins.installed(loaded.spec.metrics.get(id)?)?)
    });
    problems.extend(unknown.into_iter().map(load::diagnostic));
    if !problems.is_empty() {
        return Ok(refuse(args, &loaded.source, &problems));
    }
    match args.format {
        Format::Json => println!("[]"),
        Format::Text => println!(
            "{}: `{}` is well-formed",
            args.spec.spec.display(),
            loaded.spec.name
        ),
    }
    Ok(Exit::Done)
}

/// Configurations that their plugins refuse.
fn configurations(
    source: &Source,
    spec: &ExperimentSpec,
    plugins: &PluginMetrics,
) -> Vec<Diagnostic> {
    let metrics = spec.metrics.values();
    let refused = metrics.filter_map(|metric| {
        let refused = plugins.check_config(&plugins.installed(metric)?).err()?;
        Some(load::diagnostic(bad_config(source, metric, refused)))
    });
    refused.collect()
}

fn refuse(args: &CheckArgs, source: &Source, diagnostics: &[Diagnostic]) -> Exit {
    match args.format {
        Format::Json => println!("{}", render_json(source, diagnostics)),
        Format::Text => eprint!("{}", render_human(source, diagnostics)),
    }
    Exit::Usage
}
