//! `driftgauge completions` and `driftgauge man`: what documents the command line, made from it.

use std::io::{self, Write as _};
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use driftgauge_problem::{Context as _, Problem, Result};

use crate::args::{CompletionsArgs, ManArgs};
use crate::exit::Exit;
use crate::grouped;

/// Environment variables that change what a command does.
const ENVIRONMENT: [(&str, &str); 7] = [
    (
        "DRIFTGAUGE_STORE",
        "the folder of finished artifacts, as `--store`",
    ),
    (
        "DRIFTGAUGE_PLUGIN_PATH",
        "more folders to look for metric plugins in, separated as in PATH",
    ),
    ("DRIFTGAUGE_DEVICE", "where models compute, as `--device`"),
    (
        "DRIFTGAUGE_EXECUTOR",
        "where what trains or loads a model is made, as `--executor`",
    ),
    (
        "DRIFTGAUGE_CONFIG",
        "the user's configuration file, instead of ~/.config/driftgauge/config.yaml",
    ),
    (
        "HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE",
        "the hub's cache, address and key, as its own tools read them",
    ),
    ("NO_COLOR", "set to anything: no colours"),
];

/// Prints what a shell completes by.
pub(crate) fn completions(args: &CompletionsArgs) -> Exit {
    let whole = grouped::command();
    // Some shells are told of hidden commands as well.
    let shown = whole.get_subcommands().filter(|of| !of.is_hide_set());
    let mut command = Command::new("driftgauge")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommands(shown.cloned());
    clap_complete::generate(args.shell, &mut command, "driftgauge", &mut io::stdout());
    Exit::Done
}

/// Prints a page of the manual, or writes all of them.
pub(crate) fn man(args: &ManArgs) -> Result<Exit> {
    let mut whole = grouped::command();
    // Names, usage lines and versions of the commands below are filled in by this.
    whole.build();
    if let Some(folder) = &args.to {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        write_below(&whole, folder)?;
        return Ok(Exit::Done);
    }
    let mut command = &whole;
    for name in &args.command {
        command = command
            .find_subcommand(name)
            .filter(|of| !of.is_hide_set())
            .ok_or_else(|| {
                Problem::failed(format!("there is no command `{}`", args.command.join(" ")))
                    .help("`driftgauge --help` lists them")
                    .of_input()
            })?;
    }
    io::stdout()
        .write_all(&page(command)?)
        .context("cannot write the page")?;
    Ok(Exit::Done)
}

/// Writes the page of a command and those of the commands below it.
fn write_below(command: &Command, folder: &Path) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    // The command `help` says what the pages say.
    let mut below = command
        .get_subcommands()
        .filter(|of| !of.is_hide_set() && of.get_name() != "help");
    below.try_for_each(|of| write_below(of, folder))
}

/// One page: what clap knows, the exit codes and the environment.
fn page(command: &Command) -> Result<Vec<u8>> {
    let man = Man::new(command.clone()).manual("driftgauge");
    let mut out = Vec::new();
    let written = man.render(&mut out).and_then(|()| {
        let mut more = Roff::new();
        more.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in grouped::EXIT_CODES {
            more.control("TP", []);
            more.text([bold(code.to_string())]);
            more.text([roman(meaning)]);
        }
        more.control("SH", ["ENVIRONMENT"]);
        for (name, meaning) in ENVIRONMENT {
            more.control("TP", []);
            more.text([bold(name)]);
            more.text([roman(meaning)]);
        }
        more.to_writer(&mut out)
    });
    written.context("cannot write the page")?;
    Ok(out)
}
