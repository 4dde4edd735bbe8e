//! `driftgauge run`: executes what is missing, writes the run folder and draws the report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftgauge_engine::LOGITS_AGREE;
use driftgauge_graph::cancel::Cancel;
use driftgauge_graph::event::Outcome as NodeEnd;
use driftgauge_graph::exec::{Executor, Jobs, Local};
use driftgauge_graph::forecast::{Forecast, Foreseen, keep};
use driftgauge_graph::remote::to_ask;
use driftgauge_graph::resolve::Unproven;
use driftgauge_graph::rounds::run_search;
use driftgauge_graph::run::{RunRecord, RunSummary, check_run_folder, run as run_plan};
use driftgauge_graph::sealing;
use driftgauge_graph::why::{History, explain};
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::RunDir;
use driftgauge_record::files::provenance::{HostRecord, ProvenanceRecord};
use driftgauge_report::Report;
use driftgauge_store::{Claim, Claimed, Digest, Store, Writer};
use serde_json::json;

use super::context::context_of;
use super::interrupt::Following;
use super::load::{self, Network, Outcome, Prepared, Said};
use super::plan_said::to_run;
use super::spans::how_far;
use super::unchanged;
use crate::args::{RunArgs, SpecFormat};
use crate::eta::Eta;
use crate::exit::Exit;
use crate::progress::Progress;

/// What can be expected of a second run.
const DETERMINISM: &str =
    "byte-identical on one machine and build, whatever the number of threads and processes";

