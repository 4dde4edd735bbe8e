//! `driftgauge check`: reads a spec and reports everything that is wrong with it, without looking at other files but the plugins
//! that came with this binary, which know the numbers that a spec may name.

use anyhow::{Context as _, Result};
use driftgauge_spec::{Diagnostic, Source, render_human, render_json};

use super::load;
use crate::args::{CheckArgs, Format};
use crate::exit::Exit;
use crate::metrics::PluginMetrics;
use crate::numbers;

pub(crate) fn run(args: &CheckArgs) -> Result<Exit> {
    let loaded = match load::read(&args.spec)? {
        Ok(loaded) => loaded,
        Err((source, diagnostics)) => return Ok(refuse(args, &source, &diagnostics)),
    };
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let plugins = PluginMetrics::new(&[], std::path::PathBuf::new(), executable);
    let unknown = numbers::unknown(&loaded.spec, |id| {
        plugins.installed(loaded.spec.metrics.get(id)?)
    });
    if !unknown.is_empty() {
        return Ok(refuse(args, &loaded.source, &unknown));
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

fn refuse(args: &CheckArgs, source: &Source, diagnostics: &[Diagnostic]) -> Exit {
    match args.format {
        Format::Json => println!("{}", render_json(source, diagnostics)),
        Format::Text => eprint!("{}", render_human(source, diagnostics)),
    }
    Exit::Usage
}
