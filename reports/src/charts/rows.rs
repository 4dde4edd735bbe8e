//! Bars and points with intervals, one row each: labels have room, and nothing overlaps.

use driftgauge_plugin_protocol::wire::{ChartKind, Point};

use super::axis::{Frame, Plot, range};
use super::canvas::{Align, Canvas, LABEL, SMALL};
use super::palette::Ink;
use super::text_width::{self, fit, wrapped};
use super::{Drawing, empty};
use crate::model::{Figure, ONLY_CONDITION};
use crate::numbers;

const ROW: f64 = 25.0;
const HEAD: f64 = 28.0;
/// A line of its own for a label that is too long to stand beside its value.
const ABOVE: f64 = 18.0;
/// Distance of two lines of one label.
const LINE: f64 = 16.0;
/// How much wider than Helvetica the fonts of some machines are.
const WIDER: f64 = 1.15;
const BOTTOM: f64 = 46.0;
const TOP: f64 = 8.0;
/// Share of the width that labels on the left may take; longer ones stand above their values.
const LABELS: f64 = 0.42;
/// Room for a tick and the space beside it.
const TICK: f64 = 58.0;

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

pub(super) fn draw(figure: &Figure, width: u32) -> Result<Drawing, String> {
    let rows = rows(figure);
    if rows.is_empty() {
        return empty(width);
    }
    let unit = figure.chart.y.unit.as_str();
    let bars = matches!(figure.chart.kind, ChartKind::Bar | ChartKind::GroupedBar);
    let difference = unit == "difference of ratios" || figure.chart.id == "differences";
    let values: Vec<&Point> = rows
        .iter()
        .filter_map(value)
        .map(|(_, point, _)| point)
        .collect();
    let numbers = values
        .iter()
        .flat_map(|point| [point.y, point.low, point.high])
        .flatten()
        .chain(values.iter().filter_map(|point| point.quartiles).flatten());
    let x = range(&figure.chart.y, numbers, bars || difference);
    let right = values
        .iter()
        .map(|point| text_width::width(&says(point, unit, difference), SMALL))
        .fold(0.0, f64::max)
        + 16.0;
    let layout = Layout::of(&rows, right, width);
    let height = TOP + BOTTOM + rows.iter().map(|row| layout.height(row)).sum::<f64>();
    let edge = f64::from(width);

    let mut body = String::new();
    let canvas = Canvas::new(&mut body, width, height as u32);
    let plot = Plot::draw(
        &canvas,
        &Frame {
            margin: [TOP, right, BOTTOM, layout.left],
            x: x.clone(),
            y: 0.0..1.0,
            x_axis: Some(&figure.chart.y),
            y_axis: None,
            x_ticks: ((edge - layout.left - right) / TICK).clamp(2.0, 6.0) as usize,
        },
    )?;
    if x.start < 0.0 && x.end > 0.0 && (bars || difference) {
        let zero = plot.at(0.0, 0.0).0;
        canvas.line((zero, TOP), (zero, height - BOTTOM), Ink::Reference, 1.0)?;
    }
    let mut top = TOP;
    for row in &rows {
        let bottom = top + layout.height(row);
        match row {
            Row::Head(label) => {
                let lines = wrapped(label, LABEL, layout.room);
                words_above(&canvas, &lines, (0.0, top + HEAD / 2.0 + 2.0))?;
            }
            Row::Value {
                label,
                point,
                style,
            } => {
                let middle = bottom - ROW / 2.0;
                if layout.above {
                    let lines = wrapped(label, LABEL, layout.room);
                    words_above(&canvas, &lines, (layout.indent, top + ABOVE / 2.0 + 4.0))?;
                } else {
                    let label = fit(label, LABEL, layout.left - layout.indent - 8.0);
                    canvas.label(&label, (layout.indent, middle), Ink::Text, Align::Start)?;
                }
                drawn(&canvas, &plot, point, *style, middle, bars)?;
                canvas.words(
                    &says(point, unit, difference),
                    (edge, middle),
                    Ink::Muted,
                    Align::End,
                    SMALL,
                )?;
            }
        }
        top = bottom;
    }
    drop(plot);
    drop(canvas);
    Ok(Drawing {
        width,
        height: height as u32,
        body,
    })
}

/// Where the labels stand.
struct Layout {
    /// Space left of the plot.
    left: f64,
    /// Space left of a label below a head.
    indent: f64,
    /// Whether labels stand above their values, because some are too long to stand beside them.
    above: bool,
    /// Width of a line of its own for a label.
    room: f64,
}

