//! Which machines had a part in a node: written beside its unfinished work by each, and kept as a fact when it is finished.

use std::fs;

use driftgauge_cluster::{Machine, read_json, write_json};
use driftgauge_store::{Digest, Process};

use crate::context::Context;

/// How the names of these files begin.
const NAME: &str = "machine-";

/// Takes down that this machine works on a node. Losing it costs a line of provenance, never a result.
pub(super) fn mark(context: &Context, key: &Digest) {
    let folder = context.store.partial_dir(key);
    let path = folder.join(format!("{NAME}{}.json", Process::this().name()));
    let _ = fs::create_dir_all(&folder);
    let _ = write_json(&path, &context.machine);
}

/// The machines that worked on a node which is about to be finished, this one among them.
pub(super) fn of(context: &Context, key: &Digest) -> Vec<Machine> {
    let files = fs::read_dir(context.store.partial_dir(key));
    let files = files.into_iter().flatten().flatten();
    let marks = files.filter(|file| file.file_name().to_string_lossy().starts_with(NAME));
    let mut machines: Vec<Machine> = marks
        .filter_map(|file| read_json(&file.path()).ok().flatten())
        .collect();
    if !machines.contains(&context.machine) {
        machines.push(context.machine.clone());
    }
    machines.sort_by(|a, b| (&a.host, &a.job).cmp(&(&b.host, &b.job)));
    machines.dedup();
    machines
}

/// Takes down all machines that worked on a node whose parts were made by several processes.
pub(super) fn complete(context: &Context, key: &Digest) {
    if let Some(mut fact) = context.store.recall(key)
        && fact["machines"].is_array()
        && let Ok(machines) = serde_json::to_value(of(context, key))
        && fact["machines"] != machines
    {
        fact["machines"] = machines;
        context.store.remember(key, &fact);
    }
}
