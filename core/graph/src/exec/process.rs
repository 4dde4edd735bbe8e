//! A worker process: started, spoken to line by line, and killed with us.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use driftgauge_engine::worker::{Job, MARK, Reply, Request, STOP};
use driftgauge_problem::{Context as _, Problem};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Code of the problem that a worker was killed by the system, as it does when memory runs out.
pub const KILLED: &str = "worker-killed";

/// Lines of a worker's log kept for error messages.
const TAIL: usize = 12;

/// A running worker.
pub(super) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl Worker {
    /// Starts `driftgauge worker` with `threads` threads and hands it its job.
    pub(super) async fn start(exe: &Path, job: &Job, threads: usize) -> Result<Self, Problem> {
        let mut child = Command::new(exe)
            .arg("worker")
            .env("RAYON_NUM_THREADS", threads.to_string())
            .env("TOKENIZERS_PARALLELISM", "false")
            .envs(keeps_memory(job).then_some(("MIMALLOC_PURGE_DELAY", "-1")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start a worker process: {error}"))?;
        let mut input = child.stdin.take();
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(stderr) = child.stderr.take() {
            let tail = Arc::clone(&tail);
            tokio::spawn(async move {
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    remember(&tail, line);
                }
            });
        }
        let stdout = child.stdout.take().ok_or("the worker has no output")?;
        if let Some(input) = &mut input {
            let mut line = serde_json::to_string(job)?;
            line.push('\n');
            input
                .write_all(line.as_bytes())
                .await
                .map_err(|error| format!("the worker did not take its job: {error}"))?;
        }
        Ok(Self {
            child,
            input,
            output: BufReader::new(stdout).lines(),
            tail,
        })
    }

    /// Sends one request; an error when the process has ended.
    pub(super) async fn send(&mut self, request: &Request) -> Result<(), Problem> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        let Some(input) = &mut self.input else {
            return Err("the worker's input is closed".into());
        };
        match input.write_all(line.as_bytes()).await {
            Ok(()) => Ok(()),
            // A worker stops listening when it ends; how it ended says more.
            Err(_) => Err(self.obituary().await),
        }
    }

    /// Asks a training to save what was done, and to end.
    pub(super) async fn stop(&mut self) {
        if let Some(input) = &mut self.input {
            // One that has ended needs no word.
            let _ = input.write_all(format!("{STOP}\n").as_bytes()).await;
        }
    }

    /// The next reply; an error when the process ended before it was done.
    pub(super) async fn reply(&mut self) -> Result<Reply, Problem> {
        loop {
            match self.output.next_line().await {
                Ok(Some(line)) => {
                    if let Some(text) = line.strip_prefix(MARK) {
                        return serde_json::from_str(text)
                            .context("the worker said something unreadable");
                    }
                    if !line.trim().is_empty() {
                        remember(&self.tail, line);
                    }
                }
                _ => return Err(self.obituary().await),
            }
        }
    }

    /// Lets the worker end by closing its input, and waits.
    pub(super) async fn finish(mut self) {
        self.input = None;
        let _ = self.child.wait().await;
    }

    /// Why the process ended, with the end of its log.
    async fn obituary(&mut self) -> Problem {
        let ended = self.child.wait().await;
        let code = match &ended {
            Ok(status) if was_killed(*status) => KILLED,
            _ => "failed",
        };
        let status = match ended {
            Ok(status) => describe(status),
            Err(error) => format!("was lost: {error}"),
        };
        // The log's reader may be a moment behind.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let tail = self
            .tail
            .lock()
            .map(|tail| tail.iter().cloned().collect::<Vec<_>>().join("\n  "))
            .unwrap_or_default();
        let text = if tail.is_empty() {
            format!("the worker process {status}")
        } else {
            format!("the worker process {status}; the end of its log:\n  {tail}")
        };
        Problem::new(code, text)
    }
}

/// Whether memory that was dropped is kept for the next step, which wants as much: pages that come from the kernel anew cost up to a third
/// of a training's time. Not where the settings ask for less memory instead of more speed.
fn keeps_memory(job: &Job) -> bool {
    let Job::Train(job) = job else {
        return true;
    };
    !job.settings.gradient_checkpointing && job.settings.base_quantization.is_none()
}

fn remember(tail: &Mutex<VecDeque<String>>, line: String) {
    if let Ok(mut tail) = tail.lock() {
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}

fn was_killed(status: std::process::ExitStatus) -> bool {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
    #[cfg(not(unix))]
    false
}

fn describe(status: std::process::ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match signal {
            9 => "was killed (signal 9; the system does this when memory runs out)".to_owned(),
            other => format!("was ended by signal {other}"),
        };
    }
    match status.code() {
        Some(code) => format!("ended with exit code {code}"),
        None => "ended".to_owned(),
    }
}
