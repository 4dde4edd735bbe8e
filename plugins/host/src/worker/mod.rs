//! Metrics in a process of their own.
//!
//! Parent and worker speak in frames over the worker's stdin and stdout: a length (u32, little-endian), then as many
//! bytes of JSON; a length with its highest bit set is that of a frame of bytes. The worker begins with `hello`; then each
//! request has one answer, with `log` and `column` frames in between:
//!
//! ```text
//! worker  {"hello": {"abi": [1, 2], "digest": "...", "manifests": [...]}}
//! parent  {"create": {"metric": "asr", "config": {...}, "abi": [1, 2]}}   worker  "done"
//! parent  {"update": {"rows": 512, "columns": [...]}} + bytes  worker  "done"
//! parent  "finish"                                             worker  {"scores": {...}} + bytes, .., {"result": {...}}
//! in an update, for a field that did not come with it          worker  {"column": {"field": "completion", "type": "str"}}
//!                  parent  {"column": {...}} + bytes, or {"no_column": "why"}
//! any time                                                     worker  {"log": {"level": 2, "message": "..."}}
//! on an error                                                  worker  {"error": {"status": 1, "message": "..."}}
//! when the run is stopped, and no answer is waited for         parent  "cancel"
//! ```
//!
//! A field that was asked for once comes with every later batch. Success is a message: a process that ends without a result
//! has failed, whatever its exit code. Any program that speaks this is a metric, in any language.

mod asked;
mod client;
mod columns;
mod frame;
#[cfg(target_os = "linux")]
mod group;
mod pipes;
mod process;
mod scores;
mod serve;
mod source;
mod stderr;
#[cfg(target_os = "linux")]
mod supervise;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

pub use client::{PluginDescription, WorkerOptions, describe_in_worker, run_metric_in_worker};
pub use source::Source;

/// Environment variable with the worker's limit on memory, in bytes.
const MEMORY_VARIABLE: &str = "DRIFTGAUGE_PLUGIN_MEMORY";
/// Environment variable with the process that the worker lives no longer than.
const PARENT_VARIABLE: &str = "DRIFTGAUGE_PLUGIN_PARENT";

/// Environment variable with the folder of the control group that the plugin's processes belong to.
const GROUP_VARIABLE: &str = "DRIFTGAUGE_PLUGIN_GROUP";

/// What a worker is to do.
#[derive(Debug, Clone)]
pub enum Work {
    /// Serve a metric of a library, or only describe the library where the metric is empty.
    Library {
        /// The library.
        path: PathBuf,
        /// Id of the metric.
        metric: String,
    },
    /// Become a program that speaks the frames itself.
    Program(Vec<OsString>),
}

/// What the command `driftgauge plugin-worker` does.
///
/// # Errors
/// When the pipes fail or a program cannot be started. Errors of a plugin go to the parent as frames.
pub fn worker_main(work: &Work) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let parent = number(PARENT_VARIABLE).and_then(|pid| u32::try_from(pid).ok());
        let group = std::env::var_os(GROUP_VARIABLE).map(|folder| group::Group::at(folder.into()));
        supervise::supervise(parent, number(MEMORY_VARIABLE), group)?;
    }
    match work {
        Work::Library { path, metric } => serve::serve(path, metric),
        Work::Program(words) => become_program(words),
    }
}

/// Whether the processes of a plugin get a control group of their own here, which ends them all even when the plugin kills its
/// supervisor: on Linux, where this process may make groups below its own (cgroup v2).
#[must_use]
pub fn has_control_groups() -> bool {
    #[cfg(target_os = "linux")]
    return group::Group::new(None).is_some();
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg(unix)]
fn become_program(words: &[OsString]) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    for name in [
        MEMORY_VARIABLE,
        PARENT_VARIABLE,
        GROUP_VARIABLE,
        serve::DIGEST_VARIABLE,
    ] {
        command.env_remove(name);
    }
    let error = command.exec();
    Err(io::Error::new(
        error.kind(),
        format!("cannot start `{}`: {error}", program.to_string_lossy()),
    ))
}

#[cfg(not(unix))]
fn become_program(_: &[OsString]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
