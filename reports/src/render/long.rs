//! Numbers of many models below each other: a table with a column for each of them cannot be read.

use serde::Serialize;

use crate::model::{Cell, Delta, NumberRow, Report};

/// As many models stand beside each other; more of them below each other.
pub(super) const BESIDE: usize = 6;

/// One number of one model.
#[derive(Debug, Serialize)]
pub(super) struct LongRow<'a> {
    evaluation: &'a str,
    condition: &'a str,
    metric: &'a str,
    section: &'a str,
    title: &'a str,
    unit: &'a str,
    direction: &'a str,
    formula: &'a str,
    model: &'a str,
    baseline: bool,
    cell: &'a Cell,
    delta: Option<&'a Delta>,
}

/// The headline, a row for each model; empty where there are few.
pub(super) fn headline(report: &Report) -> Vec<LongRow<'_>> {
    let headline = &report.headline;
    if headline.models.len() - headline.alone.len() <= BESIDE {
        return Vec::new();
    }
    let mut long = Vec::new();
    for row in &headline.rows {
        let cells = row.cells.iter().flatten();
        long.extend(
            cells
                .filter(|cell| !headline.alone.contains(&cell.model))
                .map(|cell| LongRow {
                    evaluation: &row.evaluation,
                    condition: &row.condition,
                    metric: &row.metric,
                    section: &row.section,
                    title: &row.title,
                    unit: &row.unit,
                    direction: &row.direction,
                    formula: "",
                    model: &cell.model,
                    baseline: Some(&cell.model) == headline.baseline.as_ref(),
                    cell,
                    delta: cell.delta.as_ref(),
                }),
        );
    }
    long
}

/// The numbers of a metric, a row for each model; empty where there are few.
pub(super) fn numbers<'a>(
    rows: &'a [NumberRow],
    models: usize,
    baseline: Option<&str>,
) -> Vec<LongRow<'a>> {
    if models <= BESIDE {
        return Vec::new();
    }
    let row = |row: &'a NumberRow| {
        row.cells.iter().flatten().map(move |cell| LongRow {
            evaluation: "",
            condition: &row.condition,
            metric: &row.metric,
            section: "",
            title: &row.title,
            unit: &row.unit,
            direction: &row.direction,
            formula: &row.formula,
            model: &cell.model,
            baseline: Some(cell.model.as_str()) == baseline,
            cell,
            delta: cell.delta.as_ref(),
        })
    };
    rows.iter().flat_map(row).collect()
}
