//! What stops a run before it has written anything.

use driftgauge_engine::LOGITS_AGREE;
use driftgauge_graph::remote::to_ask;
use driftgauge_graph::resolve::Unproven;
use driftgauge_graph::run_folder::check_run_folder;
use driftgauge_problem::{Problem, Result};
use driftgauge_record::RunDir;
use driftgauge_store::Store;

use crate::args::RunArgs;
use crate::commands::load::Prepared;
use crate::commands::locked;

/// That an option was given which means something on a cluster only.
pub(super) fn without_cluster(args: &RunArgs) -> Option<Problem> {
    let options = [
        (args.print_jobs, "--print-jobs"),
        (args.detach, "--detach"),
        (args.on_interrupt.is_some(), "--on-interrupt"),
    ];
    let (_, option) = options.iter().find(|(is_given, _)| *is_given)?;
    let message = format!("`{option}` needs a cluster, and this run is made on this machine");
    let help = "name one with `--executor slurm` or `--executor PROFILE.yaml`";
    Some(Problem::new("no-cluster", message).help(help).of_input())
}

/// Refuses what the plan shows could not be made, or not into this folder.
pub(super) fn refuse(
    args: &RunArgs,
    prepared: &Prepared,
    store: &Store,
    out: &RunDir,
) -> Result<()> {
    check_run_folder(out, &prepared.planned.experiment.name)
        .map_err(|error| Problem::from(error).of_input())?;
    if args.locked {
        locked::check(out, &prepared.planned.lock)?;
    }
    if let Some(problem) = unproven_ahead(prepared).filter(|_| args.strict) {
        return Err(problem.of_input());
    }
    match not_at_hand(prepared, store, args.store.offline) {
        Some(problem) => Err(problem.of_input()),
        None => Ok(()),
    }
}

/// What a strict run would refuse when it has loaded its models, where that is known before.
fn unproven_ahead(prepared: &Prepared) -> Option<Problem> {
    let Unproven { model, why } = prepared.unproven.first()?;
    let message = format!("`{LOGITS_AGREE}` of `{model}` cannot be proven: {why}");
    let help = "run without `--strict` to have the numbers with a note in the report";
    Some(Problem::new("unproven", message).help(help))
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
