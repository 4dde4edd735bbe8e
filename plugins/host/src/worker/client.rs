//! The parent's side: starts a worker, feeds it, and never waits longer than it said.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftgauge_plugin_protocol::ffi::ABI_MAJOR;
use driftgauge_plugin_protocol::rows::{Batches, Rows};
use driftgauge_plugin_protocol::wire::{Manifest, MetricOutput, PluginErrorPayload};
use serde_json::Value;

use super::frame::{self, Failure, Hello, Reply, RequestRef};
use super::serve::{DIGEST_VARIABLE, MEMORY_VARIABLE};
use crate::instance::parse_output;
use crate::{PluginError, RunOptions};

/// Lines of stderr kept for error messages.
const KEPT_LINES: usize = 12;

/// Limits of a worker.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Log and cancellation.
    pub run: RunOptions,
    /// Limit on loading the library and making the instance.
    pub start: Duration,
    /// Limit on taking one batch.
    pub update: Duration,
    /// Limit on making the result.
    pub finish: Duration,
    /// Limit on address space in bytes.
    pub memory: Option<u64>,
    /// BLAKE3 digest that the library must have.
    pub digest: Option<String>,
}

impl Default for WorkerOptions {
    /// 30 s to start, 60 s for a batch, 300 s for the result, no limit on memory, no pin.
    fn default() -> Self {
        Self {
            run: RunOptions::default(),
            start: Duration::from_secs(30),
            update: Duration::from_secs(60),
            finish: Duration::from_secs(300),
            memory: None,
            digest: None,
        }
    }
}

/// What a worker says of a library.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginDescription {
    /// BLAKE3 of the library, hexadecimal.
    pub digest: String,
    /// Its metrics.
    pub manifests: Vec<Manifest>,
}

/// Reads the manifests of the library at `library` without loading it into this process. `executable` is a harness
/// with the command `plugin-worker` (that of [`super::worker_main`]).
///
/// # Errors
/// When the worker cannot be started, crashes, or takes too long, or the library is none.
pub fn describe_in_worker(
    executable: &Path,
    library: &Path,
    options: &WorkerOptions,
) -> Result<PluginDescription, PluginError> {
    let mut command = Command::new(executable);
    command.arg("plugin-worker").arg("--lib").arg(library);
    let name = library.file_stem().unwrap_or_default().to_string_lossy();
    let (_, hello) = Worker::start(command, &name, options)?;
    Ok(PluginDescription {
        digest: hello.digest,
        manifests: hello.manifests,
    })
}

/// Runs metric `metric_id` of the library at `library` over `samples` in a worker of `executable`.
///
/// # Errors
/// As [`crate::run_metric`], and when the worker crashes or takes too long; it is killed then.
pub fn run_metric_in_worker(
    executable: &Path,
    library: &Path,
    metric_id: &str,
    config: &Value,
    samples: &mut dyn Batches,
    options: &WorkerOptions,
) -> Result<MetricOutput, PluginError> {
    let mut command = Command::new(executable);
    command.arg("plugin-worker").arg("--lib").arg(library);
    command.arg("--metric").arg(metric_id);
    run_metric_in_command(command, metric_id, config, samples, options)
}

/// Runs a metric that is a program of its own and speaks the worker's frames, in any language.
///
/// # Errors
/// As [`run_metric_in_worker`].
pub fn run_metric_in_command(
    command: Command,
    metric_id: &str,
    config: &Value,
    samples: &mut dyn Batches,
    options: &WorkerOptions,
) -> Result<MetricOutput, PluginError> {
    let (mut worker, hello) = Worker::start(command, metric_id, options)?;
    let manifest = hello.manifests.iter().find(|known| known.id == metric_id);
    let nothing_known = || Manifest::new(metric_id, "", "");
    let manifest = manifest
        .cloned()
        .unwrap_or_else(nothing_known)
        .configured(config);
    worker.version.clone_from(&manifest.version);
    // No configuration in the spec is an empty one.
    let empty = Value::Object(serde_json::Map::new());
    let create = RequestRef::Create {
        metric: metric_id,
        config: if config.is_null() { &empty } else { config },
    };
    worker.ask(&frame::json(&create), "start", options.start)?;
    while let Some(batch) = samples.next_batch().map_err(PluginError::Samples)? {
        let update = update(batch).map_err(|problem| PluginError::Samples(problem.into()))?;
        worker.ask(&update, "take a batch", options.update)?;
    }
    let finish = frame::json(&RequestRef::Finish);
    match worker.ask(&finish, "make its result", options.finish)? {
        Reply::Result(json) => parse_output(&manifest, json.to_string().as_bytes()),
        _ => Err(worker.broken("did not answer `finish` with a result")),
    }
}

/// The request to take a batch, from the JSON of its samples.
fn update(batch: &dyn Rows) -> Result<String, String> {
    let samples: Vec<String> = (0..batch.len())
        .map(|row| batch.json(row))
        .collect::<Result<_, _>>()?;
    Ok(format!(
        "{{\"update\":{{\"samples\":[{}]}}}}",
        samples.join(",")
    ))
}

/// A running worker; dropping it kills the process and its children.
struct Worker<'a> {
    metric: String,
    version: String,
    options: &'a WorkerOptions,
    child: Child,
    requests: Option<Sender<Vec<u8>>>,
    replies: Receiver<std::io::Result<Option<Reply>>>,
    stderr: Arc<Mutex<Vec<String>>>,
    stderr_reader: Option<JoinHandle<()>>,
}

