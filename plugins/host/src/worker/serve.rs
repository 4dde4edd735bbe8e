//! The worker's side.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use driftgauge_plugin_protocol::ffi::{ABI_MAJOR, ABI_MINOR};
use driftgauge_record::SampleRows;

use super::frame::{self, Failure, Hello, Reply, Request};
use crate::instance::Instance;
use crate::{PluginError, PluginLibrary};

/// Environment variable with the digest that the library must have.
pub(super) const DIGEST_VARIABLE: &str = "DRIFTGAUGE_PLUGIN_DIGEST";
/// Environment variable with the worker's limit on memory, in bytes of address space.
pub(super) const MEMORY_VARIABLE: &str = "DRIFTGAUGE_PLUGIN_MEMORY";

type Output = Arc<Mutex<BufWriter<File>>>;

/// Serves metric `metric_id` of the library at `library` over stdin and stdout until stdin ends; what the command
/// `driftgauge plugin-worker --lib PATH --metric ID` does. With an empty `metric_id` it only describes the library.
///
/// Whatever the plugin prints to stdout goes to stderr: the frames own stdout.
///
/// # Errors
/// When the pipes fail. Errors of the plugin go to the parent as frames.
pub fn worker_main(library: &Path, metric_id: &str) -> io::Result<()> {
    limit_memory()?;
    let output: Output = Arc::new(Mutex::new(BufWriter::new(take_stdout()?)));
    let mut input = BufReader::new(io::stdin().lock());
    let loaded = match std::env::var(DIGEST_VARIABLE) {
        Ok(pin) => PluginLibrary::load_pinned(library, &pin),
        Err(_) => PluginLibrary::load(library),
    };
    let library = match loaded {
        Ok(library) => library,
        Err(error) => return send(&output, &Reply::Error(failure(error))),
    };
    let hello = Hello {
        abi: [ABI_MAJOR, ABI_MINOR],
        features: Vec::new(),
        digest: library.digest().to_owned(),
        manifests: library.manifests().to_vec(),
    };
    send(&output, &Reply::Hello(hello))?;
    if metric_id.is_empty() {
        return Ok(());
    }
    match serve(&library, &mut input, &output) {
        Ok(()) => Ok(()),
        Err(Stop::Pipe(error)) => Err(error),
        Err(Stop::Plugin(error)) => send(&output, &Reply::Error(failure(error))),
    }
}

/// Why serving ends early.
enum Stop {
    Pipe(io::Error),
    Plugin(PluginError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Pipe(error)
    }
}

impl From<PluginError> for Stop {
    fn from(error: PluginError) -> Self {
        Self::Plugin(error)
    }
}

fn serve(library: &PluginLibrary, input: &mut impl Read, output: &Output) -> Result<(), Stop> {
    let mut instance: Option<Instance> = None;
    while let Some(request) = frame::read(input)? {
        let reply = match (request, instance.as_mut()) {
            (Request::Create { metric, config }, None) => {
                let log = output.clone();
                let sink = Box::new(move |level, message: &str| {
                    let message = message.to_owned();
                    // A log line that cannot be sent: the parent is gone, and the next reply will notice.
                    let _ = send(&log, &Reply::Log { level, message });
                });
                let made = Instance::new(library, &metric, &config, sink, Arc::default())?;
                instance = Some(made);
                Reply::Done
            }
            (Request::Update { samples }, Some(living)) => {
                living.update(&SampleRows(samples))?;
                Reply::Done
            }
            (Request::Finish, Some(_)) => {
                let output = match instance.take() {
                    Some(living) => living.finish()?,
                    None => return Ok(()),
                };
                // Plain data with string keys always serialises.
                Reply::Result(serde_json::to_value(&output).unwrap_or_default())
            }
            _ => {
                return Err(Stop::Pipe(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "requests out of order",
                )));
            }
        };
        send(output, &reply)?;
    }
    Ok(())
}

fn send(output: &Output, reply: &Reply) -> io::Result<()> {
    let mut writer = output.lock().unwrap_or_else(PoisonError::into_inner);
    frame::write(&mut *writer, &frame::json(reply))?;
    writer.flush()
}

fn failure(error: PluginError) -> Failure {
    match error {
        PluginError::Metric {
            status, payload, ..
        } => Failure {
            status: Some(status),
            message: payload.message,
            help: payload.help,
            code: payload.code,
            sample_id: payload.sample_id,
        },
        other => Failure {
            status: None,
            message: other.to_string(),
            help: None,
            code: None,
            sample_id: None,
        },
    }
}

/// Keeps the pipe to the parent under another descriptor and points stdout at stderr, before any code of the plugin runs.
#[cfg(unix)]
fn take_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    let kept = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    Ok(File::from(kept))
}

#[cfg(not(unix))]
fn take_stdout() -> io::Result<File> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "plugin workers need a Unix system; run the plugin in-process",
    ))
}

#[cfg(unix)]
fn limit_memory() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let Ok(text) = std::env::var(MEMORY_VARIABLE) else {
        return Ok(());
    };
    let bytes: u64 = text.parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{MEMORY_VARIABLE} is no number of bytes: `{text}`"),
        )
    })?;
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    Ok(setrlimit(Resource::As, limit)?)
}

#[cfg(not(unix))]
fn limit_memory() -> io::Result<()> {
    Ok(())
}
