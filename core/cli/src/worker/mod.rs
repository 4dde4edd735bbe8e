//! `driftgauge worker`: one job in a process of its own, read from standard input.

mod witness;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, Stdin, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftgauge_engine::worker::{
    Job, Replies, Reply, Requests, STOP, serve_batches, serve_divergence, serve_generation,
    serve_scoring,
};
use driftgauge_engine::{EngineError, LocalEngine, Probes};
use driftgauge_problem::{Context as _, Result};
use driftgauge_store::Process;

use crate::exit::Exit;
use crate::generation;

/// How often is looked whether a worker of an earlier run has ended.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run() -> Result<Exit> {
    leave_signals_to_parent()?;
    offer_to_the_kernel();
    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    input
        .read_line(&mut line)
        .context("no job on standard input")?;
    let job: Job =
        serde_json::from_str(&line).context("the job on standard input is not readable")?;
    eprintln!("{}", title(&job));
    let mut replies = Replies::new(std::io::stdout());
    match work(job, input, &mut replies) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            replies.send(&Reply::Fatal(error))?;
            Ok(Exit::Failed)
        }
    }
}

/// Where memory runs out, the kernel takes a worker before its parent, which then says why the node failed.
fn offer_to_the_kernel() {
    // Where there is no such file, another process may be taken.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}

/// Queues and terminals send a signal to all processes of a job. The parent hears it, and tells a worker to save and to end; a worker
/// without a parent ends because its input does.
fn leave_signals_to_parent() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("cannot start the runtime")?;
        let _inside = runtime.enter();
        let heard = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::user_defined1(),
        ];
        for kind in heard {
            // Once it is listened to, a signal no longer ends the process.
            drop(signal(kind).context("cannot listen to signals")?);
        }
    }
    Ok(())
}

fn work<W: Write + Send>(
    job: Job,
    input: BufReader<Stdin>,
    replies: &mut Replies<W>,
) -> Result<()> {
    match job {
        Job::Generate(model) if model.engine == LocalEngine::Native => {
            let ask = |probes: &Probes| witness::ask(&model, probes);
            let mut engine = driftgauge_lm::worker::load_generator(&model, &ask)?;
            serve_batches(&mut engine, &Requests::from(input), replies)?;
        }
        Job::Generate(model) => {
            let mut engine = generation::load(&model).map_err(EngineError::problem)?;
            serve_generation(&mut engine, &Requests::from(input), replies)?;
        }
        Job::Score(model) => {
            let mut scorer = driftgauge_lm::worker::load_scorer(&model)?;
            serve_scoring(&mut scorer, &Requests::from(input), replies)?;
        }
        Job::Endpoint(endpoint) => {
            driftgauge_endpoint::serve(&endpoint, Requests::from(input), replies)?;
        }
        Job::Testify(job) => {
            end_with_parent(input);
            let said = generation::testify(&job.model, &job.probes)?;
            replies.send(&Reply::Done(serde_json::to_value(said)?))?;
        }
        Job::Diverge(pair) => {
            let mut pair = driftgauge_lm::worker::load_pair(&pair)?;
            serve_divergence(&mut pair, &Requests::from(input), replies)?;
        }
        Job::Train(job) => {
            let stop = end_with_parent(input);
            let _alone = alone(&job.lock, replies)?;
            let summary = driftgauge_lm::worker::train(&job, replies, &stop)?;
            replies.send(&Reply::Done(summary))?;
        }
        Job::Merge(job) => {
            end_with_parent(input);
            let _alone = alone(&job.lock, replies)?;
            match job.whole {
                true => driftgauge_lm::take_whole(&job.adapter, &job.out)?,
                false => driftgauge_lm::merge(&job.base, &job.adapter, &job.out)?,
            }
            replies.send(&Reply::Done(serde_json::Value::Null))?;
        }
    }
    Ok(())
}

/// What this process is for: the first line of its log, which is shown when it dies.
fn title(job: &Job) -> String {
    match job {
        Job::Generate(model) => format!("generation with `{}`", model.folder.display()),
        Job::Score(model) => format!("scoring with `{}`", model.folder.display()),
        Job::Testify(job) => format!("a witness of `{}`", job.model.folder.display()),
        Job::Diverge(pair) => format!(
            "comparing `{}` with `{}`",
            pair.model.folder.display(),
            pair.reference.folder.display()
        ),
        Job::Endpoint(server) => format!("asking `{}` at {}", server.model, server.base_url),
        Job::Train(job) => format!("training into `{}`", job.out.display()),
        Job::Merge(job) => format!("merging `{}`", job.adapter.display()),
    }
}

/// Ends the process when the parent is gone, so that a killed run leaves no worker behind. What it gives is raised when the parent
/// asks it to save what was done, and end.
fn end_with_parent(mut input: BufReader<Stdin>) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    std::thread::spawn(move || {
        let mut line = String::new();
        while input.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line.trim() == STOP {
                told.store(true, Ordering::Relaxed);
            }
            line.clear();
        }
        std::process::exit(1);
    });
    stop
}

/// Waits until no other worker writes what this one is about to write: one whose parent was killed may still be at its
/// last checkpoint. The lock ends with the file, and so with the process.
fn alone<W: Write>(path: &Path, replies: &mut Replies<W>) -> Result<File> {
    let problem = || format!("cannot lock `{}`", path.display());
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false);
    let mut file = options.open(path).with_context(problem)?;
    let waits = Reply::Note("waiting for a worker of an earlier run to end".to_owned());
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            replies.send(&waits)?;
            file.lock().with_context(problem)?;
        }
        // A file system without locks: the file says who wrote last.
        Err(TryLockError::Error(_)) => {
            let last: Option<Process> = serde_json::from_reader(&file).ok();
            let busy = |last: &Process| last != Process::this() && last.has_ended() == Some(false);
            if last.as_ref().is_some_and(busy) {
                replies.send(&waits)?;
            }
            while last.as_ref().is_some_and(busy) {
                std::thread::sleep(LOOK);
            }
        }
    }
    file.rewind()
        .and_then(|()| file.set_len(0))
        .and_then(|()| Ok(serde_json::to_writer(&file, Process::this())?))
        .with_context(problem)?;
    Ok(file)
}