impl<'a> Worker<'a> {
    fn start(
        mut command: Command,
        metric: &str,
        options: &'a WorkerOptions,
    ) -> Result<(Self, Hello), PluginError> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(memory) = options.memory {
            command.env(MEMORY_VARIABLE, memory.to_string());
        }
        if let Some(digest) = &options.digest {
            command.env(DIGEST_VARIABLE, digest);
        }
        // A group of its own, so that whatever a plugin starts dies with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| PluginError::Worker {
            metric: metric.to_owned(),
            detail: format!(
                "cannot be started as {}: {error}",
                command.get_program().to_string_lossy()
            ),
            stderr: String::new(),
        })?;
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let stderr_reader = child.stderr.take().map(|pipe| {
            let (kept, log) = (stderr.clone(), options.run.log.clone());
            std::thread::spawn(move || keep_lines(BufReader::new(pipe), &kept, &*log))
        });
        let replies = read_replies(child.stdout.take());
        let mut worker = Self {
            metric: metric.to_owned(),
            version: String::new(),
            options,
            requests: child.stdin.take().map(write_requests),
            child,
            replies,
            stderr,
            stderr_reader,
        };
        match worker.reply("start", options.start)? {
            Reply::Hello(hello) if hello.abi[0] == ABI_MAJOR => Ok((worker, hello)),
            Reply::Hello(hello) => Err(worker.broken(&format!(
                "speaks version {} of the frames, this harness speaks {ABI_MAJOR}",
                hello.abi[0]
            ))),
            _ => Err(worker.broken("did not begin with `hello`")),
        }
    }

    fn ask(
        &mut self,
        request: &str,
        step: &'static str,
        limit: Duration,
    ) -> Result<Reply, PluginError> {
        if self
            .options
            .run
            .cancelled
            .load(std::sync::atomic::Ordering::Relaxed)
        {
            return Err(PluginError::Cancelled {
                metric: self.metric.clone(),
            });
        }
        let mut bytes = Vec::new();
        frame::write(&mut bytes, request).map_err(|error| self.broken(&error.to_string()))?;
        if let Some(requests) = &self.requests {
            // A writer that is gone means a dead worker, which `reply` reports.
            let _ = requests.send(bytes);
        }
        self.reply(step, limit)
    }

    fn reply(&mut self, step: &'static str, limit: Duration) -> Result<Reply, PluginError> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.replies.recv_timeout(left) {
                Ok(Ok(Some(Reply::Log { level, message }))) => {
                    (self.options.run.log)(level, &message);
                }
                Ok(Ok(Some(Reply::Error(failure)))) => return Err(self.failed(failure)),
                Ok(Ok(Some(reply))) => return Ok(reply),
                Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().ok();
                    return Err(self.broken(&format!(
                        "ended while it was to {step}{}",
                        status.map(describe_exit).unwrap_or_default()
                    )));
                }
                Ok(Err(error)) => {
                    return Err(self.broken(&format!("does not speak the protocol: {error}")));
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.kill();
                    return Err(PluginError::Timeout {
                        metric: self.metric.clone(),
                        step,
                        seconds: limit.as_secs_f64(),
                        stderr: self.last_words(),
                    });
                }
            }
        }
    }

    fn failed(&mut self, failure: Failure) -> PluginError {
        match failure.status {
            Some(status) => PluginError::Metric {
                metric: self.metric.clone(),
                version: self.version.clone(),
                status,
                payload: Box::new(PluginErrorPayload {
                    message: failure.message,
                    help: failure.help,
                    code: failure.code,
                    sample_id: failure.sample_id,
                }),
            },
            None => self.broken(&format!("failed: {}", failure.message)),
        }
    }

    fn broken(&mut self, detail: &str) -> PluginError {
        self.kill();
        PluginError::Worker {
            metric: self.metric.clone(),
            detail: detail.to_owned(),
            stderr: self.last_words(),
        }
    }

    /// The end of stderr; the process is dead by now. Something it started may still hold the pipe: no long wait.
    fn last_words(&mut self) -> String {
        let deadline = Instant::now() + Duration::from_millis(500);
        while self
            .stderr_reader
            .as_ref()
            .is_some_and(|reader| !reader.is_finished())
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        let lines = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        lines.join("\n")
    }

    fn kill(&mut self) {
        self.requests = None;
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process_group};
            if let Ok(None) = self.child.try_wait() {
                let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes frames in a thread of its own: a worker that does not read must not block the parent.
fn write_requests(mut to: ChildStdin) -> Sender<Vec<u8>> {
    let (sender, requests) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for bytes in requests {
            if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

fn read_replies(stdout: Option<ChildStdout>) -> Receiver<std::io::Result<Option<Reply>>> {
    let (sender, replies) = channel();
    std::thread::spawn(move || {
        let Some(mut from) = stdout.map(BufReader::new) else {
            return;
        };
        loop {
            let reply = frame::read(&mut from);
            let last = !matches!(reply, Ok(Some(_)));
            if sender.send(reply).is_err() || last {
                return;
            }
        }
    });
    replies
}

/// Passes lines on to the log and keeps the last ones.
fn keep_lines(from: impl BufRead, kept: &Mutex<Vec<String>>, log: &dyn Fn(i32, &str)) {
    const INFO: i32 = 2;
    for line in from.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        log(INFO, &line);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.remove(0);
        }
        kept.push(line);
    }
}

fn describe_exit(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!(" (killed by signal {signal})");
    }
    format!(" ({status})")
}
