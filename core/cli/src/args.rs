//! The command line as it is written; nothing here reads a file.

mod documentation;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use driftgauge_spec::spec::RecordedFormat;

pub(crate) use documentation::{CompletionsArgs, ManArgs};

/// Measures what fine-tuning did to a model's safety, certainty and truthfulness.
#[derive(Debug, Parser)]
#[command(name = "driftgauge", version, propagate_version = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read a spec and report everything that is wrong with it.
    Check(CheckArgs),
    /// Print every node with its key, why it would run or not, and what that takes. Loads no model and creates nothing.
    Plan(PlanArgs),
    /// Run an experiment; run it again to go on where it stopped.
    Run(RunArgs),
    /// Draw the report of a run folder anew, or write it in another form.
    Report(ReportArgs),
    /// Print the finding and the primary numbers of a run folder, or the prompt of a sample.
    Show(ShowArgs),
    /// Hold one run against another, sample by sample.
    Compare(CompareArgs),
    /// Print the samples of a run.
    Export(ExportArgs),
    /// Print the JSON schema of the spec language.
    Schema,
    /// Write a spec to start from, with the data that it names.
    Init(InitArgs),
    /// List, describe and check metric plugins.
    Plugin {
        /// What to do.
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// List, check and clear what the store holds.
    Cache {
        /// What to do.
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Read every byte of a run folder or a store and name what is not what was written.
    ///
    /// Exit codes: 0 when all is as it was written, 1 when a file is damaged or missing, 2 when the folder is neither a run's nor a
    /// store. What a store lost the next run makes again by itself.
    Verify(VerifyArgs),
    /// Look at what a run, or the run of a spec, would need of this machine.
    Doctor(DoctorArgs),
    /// Print what a shell completes commands by.
    Completions(CompletionsArgs),
    /// Print a page of the manual, or write all of them.
    Man(ManArgs),
    /// Say where the jobs of a run on a cluster are.
    Status(JobsArgs),
    /// Take back all jobs of a run on a cluster; what is finished is kept.
    Cancel(JobsArgs),
    /// Run one job for a parent process.
    #[command(hide = true)]
    Worker,
    /// Make some nodes of a run, as a job of a cluster.
    #[command(hide = true)]
    Job(JobArgs),
    /// Run one metric plugin for a parent process.
    #[command(hide = true)]
    PluginWorker(PluginWorkerArgs),
}

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
    /// Take at most so many rows of every evaluated dataset.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
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

/// `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Run folder. Several, the oldest first: how the primary numbers moved over them, and what changed from each to the next.
    #[arg(required = true)]
    pub(crate) dirs: Vec<PathBuf>,
    /// Of several runs: end with exit code 100, as where a gate fails, when a primary number of the last is clearly worse than that of the one before.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) deny: Option<DenyChange>,
    /// The form; `html` without `--to` writes the run folder's own report.
    #[arg(long, value_enum, default_value = "html")]
    pub(crate) format: ReportFormat,
    /// Write to a file; for `svg` and `png`, to a folder. Without it, charts go to the run folder, other forms than `html` to standard
    /// output.
    #[arg(long, value_name = "PATH")]
    pub(crate) to: Option<PathBuf>,
    /// Show so much of the samples, instead of what the spec says.
    #[arg(long, value_enum)]
    pub(crate) samples: Option<Samples>,
    /// Leave out clock, host, command line and state of the store: the same samples give the same bytes.
    #[arg(long)]
    pub(crate) stable: bool,
    /// Model of `--format card`, `every-eval-ever` and `eval-results`; needed where several were compared.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// In CSV, no cell is a formula to a spreadsheet; `false` writes texts as they are.
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, action = clap::ArgAction::Set)]
    pub(crate) spreadsheet_safe: bool,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One page with everything.
    Html,
    /// Markdown for a pull request.
    Md,
    /// The report as data.
    Json,
    /// Every number and difference, one a line.
    Csv,
    /// Gates and published values as test cases.
    Junit,
    /// Every chart as a vector graphic, one file each, for papers.
    Svg,
    /// The same as pictures of 300 pixels an inch.
    Png,
    /// The results of one model for its card, with `model-index`.
    Card,
    /// The results of one model as Every Eval Ever's JSON.
    EveryEvalEver,
    /// The results of one model over data sets of the hub, for `.eval_results` of its repository.
    EvalResults,
}

/// How much of the samples is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Samples {
    /// No texts.
    Hidden,
    /// Completions that every judge called safe.
    Redacted,
    /// All texts.
    Full,
}

