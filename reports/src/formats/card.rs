//! The section of a model's card: `model-index` as the hub reads it, and the same results in Markdown with intervals.

use driftgauge_record::files::resolved::SourceRecord;
use serde_json::json;

use super::headline::{difference, measure, value};
use super::markdown::text;
use crate::Report;
use crate::numbers;

pub(super) fn of(report: &Report, model: &str) -> Option<String> {
    let column = report
        .headline
        .models
        .iter()
        .position(|entry| entry == model)?;
    let rows: Vec<_> = report
        .headline
        .rows
        .iter()
        .filter_map(|row| Some((row, row.cells.get(column)?.as_ref()?)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let asked = |id: &str| report.asked.evaluations.iter().find(|entry| entry.id == id);
    let results: Vec<_> = rows
        .iter()
        .filter_map(|(row, cell)| {
            let dataset = asked(&row.evaluation).map_or("", |entry| &entry.dataset);
            Some(json!({
                "task": { "type": "text-generation", "name": row.evaluation },
                "dataset": dataset_of(report, dataset),
                "metrics": [{
                    "type": row.metric,
                    "name": measure(row),
                    "value": cell.value?,
                    "args": {
                        "n": cell.n,
                        "interval": cell.ci.as_ref().map(|ci| json!({
                            "level": ci.level, "low": ci.low, "high": ci.high, "method": ci.method,
                        })),
                    },
                    "verified": false,
                }],
            }))
        })
        .collect();
    // YAML is a superset of JSON, so the values are written as JSON: nothing in them can become another key.
    let mut front = String::from("---\n");
    if let Some(base) = base_of(report, model) {
        front.push_str(&format!("base_model: {}\n", json!(base)));
    }
    front.push_str(&format!(
        "model-index: {}\n---\n",
        json!([{ "name": model, "results": results }])
    ));
    let mut out = format!("{front}\n## Evaluation\n\n");
    let description = &report.description;
    if !description.is_empty() {
        out.push_str(&format!("{}\n\n", text(description)));
    }
    let baseline = report.headline.baseline.as_deref();
    let compared = report.headline.compared.iter().any(|entry| entry == model);
    out.push_str("| measure | value | n |");
    out.push_str(&match baseline.filter(|_| compared) {
        Some(baseline) => format!(
            " difference from {} |\n|---|---:|---:|---:|\n",
            text(baseline)
        ),
        None => "\n|---|---:|---:|\n".to_owned(),
    });
    for (row, cell) in &rows {
        out.push_str(&format!(
            "| {} | {} | {} |",
            text(&measure(row)),
            value(Some(cell), &row.unit),
            numbers::count(cell.n)
        ));
        if compared {
            out.push_str(&format!(
                " {} |",
                difference(cell.delta.as_ref(), &row.unit)
            ));
        }
        out.push('\n');
    }
    let level = &report.headline.level;
    if !level.is_empty() {
        out.push_str(&format!(
            "\nIn brackets the {level} intervals; differences are paired, prompt by prompt.\n"
        ));
    }
    Some(out)
}

/// The data set as the hub names it; one of this machine by its name in the spec and the digest of its bytes.
fn dataset_of(report: &Report, id: &str) -> serde_json::Value {
    let record = report.resolved.as_ref();
    let record = record.and_then(|record| record.datasets.get(id));
    match record.and_then(|record| record.hub.as_ref()) {
        Some(hub) => json!({
            "name": id, "type": hub.repository, "split": hub.split, "revision": hub.commit,
        }),
        None => json!({
            "name": id, "type": id,
            "args": { "blake3": record.and_then(|record| record.digest.as_ref()) },
        }),
    }
}

/// The model that it was made of, as the hub names it: a name of this spec alone would lead nowhere there.
fn base_of<'r>(report: &'r Report, model: &str) -> Option<&'r str> {
    let record = report.resolved.as_ref()?;
    match &record.models.get(model)?.source {
        SourceRecord::Finetune { base, .. } | SourceRecord::Adapter { base, .. } => {
            let hub = record.models.get(base)?.hub.as_ref()?;
            Some(hub.repository.as_str())
        }
        _ => None,
    }
}
