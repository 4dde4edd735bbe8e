//! Finds, loads and runs metric plugins.
//!
//! [`Locator`] turns a name into a file, [`PluginLibrary`] loads it and reads its manifests, [`run_metric`] feeds it
//! samples in this process and [`run_metric_in_worker`] in another one, where a crash or an endless loop costs that metric
//! alone. Nothing a plugin returns is believed before it is checked.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod examine;
mod file;
mod guard;
mod instance;
mod limits;
mod load;
mod locate;
mod manifest;
mod maps;
mod program;
mod required;
mod run;
mod worker;

pub use driftgauge_plugin_protocol::wire;
pub use error::{BoxError, PluginError};
pub use examine::{Finding, Run, examine};
pub use file::{Pins, PluginFile};
pub use guard::guard_exit;
pub use limits::default_memory;
pub use load::PluginLibrary;
pub use locate::{Locator, PLUGIN_PATH_VARIABLE};
pub use program::Program;
pub use run::{Log, RunOptions, run_metric, run_metric_with};
pub use worker::{
    PluginDescription, Source, Work, WorkerOptions, describe_in_worker, has_control_groups,
    run_metric_in_worker, worker_main,
};
