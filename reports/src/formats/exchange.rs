//! Results in the forms in which they are collected elsewhere: Every Eval Ever's JSON (schema 0.2.1) and the hub's `.eval_results`.
//! They are written as files; nothing is pushed.

use driftgauge_record::files::resolved::{ExperimentRecord, GenerateRecord};
use serde_json::{Map, Value, json};

use super::headline::{measure, value as in_words};
use crate::Report;
use crate::model::{Cell, HeadlineRow};
use crate::numbers;

/// The version of Every Eval Ever's schema that is written.
const EVERY_EVAL_EVER: &str = "0.2.1";

/// One model's primary numbers that are defined.
fn numbers_of<'r>(report: &'r Report, model: &str) -> Option<Vec<(&'r HeadlineRow, &'r Cell)>> {
    let models = &report.headline.models;
    let column = models.iter().position(|entry| entry == model)?;
    let cell = |row: &'r HeadlineRow| row.cells.get(column)?.as_ref();
    let rows = report.headline.rows.iter();
    let found: Vec<_> = rows
        .filter_map(|row| Some((row, cell(row)?)))
        .filter(|(_, cell)| cell.value.is_some())
        .collect();
    (!found.is_empty()).then_some(found)
}

/// The results of one model as Every Eval Ever keeps them. Its scores have a least and a largest value, so only shares are
/// written; what is left out is named.
pub(super) fn every_eval_ever(report: &Report, model: &str) -> Option<String> {
    let numbers = numbers_of(report, model)?;
    let (shares, others): (Vec<_>, Vec<_>) = numbers
        .into_iter()
        .partition(|(row, _)| numbers::is_share(&row.unit));
    let record = report.resolved.as_ref();
    let provenance = report.run.as_ref().map(|run| &run.provenance);
    let when = provenance.map_or(0, |run| run.started_unix).to_string();
    let left_out: Vec<String> = others.iter().map(|(row, _)| measure(row)).collect();
    let mut source = Map::new();
    if !left_out.is_empty() {
        source.insert("left_out".to_owned(), json!(left_out.join("; ")));
    }
    let mut known = json!({ "name": model, "id": model });
    if let Some(of_model) = record.and_then(|record| record.models.get(model)) {
        if let Some(hub) = &of_model.hub {
            known["id"] = json!(hub.repository);
        }
        known["additional_details"] = json!({ "description": of_model.description });
    }
    if let Some(run) = provenance {
        // A model that was not loaded in this run is said nothing of.
        if let Some(loaded) = run.self_checks.get(model) {
            known["inference_engine"] = json!({ "name": loaded.engine });
        }
    }
    let results: Vec<Value> = shares
        .iter()
        .map(|(row, cell)| result(report, record, row, cell))
        .collect();
    let version = provenance.map_or(env!("CARGO_PKG_VERSION"), |run| run.driftgauge.as_str());
    let out = json!({
        "schema_version": EVERY_EVAL_EVER,
        "evaluation_id": format!("{}/{model}/{when}", report.name),
        "evaluation_timestamp": when,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": report.name,
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": source,
        },
        "eval_library": { "name": "driftgauge", "version": version },
        "model_info": known,
        "evaluation_results": results,
    });
    Some(format!("{out:#}\n"))
}

fn result(
    report: &Report,
    record: Option<&ExperimentRecord>,
    row: &HeadlineRow,
    cell: &Cell,
) -> Value {
    let asked = report.asked.evaluations.iter();
    let asked = asked.clone().find(|entry| entry.id == row.evaluation);
    let dataset = asked.map_or("", |entry| entry.dataset.as_str());
    let mut uncertainty = json!({ "num_samples": cell.n });
    if let Some(ci) = &cell.ci {
        uncertainty["confidence_interval"] = json!({
            "lower": ci.low, "upper": ci.high, "confidence_level": ci.level, "method": ci.method,
        });
        if let Some(draws) = ci.draws {
            uncertainty["num_bootstrap_samples"] = json!(draws.resamples);
        }
    }
    let mut out = json!({
        "evaluation_name": measure(row),
        "source_data": data(record, dataset),
        "metric_config": {
            "evaluation_description": asked.map_or("", |entry| entry.description.as_str()),
            "lower_is_better": row.direction == "lower",
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
            "additional_details": { "metric": row.metric, "direction": row.direction },
        },
        "score_details": { "score": cell.value, "uncertainty": uncertainty },
    });
    let evaluation = record.and_then(|record| record.evaluations.get(&row.evaluation));
    // What is only scored makes no token, which the schema has no room for.
    if let Some(evaluation) = evaluation.filter(|entry| entry.generate.max_tokens > 0) {
        out["generation_config"] = generation(&evaluation.generate);
    }
    out
}

fn data(record: Option<&ExperimentRecord>, dataset: &str) -> Value {
    let Some(known) = record.and_then(|record| record.datasets.get(dataset)) else {
        return json!({ "dataset_name": dataset, "source_type": "other" });
    };
    let mut details = Map::new();
    if let Some(content) = &known.content {
        details.insert("blake3_of_rows".to_owned(), json!(content));
    }
    let Some(hub) = &known.hub else {
        return json!({
            "dataset_name": dataset, "source_type": "other", "additional_details": details,
        });
    };
    details.insert(
        "revision".to_owned(),
        json!(hub.commit.as_ref().unwrap_or(&hub.revision)),
    );
    let mut out = json!({
        "dataset_name": dataset, "source_type": "hf_dataset", "hf_repo": hub.repository, "additional_details": details,
    });
    if let Some(split) = &hub.split {
        out["hf_split"] = json!(split);
    }
    if let Some(rows) = known.rows {
        out["samples_number"] = json!(rows);
    }
    out
}

fn generation(made: &GenerateRecord) -> Value {
    json!({
        "generation_args": {
            "temperature": made.temperature, "top_p": made.top_p, "top_k": made.top_k, "max_tokens": made.max_tokens,
        },
        "additional_details": { "samples": made.samples.to_string(), "seed": made.seed.to_string() },
    })
}

/// The results of one model over data sets of the hub as a file for `.eval_results` of its repository; rates in percent. `None`
/// where no number is over such a data set.
pub(super) fn eval_results(report: &Report, model: &str) -> Option<String> {
    let record = report.resolved.as_ref()?;
    let mut entries = Vec::new();
    for (row, cell) in numbers_of(report, model)? {
        let evaluation = record.evaluations.get(&row.evaluation);
        let dataset = evaluation.and_then(|evaluation| record.datasets.get(&evaluation.dataset));
        let Some((hub, value)) = dataset
            .and_then(|dataset| dataset.hub.as_ref())
            .zip(cell.value)
        else {
            continue;
        };
        let value = if numbers::is_share(&row.unit) {
            value * 100.0
        } else {
            value
        };
        let words = format!("{}: {}", measure(row), in_words(Some(cell), &row.unit));
        entries.push(json!({
            "dataset": {
                "id": hub.repository,
                "task_id": row.evaluation,
                "revision": hub.commit.as_ref().unwrap_or(&hub.revision),
            },
            "value": value,
            "notes": format!("{words}, n = {}", numbers::count(cell.n)),
        }));
    }
    if entries.is_empty() {
        return None;
    }
    // YAML is a superset of JSON, so the values are written as JSON: nothing in them can become another key.
    let lines = entries.iter().map(|entry| format!("- {entry}\n"));
    let head = "# `task_id` has to be one of the data set's `eval.yaml`; one file for each setting of a benchmark.\n";
    Some(head.to_owned() + &lines.collect::<String>())
}
