//! The worker's side: one library, served over pipes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use driftgauge_plugin_protocol::ffi::{ABI_MAJOR, ABI_MINOR};

use super::asked::{AskedRows, Asks};
use super::columns::{Column, Read, Wanted};
use super::frame::{self, Failure, Hello, Reply, Request};
use super::scores;
use crate::instance::Instance;
use crate::{PluginError, PluginFile, PluginLibrary};

/// Environment variable with the digest that the library was planned with.
pub(super) const DIGEST_VARIABLE: &str = "DRIFTGAUGE_PLUGIN_DIGEST";

type Output = Arc<Mutex<BufWriter<File>>>;

/// The pipes to the parent.
pub(super) struct Link {
    output: Output,
    requests: Mutex<Receiver<Incoming>>,
    cancelled: Arc<AtomicBool>,
}

/// A request with the bytes that belong to it.
struct Incoming {
    request: Request,
    bytes: Vec<u8>,
}

/// Serves metric `metric_id` of the library at `library` over stdin and stdout until the result is given. With an empty
/// `metric_id` it only describes the library.
///
/// Whatever the plugin prints to stdout goes to stderr: the frames own stdout.
pub(super) fn serve(library: &Path, metric_id: &str) -> io::Result<()> {
    let output: Output = Arc::new(Mutex::new(BufWriter::new(take_stdout()?)));
    let input = take_stdin()?;
    let library = match load(library) {
        Ok(library) => library,
        Err(error) => return send(&output, &Reply::Error(failure(error))),
    };
    let hello = Hello {
        abi: [ABI_MAJOR, ABI_MINOR],
        digest: library.digest().to_owned(),
        manifests: library.manifests().to_vec(),
    };
    send(&output, &Reply::Hello(hello))?;
    if metric_id.is_empty() {
        return Ok(());
    }
    let cancelled = Arc::new(AtomicBool::new(false));
    let (sender, requests) = channel();
    let flag = Arc::clone(&cancelled);
    std::thread::spawn(move || listen(BufReader::with_capacity(1 << 16, input), &sender, &flag));
    let link = Link {
        output,
        requests: Mutex::new(requests),
        cancelled,
    };
    match link.serve(&library) {
        Ok(()) => Ok(()),
        Err(Stop::Pipe(error)) => Err(error),
        Err(Stop::Plugin(error)) => send(&link.output, &Reply::Error(failure(error))),
    }
}

fn load(path: &Path) -> Result<PluginLibrary, PluginError> {
    let file = PluginFile::read(path)?;
    if let Ok(planned) = std::env::var(DIGEST_VARIABLE) {
        file.is_planned(&planned)?;
    }
    PluginLibrary::load_file(&file)
}

/// Takes requests off the pipe while the plugin works, so that it hears when it is to stop. Without a parent there is nobody
/// to work for.
fn listen(mut input: impl io::Read, to: &Sender<Incoming>, cancelled: &AtomicBool) {
    loop {
        let bytes = match frame::read(&mut input) {
            Ok(Some(Request::Cancel)) => {
                cancelled.store(true, Ordering::Relaxed);
                continue;
            }
            Ok(Some(request @ (Request::Update { .. } | Request::Column(_)))) => {
                frame::read_bytes(&mut input).map(|bytes| Incoming { request, bytes })
            }
            Ok(Some(request)) => Ok(Incoming {
                request,
                bytes: Vec::new(),
            }),
            Ok(None) | Err(_) => end_now(),
        };
        if !bytes.is_ok_and(|incoming| to.send(incoming).is_ok()) {
            end_now();
        }
    }
}

/// Nobody is there to work for: nothing of the plugin runs any more.
fn end_now() -> ! {
    #[cfg(target_os = "linux")]
    super::supervise::end_now(1);
    #[cfg(not(target_os = "linux"))]
    std::process::exit(1)
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

impl Link {
    fn next(&self) -> io::Result<Incoming> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests
            .recv()
            .map_err(|_| io::ErrorKind::UnexpectedEof.into())
    }

    fn serve(&self, library: &PluginLibrary) -> Result<(), Stop> {
        let Incoming {
            request: Request::Create { metric, config, .. },
            ..
        } = self.next()?
        else {
            return Err(disordered());
        };
        let log = Arc::clone(&self.output);
        let sink = Box::new(move |level, message: &str| {
            let message = message.to_owned();
            // A log line that cannot be sent: the parent is gone, and the next reply will notice.
            let _ = send(&log, &Reply::Log { level, message });
        });
        let cancelled = Arc::clone(&self.cancelled);
        let mut living = Instance::new(library, &metric, &config, sink, cancelled)?;
        send(&self.output, &Reply::Done)?;
        loop {
            let Incoming { request, bytes } = self.next()?;
            match request {
                Request::Update { rows, columns } => {
                    let given: Result<Vec<Read>, String> = columns
                        .iter()
                        .map(|column| Read::new(column, &bytes, rows))
                        .collect();
                    let given = given.map_err(io::Error::other)?;
                    living.update(&AskedRows::new(rows, given, self), None)?;
                    send(&self.output, &Reply::Done)?;
                }
                Request::Finish => {
                    let (json, given) = living.finish()?;
                    let mut writer = self.output.lock().unwrap_or_else(PoisonError::into_inner);
                    for given in given {
                        let mut bytes = Vec::new();
                        let head = scores::encode(&given, &mut bytes);
                        frame::write(&mut *writer, &frame::json(&Reply::Scores(head)))?;
                        frame::write_bytes(&mut *writer, &bytes)?;
                    }
                    frame::write_result(&mut *writer, &json)?;
                    return Ok(writer.flush()?);
                }
                _ => return Err(disordered()),
            }
        }
    }
}

impl Asks for Link {
    /// Asks the parent for a column of the batch that is being taken.
    fn ask(&self, wanted: &Wanted, rows: usize) -> Result<Read, String> {
        let lost = |error: io::Error| error.to_string();
        // One question at a time: its answer is the next request.
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        send(&self.output, &Reply::Column(wanted.clone())).map_err(lost)?;
        match requests.recv() {
            Ok(Incoming {
                request: Request::Column(column),
                bytes,
            }) => read_answer(&column, &bytes, wanted, rows),
            Ok(Incoming {
                request: Request::NoColumn(why),
                ..
            }) => Err(why),
            Ok(_) => Err("requests out of order".to_owned()),
            Err(_) => Err("the parent is gone".to_owned()),
        }
    }
}

fn read_answer(
    column: &Column,
    bytes: &[u8],
    wanted: &Wanted,
    rows: usize,
) -> Result<Read, String> {
    let read = Read::new(column, bytes, rows)?;
    if read.is(&wanted.field, wanted.kind) {
        Ok(read)
    } else {
        Err(format!("the answer is no column `{}`", wanted.field))
    }
}

fn disordered() -> Stop {
    Stop::Pipe(io::Error::new(
        io::ErrorKind::InvalidData,
        "requests out of order",
    ))
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
            key: payload.key,
        },
        other => Failure {
            message: other.to_string(),
            help: other.hint(),
            ..Failure::default()
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

/// Keeps the pipe from the parent under another descriptor and leaves nothing to read on stdin.
#[cfg(unix)]
fn take_stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    let kept = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(File::from(kept))
}

#[cfg(not(unix))]
fn take_stdout() -> io::Result<File> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "plugin workers need a Unix system; run the plugin in-process",
    ))
}

#[cfg(not(unix))]
fn take_stdin() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}
