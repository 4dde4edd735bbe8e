//! What the run of one spec would need: memory, disk, models and datasets of the hub, servers and their keys, plugins.

use std::collections::BTreeSet;
use std::path::PathBuf;

use driftgauge_engine::LocalEngine;
use driftgauge_engine::training::Method;
use driftgauge_graph::plan::{Kind, Part};
use driftgauge_graph::resolved::{ModelSource, ResolvedExperiment};
use driftgauge_graph::why::{History, Status, explain};
use driftgauge_problem::{Problem, Result};
use driftgauge_store::Store;
use indicatif::HumanBytes;

use super::Finding;
use crate::args::{Diagnosing, DoctorArgs, SpecArgs, SpecFormat};
use crate::commands::load::{self, Network, Outcome, Prepared};

/// What a process takes besides weights.
const BESIDES: u64 = 256 << 20;

/// Looks at a spec as `plan` does, and at what it names.
pub(super) fn of_spec(spec: PathBuf, args: &DoctorArgs) -> Result<Vec<Finding>> {
    let place = Place::of(&args.store.store);
    let store = Store::open(&place.root)?;
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
    let history = History::load(&store, &prepared.planned.experiment.name);
    let standings = explain(&prepared.planned.plan, &store, &history);
    let to_run: Vec<bool> = standings
        .iter()
        .map(|standing| standing.status != Status::Ready)
        .collect();
    let experiment = &prepared.planned.experiment;
    let missing = to_run.iter().filter(|run| **run).count();
    let nodes = format!(
        "`{}`, {} nodes, {missing} to run",
        experiment.name,
        to_run.len()
    );
    let mut findings = vec![Finding::sound("spec", nodes), plugins(&prepared)];
    findings.push(memory(&prepared, &to_run));
    findings.push(disk(&prepared, &to_run, &args.store.store));
    findings.extend(fetched(experiment, args.store.offline));
    findings.extend(keys(experiment));
    findings.extend(unproven(&prepared));
    Ok(findings)
}

/// A store to look into: the one that is there, or an empty one elsewhere, for looking makes none.
struct Place {
    root: PathBuf,
    made: bool,
}