impl Layout {
    fn of(rows: &[Row<'_>], right: f64, width: u32) -> Self {
        let heads = rows.iter().any(|row| matches!(row, Row::Head(_)));
        let indent = if heads { 12.0 } else { 0.0 };
        let longest = rows
            .iter()
            .filter_map(value)
            .map(|(label, ..)| text_width::width(label, LABEL))
            .fold(0.0, f64::max);
        // Fonts differ in width.
        let wished = longest * 1.22 + indent + 18.0;
        // Wide values leave less room for labels.
        let edge = f64::from(width);
        let above = wished > (LABELS * edge).min(edge - right - 2.5 * TICK);
        Self {
            left: if above {
                indent + 10.0
            } else {
                wished.max(40.0)
            },
            indent,
            above,
            room: (edge - indent) / WIDER - 8.0,
        }
    }

    fn height(&self, row: &Row<'_>) -> f64 {
        let more = |label: &str| (wrapped(label, LABEL, self.room).len() - 1) as f64 * LINE;
        match row {
            Row::Head(label) => HEAD + more(label),
            Row::Value { label, .. } if self.above => ABOVE + ROW + more(label),
            Row::Value { .. } => ROW,
        }
    }
}

/// A label over the plot: the lines of the plot stop beside it instead of striking it through.
fn words_above(canvas: &Canvas<'_>, lines: &[String], (x, top): (f64, f64)) -> Result<(), String> {
    for (place, line) in lines.iter().enumerate() {
        let y = top + place as f64 * LINE;
        let end = x + text_width::width(line, LABEL) * WIDER + 2.0;
        canvas.block((x - 2.0, y - 9.0), (end, y + 9.0), Ink::Ground, 1.0)?;
        canvas.label(line, (x, y), Ink::Text, Align::Start)?;
    }
    Ok(())
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
    if let Some([lower, upper]) = quartiles(point) {
        return boxed(canvas, plot, point, style, y, [lower, value, upper]);
    }
    if let (Some(low), Some(high)) = (finite(point.low), finite(point.high)) {
        let ink = if bars { Ink::Text } else { Ink::Solid(style) };
        canvas.whisker((x(low), y), (x(high), y), ink)?;
    }
    if !bars {
        canvas.mark((x(value), y), style, 5.0)?;
    }
    Ok(())
}

/// A box around the median, and whiskers.
fn boxed(
    canvas: &Canvas<'_>,
    plot: &Plot<'_, '_>,
    point: &Point,
    style: usize,
    y: f64,
    [lower, median, upper]: [f64; 3],
) -> Result<(), String> {
    let x = |value: f64| plot.at(value, 0.0).0;
    if let (Some(low), Some(high)) = (finite(point.low), finite(point.high)) {
        canvas.whisker((x(low), y), (x(high), y), Ink::Solid(style))?;
    }
    // The ground hides the whisker behind the box.
    let corners = ((x(lower), y - 7.0), (x(upper), y + 7.0));
    canvas.block(corners.0, corners.1, Ink::Ground, 1.0)?;
    canvas.block(corners.0, corners.1, Ink::Series(style), 0.55)?;
    canvas.line((x(median), y - 8.0), (x(median), y + 8.0), Ink::Text, 2.0)
}

fn quartiles(point: &Point) -> Option<[f64; 2]> {
    let [lower, upper] = point.quartiles?;
    Some([finite(Some(lower))?, finite(Some(upper))?])
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
        return rows.collect();
    }
    let mut categories: Vec<&str> = Vec::new();
    for point in series.iter().flat_map(|series| &series.points) {
        if !categories.contains(&point.label.as_str()) {
            categories.push(&point.label);
        }
    }
    let mut rows = Vec::new();
    let only_default = matches!(categories.as_slice(), ["" | ONLY_CONDITION]);
    for category in &categories {
        if !only_default {
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
fn says(point: &Point, unit: &str, difference: bool) -> String {
    match finite(point.y) {
        None if difference => "reference".to_owned(),
        None => "undefined".to_owned(),
        Some(value) if unit == "difference of ratios" => numbers::difference(value, "ratio"),
        Some(value) if difference => numbers::difference(value, unit),
        Some(value) => numbers::value(value, unit),
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && value.abs() < 1e15)
}
