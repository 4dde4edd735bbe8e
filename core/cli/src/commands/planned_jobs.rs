//! The jobs that a run would submit: shown, and tested where the queue has a test. Nothing is submitted.

use std::path::Path;
use std::sync::Arc;

use driftgauge_cluster::Profile;
use driftgauge_engine::MetricRunner;
use driftgauge_graph::context::Context;
use driftgauge_graph::event::{Event, Observer};
use driftgauge_graph::exec::{Jobs, PlannedJob};
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::{RunDir, visible};
use driftgauge_store::{Digest, Store};
use serde_json::{Value, json};

use super::context::context_of;
use super::executor;
use super::load::Prepared;
use crate::args::PlanArgs;
use crate::exit::Exit;

/// The jobs of all that is still to be made, as if everything before it were there.
fn planned(context: &Context, jobs: &Jobs) -> Vec<PlannedJob> {
    let nodes = context.plan.nodes.iter().enumerate();
    let missing: Vec<usize> = nodes
        .filter(|(_, node)| {
            node.key
                .as_ref()
                .is_some_and(|key| !context.store.is_finished(key))
        })
        .map(|(index, _)| index)
        .collect();
    jobs.would_submit(context, &missing)
}

/// Into how many tasks of an array a job is divided.
fn divided(job: &PlannedJob) -> String {
    match &job.array {
        Some(array) => format!("; divided into {} tasks, each with this", array.tasks.len()),
        None => String::new(),
    }
}

/// Writes the scripts.
pub(super) fn print(context: &Context, jobs: &Jobs) -> Exit {
    for job in planned(context, jobs) {
        println!(
            "# {}: {}{}\n# {}",
            job.task.as_str(),
            job.nodes.join(", "),
            divided(&job),
            job.asked
        );
        println!("{}", visible(&job.script));
    }
    Exit::Done
}

/// A job, and what the queue says of it.
pub(super) struct Tested {
    job: PlannedJob,
    said: Result<String, Problem>,
}

/// Asks the queue about every job whose wants differ.
pub(super) fn test(
    profile: Profile,
    args: &PlanArgs,
    store: &Store,
    prepared: &Prepared,
) -> Result<Vec<Tested>> {
    // A folder that no run has: the names of its jobs are those of none.
    let out = RunDir::new("planned-run");
    let settings = executor::settings(profile, &out, store, &args.store, (true, false))?;
    let context = context_of(
        prepared.planned.clone(),
        Arc::clone(&prepared.metrics) as Arc<dyn MetricRunner>,
        (store.clone(), store.writer()?),
        (&args.store.device, false),
        Arc::new(Silent),
        Arc::default(),
        (1, 1),
    )?;
    let jobs = Jobs::open(settings)?;
    tested(&context, &jobs)
}

/// Hears nothing.
struct Silent;

impl Observer for Silent {
    fn observe(&self, _event: &Event) {}
}

fn tested(context: &Context, jobs: &Jobs) -> Result<Vec<Tested>> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    // Beside what every job reads.
    let folder = context.store.scratch(&Digest::of(b"planned jobs"))?;
    let mut tested: Vec<Tested> = Vec::new();
    for job in planned(context, jobs) {
        let same = tested
            .iter()
            .find(|other| other.job.asked.resources == job.asked.resources)
            .filter(|other| other.job.array == job.array);
        let said = match same {
            Some(other) => other.said.clone(),
            None => runtime.block_on(ask(jobs, &job, &folder))?,
        };
        tested.push(Tested { job, said });
    }
    // What stays is swept by the next run.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(tested)
}

async fn ask(jobs: &Jobs, job: &PlannedJob, folder: &Path) -> Result<Result<String, Problem>> {
    let script = folder.join("script.sh");
    std::fs::write(&script, &job.script)
        .with_context(|| format!("cannot write `{}`", script.display()))?;
    Ok(jobs.test(job, &script).await)
}

/// For people.
pub(super) fn as_text(tested: &[Tested]) -> String {
    let mut text = format!("\n{} jobs\n", tested.len());
    for Tested { job, said } in tested {
        text.push_str(&format!(
            "  {:<10}  {}{}\n",
            job.task.as_str(),
            job.asked,
            divided(job)
        ));
        for node in &job.nodes {
            text.push_str(&format!("              {node}\n"));
        }
        match said {
            Ok(said) => text.push_str(&format!("              {said}\n")),
            Err(problem) => text.push_str(&format!("              REFUSED: {problem}\n")),
        }
    }
    text
}

/// For programs.
pub(super) fn as_json(tested: &[Tested]) -> Value {
    let jobs = tested.iter().map(|Tested { job, said }| {
        json!({
            "name": job.name,
            "task": job.task,
            "nodes": job.nodes,
            "resources": job.asked.resources,
            "from": job.asked.from,
            "tasks": job.array.as_ref().map_or(1, |array| array.tasks.len()),
            "said": said.as_ref().ok(),
            "refused": said.as_ref().err().map(ToString::to_string),
        })
    });
    jobs.collect()
}

/// The first refusal.
pub(super) fn refused(tested: &[Tested]) -> bool {
    tested.iter().any(|tested| tested.said.is_err())
}
