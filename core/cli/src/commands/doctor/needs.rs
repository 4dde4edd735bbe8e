//! What the run of one spec would need: memory, disk, models and datasets of the hub, servers and their keys, plugins.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use driftgauge_graph::forecast::Forecast;
use driftgauge_graph::resolved::{ModelSource, ResolvedExperiment};
use driftgauge_graph::why::{History, explain};
use driftgauge_problem::{Problem, Result};
use driftgauge_store::Store;
use indicatif::HumanBytes;

use super::Finding;
use crate::args::{Diagnosing, DoctorArgs, SpecArgs, SpecFormat};
use crate::commands::load::{self, Network, Outcome, Prepared};
use crate::commands::plan_said::to_run;

/// Looks at a spec as `plan` does, and at what it names.
pub(super) fn of_spec(spec: PathBuf, args: &DoctorArgs) -> Result<Vec<Finding>> {
    let store = Store::look(&args.store.store);
    let how = Diagnosing {
        format: SpecFormat::Text,
        deny: None,
    };
    let spec = SpecArgs {
        spec,
        set: args.set.clone(),
    };
    let prepared = match load::prepare(&spec, &args.store, &store, Network::Closed, how)? {
        Outcome::Ready(prepared) => prepared,
        Outcome::Refused => {
            let refused = Problem::failed("it is refused; the complaints stand above");
            return Ok(vec![Finding::unsound("spec", refused)]);
        }
    };
    let planned = &prepared.planned;
    let experiment = &planned.experiment;
    let history = History::load(&store, &experiment.name);
    let missing = to_run(&explain(&planned.plan, &store, &history));
    let machine = load::machine(&prepared);
    let forecast = Forecast::of(experiment, &planned.plan, &machine, &store, &missing);
    let nodes = format!(
        "`{}`, {} nodes, {} to run",
        experiment.name,
        planned.plan.nodes.len(),
        missing.len()
    );
    let mut findings = vec![Finding::sound("spec", nodes), plugins(&prepared)];
    findings.push(memory(&prepared, &forecast));
    findings.push(disk(&forecast, &args.store.store));
    findings.extend(fetched(experiment, args.store.offline));
    findings.extend(keys(experiment));
    findings.extend(unproven(&prepared));
    Ok(findings)
}

/// The plugins that the spec's metrics name; that each is found, loads and takes its configuration was part of planning.
fn plugins(prepared: &Prepared) -> Finding {
    let metrics = prepared.planned.experiment.metrics.values();
    let named: BTreeSet<&str> = metrics.map(|metric| metric.plugin.as_str()).collect();
    let named: Vec<&str> = named.into_iter().collect();
    Finding::sound(
        "metrics",
        format!("{} described and configured", named.join(", ")),
    )
}

/// The largest process, as `plan` foresees it, against what is free.
fn memory(prepared: &Prepared, forecast: &Forecast) -> Finding {
    const WHAT: &str = "needs memory";
    let nodes = prepared.planned.plan.nodes.iter().zip(&forecast.nodes);
    let needs = nodes.filter_map(|(node, foreseen)| Some((foreseen.as_ref()?.memory, &node.id)));
    let Some((bytes, node)) = needs
        .max_by_key(|(bytes, _)| *bytes)
        .filter(|(bytes, _)| *bytes > 0)
    else {
        return Finding::sound(WHAT, "no model of known size is to be loaded");
    };
    let needed = format!(
        "about {} for `{node}`, the largest process",
        HumanBytes(bytes)
    );
    match driftgauge_graph::exec::available_memory() {
        Some(free) if free < bytes => Finding::unsound(
            WHAT,
            Problem::failed(format!("{needed}; {} can be had", HumanBytes(free)))
                .help("end other programs, `quantization` of the model, or a smaller one"),
        ),
        Some(free) => Finding::sound(WHAT, format!("{needed}; {} can be had", HumanBytes(free))),
        None => Finding::sound(
            WHAT,
            format!("{needed}; this system does not tell what is free"),
        ),
    }
}

/// What the nodes write and fetch, as `plan` foresees it, against what is free.
fn disk(forecast: &Forecast, store: &Path) -> Finding {
    const WHAT: &str = "needs disk";
    let total = forecast.all();
    let bytes = total.disk + total.download;
    let unknown = match total.unknown_downloads {
        0 => "",
        _ => ", and what the hub has to be asked for",
    };
    let needed = format!("about {}{unknown}", HumanBytes(bytes));
    match free_space(store) {
        Some(free) if free < bytes => Finding::unsound(
            WHAT,
            Problem::failed(format!("{needed}; {} are free", HumanBytes(free)))
                .help("`driftgauge cache prune`, or a store elsewhere by `--store`"),
        ),
        Some(free) => Finding::sound(WHAT, format!("{needed}; {} are free", HumanBytes(free))),
        None => Finding::sound(
            WHAT,
            format!("{needed}; this system does not tell what is free"),
        ),
    }
}

/// Free bytes of the file system of a folder, or of the nearest folder above that is there.
#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    let folder = std::path::absolute(folder).ok()?;
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let system = rustix::fs::statvfs(there).ok()?;
    Some(system.f_bavail * system.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}

/// Models and datasets of the hub that are still to be fetched.
fn fetched(experiment: &ResolvedExperiment, offline: bool) -> Option<Finding> {
    let missing = experiment.missing_hub_sources();
    if missing.is_empty() {
        return None;
    }
    let names: BTreeSet<String> = missing
        .iter()
        .map(|source| format!("{} at `{}`", source.repository, source.revision))
        .collect();
    let names: Vec<String> = names.into_iter().collect();
    let names = names.join(", ");
    Some(if offline {
        Finding::unsound(
            "to fetch",
            Problem::failed(format!("{names}: not in the local cache"))
                .help("run once without `--offline`, or copy the hub's cache here"),
        )
    } else {
        let token = match driftgauge_hub::has_token() {
            true => "a token is there",
            false => "no token is set, which gated and private ones need: `HF_TOKEN`",
        };
        Finding::sound("to fetch", format!("{names} ({token})"))
    })
}

/// Each server with its key.
fn keys(experiment: &ResolvedExperiment) -> Vec<Finding> {
    let servers = experiment
        .models
        .iter()
        .filter_map(|(id, model)| match &model.source {
            ModelSource::Endpoint(endpoint) => Some((id, endpoint)),
            _ => None,
        });
    let finding = |(id, endpoint): (&String, &driftgauge_engine::Endpoint)| {
        let at = format!("`{id}` asks {}", endpoint.base_url);
        match &endpoint.api_key_env {
            None => Finding::sound("needs a key", format!("{at} without a key")),
            Some(name) if std::env::var(name).is_ok_and(|key| !key.trim().is_empty()) => {
                Finding::sound("needs a key", format!("{at}; `{name}` is set"))
            }
            Some(name) => Finding::unsound(
                "needs a key",
                Problem::failed(format!(
                    "{at}; the environment variable `{name}` is not set"
                ))
                .help(format!("`export {name}=...`")),
            ),
        }
    };
    servers.map(finding).collect()
}

/// Models of which the self-check will not prove what they compute: a run works with them, unless it is `--strict`.
fn unproven(prepared: &Prepared) -> Vec<Finding> {
    let unproven = prepared.unproven.iter();
    unproven
        .map(|unproven| {
            let found = format!("`{}` will not be proven: {}", unproven.model, unproven.why);
            Finding::sound("proof", found)
        })
        .collect()
}
