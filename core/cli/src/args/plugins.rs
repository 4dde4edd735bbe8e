//! The commands of plugins.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::shared::Format;

/// Where plugins are looked for.
#[derive(Debug, Args)]
pub(crate) struct PluginDirs {
    /// More folders to look for metric plugins in.
    #[arg(long = "plugin-dir", value_name = "DIR")]
    pub(crate) plugin_dirs: Vec<PathBuf>,
    /// How the output is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// `plugin`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List the plugins that are found.
    List(PluginDirs),
    /// Describe a plugin: what it measures, reads, returns, and how it is configured.
    Show(OnePlugin),
    /// Run a plugin on samples made for it, in a process of its own, and check what it returns.
    Check(CheckedPlugin),
    /// Write a project to start from: it builds, tests itself and runs, wherever it lies.
    New(NewPlugin),
}

/// `plugin new`.
#[derive(Debug, Args)]
pub(crate) struct NewPlugin {
    /// Its name: small letters, digits and `_`.
    pub(crate) name: String,
    /// The language to write it in.
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// A judge, which gives each answer a verdict, instead of a metric.
    #[arg(long)]
    pub(crate) judge: bool,
    /// The folder to make; named like the plugin where it is left out.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// Languages that a project can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// A library, over the SDK.
    Rust,
    /// A library, over the header alone.
    C,
    /// A program, over one module.
    Python,
}

/// `plugin show`.
#[derive(Debug, Args)]
pub(crate) struct OnePlugin {
    /// Its name, the path of its library, or that of a Python program.
    pub(crate) plugin: String,
    #[command(flatten)]
    pub(crate) place: PluginDirs,
}

/// `plugin check`.
#[derive(Debug, Args)]
pub(crate) struct CheckedPlugin {
    #[command(flatten)]
    pub(crate) one: OnePlugin,
    /// Its configuration, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(crate) config: String,
    /// Let it use all memory there is: a sanitizer reserves more than the machine has.
    #[arg(long)]
    pub(crate) no_memory_limit: bool,
}

/// `plugin-worker`.
#[derive(Debug, Args)]
pub(crate) struct PluginWorkerArgs {
    /// The library.
    #[arg(long)]
    pub(crate) lib: Option<PathBuf>,
    /// The metric; empty to describe the library only.
    #[arg(long, default_value = "")]
    pub(crate) metric: String,
    /// A program that speaks the worker's frames itself, with its arguments.
    #[arg(last = true)]
    pub(crate) program: Vec<std::ffi::OsString>,
}
