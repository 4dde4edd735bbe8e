//! Finds, loads and runs metric plugins.
//!
//! [`Locator`] turns a name into a file, [`PluginLibrary`] loads it and reads its manifests, [`run_metric`] feeds it
//! samples in this process and [`run_metric_in_worker`] in another one, where a crash or an endless loop costs that metric
//! alone. Nothing a plugin returns is believed before it is checked.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod instance;
mod load;
mod locate;
mod run;
mod worker;

pub use driftgauge_plugin_protocol::wire;
pub use error::{BoxError, PluginError};
pub use load::PluginLibrary;
pub use locate::{Locator, PLUGIN_PATH_VARIABLE};
pub use run::{Log, RunOptions, run_metric, run_metric_with};
pub use worker::{
    PluginDescription, WorkerOptions, describe_in_worker, run_metric_in_command,
    run_metric_in_worker, worker_main,
};
