//! What is drawn of a result: its tables and charts.

use super::found::{Found, number, short};
use super::limits;
use crate::wire::{ChartKind, ChartSpec, Point, Table};

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
    if let Some(problem) = points().find_map(|point| point_problem(point, chart.kind)) {
        found.push(format!("a point of {place} {problem}"));
    }
    for point in points() {
        found.text(&place, "points.label", &point.label, limits::TITLE);
    }
}

fn point_problem(point: &Point, kind: ChartKind) -> Option<String> {
    for (name, value) in [
        ("x", point.x),
        ("y", point.y),
        ("low", point.low),
        ("high", point.high),
        ("quartiles", point.quartiles.map(|ends| ends[0])),
        ("quartiles", point.quartiles.map(|ends| ends[1])),
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
            return Some(format!("has a `low` of {low} above its `high` of {high}"));
        }
        _ => {}
    }
    match (kind, point.quartiles) {
        (ChartKind::Box, Some([lower, upper])) => {
            let ends = [point.low, Some(lower), point.y, Some(upper), point.high];
            let ends: Vec<f64> = ends.into_iter().flatten().collect();
            (!ends.is_sorted()).then(|| {
                format!("has {ends:?} as whisker, quartile, median, quartile and whisker: they have to rise")
            })
        }
        (ChartKind::Box, None) if point.y.is_some() => Some("has no `quartiles`".to_owned()),
        (ChartKind::Box, None) => None,
        (_, Some(_)) => Some("has `quartiles`, which belong to a `box`".to_owned()),
        (ChartKind::StackedBar, None) if point.y.is_some_and(|y| y < 0.0) => {
            Some("is below 0, and a stack has no room for it".to_owned())
        }
        _ => None,
    }
}
