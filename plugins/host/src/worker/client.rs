//! The parent's side: starts a worker, feeds it, and never waits longer than it said.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use driftgauge_plugin_protocol::arrays::{Given, Taken};
use driftgauge_plugin_protocol::ffi::{ABI_MAJOR, ABI_MINOR};
use driftgauge_plugin_protocol::rows::{Batches, Rows};
use driftgauge_plugin_protocol::seen::Seen;
use driftgauge_plugin_protocol::wire::{Manifest, MetricOutput, PluginErrorPayload};
use serde_json::Value;

use super::columns::{self, Column, Wanted};
use super::frame::{self, Failure, Hello, Reply, Request, Said};
use super::pipes::{read_replies, write_requests};
use super::process::Process;
use super::serve::DIGEST_VARIABLE;
use super::source::Source;
use super::stderr::Stderr;
use crate::instance::{bad_scores, parse_output};
use crate::limits::{self, ShortLog};
use crate::required::Required;
use crate::{PluginError, RunOptions, manifest};

/// How often a waiting parent looks whether the run is being stopped.
const LOOK: Duration = Duration::from_millis(20);
/// How long a worker has to end by itself when the run is being stopped.
const GRACE: Duration = Duration::from_millis(300);
/// How long a worker that closed its pipe may take to say why: a machine under load is slow to free its memory.
const REASON: Duration = Duration::from_secs(2);
/// Columns that a plugin may ask for.
const MOST_COLUMNS: usize = 512;

/// Limits of a worker.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Log and cancellation.
    pub run: RunOptions,
    /// Limit on each step: loading the library and making the instance, taking one batch, making the result.
    pub timeout: Duration,
    /// Limit on all steps together.
    pub total_timeout: Option<Duration>,
    /// Bytes of memory that all processes of the plugin may use together.
    pub memory: Option<u64>,
    /// BLAKE3 digest that the library was planned with.
    pub digest: Option<String>,
}

impl Default for WorkerOptions {
    /// 60 s for each step, no other limit.
    fn default() -> Self {
        Self {
            run: RunOptions::default(),
            timeout: Duration::from_secs(60),
            total_timeout: None,
            memory: None,
            digest: None,
        }
    }
}

/// What a worker says of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginDescription {
    /// BLAKE3 of the library, hexadecimal; empty for a program.
    pub digest: String,
    /// Its metrics.
    pub manifests: Vec<Manifest>,
}

/// Reads the manifests of a plugin without running any of it in this process. `executable` is a harness with the command
/// `plugin-worker` (that of [`super::worker_main`]).
///
/// # Errors
/// When the worker cannot be started, crashes, or takes too long, or what it runs is no plugin.
pub fn describe_in_worker(
    executable: &Path,
    source: &Source,
    options: &WorkerOptions,
) -> Result<PluginDescription, PluginError> {
    let command = source.command(executable, "");
    let (_, hello) = Worker::start(command, &source.name(), options)?;
    Ok(PluginDescription {
        digest: hello.digest,
        manifests: hello.manifests,
    })
}

/// Runs metric `metric_id` of a plugin over `samples` in a worker of `executable`.
///
/// # Errors
/// As [`crate::run_metric`], and when the worker crashes or takes too long; it is killed then.
pub fn run_metric_in_worker(
    executable: &Path,
    source: &Source,
    metric_id: &str,
    config: &Value,
    samples: &mut dyn Batches,
    options: &WorkerOptions,
) -> Result<MetricOutput, PluginError> {
    let command = source.command(executable, metric_id);
    let (mut worker, hello) = Worker::start(command, metric_id, options)?;
    let known = hello
        .manifests
        .into_iter()
        .find(|known| known.id == metric_id);
    let Some(manifest) = known else {
        return Err(worker.broken(&format!("has no metric `{metric_id}`")));
    };
    let manifest = manifest.configured(config);
    worker.version.clone_from(&manifest.version);
    // No configuration in the spec is an empty one.
    let config = match config {
        Value::Null => Value::Object(serde_json::Map::new()),
        config => config.clone(),
    };
    let create = Request::Create {
        metric: metric_id.to_owned(),
        config,
        abi: Some([ABI_MAJOR, ABI_MINOR]),
    };
    worker.ask(&create, None, "start")?;
    let mut seen = Seen::expecting(samples.prompts());
    let mut required = Required::new(&manifest);
    while let Some(batch) = samples.next_batch().map_err(PluginError::Samples)? {
        seen.note(batch).map_err(unreadable)?;
        required.note(batch);
        let shown = Shown {
            rows: batch,
            prompts: seen.batch(),
        };
        worker.update(shown)?;
    }
    required.check()?;
    let (json, given) = worker.finish(&manifest)?;
    parse_output(&manifest, &json, given, &seen)
}

/// The samples of a batch, and the number of each one's prompt.
#[derive(Clone, Copy)]
struct Shown<'a> {
    rows: &'a dyn Rows,
    prompts: &'a [u32],
}

