//! A run on its way: what is missing is made, on this machine or by jobs, until it is done or someone ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftgauge_graph::cancel::Cancel;
use driftgauge_graph::context::Context;
use driftgauge_graph::exec::{Executor, JobsSettings, Local};
use driftgauge_graph::forecast::{Forecast, Foreseen, Machine, keep};
use driftgauge_graph::resolve::Prepared as Planned;
use driftgauge_graph::rounds::run_search;
use driftgauge_graph::run::{RunRecord, RunSummary, run as run_plan};
use driftgauge_graph::why::{History, explain};
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::RunDir;
use driftgauge_store::{Store, Writer};

use super::signals::{Told, told_to_stop};
use crate::args::RunArgs;
use crate::commands::context::context_of;
use crate::commands::interrupt::Following;
use crate::commands::load::{self, Prepared, Said};
use crate::commands::{executor, plan_said};
use crate::eta::Eta;
use crate::progress::Progress;

/// A run that may begin.
pub(super) struct Execution {
    pub(super) context: Arc<Context>,
    cancel: Arc<Cancel>,
    machine: Machine,
    forecast: Forecast,
    /// The whole of a plan from which a search chooses.
    searching: Option<Planned>,
}

/// What came of it.
pub(super) struct Executed {
    pub(super) summary: RunSummary,
    /// How far the forecast was from what was measured, where this machine made the nodes.
    pub(super) foreseen: Option<Foreseen>,
    /// Whether the queue that this run is a job of ended it.
    pub(super) time_is_over: bool,
}

impl Execution {
    /// The run of a plan, and what is said of its spec.
    pub(super) fn new(
        args: &RunArgs,
        prepared: Prepared,
        (store, writer): (Store, Writer),
        (jobs, cores): (usize, usize),
        out: &RunDir,
    ) -> Result<(Self, Said)> {
        let machine = load::machine(&prepared);
        let Prepared {
            planned,
            metrics,
            said,
            ..
        } = prepared;
        // Why a node runs is not told here.
        let missing = plan_said::to_run(&explain(&planned.plan, &store, &History::default()));
        let forecast = Forecast::of(
            &planned.experiment,
            &planned.plan,
            &machine,
            &store,
            &missing,
        );
        let eta = Eta::new(forecast.seconds_by_id(&planned.plan), jobs);
        let searches = !planned.experiment.searches.is_empty();
        let searching = searches.then(|| planned.clone());
        let cancel = Arc::new(Cancel::default());
        let context = Arc::new(context_of(
            planned,
            metrics,
            (store, writer),
            (&args.store.device, args.strict),
            Arc::new(Progress::new(&out.events(), eta)),
            Arc::clone(&cancel),
            (jobs, cores),
        )?);
        let run = Self {
            context,
            cancel,
            machine,
            forecast,
            searching,
        };
        Ok((run, said))
    }

    /// Makes what is missing, through a cluster's queue where one is named.
    pub(super) fn make(
        self,
        cluster: Option<JobsSettings>,
        following: &Following,
        out: &RunDir,
        record: &RunRecord,
    ) -> Result<Executed> {
        eprintln!(
            "driftgauge {}: running `{}` ({} nodes)",
            env!("CARGO_PKG_VERSION"),
            self.context.experiment.name,
            self.context.plan.nodes.len()
        );
        let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
        let is_here = cluster.is_none();
        let executor = executor_of(cluster)?;
        let time_is_over = Arc::new(AtomicBool::new(false));
        let (summary, foreseen) = runtime.block_on(async {
            tokio::spawn(listen(
                following.clone(),
                self.cancel,
                Arc::clone(&time_is_over),
            ));
            let Some(whole) = self.searching else {
                let summary = run_plan(Arc::clone(&self.context), executor, out, record).await?;
                // What a job took, its queue's time was part of.
                let foreseen = is_here
                    .then(|| {
                        keep(
                            &self.context,
                            &self.machine,
                            &self.forecast,
                            &summary.outcomes,
                        )
                    })
                    .flatten();
                return Ok::<_, Problem>((summary, foreseen));
            };
            // Which of what was foreseen is made, only the search knows.
            let summary = run_search(self.context, executor, &whole, out, record).await?;
            Ok((summary, None))
        })?;
        // Worker threads that still wait for input must not keep the process.
        runtime.shutdown_background();
        Ok(Executed {
            summary,
            foreseen,
            time_is_over: time_is_over.load(Ordering::SeqCst),
        })
    }
}

/// Raises `cancel` when someone wants the run to end.
async fn listen(following: Following, cancel: Arc<Cancel>, time_is_over: Arc<AtomicBool>) {
    if let Ok(told) = told_to_stop().await {
        time_is_over.store(told == Told::TimeIsOver, Ordering::SeqCst);
        following.decide();
        cancel.raise();
    }
    // A plugin in this process may not listen: the second time nothing is waited for.
    if told_to_stop().await.is_ok() {
        std::process::exit(130);
    }
}

fn executor_of(cluster: Option<JobsSettings>) -> Result<Arc<dyn Executor>> {
    let Some(settings) = cluster else {
        return Ok(Arc::new(Local));
    };
    let jobs = executor::open(settings)?;
    if jobs.adopted() > 0 {
        eprintln!(
            "  jobs    {} of an earlier run are taken over",
            jobs.adopted()
        );
    }
    Ok(Arc::new(jobs))
}
