//! `driftgauge status` and `driftgauge cancel`: the jobs of a run on a cluster, with or without a run that follows them.

use std::collections::HashMap;

use driftgauge_cluster::{End, JobId, Listed, Queue, State};
use driftgauge_graph::exec::{RecordedJob, recorded_jobs};
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::{RunDir, visible};
use serde_json::{Value, json};

use super::{detach, executor};
use crate::args::{Format, JobsArgs};
use crate::exit::Exit;

/// A job of a run, and where it is.
struct Known {
    job: RecordedJob,
    id: Option<JobId>,
    state: Standing,
}

/// Where a job is.
enum Standing {
    /// The queue has it.
    Listed(State, String),
    /// It is over, and said what became of its nodes.
    Done { failed: usize },
    /// It is over, and the driver took down how.
    Lost(End),
    /// Neither the queue nor its own files know of it.
    Gone,
    /// The queue did not take it.
    NotTaken,
}

pub(crate) fn status(args: &JobsArgs) -> Result<Exit> {
    let (jobs, queue) = of_run(args)?;
    let listed = list(queue.as_ref())?;
    let driver = detach::driver(&RunDir::new(&args.dir).jobs())?;
    let driver = driver.and_then(|driver| {
        let listed = listed.get(&driver.id)?;
        Some((driver.id, listed.state.clone()))
    });
    let known: Vec<Known> = jobs.into_iter().map(|job| known(job, &listed)).collect();
    match args.format {
        Format::Json => {
            let jobs: Vec<Value> = known.iter().map(as_json).collect();
            let driver = driver.map(|(id, state)| json!({ "id": id, "state": state.to_string() }));
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({ "driver": driver, "jobs": jobs }))?
            );
        }
        Format::Text => {
            let mut text = String::new();
            for known in &known {
                let id = known.id.as_ref().map_or("-", |id| id.0.as_str());
                text.push_str(&format!("  {id:<10}  {}\n", known.state));
                for node in &known.job.order.nodes {
                    text.push_str(&format!("              {node}\n"));
                }
                text.push_str(&format!(
                    "              log: {}\n",
                    known.job.log().display()
                ));
            }
            let alive = known.iter().filter(|known| known.state.is_alive()).count();
            let driver = match driver {
                Some((id, state)) => format!("; the run itself is job {id}, {state}"),
                None => String::new(),
            };
            text.push_str(&format!(
                "{} jobs, {alive} in the queue{driver}\n",
                known.len()
            ));
            print!("{}", visible(&text));
        }
    }
    Ok(Exit::Done)
}

pub(crate) fn cancel(args: &JobsArgs) -> Result<Exit> {
    let (jobs, queue) = of_run(args)?;
    let out = RunDir::new(&args.dir);
    let cancelled = cancel_all(&out, jobs, queue.as_ref())?;
    match args.format {
        Format::Json => println!("{}", json!({ "cancelled": cancelled })),
        Format::Text => println!(
            "{} jobs cancelled; what is finished is kept",
            cancelled.len()
        ),
    }
    Ok(Exit::Done)
}

/// Takes back all living jobs of a run, the run itself first.
pub(super) fn cancel_run(out: &RunDir) -> Result<Vec<JobId>> {
    let folder = out.jobs();
    let Some(profile) = executor::kept_profile(&folder)? else {
        return Ok(Vec::new());
    };
    cancel_all(out, recorded_jobs(&folder)?, profile.queue()?.as_ref())
}

fn cancel_all(out: &RunDir, jobs: Vec<RecordedJob>, queue: &dyn Queue) -> Result<Vec<JobId>> {
    let listed = list(queue)?;
    let mut ids = Vec::new();
    if let Some(driver) = detach::driver(&out.jobs())?
        && listed
            .get(&driver.id)
            .is_some_and(|job| !matches!(job.state, State::Over(_)))
    {
        ids.push(driver.id);
    }
    for known in jobs.into_iter().map(|job| known(job, &listed)) {
        if known.state.is_alive() {
            ids.extend(known.id);
        }
    }
    if !ids.is_empty() {
        runtime()?.block_on(queue.cancel(&ids))?;
    }
    Ok(ids)
}

/// The jobs of a run and their queue.
fn of_run(args: &JobsArgs) -> Result<(Vec<RecordedJob>, Box<dyn Queue>)> {
    let folder = RunDir::new(&args.dir).jobs();
    let Some(profile) = executor::kept_profile(&folder)? else {
        let message = format!("`{}` has no jobs of a cluster", args.dir.display());
        let help = "name the folder that `driftgauge run --executor` was given with `--out`";
        return Err(Problem::new("no-jobs", message).help(help).of_input());
    };
    Ok((recorded_jobs(&folder)?, profile.queue()?))
}

fn list(queue: &dyn Queue) -> Result<HashMap<JobId, Listed>> {
    let listed = runtime()?.block_on(queue.list())?;
    Ok(listed
        .into_iter()
        .map(|job| (job.id.clone(), job))
        .collect())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start the runtime")
}

fn known(job: RecordedJob, listed: &HashMap<JobId, Listed>) -> Known {
    let name = job.try_name();
    let id = job.submitted.as_ref().map(|submitted| submitted.id.clone());
    let found = match &id {
        Some(id) => listed.get(id),
        // Its driver died before it knew the id.
        None => listed.values().find(|job| job.name.as_ref() == Some(&name)),
    };
    let alive = found.filter(|job| !matches!(job.state, State::Over(_)));
    let lost = job.over.as_ref().and_then(|over| over.lost);
    let state = match (alive, lost, &job.end, found) {
        (Some(listed), ..) => Standing::Listed(listed.state.clone(), listed.reason.clone()),
        (_, Some(lost), ..) => Standing::Lost(lost.end),
        (_, _, Some(end), _) if end.stopped.is_none() => Standing::Done {
            failed: end.nodes.iter().filter(|node| !node.made).count(),
        },
        (.., Some(listed)) => Standing::Listed(listed.state.clone(), listed.reason.clone()),
        _ if id.is_none() => Standing::NotTaken,
        _ => Standing::Gone,
    };
    Known {
        id: id.or_else(|| found.map(|job| job.id.clone())),
        state,
        job,
    }
}

fn as_json(known: &Known) -> Value {
    json!({
        "name": known.job.try_name(),
        "id": known.id,
        "state": known.state.to_string(),
        "in_queue": known.state.is_alive(),
        "try": known.job.number,
        "nodes": known.job.order.nodes,
        "log": known.job.log(),
    })
}

impl Standing {
    fn is_alive(&self) -> bool {
        matches!(self, Self::Listed(state, _) if !matches!(state, State::Over(_)))
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listed(state, reason) if reason.is_empty() => write!(f, "{state}"),
            Self::Listed(state, reason) => write!(f, "{state} ({reason})"),
            Self::Done { failed: 0 } => f.write_str("done"),
            Self::Done { failed } => write!(f, "{failed} nodes failed"),
            Self::Lost(end) => write!(f, "ended: {end}"),
            Self::NotTaken => f.write_str("was not submitted"),
            Self::Gone => f.write_str("gone; the next run looks what it left"),
        }
    }
}
