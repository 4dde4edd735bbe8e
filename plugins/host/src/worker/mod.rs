//! Metrics in a process of their own.
//!
//! Parent and worker speak in frames over the worker's stdin and stdout: a length (u32, little-endian), then as many
//! bytes of JSON. The worker begins with `hello`; then each request has one answer, with `log` frames in between:
//!
//! ```text
//! worker  {"hello": {"abi": [1, 0], "features": [], "digest": "...", "manifests": [...]}}
//! parent  {"create": {"metric": "asr", "config": {...}}}       worker  "done"
//! parent  {"update": {"samples": [{...}, ...]}}                worker  "done"
//! parent  "finish"                                             worker  {"result": {...}}
//! any time                                                     worker  {"log": {"level": 2, "message": "..."}}
//! on an error                                                  worker  {"error": {"status": 1, "message": "..."}}
//! ```
//!
//! Any program that speaks this is a metric, in any language: [`run_metric_in_command`].

mod client;
mod frame;
mod serve;

pub use client::{
    PluginDescription, WorkerOptions, describe_in_worker, run_metric_in_command,
    run_metric_in_worker,
};
pub use serve::worker_main;