fn unreadable(problem: String) -> PluginError {
    PluginError::Samples(problem.into())
}

/// A running worker; dropping it kills the process and its children.
struct Worker<'a> {
    metric: String,
    version: String,
    options: &'a WorkerOptions,
    /// When all of its time is up.
    end: Option<Instant>,
    /// Fields that every batch comes with: those that were asked for.
    wanted: Vec<Wanted>,
    process: Process,
    requests: Option<Sender<Vec<u8>>>,
    replies: Receiver<std::io::Result<Option<Said>>>,
    /// Scores that came as arrays.
    scores: Taken,
    log: ShortLog,
    stderr: Option<Stderr>,
}

impl<'a> Worker<'a> {
    fn start(
        mut command: Command,
        metric: &str,
        options: &'a WorkerOptions,
    ) -> Result<(Self, Hello), PluginError> {
        let begin = Instant::now();
        if let Some(digest) = &options.digest {
            command.env(DIGEST_VARIABLE, digest);
        }
        let (process, pipes) =
            Process::start(command, options.memory).map_err(|detail| PluginError::Worker {
                metric: metric.to_owned(),
                detail,
                stderr: String::new(),
            })?;
        let log = &options.run.log;
        let mut worker = Self {
            metric: metric.to_owned(),
            version: String::new(),
            options,
            end: options
                .total_timeout
                .and_then(|limit| begin.checked_add(limit)),
            wanted: Vec::new(),
            requests: pipes.stdin.map(write_requests),
            replies: read_replies(pipes.stdout),
            scores: Taken::new(limits::RESULT),
            log: ShortLog::new(log.clone()),
            stderr: pipes.stderr.map(|pipe| Stderr::read(pipe, log.clone())),
            process,
        };
        let Said::Reply(Reply::Hello(hello)) = worker.reply(None, "start")? else {
            return Err(worker.broken("did not begin with `hello`"));
        };
        if hello.abi[0] != ABI_MAJOR {
            return Err(worker.broken(&format!(
                "speaks version {} of the frames, this harness speaks {ABI_MAJOR}",
                hello.abi[0]
            )));
        }
        let problem = hello
            .manifests
            .iter()
            .find_map(|known| manifest::checked(known).err());
        match problem {
            Some(problem) => Err(worker.broken(&format!("sent a manifest that {problem}"))),
            None => Ok((worker, hello)),
        }
    }

    fn update(&mut self, batch: Shown<'_>) -> Result<(), PluginError> {
        let mut bytes = Vec::new();
        let columns: Result<Vec<Column>, String> = self
            .wanted
            .iter()
            .map(|wanted| columns::encode(batch.rows, batch.prompts, wanted, &mut bytes))
            .collect();
        let update = Request::Update {
            rows: batch.rows.len(),
            columns: columns.map_err(unreadable)?,
        };
        self.send(&update, Some(&bytes))?;
        match self.reply(Some(batch), "take a batch")? {
            Said::Reply(Reply::Done) => Ok(()),
            _ => Err(self.broken("did not answer a batch with `done`")),
        }
    }

    /// The JSON of the result, and the arrays before it.
    fn finish(&mut self, manifest: &Manifest) -> Result<(Vec<u8>, Vec<Given>), PluginError> {
        self.send(&Request::Finish, None)?;
        match self.reply(None, "make its result")? {
            Said::Result(json) => {
                let given = self.scores.take();
                Ok((json, given.map_err(|fault| bad_scores(manifest, &fault))?))
            }
            _ => Err(self.broken("did not answer `finish` with a result")),
        }
    }

    fn ask(
        &mut self,
        request: &Request,
        bytes: Option<&[u8]>,
        step: &'static str,
    ) -> Result<(), PluginError> {
        self.send(request, bytes)?;
        match self.reply(None, step)? {
            Said::Reply(Reply::Done) => Ok(()),
            _ => Err(self.broken(&format!("did not say `done` when it was to {step}"))),
        }
    }

    fn send(&mut self, request: &Request, bytes: Option<&[u8]>) -> Result<(), PluginError> {
        let mut out = Vec::with_capacity(bytes.map_or(64, |bytes| bytes.len() + 1024));
        let mut written = frame::write(&mut out, &frame::json(request));
        if let Some(bytes) = bytes {
            written = written.and_then(|()| frame::write_bytes(&mut out, bytes));
        }
        written.map_err(|error| self.broken(&error.to_string()))?;
        if let Some(requests) = &self.requests {
            // A writer that is gone means a dead worker, which `reply` reports.
            let _ = requests.send(out);
        }
        Ok(())
    }

