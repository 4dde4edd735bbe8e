//! Bars and points with intervals, one row each: labels have room, and nothing overlaps.

use driftgauge_plugin_protocol::wire::{ChartKind, Point};

use super::axis::{Frame, Plot, range};
use super::canvas::{Align, Canvas, LABEL, SMALL};
use super::palette::Ink;
use super::text_width::{fit, width};
use super::{Drawing, empty};
use crate::model::Figure;
use crate::numbers;

const WIDTH: u32 = 640;
const ROW: f64 = 25.0;
const HEAD: f64 = 28.0;
const BOTTOM: f64 = 46.0;
const TOP: f64 = 8.0;
/// Room for labels on the left, at most.
const LABELS: f64 = 190.0;
/// Rows of one chart; its table holds the rest.
const ROWS: usize = 60;

/// A line of the chart.
enum Row<'a> {
    /// A category above its series.
    Head(&'a str),
    /// One value.
    Value {
        label: &'a str,
        point: &'a Point,
        style: usize,
    },
}

impl Row<'_> {
    fn height(&self) -> f64 {
        match self {
            Self::Head(_) => HEAD,
            Self::Value { .. } => ROW,
        }
    }
}

pub(super) fn draw(figure: &Figure) -> Result<Drawing, String> {
    let rows = rows(figure);
    if rows.is_empty() {
        return empty();
    }
    let unit = figure.chart.y.unit.as_str();
    let bars = figure.chart.kind != ChartKind::Forest;
    let difference = unit == "difference of ratios" || figure.chart.id == "differences";
    let values: Vec<&Point> = rows
        .iter()
        .filter_map(value)
        .map(|(_, point, _)| point)
        .collect();
    let numbers = values
        .iter()
        .flat_map(|point| [point.y, point.low, point.high])
        .flatten();
    let x = range(&figure.chart.y, numbers, bars || difference);

    let indent = if rows.iter().any(|row| matches!(row, Row::Head(_))) {
        12.0
    } else {
        0.0
    };
    let longest = rows
        .iter()
        .filter_map(value)
        .map(|(label, ..)| width(label, LABEL))
        .fold(0.0, f64::max);
    let left = (longest + indent + 14.0).clamp(40.0, LABELS);
    let right = values
        .iter()
        .map(|point| width(&says(point, unit), SMALL))
        .fold(0.0, f64::max)
        + 16.0;
    let height = TOP + BOTTOM + rows.iter().map(Row::height).sum::<f64>();

    let mut body = String::new();
    let canvas = Canvas::new(&mut body, WIDTH, height as u32);
    let plot = Plot::draw(
        &canvas,
        &Frame {
            margin: [TOP, right, BOTTOM, left],
            x: x.clone(),
            y: 0.0..1.0,
            x_axis: Some(&figure.chart.y),
            y_axis: None,
            x_ticks: 6,
        },
    )?;
    if x.start < 0.0 && x.end > 0.0 && (bars || difference) {
        let zero = plot.at(0.0, 0.0).0;
        canvas.line((zero, TOP), (zero, height - BOTTOM), Ink::Reference, 1.0)?;
    }
    let mut top = TOP;
    for row in &rows {
        let middle = top + row.height() / 2.0;
        match row {
            Row::Head(label) => {
                let label = fit(label, LABEL, f64::from(WIDTH) - right - 4.0);
                canvas.label(&label, (0.0, middle + 2.0), Ink::Text, Align::Start)?;
            }
            Row::Value {
                label,
                point,
                style,
            } => {
                let label = fit(label, LABEL, left - indent - 8.0);
                canvas.label(&label, (indent, middle), Ink::Text, Align::Start)?;
                drawn(&canvas, &plot, point, *style, middle, bars)?;
                let place = (f64::from(WIDTH), middle);
                canvas.words(&says(point, unit), place, Ink::Muted, Align::End, SMALL)?;
            }
        }
        top += row.height();
    }
    drop(plot);
    drop(canvas);
    Ok(Drawing {
        width: WIDTH,
        height: height as u32,
        body,
    })
}

fn drawn(
    canvas: &Canvas<'_>,
    plot: &Plot<'_, '_>,
    point: &Point,
    style: usize,
    y: f64,
    bars: bool,
) -> Result<(), String> {
    let Some(value) = finite(point.y) else {
        return Ok(());
    };
    let x = |value: f64| plot.at(value, 0.0).0;
    if bars {
        canvas.block(
            (x(0.0), y - 7.0),
            (x(value), y + 7.0),
            Ink::Series(style),
            0.55,
        )?;
    }
    if let (Some(low), Some(high)) = (finite(point.low), finite(point.high)) {
        let ink = if bars { Ink::Text } else { Ink::Series(style) };
        canvas.whisker((x(low), y), (x(high), y), ink)?;
    }
    if !bars {
        canvas.mark((x(value), y), style, 5.0)?;
    }
    Ok(())
}

/// Rows by category, with its series below; a single series is labelled by its categories.
fn rows(figure: &Figure) -> Vec<Row<'_>> {
    let series = &figure.chart.series;
    let style = |index: usize| figure.styles.get(index).copied().unwrap_or(index);
    if let [only] = series.as_slice() {
        let single = only.points.len() == 1 && only.points[0].label.is_empty();
        let rows = only.points.iter().map(|point| Row::Value {
            label: if single { &only.name } else { &point.label },
            point,
            style: style(0),
        });
        return rows.take(ROWS).collect();
    }
    let mut categories: Vec<&str> = Vec::new();
    for point in series.iter().flat_map(|series| &series.points) {
        if !categories.contains(&point.label.as_str()) {
            categories.push(&point.label);
        }
    }
    let mut rows = Vec::new();
    for category in &categories {
        if categories.len() > 1 || !category.is_empty() {
            rows.push(Row::Head(if category.is_empty() {
                "all"
            } else {
                category
            }));
        }
        for (index, series) in series.iter().enumerate() {
            let points = series
                .points
                .iter()
                .filter(|point| point.label == *category);
            rows.extend(points.map(|point| Row::Value {
                label: &series.name,
                point,
                style: style(index),
            }));
        }
        if rows.len() >= ROWS {
            break;
        }
    }
    rows
}

fn value<'a>(row: &Row<'a>) -> Option<(&'a str, &'a Point, usize)> {
    match row {
        Row::Head(_) => None,
        Row::Value {
            label,
            point,
            style,
        } => Some((label, point, *style)),
    }
}

/// The value in figures, beside its row.
fn says(point: &Point, unit: &str) -> String {
    match finite(point.y) {
        None => "undefined".to_owned(),
        Some(value) if unit == "difference of ratios" => numbers::difference(value, "ratio"),
        Some(value) => numbers::value(value, unit),
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && value.abs() < 1e15)
}
