//! Cells shaded by value, with the value written in them, and how many samples it is of.

use super::canvas::{Align, Canvas, LABEL, SMALL};
use super::palette::Ink;
use super::text_width::{self, fit};
use super::{Drawing, empty};
use crate::model::Figure;
use crate::numbers;

/// Least width of a column.
const STEP: f64 = 62.0;
/// The same where cells say how many samples they are of.
const COUNTED: f64 = 92.0;
const ROW: f64 = 28.0;
const HEAD: f64 = 26.0;

pub(super) fn draw(figure: &Figure, width: u32) -> Result<Drawing, String> {
    let chart = &figure.chart;
    let mut columns: Vec<&str> = Vec::new();
    for point in chart.series.iter().flat_map(|series| &series.points) {
        if !columns.contains(&point.label.as_str()) {
            columns.push(&point.label);
        }
    }
    if columns.is_empty() {
        return empty(width);
    }
    let shown = &chart.series;
    let values = shown
        .iter()
        .flat_map(|series| &series.points)
        .filter_map(|point| point.y);
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let domain = chart.y.domain;
    let domain = domain.filter(|ends| ends.iter().all(|end| end.abs() < 1e15));
    let [low, high] = domain.unwrap_or([
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    ]);
    let longest = shown
        .iter()
        .map(|series| text_width::width(&series.name, LABEL))
        .fold(0.0, f64::max);
    let left = (longest + 12.0).clamp(40.0, 150.0);
    // A table of many columns is wider than other charts, and scrolls where there is no room.
    let counted = shown
        .iter()
        .flat_map(|series| &series.points)
        .any(|point| point.n.is_some());
    let least = if counted { COUNTED } else { STEP };
    let step = ((f64::from(width) - left) / columns.len() as f64).max(least);
    let width = ((left + step * columns.len() as f64).ceil() as u32).max(1);
    let height = HEAD + ROW * shown.len() as f64 + 4.0;

    let mut body = String::new();
    let canvas = Canvas::new(&mut body, width, height as u32);
    for (index, column) in columns.iter().enumerate() {
        let middle = left + step * (index as f64 + 0.5);
        let label = fit(column, SMALL, step - 4.0);
        canvas.words(
            &label,
            (middle, HEAD / 2.0),
            Ink::Muted,
            Align::Middle,
            SMALL,
        )?;
    }
    for (row, series) in shown.iter().enumerate() {
        let top = HEAD + ROW * row as f64;
        let label = fit(&series.name, LABEL, left - 8.0);
        canvas.label(&label, (0.0, top + ROW / 2.0), Ink::Text, Align::Start)?;
        for point in &series.points {
            let (Some(value), Some(column)) = (
                point.y.filter(|value| value.is_finite()),
                columns.iter().position(|label| *label == point.label),
            ) else {
                continue;
            };
            let x = left + step * column as f64;
            // Faint enough for the text on it to stay readable.
            let share = if high > low {
                ((value - low) / (high - low)).clamp(0.0, 1.0)
            } else {
                0.5
            };
            let shade = 0.06 + 0.44 * share;
            canvas.block(
                (x + 1.0, top + 1.0),
                (x + step - 1.0, top + ROW - 1.0),
                Ink::Series(0),
                shade,
            )?;
            let value = numbers::value(value, &chart.y.unit);
            let text = match point.n {
                Some(n) => format!("{value} of {}", numbers::count(n)),
                None => value,
            };
            let text = fit(&text, SMALL, step - 4.0);
            canvas.words(
                &text,
                (x + step / 2.0, top + ROW / 2.0),
                Ink::Text,
                Align::Middle,
                SMALL,
            )?;
        }
    }
    drop(canvas);
    Ok(Drawing {
        width,
        height: height as u32,
        body,
    })
}
