//! `driftgauge plan`: every node with its key, and why it would run or not.

use driftgauge_engine::{LOGITS_AGREE, LocalEngine};
use driftgauge_graph::resolve::Unproven;
use driftgauge_graph::resolved::{ModelSource, ResolvedExperiment};
use driftgauge_graph::why::{History, Standing, Status, explain};
use driftgauge_problem::Result;
use driftgauge_spec::Form;
use driftgauge_store::Store;
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::load::{self, Network, Outcome};
use super::planned_jobs::Tested;
use crate::args::{PlanArgs, SpecFormat};
use crate::exit::Exit;

pub(crate) fn run(args: &PlanArgs) -> Result<Exit> {
    let profile = super::executor::profile(&args.executor)?;
    if let Some(profile) = &profile {
        super::executor::check(profile)?;
    }
    let store = Store::open(&args.store.store)?;
    let how = args.diagnosing;
    let prepared = match load::prepare(&args.spec, &args.store, &store, Network::Closed, how)? {
        Outcome::Ready(prepared) => prepared,
        Outcome::Refused => return Ok(Exit::Usage),
    };
    let tested = profile.map(|profile| super::planned_jobs::test(profile, args, &store, &prepared));
    let tested = tested.transpose()?;
    let history = History::load(&store, &prepared.planned.experiment.name);
    let verdicts = explain(&prepared.planned.plan, &store, &history);
    match how.format {
        SpecFormat::Json => println!(
            "{}",
            serde_json::to_string_pretty(&as_json(&prepared, &verdicts, tested.as_deref()))?
        ),
        SpecFormat::Sarif => prepared.said.tell(how),
        SpecFormat::Text | SpecFormat::Github => {
            prepared.said.mention(how);
            print!(
                "{}",
                driftgauge_record::visible(&as_text(&prepared, &verdicts))
            );
            if let Some(tested) = &tested {
                let text = super::planned_jobs::as_text(tested);
                print!("{}", driftgauge_record::visible(&text));
            }
        }
    }
    let refused = tested.is_some_and(|tested| super::planned_jobs::refused(&tested));
    Ok(if refused { Exit::Usage } else { Exit::Done })
}

fn as_json(prepared: &load::Prepared, verdicts: &[Standing], tested: Option<&[Tested]>) -> Value {
    let nodes: Vec<Value> = prepared
        .planned
        .plan
        .nodes
        .iter()
        .zip(verdicts)
        .map(|(node, verdict)| {
            let inputs: Vec<&str> = node
                .inputs
                .iter()
                .map(|&input| prepared.planned.plan.nodes[input].id.as_str())
                .collect();
            json!({
                "id": node.id,
                "kind": node.kind,
                "key": node.key,
                "params": node.params,
                "inputs": inputs,
                "items": node.items,
                "status": verdict.status,
                "reason": verdict.reason,
            })
        })
        .collect();
    let unproven: Vec<Value> = prepared
        .unproven
        .iter()
        .map(|unproven| json!({ "model": unproven.model, "check": LOGITS_AGREE, "why": unproven.why }))
        .collect();
    let absent = prepared.planned.absent.iter().map(|absent| {
        json!({
            "evaluation": absent.evaluation, "model": absent.model, "metric": absent.metric,
            "numbers": absent.numbers, "fields": absent.fields,
        })
    });
    let absent: Vec<Value> = absent.collect();
    let said = prepared.said.in_form(Form::Json);
    let diagnostics: Value = serde_json::from_str(&said).unwrap_or_default();
    let mut plan = json!({
        "experiment": prepared.planned.experiment.name,
        "nodes": nodes,
        "totals": totals(prepared, verdicts)
            .into_iter()
            .map(|(kind, [nodes, run])| (kind.to_owned(), json!({ "nodes": nodes, "run": run })))
            .collect::<serde_json::Map<_, _>>(),
        "unproven": unproven,
        "absent": absent,
        "diagnostics": diagnostics,
    });
    if let Some(tested) = tested {
        plan["jobs"] = super::planned_jobs::as_json(tested);
    }
    plan
}

fn as_text(prepared: &load::Prepared, verdicts: &[Standing]) -> String {
    let mut out = format!("plan of `{}`\n\n", prepared.planned.experiment.name);
    let width = prepared
        .planned
        .plan
        .nodes
        .iter()
        .map(|node| node.id.len())
        .max()
        .unwrap_or(0);
    for (node, verdict) in prepared.planned.plan.nodes.iter().zip(verdicts) {
        let status = match verdict.status {
            Status::Ready => "ready",
            Status::Run => "run  ",
            Status::Unpinned => "?    ",
        };
        let key = node.key.as_ref().map_or("-", |key| key.short());
        let items = node
            .items
            .map_or_else(String::new, |items| items.to_string());
        out.push_str(&format!(
            "  {status}  {key:<12}  {:<width$}  {items:>6}  {}\n",
            node.id, verdict.reason
        ));
    }
    let count = |status: &Status| {
        verdicts
            .iter()
            .filter(|verdict| verdict.status == *status)
            .count()
    };
    out.push_str(&format!(
        "\n{} nodes: {} ready, {} to run",
        verdicts.len(),
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
    let to_run = totals(prepared, verdicts).into_iter();
    let to_run: Vec<String> = to_run
        .filter(|(_, [_, run])| *run > 0)
        .map(|(kind, [_, run])| format!("{run} {kind}"))
        .collect();
    if !to_run.is_empty() {
        out.push_str(&format!("to run: {}\n", to_run.join(", ")));
    }
    for (id, bytes) in native_memory(&prepared.planned.experiment) {
        out.push_str(&format!(
            "`{id}` (`engine: native`) takes at most {} MiB of memory, {} of them keys and values; while it is proven, the model is loaded \
             twice\n",
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
    out
}

/// Nodes by kind in the order of the plan: all of them, and those that are not there yet.
fn totals(prepared: &load::Prepared, verdicts: &[Standing]) -> IndexMap<&'static str, [u64; 2]> {
    let mut totals: IndexMap<&'static str, [u64; 2]> = IndexMap::new();
    for (node, verdict) in prepared.planned.plan.nodes.iter().zip(verdicts) {
        let [nodes, run] = totals.entry(node.kind.as_str()).or_default();
        *nodes += 1;
        *run += u64::from(verdict.status != Status::Ready);
    }
    totals
}

/// Bytes that the weights of models take while they answer side by side: of those whose weights are there.
fn native_memory(experiment: &ResolvedExperiment) -> Vec<(&str, u64)> {
    let native = experiment.models.iter();
    let native = native.filter(|(_, model)| model.engine == Some(LocalEngine::Native));
    native
        .filter_map(|(id, model)| match &model.source {
            ModelSource::Folder { path, .. } => {
                Some((id.as_str(), driftgauge_lm::worker::weight_bytes(path).ok()?))
            }
            _ => None,
        })
        .collect()
}
