//! The commands that take a spec.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shared::{Deny, Diagnosing, Format, SpecArgs, StoreArgs};

/// `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The spec.
    #[arg(required_unless_present = "executor", conflicts_with = "executor")]
    pub(crate) spec: Option<PathBuf>,
    /// Set a variable of the spec.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Instead of a spec, look whether a cluster can be used from here: `slurm`, or the file of a profile (docs/cluster.md). Nothing is
    /// submitted; Slurm is asked whether it would take a job of each kind.
    #[arg(long, value_name = "slurm|FILE")]
    pub(crate) executor: Option<String>,
    /// More folders to look for metric plugins in.
    #[arg(long = "plugin-dir", value_name = "DIR")]
    pub(crate) plugin_dirs: Vec<PathBuf>,
    /// Look at the text alone: no dataset, recording, template or plugin that is not built in is opened.
    #[arg(long)]
    pub(crate) no_files: bool,
    /// Print the spec as one text: with the files and presets that it includes in their place.
    #[arg(long)]
    pub(crate) resolved: bool,
    #[command(flatten)]
    pub(crate) diagnosing: Diagnosing,
}

/// `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// Tell only what fits this, and all that it needs: an id of a node, a kind such as `generate`, or a dataset, model, evaluation,
    /// condition, judge or metric; `*` stands for any text. Several times for several.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Tell only what fits this, and all that rests on it: what is made anew when it changes. With `--only`, what fits both.
    #[arg(long, value_name = "NAME")]
    pub(crate) from: Vec<String>,
    /// How the plan is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: PlanFormat,
    /// Let nothing pass that is worth a warning.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) deny: Option<Deny>,
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// For people.
    Text,
    /// For programs, with all estimates.
    Json,
    /// The plan for people, diagnostics as commands of a GitHub workflow.
    Github,
    /// Diagnostics as SARIF 2.1.0, without the plan.
    Sarif,
    /// A graph for Graphviz.
    Dot,
    /// A graph that code hosts draw.
    Mermaid,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Heavy processes at a time; models too large to share the machine run alone.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Refuse models of which the self-check cannot prove that they are computed as their configuration says.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Refuse to read anything else than the run folder's `lock.json` says was read: other data, models, plugins or engines.
    #[arg(long)]
    pub(crate) locked: bool,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// On a cluster: write what would be submitted, and submit nothing.
    #[arg(long)]
    pub(crate) print_jobs: bool,
    /// On a cluster: put the run itself into a job, and return.
    #[arg(long, conflicts_with = "print_jobs")]
    pub(crate) detach: bool,
    /// On a cluster: what becomes of the jobs on Ctrl-C. A terminal is asked where it is left out; else they are left.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) on_interrupt: Option<OnInterrupt>,
    /// Folder of the job in which this run is.
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) detached: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) diagnosing: Diagnosing,
}

/// Where what loads or trains a model is made.
#[derive(Debug, Args)]
pub(crate) struct ExecutorArgs {
    /// Where models are trained and loaded: `local`, `slurm`, or the file of a profile (docs/cluster.md). The key `executor` of
    /// `~/.config/driftgauge/config.yaml` where it is left out, and else this machine.
    #[arg(long, value_name = "local|slurm|FILE", env = "DRIFTGAUGE_EXECUTOR")]
    pub(crate) executor: Option<String>,
}

/// What becomes of jobs when the run that follows them is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnInterrupt {
    /// They go on; the same command takes them over.
    Leave,
    /// They are cancelled.
    Cancel,
}

/// `status` and `cancel`.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// Run folder.
    pub(crate) dir: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// `job`.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// What the job is told.
    pub(crate) order: PathBuf,
    /// Which part of it this task of an array makes.
    #[arg(long, value_name = "N")]
    pub(crate) shard: Option<u32>,
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Folder of the experiment; made when it is missing.
    pub(crate) dir: PathBuf,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// A spec: what its run would need, and what of that is missing.
    pub(crate) spec: Option<PathBuf>,
    /// Set a variable of the spec.
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "spec")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// How the findings are written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}
