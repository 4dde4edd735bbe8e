//! The primary numbers as rows of texts, for terminals and pull requests.

use crate::Report;
use crate::model::{Cell, Delta, HeadlineRow};
use crate::numbers;

/// As many models stand beside each other; more of them below each other.
const BESIDE: usize = 4;
/// Models below each other.
const BELOW: usize = 24;

/// The names of the columns, then the rows.
pub(super) fn rows(report: &Report) -> Vec<Vec<String>> {
    let (columns, _) = beside(report);
    match columns.len() <= BESIDE {
        true => wide(report),
        false => long(report),
    }
}

/// A column for each model, and one for its difference.
fn wide(report: &Report) -> Vec<Vec<String>> {
    let compared = compared(report);
    let baseline = report.headline.baseline.as_deref().unwrap_or_default();
    let is_compared = |column: usize| compared.iter().any(|(own, _)| *own == column);
    let (columns, shown) = beside(report);
    let mut head = vec!["measure".to_owned()];
    for &column in &columns {
        let model = &report.headline.models[column];
        head.push(model.clone());
        if is_compared(column) {
            head.push(format!("{model} \u{2212} {baseline}"));
        }
    }
    let mut rows = vec![head];
    for row in shown {
        let mut cells = vec![measure(row)];
        for &column in &columns {
            let cell = row.cells[column].as_ref();
            cells.push(value(cell, &row.unit));
            if is_compared(column) {
                cells.push(difference(delta(cell), &row.unit));
            }
        }
        rows.push(cells);
    }
    rows
}

/// A row for each model under each number.
fn long(report: &Report) -> Vec<Vec<String>> {
    let baseline = report.headline.baseline.as_deref();
    let mut head = vec!["measure".to_owned(), "model".to_owned(), "value".to_owned()];
    head.extend(baseline.map(|baseline| format!("difference from {baseline}")));
    let mut rows = vec![head];
    let (columns, shown) = beside(report);
    for row in shown {
        let cells = columns
            .iter()
            .filter_map(|&column| row.cells[column].as_ref());
        let mut measure = measure(row);
        for cell in cells.clone().take(BELOW) {
            let mut line = vec![
                std::mem::take(&mut measure),
                cell.model.clone(),
                value(Some(cell), &row.unit),
            ];
            line.extend(baseline.map(|_| difference(delta(Some(cell)), &row.unit)));
            rows.push(line);
        }
        let more = cells.count().saturating_sub(BELOW);
        if more > 0 {
            let mut line = vec![
                String::new(),
                format!("{more} more in the report"),
                String::new(),
            ];
            line.extend(baseline.map(|_| String::new()));
            rows.push(line);
        }
    }
    rows
}

fn delta(cell: Option<&Cell>) -> Option<&Delta> {
    cell.and_then(|cell| cell.delta.as_ref())
}

/// `Accuracy (knowledge-drift, plain)`.
pub(super) fn measure(row: &HeadlineRow) -> String {
    let place = if row.condition.is_empty() {
        row.evaluation.clone()
    } else {
        format!("{}, {}", row.evaluation, row.condition)
    };
    format!("{} ({place})", row.title)
}

/// `96.7 % [92.4, 98.6]`.
pub(super) fn value(cell: Option<&Cell>, unit: &str) -> String {
    let Some(value) = cell.and_then(|cell| cell.value) else {
        return "–".to_owned();
    };
    let bounds = cell.and_then(|cell| cell.ci.as_ref());
    let bounds = bounds.map_or_else(String::new, |ci| bracketed(ci.low, ci.high, unit));
    format!("{}{bounds}", numbers::value(value, unit))
}

/// `+96.7 pp [91.8, 98.6]`.
pub(super) fn difference(delta: Option<&Delta>, unit: &str) -> String {
    let Some((delta, value)) = delta.and_then(|delta| Some((delta, delta.value?))) else {
        return "–".to_owned();
    };
    let bounds = delta.ci.as_ref();
    let bounds = bounds.map_or_else(String::new, |ci| bracketed(ci.low, ci.high, unit));
    format!("{}{bounds}", numbers::difference(value, unit))
}

fn bracketed(low: f64, high: f64, unit: &str) -> String {
    format!(
        " [{}]",
        numbers::bounds(low, high, unit).replace(" to ", ", ")
    )
}

/// Columns of the models that stand beside each other, and the rows that have a number of one of them.
fn beside(report: &Report) -> (Vec<usize>, Vec<&HeadlineRow>) {
    let headline = &report.headline;
    let columns: Vec<usize> = (0..headline.models.len())
        .filter(|column| !headline.alone.contains(&headline.models[*column]))
        .collect();
    let shown = |row: &&HeadlineRow| columns.iter().any(|column| row.cells[*column].is_some());
    let rows = headline.rows.iter().filter(shown).collect();
    (columns, rows)
}

/// `guard: Accuracy (guard-check) 94.4 % [89.7, 97.0]` for each number of a model that stands beside no other.
pub(super) fn alone(report: &Report) -> Vec<String> {
    let headline = &report.headline;
    let mut lines = Vec::new();
    for row in &headline.rows {
        for cell in row.cells.iter().flatten() {
            if headline.alone.contains(&cell.model) {
                let number = value(Some(cell), &row.unit);
                lines.push(format!("{}: {} {number}", cell.model, measure(row)));
            }
        }
    }
    lines
}

/// Models of the headline that are held against the baseline.
fn compared(report: &Report) -> Vec<(usize, &str)> {
    let models = report.headline.models.iter().enumerate();
    models
        .filter(|(_, model)| report.headline.compared.contains(model))
        .map(|(column, model)| (column, model.as_str()))
        .collect()
}
