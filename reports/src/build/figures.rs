//! The charts that a report draws itself: the primary number by model and condition, and its differences.

use std::collections::HashSet;

use driftgauge_plugin_protocol::wire::{Axis, ChartKind, ChartSpec, Point, Series};
use driftgauge_record::Interval;

use super::context::Context;
use super::place::Place;
use crate::anchor::anchor;
use crate::model::{ComparisonRow, Figure, NumberRow};
use crate::{charts, numbers};

/// Points spelled out in a description; the table beside the chart holds all.
const SPELLED_OUT: usize = 12;

pub(super) fn of(
    context: &Context<'_>,
    place: &Place,
    title: &str,
    rows: &[NumberRow],
    comparisons: &[ComparisonRow],
) -> Vec<Figure> {
    let primary: Vec<&NumberRow> = rows.iter().filter(|row| row.primary).collect();
    // Further pairs stand in the table; the chart is about one baseline.
    let compared: Vec<&ComparisonRow> = comparisons
        .iter()
        .filter(|row| row.primary && context.baseline.as_ref() == Some(&row.baseline))
        .collect();
    let mut figures = Vec::new();
    if !primary.is_empty() {
        figures.push(values(context, place, title, &primary));
    }
    if !compared.is_empty() {
        figures.push(differences(context, place, title, &compared));
    }
    figures.retain(|figure| shows_something(&figure.chart));
    figures
}

/// Whether any point of a chart has a value; a chart of undefined numbers says less than the table beside it.
pub(super) fn shows_something(chart: &ChartSpec) -> bool {
    let mut points = chart.series.iter().flat_map(|series| &series.points);
    points.any(|point| point.y.is_some_and(f64::is_finite))
}

fn values(context: &Context<'_>, place: &Place, title: &str, rows: &[&NumberRow]) -> Figure {
    let unit = rows[0].unit.clone();
    let models = context.models_of(&place.evaluation);
    let (drawn, of_all) = context.drawn(&models, rows.len(), Some(&place.evaluation));
    let drawn: HashSet<&String> = drawn.iter().collect();
    let mut series: Vec<Series> = Vec::new();
    for row in rows {
        let cells = row.cells.iter().flatten();
        for cell in cells.filter(|cell| drawn.contains(&cell.model)) {
            let point = point(&row.condition, cell.value, cell.ci.as_ref(), cell.n);
            push(&mut series, &cell.model, point);
        }
    }
    let level = level(
        rows.iter()
            .flat_map(|row| row.cells.iter().flatten())
            .find_map(|cell| cell.ci.as_ref()),
    );
    figure(
        context,
        anchor(&["v", &place.evaluation, &place.metric]),
        ChartSpec {
            id: "values".into(),
            title: format!("{title} by model{level}{of_all}"),
            kind: ChartKind::Forest,
            x: Axis::default(),
            y: Axis {
                label: title.to_owned(),
                domain: numbers::is_share(&unit).then_some([0.0, 1.0]),
                unit,
            },
            series,
        },
    )
}

fn differences(
    context: &Context<'_>,
    place: &Place,
    title: &str,
    rows: &[&ComparisonRow],
) -> Figure {
    // The same rows as the chart of the values beside it, so that both read across: the baseline's stay empty.
    let mut series: Vec<Series> = Vec::new();
    let models = context.models_of(&place.evaluation);
    let numbers = rows.len() / models.len().saturating_sub(1).max(1);
    let (drawn, of_all) = context.drawn(&models, numbers, Some(&place.evaluation));
    for model in drawn {
        for row in rows {
            if row.model == model {
                let delta = &row.delta;
                let found = point(&row.condition, delta.value, delta.ci.as_ref(), row.n);
                push(&mut series, &model, found);
            } else if row.baseline == model {
                let known = series.iter().any(|entry| {
                    let mut points = entry.points.iter();
                    entry.name == model && points.any(|point| point.label == row.condition)
                });
                if !known {
                    push(
                        &mut series,
                        &model,
                        point(&row.condition, None, None, row.n),
                    );
                }
            }
        }
    }
    let level = level(rows.iter().find_map(|row| row.delta.ci.as_ref()));
    let unit = match rows[0].unit.as_str() {
        unit if numbers::is_share(unit) => "difference of ratios",
        unit => unit,
    };
    figure(
        context,
        anchor(&["d", &place.evaluation, &place.metric]),
        ChartSpec {
            id: "differences".into(),
            title: format!("Difference from {}{level}{of_all}", rows[0].baseline),
            kind: ChartKind::Forest,
            x: Axis::default(),
            y: Axis {
                label: format!("{title}, difference"),
                unit: unit.to_owned(),
                domain: None,
            },
            series,
        },
    )
}

