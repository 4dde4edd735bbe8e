//! `driftgauge job`: makes some nodes of a run on the machine where a queue started it, says how it ended, and is gone.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use driftgauge_cluster::{
    JobEnd, NodeEnd, SCHEMA, Stop, WorkOrder, end_file, events_file, read_json, write_json,
};
use driftgauge_graph::cancel::Cancel;
use driftgauge_graph::context::{Context, Shard};
use driftgauge_graph::exec::{Executor, Local, OneShard, execute_only};
use driftgauge_graph::forecast::{self, keep_rates};
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_store::Store;

use super::context::context_of;
use super::load::{self, Network, Outcome};
use crate::args::{Diagnosing, JobArgs, SpecArgs, SpecFormat, StoreArgs};
use crate::eta::Eta;
use crate::exit::Exit;
use crate::progress::Progress;

pub(crate) fn run(args: &JobArgs) -> Result<Exit> {
    let folder = args.order.parent().unwrap_or(Path::new("."));
    let order: WorkOrder = read_json(&args.order)?
        .ok_or_else(|| format!("there is no work order `{}`", args.order.display()))?;
    // A queue may start a job anew, in the same folder.
    let end = folder.join(end_file(args.shard));
    if end.exists() {
        std::fs::remove_file(&end).with_context(|| format!("cannot remove `{}`", end.display()))?;
    }
    let machine = crate::machine::this(&order.device);
    eprintln!(
        "driftgauge {}: a job of {} nodes on `{}`",
        env!("CARGO_PKG_VERSION"),
        order.keys.len(),
        machine.host
    );
    let made = part_of(&order, args.shard).and_then(|shard| make(&order, folder, shard));
    let (stopped, nodes) = match made {
        Ok(made) => made,
        Err(problem) => {
            eprintln!("error: {problem}");
            let failed = order.keys.iter().map(|key| NodeEnd {
                key: key.clone(),
                made: false,
                error: Some(problem.clone()),
            });
            (None, failed.collect())
        }
    };
    let failed = nodes.iter().any(|node| !node.made);
    write_json(
        &end,
        &JobEnd {
            schema: SCHEMA,
            stopped,
            nodes,
            machine,
        },
    )?;
    Ok(match stopped {
        Some(_) => Exit::Interrupted,
        None if failed => Exit::Failed,
        None => Exit::Done,
    })
}

/// The part of the order that a task of an array makes.
fn part_of(order: &WorkOrder, task: Option<u32>) -> Result<Option<Shard>> {
    match (&order.shards, task) {
        (None, None) => Ok(None),
        (Some(shards), Some(index)) if shards.tasks.contains(&index) => Ok(Some(Shard {
            index,
            of: shards.of,
        })),
        (_, task) => {
            let task = task.map_or("none".to_owned(), |task| task.to_string());
            let message = format!("the order has no part with this number: {task}");
            Err(Problem::new("no-such-shard", message))
        }
    }
}

