//! What the nodes of a plan are made with, in this process and in a job's.

use std::sync::Arc;

use driftgauge_engine::MetricRunner;
use driftgauge_graph::cancel::Cancel;
use driftgauge_graph::context::{Context, SpentOn};
use driftgauge_graph::event::Observer;
use driftgauge_graph::resolve::Prepared as Planned;
use driftgauge_problem::{Context as _, Result};
use driftgauge_store::{Store, Writer};

/// What nodes are made with.
pub(super) fn context_of(
    planned: Planned,
    metrics: Arc<dyn MetricRunner>,
    (store, writer): (Store, Writer),
    (device, strict): (&str, bool),
    observer: Arc<dyn Observer>,
    cancel: Arc<Cancel>,
    (jobs, cores): (usize, usize),
) -> Result<Context> {
    Ok(Context {
        experiment: planned.experiment,
        plan: planned.plan,
        store,
        worker_exe: std::env::current_exe().context("cannot find this program's own file")?,
        engine: planned.engine,
        processor: format!("{}, {}", std::env::consts::ARCH, driftgauge_lm::vectors()),
        machine: crate::machine::this(device),
        device: device.to_owned(),
        metrics,
        observer,
        cancel,
        jobs,
        cores,
        strict,
        spent: SpentOn::default(),
        shard: None,
        writer: Arc::new(writer),
    })
}
