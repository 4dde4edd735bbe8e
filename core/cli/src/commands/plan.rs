//! `driftgauge plan`: every node with its key, why it would run or not, and what that would take. Creates nothing.

use std::collections::BTreeSet;

use driftgauge_engine::LOGITS_AGREE;
use driftgauge_graph::forecast::{Forecast, Rates};
use driftgauge_graph::select::Selection;
use driftgauge_graph::why::{History, explain};
use driftgauge_problem::Result;
use driftgauge_spec::Form;
use driftgauge_store::Store;
use serde_json::{Value, json};

use super::load::{self, Network, Outcome};
use super::plan_said::{Said, to_run};
use super::{plan_graph, plan_text, planned_jobs};
use crate::args::{Diagnosing, PlanArgs, PlanFormat, SpecFormat};
use crate::exit::Exit;

pub(crate) fn run(args: &PlanArgs) -> Result<Exit> {
    let profile = super::executor::profile(&args.executor)?;
    if let Some(profile) = &profile {
        super::executor::check(profile)?;
    }
    // A queue reads the scripts that it tests beside the artifacts; else nothing is made.
    let store = match &profile {
        Some(_) => Store::open(&args.store.store)?,
        None => Store::look(&args.store.store),
    };
    let how = Diagnosing {
        format: match args.format {
            PlanFormat::Json => SpecFormat::Json,
            PlanFormat::Github => SpecFormat::Github,
            PlanFormat::Sarif => SpecFormat::Sarif,
            PlanFormat::Text | PlanFormat::Dot | PlanFormat::Mermaid => SpecFormat::Text,
        },
        deny: args.deny,
    };
    let prepared = match load::prepare(&args.spec, &args.store, &store, Network::Closed, how)? {
        Outcome::Ready(prepared) => prepared,
        Outcome::Refused => return Ok(Exit::Usage),
    };
    let tested = profile.map(|profile| planned_jobs::test(profile, args, &store, &prepared));
    let planned = &prepared.planned;
    let selection = Selection {
        only: args.only.clone(),
        from: args.from.clone(),
    };
    let meant = selection.of(&planned.plan)?;
    let history = History::load(&store, &planned.experiment.name);
    let verdicts = explain(&planned.plan, &store, &history);
    let to_run = to_run(&verdicts);
    let to_run: BTreeSet<usize> = to_run.intersection(&meant).copied().collect();
    let machine = load::machine(&prepared);
    let said = Said {
        forecast: Forecast::of(
            &planned.experiment,
            &planned.plan,
            &machine,
            &store,
            &to_run,
        ),
        rates: Rates::load(&store),
        tested: tested.transpose()?,
        verdicts,
        meant,
        prepared: &prepared,
    };
    let text = match args.format {
        PlanFormat::Json => format!("{}\n", serde_json::to_string_pretty(&as_json(&said))?),
        PlanFormat::Sarif => {
            prepared.said.tell(how);
            return Ok(said.outcome());
        }
        PlanFormat::Text | PlanFormat::Github => plan_text::text(&said),
        PlanFormat::Dot => plan_graph::dot(&said),
        PlanFormat::Mermaid => plan_graph::mermaid(&said),
    };
    if args.format != PlanFormat::Json {
        prepared.said.mention(how);
    }
    print!("{}", driftgauge_record::visible(&text));
    Ok(said.outcome())
}

fn as_json(said: &Said<'_>) -> Value {
    let prepared = said.prepared;
    let plan = &prepared.planned.plan;
    let nodes: Vec<Value> = said
        .meant
        .iter()
        .map(|&index| {
            let (node, verdict) = (&plan.nodes[index], &said.verdicts[index]);
            let inputs = node.inputs.iter();
            let inputs: Vec<&str> = inputs.map(|&input| plan.nodes[input].id.as_str()).collect();
            json!({
                "id": node.id,
                "kind": node.kind,
                "key": node.key,
                "params": node.params,
                "inputs": inputs,
                "items": node.items,
                "status": verdict.status,
                "reason": verdict.reason,
                "estimate": said.forecast.nodes[index],
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
    let diagnostics = prepared.said.in_form(Form::Json);
    let diagnostics: Value = serde_json::from_str(&diagnostics).unwrap_or_default();
    let forecast = &said.forecast;
    let critical = forecast.critical.iter();
    let critical: Vec<&str> = critical.map(|&node| plan.nodes[node].id.as_str()).collect();
    let mut told = json!({
        "experiment": prepared.planned.experiment.name,
        "nodes": nodes,
        "totals": said.totals()
            .into_iter()
            .map(|(kind, [nodes, run])| (kind.to_owned(), json!({ "nodes": nodes, "run": run })))
            .collect::<serde_json::Map<_, _>>(),
        "forecast": {
            "total": forecast.all(),
            "critical": {
                "nodes": critical,
                "total": forecast.total(forecast.critical.iter().copied()),
            },
            "last_run": said.rates.last(&prepared.planned.experiment.name),
        },
        "unproven": unproven,
        "absent": absent,
        "diagnostics": diagnostics,
    });
    if let Some(tested) = &said.tested {
        told["jobs"] = planned_jobs::as_json(tested);
    }
    told
}