/// `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Run folder; with `--sample`, a spec.
    #[arg(value_name = "DIR|SPEC")]
    pub(crate) dir: PathBuf,
    /// Print the prompt of this sample as a model gets it, with its token ids: `EVALUATION/ROW`, the row by its id, or by its number
    /// from 1 where no id is that.
    #[arg(long, value_name = "EVALUATION/ROW")]
    pub(crate) sample: Option<String>,
    /// The model; needed where the evaluation asks several.
    #[arg(long, value_name = "ID", requires = "sample")]
    pub(crate) model: Option<String>,
    /// The condition; all of them without it.
    #[arg(long, value_name = "ID", requires = "sample")]
    pub(crate) condition: Option<String>,
    /// Set a variable of the spec.
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "sample")]
    pub(crate) set: Vec<String>,
    /// Folder of finished artifacts, in which a model that was trained is found.
    #[arg(long, env = "DRIFTGAUGE_STORE", default_value = ".driftgauge/store")]
    pub(crate) store: PathBuf,
    /// How the prompt is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Run folder of the baseline, or a file of results that another tool wrote.
    pub(crate) run_a: PathBuf,
    /// Run folder, or file, of what is held against it.
    pub(crate) run_b: PathBuf,
    /// Models to hold against each other, A's and B's; those of the same name when absent.
    #[arg(long = "pair", value_name = "A=B")]
    pub(crate) pairs: Vec<String>,
    /// Of files: their layout, or A's and B's (harmbench, lm_eval, inspect, promptfoo, garak, jailbreakbench, jsonl, json, csv, tsv,
    /// parquet); what stands in a file tells it when absent.
    #[arg(long, value_name = "LAYOUT[,B]", value_delimiter = ',', value_parser = layout)]
    pub(crate) layout: Vec<RecordedFormat>,
    /// Of files: the column whose values pair, or A's and B's; the layout's own id when absent.
    #[arg(long, value_name = "COLUMN[,B]", value_delimiter = ',')]
    pub(crate) id: Vec<String>,
    /// Of files: keep the rows for which this holds, as `filter` of a recording. Twice: of A and of B.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) filter: Vec<String>,
    /// Of files: compare the prompts that both have, where one has more.
    #[arg(long)]
    pub(crate) shared: bool,
    /// Every number, not only the one that stands for its metric. JSON has all of them always.
    #[arg(long)]
    pub(crate) all: bool,
    /// How the comparison is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: CompareFormat,
    /// Write to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// End with exit code 100, as where a gate fails, when a primary number of B is clearly worse than A's.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) deny: Option<DenyChange>,
}

/// Forms of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// One page.
    Html,
}

/// What may not have happened from one run to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DenyChange {
    /// A primary number that is clearly worse.
    Worse,
}

/// A layout by its name.
fn layout(name: &str) -> Result<RecordedFormat, String> {
    RecordedFormat::named(name).ok_or_else(|| {
        let known: Vec<&str> = RecordedFormat::NAMED
            .iter()
            .map(|(name, _)| *name)
            .collect();
        format!("the layouts are {}", known.join(", "))
    })
}

/// Formats of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated; lists and objects as JSON text.
    Csv,
    /// One Parquet file, to `--to`.
    Parquet,
    /// Completions and labels of one model as HarmBench writes them.
    Harmbench,
    /// Samples of one model as lm-eval writes them.
    #[value(name = "lm_eval", alias = "lm-eval")]
    LmEval,
    /// Models that the run made, with tokenizer and card, and its samples, as folders to upload; to the folder `--to`. Nothing is pushed.
    Hub,
    /// Trainings and results as event files of TensorBoard, a folder for each model; to the folder `--to`.
    Tensorboard,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Run folder.
    pub(crate) dir: PathBuf,
    /// Output format.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub(crate) format: ExportFormat,
    /// Write to a file instead of standard output; a folder of `--format hub`.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Only this evaluation.
    #[arg(long)]
    pub(crate) evaluation: Option<String>,
    /// Only this model.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Only this condition.
    #[arg(long)]
    pub(crate) condition: Option<String>,
    /// In CSV, no cell is a formula to a spreadsheet, and control characters are visible marks; `false` writes texts as they are.
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, action = clap::ArgAction::Set)]
    pub(crate) spreadsheet_safe: bool,
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Folder of the experiment; made when it is missing.
    pub(crate) dir: PathBuf,
}

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

/// The store.
#[derive(Debug, Args)]
pub(crate) struct StoreDir {
    /// Folder of finished artifacts.
    #[arg(long, env = "DRIFTGAUGE_STORE", default_value = ".driftgauge/store")]
    pub(crate) store: PathBuf,
    /// How the output is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Run folder, of which what it rests on in the store is read too, or a store.
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreDir,
}

/// `cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List what is kept, the largest first.
    List(StoreDir),
    /// Read every byte and hold it against its digest.
    Verify(StoreDir),
    /// Remove what no named run folder rests on, or what is old.
    Prune(PruneArgs),
}

/// `cache prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Keep what this run folder rests on.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Vec<PathBuf>,
    /// Remove only what is older than so many days.
    #[arg(long, value_name = "DAYS")]
    pub(crate) older_than: Option<u64>,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
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
