//! `driftgauge plugin-worker`: one metric plugin in a process of its own.

use driftgauge_plugin_host::{Work, worker_main};
use driftgauge_problem::{Context as _, Result};

use crate::args::PluginWorkerArgs;
use crate::exit::Exit;

pub(crate) fn run(args: PluginWorkerArgs) -> Result<Exit> {
    let work = match args.lib {
        Some(path) => Work::Library {
            path,
            metric: args.metric,
        },
        None => Work::Program(args.program),
    };
    worker_main(&work).context("the plugin worker failed")?;
    Ok(Exit::Done)
}