pub(crate) fn run(args: &RunArgs) -> Result<Exit> {
    let profile = super::executor::profile(&args.executor)?;
    if let Some(option) = needs_cluster(args).filter(|_| profile.is_none()) {
        let message = format!("`{option}` needs a cluster, and this run is made on this machine");
        let help = "name one with `--executor slurm` or `--executor PROFILE.yaml`";
        return Err(Problem::new("no-cluster", message).help(help).of_input());
    }
    if let Some(profile) = &profile {
        super::executor::check(profile)?;
    }
    let store = Store::open(&args.store.store)?;
    let network = if args.store.offline || hub_is_offline() {
        Network::Closed
    } else {
        Network::Open
    };
    let how = args.diagnosing;
    let prepared = match load::prepare(&args.spec, &args.store, &store, network, how)? {
        Outcome::Ready(prepared) => prepared,
        Outcome::Refused => return Ok(Exit::Usage),
    };
    prepared.said.mention(how);
    let out = RunDir::new(&args.out);
    check_run_folder(&out, &prepared.planned.experiment.name)
        .map_err(|error| Problem::from(error).of_input())?;
    if args.locked {
        super::locked::check(&out, &prepared.planned.lock)?;
    }
    if let Some(problem) = unproven_ahead(&prepared).filter(|_| args.strict) {
        return Err(problem.of_input());
    }
    if let Some(problem) = not_at_hand(&prepared, &store, args.store.offline) {
        return Err(problem.of_input());
    }
    for (source, commit) in prepared.planned.experiment.pinned_hub_sources() {
        eprintln!(
            "  pinned  {} at `{}` to commit {commit}",
            source.repository, source.revision
        );
    }
    let cluster = profile.map(|profile| {
        let how = (network == Network::Closed, args.strict);
        super::executor::settings(profile, &out, &store, &args.store, how)
    });
    let cluster = cluster.transpose()?;
    let writer = store.writer()?;
    std::fs::create_dir_all(out.path())
        .with_context(|| format!("cannot make `{}`", out.path().display()))?;
    if args.detach
        && let Some(settings) = &cluster
    {
        let id = super::detach::submit(settings)?;
        println!(
            "the run is job {id}; `driftgauge status {}` shows its jobs",
            out.path().display()
        );
        return Ok(Exit::Done);
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
    let machine = load::machine(&prepared);
    let plan = &prepared.planned.plan;
    // Why a node runs is not told here.
    let missing = to_run(&explain(plan, &store, &History::default()));
    let forecast = Forecast::of(
        &prepared.planned.experiment,
        plan,
        &machine,
        &store,
        &missing,
    );
    let eta = Eta::new(forecast.seconds_by_id(plan), jobs);
    let searching =
        Some(prepared.planned.clone()).filter(|planned| !planned.experiment.searches.is_empty());
    let (said, cancel) = (prepared.said, Arc::new(Cancel::default()));
    let context = Arc::new(context_of(
        prepared.planned,
        prepared.metrics,
        (store, writer),
        (&args.store.device, args.strict),
        Arc::new(Progress::new(&out.events(), eta)),
        Arc::clone(&cancel),
        (jobs, cores),
    )?);
    if let Some(settings) = cluster.clone().filter(|_| args.print_jobs) {
        return Ok(super::planned_jobs::print(&context, &Jobs::open(settings)?));
    }
    let digests = context.store.digests();
    let name = context.experiment.name.clone();
    eprintln!(
        "driftgauge {}: running `{name}` ({} nodes)",
        env!("CARGO_PKG_VERSION"),
        context.plan.nodes.len()
    );
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let is_here = cluster.is_none();
    let executor: Arc<dyn Executor> = match cluster.clone() {
        None => Arc::new(Local),
        Some(settings) => {
            let jobs = super::executor::open(settings)?;
            if jobs.adopted() > 0 {
                eprintln!(
                    "  jobs    {} of an earlier run are taken over",
                    jobs.adopted()
                );
            }
            Arc::new(jobs)
        }
    };
    let following = Following::new(cluster.is_some(), args.on_interrupt);
    let (heard, time_is_over) = (following.clone(), Arc::new(AtomicBool::new(false)));
    let time = Arc::clone(&time_is_over);
    let (summary, foreseen) = runtime.block_on(async {
        tokio::spawn(async move {
            if let Ok(told) = told_to_stop().await {
                time.store(told == Told::TimeIsOver, Ordering::SeqCst);
                heard.decide();
                cancel.raise();
            }
            // A plugin in this process may not listen: the second time nothing is waited for.
            if told_to_stop().await.is_ok() {
                std::process::exit(130);
            }
        });
        let Some(whole) = searching else {
            let summary = run_plan(Arc::clone(&context), executor, &out, &record).await?;
            // What a job took, its queue's time was part of.
            let foreseen = is_here
                .then(|| keep(&context, &machine, &forecast, &summary.outcomes))
                .flatten();
            return Ok::<_, Problem>((summary, foreseen));
        };
        // Which of what was foreseen is made, only the search knows.
        let summary = run_search(context, executor, &whole, &out, &record).await?;
        Ok((summary, None))
    })?;
    // Worker threads that still wait for input must not keep the process.
    runtime.shutdown_background();
    if summary.interrupted {
        sealing::seal(&out, &digests, None)?;
        eprintln!("interrupted after {:.1} s", summary.seconds);
        if let (Some(folder), Some(settings), true) = (
            &args.detached,
            &cluster,
            time_is_over.load(Ordering::SeqCst),
        ) {
            let id = super::detach::again(settings, folder)?;
            eprintln!("the run goes on as job {id}");
        } else {
            following.end(&out)?;
        }
        return Ok(Exit::Interrupted);
    }
    let built = Report::build(&out).context("the report could not be made")?;
    built
        .write(&out)
        .context("the report could not be written")?;
    let made = fingerprint.filter(|_| {
        let done = summary.count(NodeEnd::Ran) + summary.count(NodeEnd::Reused);
        done == summary.outcomes.len() && summary.unanswered == 0
    });
    sealing::seal(&out, &digests, made.as_ref())?;
    Ok(end(args, &said, &summary, &built, &out, foreseen.as_ref()))
}

/// Tells what came out.
fn end(
    args: &RunArgs,
    said: &Said,
    summary: &RunSummary,
    built: &Report,
    out: &RunDir,
    foreseen: Option<&Foreseen>,
) -> Exit {
    let (how, page) = (args.diagnosing, out.report_html());
    match how.format {
        SpecFormat::Json => println!("{}", as_json(summary, &page, foreseen)),
        SpecFormat::Sarif => said.tell(how),
        SpecFormat::Text | SpecFormat::Github => {
            print!("{}", built.to_text());
            eprintln!("{}", closing(summary, &page));
            if let Some(foreseen) = foreseen {
                eprintln!("took {}", how_far(foreseen));
            }
        }
    }
    let unproven = unproven(out);
    for what in &unproven {
        eprintln!("note: {what}");
    }
    if let Some(note) = kinds_of_machines(out) {
        eprintln!("warning: {note}");
    }
    if summary.count(NodeEnd::Failed) > 0 {
        Exit::Failed
    } else if args.strict && !unproven.is_empty() {
        eprintln!("error: `--strict`, and not everything was proven of every model");
        Exit::Failed
    } else if summary.gate_failed() {
        Exit::GateFailed
    } else {
        Exit::Done
    }
}

/// What a strict run would refuse when it has loaded its models, where that is known before.
fn unproven_ahead(prepared: &Prepared) -> Option<Problem> {
    let Unproven { model, why } = prepared.unproven.first()?;
    let message = format!("`{LOGITS_AGREE}` of `{model}` cannot be proven: {why}");
    let help = "run without `--strict` to have the numbers with a note in the report";
    Some(Problem::new("unproven", message).help(help))
}

/// What the self-checks of the run's models could not prove, also where an earlier run made the answers.
fn unproven(out: &RunDir) -> Vec<String> {
    let provenance: Option<ProvenanceRecord> = out.read_if_there().ok().flatten();
    let unproven = provenance.iter().flat_map(ProvenanceRecord::unproven);
    unproven
        .map(|(model, check)| {
            format!(
                "not proven of `{model}`: `{}`, {}",
                check.name, check.detail
            )
        })
        .collect()
}

/// That parts of the run were made on different kinds of machines.
fn kinds_of_machines(out: &RunDir) -> Option<String> {
    let provenance: ProvenanceRecord = out.read_if_there().ok()??;
    let kinds = provenance.kinds();
    let listed: Vec<String> = kinds
        .iter()
        .map(|(kind, nodes)| format!("\n  {kind}: {} nodes", nodes.len()))
        .collect();
    (kinds.len() > 1).then(|| {
        format!(
            "parts of this run were made on different kinds of machines, whose numbers may differ in their last digits:{}\nhint: `constraint` in the profile keeps jobs on one kind",
            listed.concat()
        )
    })
}

/// Who wants a run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// A person, or the system.
    Stop,
    /// The queue that the run is a job of, some time before its limit.
    TimeIsOver,
}

