//! Everything that can go wrong with a plugin, as a person reads it.

use std::path::PathBuf;

use driftgauge_plugin_protocol::ffi::{
    DG_BAD_CONFIG, DG_BAD_DATA, DG_CANCELLED, DG_PANIC, DgStatus,
};
use driftgauge_plugin_protocol::wire::PluginErrorPayload;

/// Any error, as the source of another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a plugin could not be found, loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// No file of that name in any of the places.
    #[error("plugin `{name}` is not found\n{}{}", list_places(.places), suggestion(.suggestions))]
    NotFound {
        /// What was asked for.
        name: String,
        /// The files that were looked for, in order.
        places: Vec<PathBuf>,
        /// Plugins that exist in those places, the likeliest first.
        suggestions: Vec<String>,
    },
    /// The file cannot be read.
    #[error("cannot read plugin {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not the pinned one.
    #[error(
        "plugin {} has digest {found}, but the spec pins {expected}\nhint: it was rebuilt or replaced; check where it \
         came from before changing the pin", path.display()
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// The pin.
        expected: String,
        /// The digest of its bytes.
        found: String,
    },
    /// The system's loader refused it.
    #[error("cannot load plugin {}: {detail}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        detail: String,
    },
    /// The library speaks another major version of the ABI, or none.
    #[error("{}", abi_message(path, *.speaks))]
    Abi {
        /// The file.
        path: PathBuf,
        /// The version it speaks; `None` when it is no metric plugin.
        speaks: Option<u32>,
    },
    /// The library breaks the ABI's rules.
    #[error("plugin {} is malformed: {detail}\nhint: rebuild it against this harness's header or SDK", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// The library has no metric of that id.
    #[error("plugin {} has no metric `{metric}`\nhint: it has {}", path.display(), quoted(.known))]
    NoMetric {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        metric: String,
        /// What it has.
        known: Vec<String>,
    },
    /// The metric itself reported an error.
    #[error("{}", metric_message(.metric, .version, *.status, .payload))]
    Metric {
        /// Metric id.
        metric: String,
        /// Version of the metric.
        version: String,
        /// Status code of the call.
        status: DgStatus,
        /// What it said.
        payload: Box<PluginErrorPayload>,
    },
    /// The result is not what the protocol asks for.
    #[error("metric `{metric}` {version} returned a bad result: {}", .problems.join("; "))]
    Output {
        /// Metric id.
        metric: String,
        /// Version of the metric.
        version: String,
        /// One phrase each.
        problems: Vec<String>,
    },
    /// The worker process ended, or does not speak the protocol.
    #[error("worker of metric `{metric}` {detail}{}", tail(.stderr))]
    Worker {
        /// Metric id.
        metric: String,
        /// What happened.
        detail: String,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// The worker took too long and was killed.
    #[error(
        "metric `{metric}` took longer than {seconds} s to {step} and was killed{}", tail(.stderr)
    )]
    Timeout {
        /// Metric id.
        metric: String,
        /// `start`, `take a batch`...
        step: &'static str,
        /// The limit.
        seconds: f64,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// The samples could not be read.
    #[error("cannot read the samples: {0}")]
    Samples(BoxError),
    /// The run is being stopped.
    #[error("metric `{metric}` was stopped")]
    Cancelled {
        /// Metric id.
        metric: String,
    },
}

fn list_places(places: &[PathBuf]) -> String {
    if places.is_empty() {
        return "there is no place to look in".to_owned();
    }
    let mut text = "looked for:".to_owned();
    for place in places {
        text.push_str("\n  ");
        text.push_str(&place.display().to_string());
    }
    text
}

fn suggestion(names: &[String]) -> String {
    match names {
        [] => "\nhint: give its folder with `--plugin-dir` or DRIFTGAUGE_PLUGIN_PATH".to_owned(),
        names => format!("\nhint: plugins there: {}", quoted(names)),
    }
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn abi_message(path: &std::path::Path, speaks: Option<u32>) -> String {
    let path = path.display();
    match speaks {
        Some(version) => format!(
            "plugin {path} speaks ABI {version}, this harness speaks ABI 1\nhint: upgrade the harness, or rebuild the \
             plugin against its header"
        ),
        None => format!(
            "{path} is no metric plugin: it does not export `dg_plugin_v1`\nhint: a Rust plugin calls \
             `export_metrics!` and has `crate-type = [\"cdylib\"]`"
        ),
    }
}

fn metric_message(
    metric: &str,
    version: &str,
    status: DgStatus,
    payload: &PluginErrorPayload,
) -> String {
    let what = match status {
        DG_BAD_CONFIG => "does not accept its configuration",
        DG_BAD_DATA => "cannot use a sample",
        DG_PANIC => "crashed",
        DG_CANCELLED => "was stopped",
        _ => "failed",
    };
    let mut text = format!("metric `{metric}` {version} {what}: ");
    text.push_str(match payload.message.as_str() {
        "" => "it gave no reason",
        message => message,
    });
    if let Some(id) = &payload.sample_id {
        text.push_str(&format!(" (sample `{id}`)"));
    }
    if let Some(code) = &payload.code {
        text.push_str(&format!(" [{code}]"));
    }
    if let Some(help) = &payload.help {
        text.push_str(&format!("\nhint: {help}"));
    }
    text
}

fn tail(stderr: &str) -> String {
    if stderr.trim().is_empty() {
        return String::new();
    }
    let mut text = "; its last words:".to_owned();
    for line in stderr.trim_end().lines() {
        text.push_str("\n  | ");
        text.push_str(line);
    }
    text
}

impl driftgauge_problem::Explained for PluginError {}