impl Place {
    fn of(root: &std::path::Path) -> Self {
        if root.exists() {
            return Self {
                root: root.to_owned(),
                made: false,
            };
        }
        let name = format!("driftgauge-doctor-{}", std::process::id());
        Self {
            root: std::env::temp_dir().join(name),
            made: true,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.made {
            // An empty folder that stays costs nothing.
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
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

/// Bytes that a model's weights take as f32; `None` while they are still to be fetched, and for servers.
fn weights(experiment: &ResolvedExperiment, model: &str) -> Option<u64> {
    match &experiment.models.get(model)?.source {
        ModelSource::Folder {
            path,
            gguf: Some(file),
            ..
        } => std::fs::metadata(path.join(file))
            .ok()
            .map(|file| file.len()),
        ModelSource::Folder { path, .. } => driftgauge_lm::worker::weight_bytes(path).ok(),
        ModelSource::Pretrain(training) => training
            .architecture
            .as_ref()
            .map(|shape| shape.parameters() * size_of::<f32>() as u64),
        ModelSource::Finetune { base, .. } | ModelSource::Adapter { base, .. } => {
            weights(experiment, base)
        }
        ModelSource::Hub(_) | ModelSource::Endpoint(_) | ModelSource::Recorded(_) => None,
    }
}

/// Bytes of the largest single process: what answers is loaded twice while it is proven, and what trains every weight keeps
/// its gradient and two means.
fn largest_process(prepared: &Prepared, to_run: &[bool]) -> Option<(u64, String)> {
    let experiment = &prepared.planned.experiment;
    let nodes = prepared.planned.plan.nodes.iter().zip(to_run);
    let nodes = nodes.filter(|(_, run)| **run);
    let needs = nodes.filter_map(|(node, _)| {
        let model = match &node.part {
            Part::Model(model) | Part::Completions { model, .. } => model,
            Part::Divergence { model, .. } => model,
            Part::Verdicts {
                evaluation, judge, ..
            } => experiment
                .evaluations
                .get(evaluation)?
                .judges
                .get(judge)?
                .model
                .as_ref()?,
            _ => return None,
        };
        let weights = weights(experiment, model)?;
        let bytes = match (node.kind, &experiment.models[model].source) {
            (Kind::Pretrain, _) => 4 * weights,
            (Kind::Finetune, ModelSource::Finetune { training, .. }) => {
                match training.settings.method {
                    Method::Full => 4 * weights,
                    _ => 2 * weights,
                }
            }
            (Kind::Generate | Kind::Score | Kind::Judge, _) => {
                2 * weights + LocalEngine::NATIVE_CACHE
            }
            (Kind::Merge | Kind::Checkpoint, _) => 2 * weights,
            _ => return None,
        };
        Some((bytes + BESIDES, node.id.clone()))
    });
    needs.max_by_key(|(bytes, _)| *bytes)
}

fn memory(prepared: &Prepared, to_run: &[bool]) -> Finding {
    let Some((bytes, node)) = largest_process(prepared, to_run) else {
        return Finding::sound("needs memory", "no model of known size is to be loaded");
    };
    let needed = format!(
        "about {} for `{node}`, the largest process",
        HumanBytes(bytes)
    );
    match driftgauge_graph::exec::available_memory() {
        Some(free) if free < bytes => Finding::unsound(
            "needs memory",
            Problem::failed(format!("{needed}; {} can be had", HumanBytes(free)))
                .help("end other programs, `quantization` of the model, or a smaller one"),
        ),
        Some(free) => Finding::sound(
            "needs memory",
            format!("{needed}; {} can be had", HumanBytes(free)),
        ),
        None => Finding::sound(
            "needs memory",
            format!("{needed}; this system does not tell what is free"),
        ),
    }
}

/// What trainings and merges write into the store; samples and scores are small beside it.
fn disk(prepared: &Prepared, to_run: &[bool], store: &std::path::Path) -> Finding {
    let experiment = &prepared.planned.experiment;
    let nodes = prepared.planned.plan.nodes.iter().zip(to_run);
    let written = nodes.filter(|(_, run)| **run).filter_map(|(node, _)| {
        let Part::Model(model) = &node.part else {
            return None;
        };
        let weights = weights(experiment, model)?;
        match (node.kind, &experiment.models[model].source) {
            (Kind::Finetune, ModelSource::Finetune { training, .. })
                if training.settings.method != Method::Full =>
            {
                // An adapter is a small part of its base.
                Some(weights / 20)
            }
            (Kind::Pretrain | Kind::Finetune | Kind::Merge | Kind::Checkpoint, _) => Some(weights),
            _ => None,
        }
    });
    let bytes: u64 = written.sum();
    let needed = format!("at most {} of weights are to be written", HumanBytes(bytes));
    match free_space(store) {
        Some(free) if free < bytes => Finding::unsound(
            "needs disk",
            Problem::failed(format!("{needed}; {} are free", HumanBytes(free)))
                .help("`driftgauge cache prune`, or a store elsewhere by `--store`"),
        ),
        Some(free) => Finding::sound(
            "needs disk",
            format!("{needed}; {} are free", HumanBytes(free)),
        ),
        None => Finding::sound(
            "needs disk",
            format!("{needed}; this system does not tell what is free"),
        ),
    }
}

/// Free bytes of the file system of a folder, or of the nearest folder above that is there.
#[cfg(unix)]
fn free_space(folder: &std::path::Path) -> Option<u64> {
    let folder = std::path::absolute(folder).ok()?;
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let system = rustix::fs::statvfs(there).ok()?;
    Some(system.f_bavail * system.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_: &std::path::Path) -> Option<u64> {
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
