//! `driftgauge plugin-worker`: one metric plugin in a process of its own.

use driftgauge_problem::{Context as _, Result};

use crate::args::PluginWorkerArgs;
use crate::exit::Exit;

pub(crate) fn run(args: &PluginWorkerArgs) -> Result<Exit> {
    driftgauge_plugin_host::worker_main(&args.lib, &args.metric)
        .context("the plugin worker lost its parent")?;
    Ok(Exit::Done)
}
