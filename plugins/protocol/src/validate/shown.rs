//! What is drawn of a result: its tables and charts.

use super::found::{Found, number, short};
use super::limits;
use crate::wire::{ChartSpec, Point, Table};

pub(super) fn check_table(table: &Table, found: &mut Found) {
    found.id("table", &table.id);
    let place = format!("table `{}`", short(&table.id));
    found.text(&place, "title", &table.title, limits::TITLE);
    found.at_most(
        &format!("`columns` of {place}"),
        table.columns.len(),
        limits::ACROSS,
    );
    found.at_most(
        &format!("`rows` of {place}"),
        table.rows.len(),
        limits::DOWN,
    );
    for column in &table.columns {
        found.text(&place, "columns", column, limits::TITLE);
    }
    for (index, row) in table.rows.iter().enumerate() {
        if row.len() != table.columns.len() {
            found.push(format!(
                "row {index} of {place} has {} cells for {} columns",
                row.len(),
                table.columns.len()
            ));
            return;
        }
        if row.iter().any(|cell| cell.is_array() || cell.is_object()) {
            found.push(format!(
                "row {index} of {place} has a cell that is no string, number, boolean or null"
            ));
            return;
        }
        for cell in row.iter().filter_map(serde_json::Value::as_str) {
            found.text(&place, "rows", cell, limits::TEXT);
        }
    }
}

pub(super) fn check_chart(chart: &ChartSpec, found: &mut Found) {
    found.id("chart", &chart.id);
    let place = format!("chart `{}`", short(&chart.id));
    found.text(&place, "title", &chart.title, limits::TITLE);
    for (name, axis) in [("x", &chart.x), ("y", &chart.y)] {
        found.text(&place, &format!("{name}.label"), &axis.label, limits::TITLE);
        found.text(&place, &format!("{name}.unit"), &axis.unit, limits::TITLE);
        if let Some([low, high]) = axis.domain {
            let sound = low.abs() <= limits::DRAWN
                && high.abs() <= limits::DRAWN
                && high - low > 1e-12 * low.abs().max(high.abs());
            if !sound {
                found.push(format!(
                    "`{name}.domain` of {place} is {} to {}: it has to go up, within plus and minus {}",
                    number(low),
                    number(high),
                    number(limits::DRAWN)
                ));
            }
        }
    }
    found.at_most(
        &format!("`series` of {place}"),
        chart.series.len(),
        limits::ACROSS,
    );
    let points = || chart.series.iter().flat_map(|series| &series.points);
    found.at_most(
        &format!("`points` of {place}"),
        points().count(),
        limits::DOWN,
    );
    for series in &chart.series {
        found.text(&place, "series.name", &series.name, limits::TITLE);
    }
    if let Some(problem) = points().find_map(point_problem) {
        found.push(format!("a point of {place} {problem}"));
    }
    for point in points() {
        found.text(&place, "points.label", &point.label, limits::TITLE);
    }
}

fn point_problem(point: &Point) -> Option<String> {
    for (name, value) in [
        ("x", point.x),
        ("y", point.y),
        ("low", point.low),
        ("high", point.high),
    ] {
        let Some(value) = value else { continue };
        if !value.is_finite() {
            return Some(format!("has a `{name}` that is not finite"));
        }
        if value.abs() > limits::DRAWN {
            return Some(format!(
                "has the `{name}` {}, beyond {}",
                number(value),
                number(limits::DRAWN)
            ));
        }
    }
    match (point.low, point.high) {
        (Some(low), Some(high)) if low > high => {
            Some(format!("has a `low` of {low} above its `high` of {high}"))
        }
        _ => None,
    }
}
