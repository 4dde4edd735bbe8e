//! A plan for people.

use driftgauge_engine::{LOGITS_AGREE, LocalEngine, Rounding};
use driftgauge_graph::forecast::{Basis, Estimate, Total};
use driftgauge_graph::resolve::Unproven;
use driftgauge_graph::resolved::{ModelSource, ResolvedExperiment};
use driftgauge_graph::why::Status;
use indicatif::{HumanBytes, HumanCount};

use super::plan_said::Said;
use super::planned_jobs;
use super::spans::{how_far, seconds};

pub(super) fn text(said: &Said<'_>) -> String {
    let prepared = said.prepared;
    let plan = &prepared.planned.plan;
    let mut out = format!("plan of `{}`\n\n", prepared.planned.experiment.name);
    let ids = said.meant.iter().map(|&node| plan.nodes[node].id.len());
    let width = ids.max().unwrap_or(0);
    for &index in &said.meant {
        let (node, verdict) = (&plan.nodes[index], &said.verdicts[index]);
        let status = match verdict.status {
            Status::Ready => "ready",
            Status::Run => "run  ",
            Status::Unpinned => "?    ",
        };
        let key = node.key.as_ref().map_or("-", |key| key.short());
        let items = node
            .items
            .map_or_else(String::new, |items| items.to_string());
        let about = said.forecast.nodes[index].as_ref();
        let about = about.map_or_else(String::new, marked);
        out.push_str(&format!(
            "  {status}  {key:<12}  {:<width$}  {items:>6}  {about:>8}  {}\n",
            node.id, verdict.reason
        ));
    }
    let count = |status: &Status| {
        let meant = said.meant.iter();
        meant
            .filter(|&&node| said.verdicts[node].status == *status)
            .count()
    };
    out.push_str(&format!(
        "\n{} nodes: {} ready, {} to run",
        said.meant.len(),
        count(&Status::Ready),
        count(&Status::Run)
    ));
    if count(&Status::Unpinned) > 0 {
        out.push_str(&format!(
            ", {} after the hub is asked",
            count(&Status::Unpinned)
        ));
    }
    out.push('\n');
    let to_run = said.totals().into_iter();
    let to_run: Vec<String> = to_run
        .filter(|(_, [_, run])| *run > 0)
        .map(|(kind, [_, run])| format!("{run} {kind}"))
        .collect();
    if !to_run.is_empty() {
        out.push_str(&format!("to run: {}\n", to_run.join(", ")));
        out.push_str(&foreseen(said));
    }
    for (id, bytes, proven) in native_memory(&prepared.planned.experiment) {
        out.push_str(&format!(
            "`{id}` (`engine: native`) takes at most {} MiB of memory, {} of them keys and values; while it is proven, {proven}\n",
            (bytes + LocalEngine::NATIVE_CACHE) >> 20,
            LocalEngine::NATIVE_CACHE >> 20
        ));
    }
    for absent in &prepared.planned.absent {
        out.push_str(&format!(
            "note: `{}` of `{}` in `{}` will lack {}: its server does not give {}\n",
            absent.metric,
            absent.model,
            absent.evaluation,
            absent.numbers.join(", "),
            absent.fields.join(", ")
        ));
    }
    for Unproven { model, why } in &prepared.unproven {
        out.push_str(&format!(
            "note: `{LOGITS_AGREE}` of `{model}` will not be proven: {why}\n"
        ));
    }
    if let Some(tested) = &said.tested {
        out.push_str(&planned_jobs::as_text(tested));
    }
    out
}

/// What all of it takes, the longest way through it, and how good the last guess was.
fn foreseen(said: &Said<'_>) -> String {
    let forecast = &said.forecast;
    let plan = &said.prepared.planned.plan;
    let critical = forecast.total(forecast.critical.iter().copied());
    let way = forecast.critical.iter();
    let way: Vec<&str> = way.map(|&node| plan.nodes[node].id.as_str()).collect();
    let mut out = format!(
        "estimate: {}\nlongest way: {}\n  {}\n",
        all(&forecast.all()),
        all(&critical),
        way.join(" -> ")
    );
    let bases: Vec<Basis> = forecast
        .nodes
        .iter()
        .flatten()
        .map(|node| node.basis)
        .collect();
    if bases.contains(&Basis::Guessed) {
        out.push_str("  `?` is a guess: nothing like it was measured on this machine yet\n");
    }
    if bases.contains(&Basis::Scaled) {
        out.push_str("  `*` is scaled from a model of another size\n");
    }
    let name = &said.prepared.planned.experiment.name;
    if let Some(last) = said.rates.last(name) {
        out.push_str(&format!("last run: {}\n", how_far(last)));
    }
    out
}

fn all(total: &Total) -> String {
    let measured = if total.measured_seconds >= total.seconds {
        "all measured".to_owned()
    } else {
        format!("{} of it measured", seconds(total.measured_seconds))
    };
    let unknown = match total.unknown_downloads {
        0 => String::new(),
        some => format!(" and {some} sources whose size the hub tells when it is asked"),
    };
    format!(
        "{} of node time ({measured}), {} tokens, {} of memory for the largest node, {} of disk, {} to fetch{unknown}",
        seconds(total.seconds),
        HumanCount(total.tokens),
        HumanBytes(total.memory),
        HumanBytes(total.disk),
        HumanBytes(total.download),
    )
}

/// Seconds with the mark of what they rest on.
fn marked(estimate: &Estimate) -> String {
    let mark = match estimate.basis {
        Basis::Measured => " ",
        Basis::Scaled => "*",
        Basis::Guessed => "?",
    };
    format!("{}{mark}", seconds(estimate.seconds))
}

/// Bytes that the weights of models take while they answer side by side, and what becomes of them while they are proven: of those whose
/// weights are there.
fn native_memory(experiment: &ResolvedExperiment) -> Vec<(&str, u64, &'static str)> {
    let native = experiment.models.iter();
    let native = native.filter(|(_, model)| model.engine == Some(LocalEngine::Native));
    native
        .filter_map(|(id, model)| match &model.source {
            ModelSource::Folder { path, gguf, .. } => {
                let rounding = model.rounding();
                let bytes =
                    driftgauge_lm::worker::weight_bytes(path, gguf.as_deref(), rounding);
                let proven = match (gguf, rounding) {
                    (None, Rounding::None | Rounding::Bf16) => "the model is loaded twice",
                    (Some(_), _) | (None, Rounding::Blocks(_)) => {
                        "it is dropped and loaded into another decoder, which holds the embedding and the head in f32"
                    }
                };
                Some((id.as_str(), bytes.ok()?, proven))
            }
            _ => None,
        })
        .collect()
}