    /// Waits for the answer to a request; meanwhile passes the log on and gives the columns of the batch that are asked for.
    fn reply(&mut self, batch: Option<Shown<'_>>, step: &'static str) -> Result<Said, PluginError> {
        let deadline = Instant::now() + self.options.timeout;
        let mut ended = None;
        loop {
            if self.options.run.cancelled.load(Ordering::Relaxed) {
                return Err(self.cancel());
            }
            let now = Instant::now();
            if self.end.is_some_and(|end| now >= end) {
                let limit = self.options.total_timeout.unwrap_or_default();
                return Err(self.late(step, limit, "total_timeout"));
            }
            if now >= deadline {
                return Err(self.late(step, self.options.timeout, "timeout"));
            }
            match self.replies.recv_timeout(LOOK.min(deadline - now)) {
                Ok(Ok(Some(Said::Reply(Reply::Log { level, message })))) => {
                    self.log.line(level.clamp(0, 4), &message);
                }
                Ok(Ok(Some(Said::Reply(Reply::Error(failure))))) => {
                    return Err(self.failed(failure));
                }
                Ok(Ok(Some(Said::Reply(Reply::Column(wanted))))) => match batch {
                    Some(batch) => self.give(batch, wanted)?,
                    None => return Err(self.broken("asked for a column without a batch")),
                },
                // What is wrong with them is told with the result.
                Ok(Ok(Some(Said::Scores(given)))) => {
                    self.scores.add(given);
                }
                Ok(Ok(Some(said))) => return Ok(said),
                Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => {
                    // What ended it says more than that it ended.
                    let how = self.process.wait(REASON).unwrap_or_default();
                    self.kill();
                    return Err(self.lost(&format!("ended while it was to {step}{how}")));
                }
                Ok(Err(error)) => {
                    return Err(self.broken(&format!("does not speak the protocol: {error}")));
                }
                Err(RecvTimeoutError::Timeout) => {
                    // Somebody else may hold the pipe open; what the worker itself said is here soon.
                    let Some(how) = self.process.wait(Duration::ZERO) else {
                        continue;
                    };
                    if ended.get_or_insert(now).elapsed() >= REASON {
                        return Err(self.broken(&format!("ended while it was to {step}{how}")));
                    }
                }
            }
        }
    }

    /// Answers the question for a column.
    fn give(&mut self, batch: Shown<'_>, wanted: Wanted) -> Result<(), PluginError> {
        let known = driftgauge_plugin_protocol::field::Field::parse(&wanted.field).is_some();
        if !known && wanted.kind != columns::Type::Json {
            let text = format!("no field `{}` exists", wanted.field);
            return self.send(&Request::NoColumn(text), None);
        }
        if self.wanted.len() == MOST_COLUMNS {
            return Err(self.broken(&format!("asked for more than {MOST_COLUMNS} columns")));
        }
        let mut bytes = Vec::new();
        let column = columns::encode(batch.rows, batch.prompts, &wanted, &mut bytes);
        let column = column.map_err(unreadable)?;
        self.send(&Request::Column(column), Some(&bytes))?;
        if !self.wanted.contains(&wanted) {
            self.wanted.push(wanted);
        }
        Ok(())
    }

    /// Lets the plugin hear that the run is being stopped, and ends it if it does not end by itself.
    fn cancel(&mut self) -> PluginError {
        let _ = self.send(&Request::Cancel, None);
        let deadline = Instant::now() + GRACE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.replies.recv_timeout(left) {
                Ok(Ok(Some(Said::Reply(Reply::Log { .. } | Reply::Column(_)))))
                    if !left.is_zero() => {}
                _ => break,
            }
        }
        self.kill();
        PluginError::Cancelled {
            metric: self.metric.clone(),
        }
    }

    fn late(&mut self, step: &'static str, limit: Duration, key: &'static str) -> PluginError {
        self.kill();
        PluginError::Timeout {
            metric: self.metric.clone(),
            step,
            seconds: limit.as_secs_f64(),
            key,
            stderr: self.last_words(),
        }
    }

    fn failed(&mut self, failure: Failure) -> PluginError {
        let payload = limits::fit(PluginErrorPayload {
            message: failure.message,
            help: failure.help,
            code: failure.code,
            sample_id: failure.sample_id,
            key: failure.key,
        });
        let metric = self.metric.clone();
        match failure.status {
            Some(driftgauge_plugin_protocol::ffi::DG_CANCELLED) => {
                PluginError::Cancelled { metric }
            }
            Some(status) => PluginError::Metric {
                metric,
                version: self.version.clone(),
                status,
                payload: Box::new(payload),
            },
            None => PluginError::Refused {
                message: payload.message,
                help: payload.help,
            },
        }
    }

    fn broken(&mut self, detail: &str) -> PluginError {
        self.kill();
        self.lost(detail)
    }

    fn lost(&self, detail: &str) -> PluginError {
        PluginError::Worker {
            metric: self.metric.clone(),
            detail: driftgauge_plugin_protocol::clean::clean_line(detail, limits::TEXT),
            stderr: self.last_words(),
        }
    }

    fn last_words(&self) -> String {
        let stderr = self.stderr.as_ref();
        stderr.map(Stderr::last_words).unwrap_or_default()
    }

    fn kill(&mut self) {
        self.requests = None;
        self.process.kill();
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}
