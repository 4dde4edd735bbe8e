//! The command line as it is written; nothing here reads a file.

mod documentation;
mod experiments;
mod plugins;
mod results;
mod shared;
mod stores;

use clap::{Parser, Subcommand};

pub(crate) use documentation::{CompletionsArgs, ManArgs};
pub(crate) use experiments::{
    CheckArgs, DoctorArgs, ExecutorArgs, InitArgs, JobArgs, JobsArgs, OnInterrupt, PlanArgs,
    PlanFormat, RunArgs,
};
pub(crate) use plugins::{
    CheckedPlugin, Language, NewPlugin, OnePlugin, PluginCommand, PluginDirs, PluginWorkerArgs,
};
pub(crate) use results::{
    CompareArgs, CompareFormat, DenyChange, ExportArgs, ExportFormat, ReportArgs, ReportFormat,
    Samples, ShowArgs,
};
pub(crate) use shared::{Deny, Diagnosing, Format, SpecArgs, SpecFormat, StoreArgs};
pub(crate) use stores::{CacheCommand, PruneArgs, StoreDir, VerifyArgs};

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