fn level(ci: Option<&Interval>) -> String {
    ci.map_or_else(String::new, |ci| {
        format!(", with {} intervals", numbers::level(ci.level))
    })
}

fn point(label: &str, y: Option<f64>, ci: Option<&Interval>, n: u64) -> Point {
    Point {
        label: label.to_owned(),
        y,
        low: ci.map(|ci| ci.low),
        high: ci.map(|ci| ci.high),
        n: Some(n),
        ..Point::default()
    }
}

fn push(series: &mut Vec<Series>, name: &str, point: Point) {
    match series.iter_mut().find(|entry| entry.name == name) {
        Some(entry) => entry.points.push(point),
        None => series.push(Series {
            name: name.to_owned(),
            points: vec![point],
        }),
    }
}

/// A figure whose series take the colours of their models, or count up.
pub(super) fn figure(context: &Context<'_>, id: String, chart: ChartSpec) -> Figure {
    let modelled = chart
        .series
        .iter()
        .all(|series| context.models.contains(&series.name));
    let styles = chart.series.iter().enumerate();
    let styles = styles.map(|(index, series)| {
        if modelled {
            context.style(&series.name)
        } else {
            charts::NEUTRAL + index
        }
    });
    Figure {
        id,
        description: describe(&chart),
        styles: styles.collect(),
        chart,
    }
}

/// The chart in words.
pub(crate) fn describe(chart: &ChartSpec) -> String {
    let points: Vec<(&str, &Point)> = chart
        .series
        .iter()
        .flat_map(|series| {
            series
                .points
                .iter()
                .map(|point| (series.name.as_str(), point))
        })
        .filter(|(_, point)| point.y.is_some())
        .collect();
    let what = match chart.kind {
        ChartKind::Forest => "Points with intervals",
        ChartKind::Bar | ChartKind::GroupedBar => "Bars",
        ChartKind::Line => "Lines",
        ChartKind::Histogram => "Histogram",
        ChartKind::Reliability => "Reliability diagram, confidence against accuracy",
        ChartKind::Heatmap => "Heat map",
        ChartKind::Scatter => "Points",
        ChartKind::StackedBar => "Stacked bars",
        ChartKind::Box => "Medians with quartiles and whiskers",
        ChartKind::SmallMultiples => "Lines, a plot each",
    };
    let spelled = points
        .iter()
        .take(SPELLED_OUT)
        .map(|(name, point)| spell(name, point, chart));
    let mut text = format!("{what}. {}", spelled.collect::<Vec<_>>().join("; "));
    if points.len() > SPELLED_OUT {
        text.push_str(&format!("; and {} more", points.len() - SPELLED_OUT));
    }
    text.push('.');
    text
}

fn spell(series: &str, point: &Point, chart: &ChartSpec) -> String {
    let unit = chart.y.unit.as_str();
    let across = |x: f64| match chart.x.unit.as_str() {
        charts::LOG10 => numbers::plain(10_f64.powf(x)),
        _ => numbers::plain(x),
    };
    let place = match (&point.label, point.x) {
        (label, _) if !label.is_empty() => format!("{series}, {label}"),
        (_, Some(x)) => format!("{series} at {}", across(x)),
        _ => series.to_owned(),
    };
    let value = |value: f64| match unit {
        "difference of ratios" => numbers::difference(value, "ratio"),
        _ => numbers::value(value, unit),
    };
    let bounds = match (point.low, point.high) {
        (Some(low), Some(high)) => format!(" ({} to {})", value(low), value(high)),
        _ => String::new(),
    };
    format!(
        "{place}: {}{bounds}",
        point.y.map_or_else(String::new, value)
    )
}
