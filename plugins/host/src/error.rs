//! Everything that can go wrong with a plugin, as a person reads it.

use std::path::PathBuf;

use driftgauge_plugin_protocol::ffi::{
    DG_BAD_CONFIG, DG_BAD_DATA, DG_CANCELLED, DG_PANIC, DgStatus,
};
use driftgauge_plugin_protocol::wire::PluginErrorPayload;

/// Any error, as the source of another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a plugin could not be found, loaded or run. The message is one phrase; [`PluginError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// No file of that name in any of the places.
    #[error("plugin `{name}` is not found\n{}", list_places(.places))]
    NotFound {
        /// What was asked for.
        name: String,
        /// The files that were looked for, in order.
        places: Vec<PathBuf>,
        /// Plugins that exist in those places, the likeliest first.
        suggestions: Vec<String>,
    },
    /// The file cannot be read.
    #[error("cannot read plugin `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not the pinned one.
    #[error("plugin `{}` has the {algorithm} digest {found}, but the spec pins {expected}", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// `blake3` or `sha256`.
        algorithm: &'static str,
        /// The pin.
        expected: String,
        /// The digest of its bytes.
        found: String,
    },
    /// The file is another one than the run was planned with.
    #[error("plugin `{}` was replaced during the run: it was planned with digest {planned}, and has {found} now", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
        /// Its digest when the run was planned.
        planned: String,
        /// Its digest now.
        found: String,
    },
    /// Nothing says what a program is.
    #[error("the command `{command}` names no file, so that nothing identifies the metric")]
    Unidentified {
        /// The program and its arguments.
        command: String,
    },
    /// The system's loader refused it.
    #[error("cannot load plugin `{}`: {detail}", path.display())]
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
    #[error("plugin `{}` is malformed: {detail}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// The library has no metric of that id.
    #[error("plugin `{}` has no metric `{metric}`", path.display())]
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
    #[error("the worker of metric `{metric}` {detail}{}", tail(.stderr))]
    Worker {
        /// Metric id.
        metric: String,
        /// What happened.
        detail: String,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// The worker could not load the plugin.
    #[error("{message}")]
    Refused {
        /// What it said.
        message: String,
        /// What to do.
        help: Option<String>,
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
        /// `timeout` or `total_timeout`: what to raise.
        key: &'static str,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// None of the samples has a field that the metric cannot work without.
    #[error("metric `{metric}` needs the field `{field}`, which none of the {samples} samples has")]
    MissingField {
        /// Metric id.
        metric: String,
        /// The field.
        field: String,
        /// How many samples there are.
        samples: u64,
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

impl PluginError {
    /// What to do about it, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { suggestions, .. } if suggestions.is_empty() => {
                "give its folder with `--plugin-dir` or DRIFTGAUGE_PLUGIN_PATH".to_owned()
            }
            Self::NotFound { suggestions, .. } => format!("plugins there: {}", quoted(suggestions)),
            Self::Digest { .. } => {
                "it was rebuilt or replaced; check where it came from before changing the pin".to_owned()
            }
            Self::Replaced { .. } => "run again: the plan is made from the file as it is then".to_owned(),
            Self::Unidentified { .. } => {
                "name its file (`[python3, mine.py]`), or list those that it reads under `files`".to_owned()
            }
            Self::Abi { speaks: Some(_), .. } => {
                "upgrade the harness, or rebuild the plugin against its header".to_owned()
            }
            Self::Abi { speaks: None, .. } => {
                "a Rust plugin calls `export_metrics!` and has `crate-type = [\"cdylib\"]`".to_owned()
            }
            Self::Malformed { .. } => "rebuild it against this harness's header or SDK".to_owned(),
            Self::NoMetric { known, .. } => format!("it has {}", quoted(known)),
            Self::Metric { payload, .. } => payload.help.clone()?,
            Self::Refused { help, .. } => help.clone()?,
            Self::Output { .. } => {
                "plugins/README.md says what a result may be; `driftgauge plugin check` looks at one".to_owned()
            }
            Self::MissingField { .. } => {
                "record it, or take the metric off this evaluation; plugins/README.md says where fields come from"
                    .to_owned()
            }
            Self::Timeout { key, .. } => format!("give it more time with `{key}` in the spec"),
            _ => return None,
        })
    }

    /// Of a configuration that the metric refuses: the key that is wrong, where it says so.
    #[must_use]
    pub fn config_key(&self) -> Option<&str> {
        match self {
            Self::Metric { payload, .. } => payload.key.as_deref(),
            _ => None,
        }
    }
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

fn quoted(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn abi_message(path: &std::path::Path, speaks: Option<u32>) -> String {
    let path = path.display();
    match speaks {
        Some(version) => format!("plugin `{path}` speaks ABI {version}, this harness speaks ABI 1"),
        None => format!("`{path}` is no metric plugin: it does not export `dg_plugin_v1`"),
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

impl driftgauge_problem::Explained for PluginError {
    fn help(&self) -> Option<String> {
        self.hint()
    }
}