fn make(
    order: &WorkOrder,
    folder: &Path,
    shard: Option<Shard>,
) -> Result<(Option<Stop>, Vec<NodeEnd>)> {
    if order.schema != SCHEMA || order.driftgauge != env!("CARGO_PKG_VERSION") {
        let message = format!(
            "the run is driven by driftgauge {}, and the program on this node is {}",
            order.driftgauge,
            env!("CARGO_PKG_VERSION")
        );
        let help = "name the same program with `program` in the profile";
        return Err(Problem::new("other-version", message).help(help));
    }
    let store = Store::open(&order.store)?;
    let spec = SpecArgs {
        spec: order.spec.clone(),
        set: Vec::new(),
    };
    let options = StoreArgs {
        store: order.store.clone(),
        plugin_dirs: order.plugin_dirs.clone(),
        limit: order.limit.and_then(NonZeroUsize::new),
        device: order.device.clone(),
        offline: true,
    };
    let how = Diagnosing {
        format: SpecFormat::Text,
        deny: None,
    };
    let prepared = match load::prepare(&spec, &options, &store, Network::Closed, how)? {
        Outcome::Ready(prepared) => prepared,
        Outcome::Refused => {
            let message = format!(
                "the spec `{}` cannot be used here; the log says why",
                order.spec.display()
            );
            return Err(Problem::new("refused", message));
        }
    };
    let plan = &prepared.planned.plan;
    let mut wanted = HashSet::new();
    let mut nodes = Vec::new();
    for (key, name) in order
        .keys
        .iter()
        .zip(order.nodes.iter().chain(std::iter::repeat(&String::new())))
    {
        let node = plan
            .nodes
            .iter()
            .position(|node| node.key.as_ref().is_some_and(|known| known.as_str() == key));
        let Some(node) = node else {
            let message = format!(
                "nothing in the plan has the key {key} (`{name}`) here: a file that the run rests on has changed since it was planned, or is another one on this node"
            );
            let help = "`driftgauge plan` on this node shows its keys; the files have to lie on a file system that all nodes share";
            return Err(Problem::new("other-key", message).help(help));
        };
        wanted.insert(node);
        nodes.push((key.clone(), node));
    }
    let writer = store.writer()?;
    let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Where nothing keeps a job to its cores, it keeps itself.
    let cores = order
        .cpus
        .map_or(available, |cpus| available.min(cpus as usize))
        .max(1);
    let cancel = Arc::new(Cancel::default());
    let machine = forecast::Machine {
        cores,
        ..load::machine(&prepared)
    };
    let events = folder.join(events_file(shard.map(|shard| shard.index)));
    let context = context_of(
        prepared.planned,
        prepared.metrics,
        (store, writer),
        (&order.device, order.strict),
        Arc::new(Progress::new(&events, Eta::default())),
        Arc::clone(&cancel),
        (cores, cores),
    )?;
    let context = Arc::new(Context { shard, ..context });
    let executor: Arc<dyn Executor> = match shard {
        Some(shard) => Arc::new(OneShard(shard)),
        None => Arc::new(Local),
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let told = Arc::new(AtomicU8::new(0));
    let made = Arc::clone(&context);
    let outcomes = runtime.block_on(async {
        let (told, cancel) = (Arc::clone(&told), Arc::clone(&cancel));
        tokio::spawn(async move {
            if let Ok(stop) = told_to_stop().await {
                eprintln!("told to stop: saving what is done");
                told.store(stop as u8 + 1, Ordering::SeqCst);
                cancel.raise();
            }
        });
        execute_only(context, executor, wanted).await
    });
    runtime.shutdown_background();
    if is_begun_anew(folder) {
        // Seconds of a training that goes on are not those of all of it.
        keep_rates(&made, &machine, &outcomes);
    }
    let stopped = match told.load(Ordering::SeqCst) {
        0 => None,
        1 => Some(Stop::Time),
        _ => Some(Stop::Asked),
    };
    let ends = nodes.into_iter().map(|(key, node)| {
        let outcome = outcomes[node].as_ref();
        let error = match outcome {
            Some(outcome) => outcome.error.clone(),
            None => Some(Problem::failed("the job was stopped before this was done")),
        };
        NodeEnd {
            key,
            made: outcome.is_some() && error.is_none(),
            error,
        }
    });
    let ends: Vec<NodeEnd> = ends.collect();
    // One that was told to stop when everything was there is done.
    let stopped = stopped.filter(|_| ends.iter().any(|end| !end.made));
    Ok((stopped, ends))
}

/// Whether no earlier job began with this work, and the queue has not started this one again.
fn is_begun_anew(folder: &Path) -> bool {
    let restarts = std::env::var("SLURM_RESTART_COUNT");
    folder.ends_with("try-1") && !restarts.is_ok_and(|count| count != "0")
}

/// Returns when the queue tells a job to stop.
async fn told_to_stop() -> std::io::Result<Stop> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut time = signal(SignalKind::user_defined1())?;
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = time.recv() => Ok(Stop::Time),
            _ = terminated.recv() => Ok(Stop::Asked),
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Stop::Asked),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| Stop::Asked)
}