/// Returns when Ctrl-C is pressed, or someone asks the process to end.
async fn told_to_stop() -> std::io::Result<Told> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        let mut time = signal(SignalKind::user_defined1())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Told::Stop),
            _ = terminated.recv() => Ok(Told::Stop),
            _ = hung_up.recv() => Ok(Told::Stop),
            _ = time.recv() => Ok(Told::TimeIsOver),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| Told::Stop)
}

/// The option of the command line that means something on a cluster only.
fn needs_cluster(args: &RunArgs) -> Option<&'static str> {
    let options = [
        (args.print_jobs, "--print-jobs"),
        (args.detach, "--detach"),
        (args.on_interrupt.is_some(), "--on-interrupt"),
    ];
    let mut given = options.iter().filter(|(is_given, _)| *is_given);
    given.next().map(|(_, option)| *option)
}

/// `HF_HUB_OFFLINE`, as the hub's own tools read it.
fn hub_is_offline() -> bool {
    std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| {
        let value = value.to_ascii_lowercase();
        matches!(value.as_str(), "1" | "true" | "yes" | "on")
    })
}

/// What the run needs and cannot have: sources of the hub, servers, keys. Found before anything runs.
fn not_at_hand(prepared: &Prepared, store: &Store, offline: bool) -> Option<Problem> {
    if let Some(source) = prepared.planned.experiment.missing_hub_sources().first() {
        let cache = driftgauge_data::hub::cache().unwrap_or_default();
        let message = format!(
            "`{}` at `{}` is not whole in the local cache of the hub, `{}`: {}",
            source.repository,
            source.revision,
            cache.display(),
            source.lacks().unwrap_or_default()
        );
        let help = "run once without `--offline` (and without `HF_HUB_OFFLINE`), or fetch it with `hf download`";
        return Some(Problem::new("not-cached", message).help(help));
    }
    let remote = to_ask(&prepared.planned.experiment, &prepared.planned.plan, store);
    if offline && let Some(first) = remote.first() {
        let message = format!(
            "`{}` has to ask the server of model `{}` at {}, and `--offline` opens no socket",
            first.node, first.model, first.endpoint.base_url
        );
        let help = "run without `--offline`; with it, everything that servers say has to be in the store already";
        return Some(Problem::new("offline", message).help(help));
    }
    remote.iter().find_map(|node| {
        let name = node.endpoint.api_key_env.as_ref()?;
        let unset = std::env::var(name).unwrap_or_default().trim().is_empty();
        unset.then(|| {
            let message = format!(
                "model `{}` needs the key of its server in the environment variable `{name}`, which is not set",
                node.model
            );
            Problem::new("no-key", message).help(format!("`export {name}=...`, then run again"))
        })
    })
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

fn as_json(
    summary: &RunSummary,
    report: &std::path::Path,
    foreseen: Option<&Foreseen>,
) -> serde_json::Value {
    json!({
        "report": report,
        "seconds": summary.seconds,
        "ran": summary.count(NodeEnd::Ran),
        "reused": summary.count(NodeEnd::Reused),
        "failed": summary.count(NodeEnd::Failed),
        "skipped": summary.count(NodeEnd::Skipped),
        "unanswered": summary.unanswered,
        "foreseen": foreseen,
        "results": summary.results,
    })
}

fn closing(summary: &RunSummary, report: &std::path::Path) -> String {
    let count = |end: NodeEnd, one: &str, more: &str| {
        let count = summary.count(end);
        format!("{count} {}", if count == 1 { one } else { more })
    };
    let mut out = format!(
        "\n{}, {}, {}, {} in {:.1} s\nreport: {}",
        count(NodeEnd::Ran, "node ran", "nodes ran"),
        count(NodeEnd::Reused, "was reused", "were reused"),
        count(NodeEnd::Failed, "failed", "failed"),
        count(NodeEnd::Skipped, "was skipped", "were skipped"),
        summary.seconds,
        report.display()
    );
    if summary.unanswered > 0 {
        let (noun, those) = match summary.unanswered {
            1 => ("answer", "that sample counts as an error"),
            _ => ("answers", "those samples count as errors"),
        };
        out.push_str(&format!(
            "\n{} {noun} of a server did not come: {those}, and the same command asks again",
            summary.unanswered
        ));
    }
    if summary.count(NodeEnd::Failed) > 0 {
        out.push_str("\nhint: running the same command again repeats only what is missing");
    }
    out
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
