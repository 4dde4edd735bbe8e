//! What several commands take.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How what is said of a spec is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpecFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// Diagnostics as commands of a GitHub workflow, which mark the lines of a pull request.
    Github,
    /// Diagnostics as SARIF 2.1.0, which code hosts and editors read.
    Sarif,
}

/// What is not let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deny {
    /// A warning stops everything, as an error does.
    Warnings,
}

/// How diagnostics are written, and which of them stop.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Diagnosing {
    /// How diagnostics and results are written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: SpecFormat,
    /// Let nothing pass that is worth a warning.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) deny: Option<Deny>,
}

/// The spec and what changes it.
#[derive(Debug, Args)]
pub(crate) struct SpecArgs {
    /// The spec.
    pub(crate) spec: PathBuf,
    /// Set a variable of the spec.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Where things are kept.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Folder of finished artifacts, shared by all experiments.
    #[arg(long, env = "DRIFTGAUGE_STORE", default_value = ".driftgauge/store")]
    pub(crate) store: PathBuf,
    /// More folders to look for metric plugins in.
    #[arg(long = "plugin-dir", value_name = "DIR")]
    pub(crate) plugin_dirs: Vec<PathBuf>,
    /// Take at most so many rows of every evaluated dataset, from 1 on.
    #[arg(long, value_name = "N", value_parser = rows)]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Where models compute: `auto`, `cpu`, `cuda` or `cuda:N`. `auto` is the first GPU in a build with the feature `cuda`.
    #[arg(
        long,
        value_name = "DEVICE",
        env = "DRIFTGAUGE_DEVICE",
        default_value = "auto"
    )]
    pub(crate) device: String,
    /// Open no socket; sources of the hub have to be in the local cache.
    #[arg(long)]
    pub(crate) offline: bool,
}

/// A number of rows.
fn rows(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse();
    number
        .map_err(|_| "it is a number of rows, from 1 on; without it all rows are taken".to_owned())
}
