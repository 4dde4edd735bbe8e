//! `driftgauge run`: executes what is missing, writes the run folder and draws the report.

mod execution;
mod outcome;
mod refusals;
mod signals;

use driftgauge_graph::event::Outcome as NodeEnd;
use driftgauge_graph::exec::{Jobs, JobsSettings};
use driftgauge_graph::run::{RunRecord, RunSummary};
use driftgauge_graph::sealing;
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::RunDir;
use driftgauge_record::files::provenance::{HostRecord, ProvenanceRecord};
use driftgauge_report::Report;
use driftgauge_store::{Claim, Claimed, Digest, Store, Writer};

use self::execution::{Executed, Execution};
use self::outcome::end;
use super::interrupt::Following;
use super::load::{self, Network, Outcome, Prepared};
use super::{detach, executor, planned_jobs, unchanged};
use crate::args::RunArgs;
use crate::exit::Exit;

/// What can be expected of a second run.
const DETERMINISM: &str =
    "byte-identical on one machine and build, whatever the number of threads and processes";

pub(crate) fn run(args: &RunArgs) -> Result<Exit> {
    let profile = executor::profile(&args.executor)?;
    match &profile {
        Some(profile) => executor::check(profile)?,
        None => refusals::without_cluster(args).map_or(Ok(()), Err)?,
    }
    let store = Store::open(&args.store.store)?;
    let network = network_of(args);
    let prepared = match load::prepare(&args.spec, &args.store, &store, network, args.diagnosing)? {
        Outcome::Ready(prepared) => prepared,
        Outcome::Refused => return Ok(Exit::Usage),
    };
    prepared.said.mention(args.diagnosing);
    let out = RunDir::new(&args.out);
    refusals::refuse(args, &prepared, &store, &out)?;
    tell_pinned(&prepared);
    let cluster = profile.map(|profile| {
        let how = (network == Network::Closed, args.strict);
        executor::settings(profile, &out, &store, &args.store, how)
    });
    let cluster = cluster.transpose()?;
    let writer = store.writer()?;
    std::fs::create_dir_all(out.path())
        .with_context(|| format!("cannot make `{}`", out.path().display()))?;
    if args.detach
        && let Some(settings) = &cluster
    {
        return submitted(settings, &out);
    }
    let _ours = this_run_alone(&writer, &out)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.unwrap_or(cores).max(1);
    let record = record(&prepared, jobs, cores);
    let fingerprint = unchanged::fingerprint(&prepared, &record, &store);
    if let Some(fingerprint) = fingerprint.as_ref().filter(|_| !args.print_jobs)
        && let Some((summary, report)) =
            unchanged::unchanged(&prepared, fingerprint, &record, &out, &store)?
    {
        return Ok(end(args, &prepared.said, &summary, &report, &out, None));
    }
    let (execution, said) = Execution::new(args, prepared, (store, writer), (jobs, cores), &out)?;
    if let Some(settings) = cluster.clone().filter(|_| args.print_jobs) {
        return Ok(planned_jobs::print(
            &execution.context,
            &Jobs::open(settings)?,
        ));
    }
    let digests = execution.context.store.digests();
    let following = Following::new(cluster.is_some(), args.on_interrupt);
    let executed = execution.make(cluster.clone(), &following, &out, &record)?;
    let summary = &executed.summary;
    if summary.interrupted {
        sealing::seal(&out, &digests, None)?;
        return interrupted(args, &executed, cluster.as_ref(), &following, &out);
    }
    let built = Report::build(&out).context("the report could not be made")?;
    built
        .write(&out)
        .context("the report could not be written")?;
    sealing::seal(
        &out,
        &digests,
        fingerprint.filter(|_| is_whole(summary)).as_ref(),
    )?;
    let foreseen = executed.foreseen.as_ref();
    Ok(end(args, &said, summary, &built, &out, foreseen))
}

fn network_of(args: &RunArgs) -> Network {
    if args.store.offline || hub_is_offline() {
        Network::Closed
    } else {
        Network::Open
    }
}

fn tell_pinned(prepared: &Prepared) {
    for (source, commit) in prepared.planned.experiment.pinned_hub_sources() {
        eprintln!(
            "  pinned  {} at `{}` to commit {commit}",
            source.repository, source.revision
        );
    }
}

/// Hands the run to the queue as a job of its own.
fn submitted(settings: &JobsSettings, out: &RunDir) -> Result<Exit> {
    let id = detach::submit(settings)?;
    println!(
        "the run is job {id}; `driftgauge status {}` shows its jobs",
        out.path().display()
    );
    Ok(Exit::Done)
}

/// What becomes of a run that was ended before it was done.
fn interrupted(
    args: &RunArgs,
    executed: &Executed,
    cluster: Option<&JobsSettings>,
    following: &Following,
    out: &RunDir,
) -> Result<Exit> {
    eprintln!("interrupted after {:.1} s", executed.summary.seconds);
    match (&args.detached, cluster) {
        (Some(folder), Some(settings)) if executed.time_is_over => {
            let id = detach::again(settings, folder)?;
            eprintln!("the run goes on as job {id}");
        }
        _ => following.end(out)?,
    }
    Ok(Exit::Interrupted)
}

/// Whether every node is made and every question answered: the same run again would make nothing.
fn is_whole(summary: &RunSummary) -> bool {
    let done = summary.count(NodeEnd::Ran) + summary.count(NodeEnd::Reused);
    done == summary.outcomes.len() && summary.unanswered == 0
}

/// What the run folder says of how it was made. Only facts that no number depends on.
fn record(prepared: &Prepared, jobs: usize, cores: usize) -> RunRecord {
    RunRecord {
        spec_text: prepared.spec_text.clone(),
        lock: prepared.planned.lock.clone(),
        provenance: ProvenanceRecord {
            driftgauge: env!("CARGO_PKG_VERSION").to_owned(),
            engine: prepared.planned.lock.engine.clone(),
            determinism: DETERMINISM.to_owned(),
            command: std::env::args().collect(),
            host: HostRecord {
                os: std::env::consts::OS.to_owned(),
                arch: std::env::consts::ARCH.to_owned(),
                vectors: driftgauge_lm::vectors(),
                cores: cores as u64,
                jobs: jobs as u64,
            },
            ..ProvenanceRecord::default()
        },
    }
}

/// `HF_HUB_OFFLINE`, as the hub's own tools read it.
fn hub_is_offline() -> bool {
    std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| {
        let value = value.to_ascii_lowercase();
        matches!(value.as_str(), "1" | "true" | "yes" | "on")
    })
}

/// Two runs must not write one folder.
fn this_run_alone(writer: &Writer, out: &RunDir) -> Result<Claim> {
    let folder = std::fs::canonicalize(out.path())
        .with_context(|| format!("cannot open `{}`", out.path().display()))?;
    let name = Digest::of(format!("run folder {}", folder.display()).as_bytes());
    match writer.claim(&name)? {
        Claimed::Mine(claim) => Ok(claim),
        Claimed::Theirs(process) => {
            let said = format!("`{}` is being written by {process}", out.path().display());
            let help = "wait for it to end, or name another folder with `--out DIR`";
            Err(Problem::failed(said).help(help).of_input())
        }
    }
}
