//! Small multiples: each series in a plot of its own, all on the same axes.

use super::axis::{Frame, Plot, range};
use super::canvas::{Align, Canvas, LABEL};
use super::lines::{Spot, categories, line, spots};
use super::palette::Ink;
use super::text_width::fit;
use super::{Drawing, empty};
use crate::model::Figure;

/// Least width of a plot.
const LEAST: f64 = 230.0;
const HEIGHT: f64 = 170.0;
const HEAD: f64 = 22.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 46.0;

pub(super) fn draw(figure: &Figure, width: u32) -> Result<Drawing, String> {
    let chart = &figure.chart;
    let names = categories(&chart.series);
    let plots: Vec<(usize, &str, Vec<Spot<'_>>)> = chart
        .series
        .iter()
        .enumerate()
        .map(|(index, series)| (index, series.name.as_str(), spots(series, &names)))
        .filter(|(.., spots)| !spots.is_empty())
        .collect();
    if plots.is_empty() {
        return empty(width);
    }
    let all = || plots.iter().flat_map(|(.., spots)| spots);
    let x = range(&chart.x, all().map(|spot| spot.x), false);
    let ends = |spot: &Spot<'_>| [Some(spot.y), spot.point.low, spot.point.high];
    let y = range(
        &chart.y,
        all().flat_map(ends).flatten(),
        chart.y.unit == "count",
    );
    let edge = f64::from(width);
    let across = ((edge / LEAST) as usize).clamp(1, plots.len());
    let step = edge / across as f64;
    let down = plots.len().div_ceil(across);
    let height = (HEAD + HEIGHT) * down as f64;

    let mut body = String::new();
    let canvas = Canvas::new(&mut body, width, height as u32);
    for (place, (index, name, spots)) in plots.iter().enumerate() {
        let (column, row) = ((place % across) as f64, (place / across) as f64);
        let (start, top) = (column * step, row * (HEAD + HEIGHT));
        let panel = canvas.part((start, top + HEAD), (step, HEIGHT));
        let plot = Plot::draw(
            &panel,
            &Frame {
                margin: [4.0, RIGHT, BOTTOM, LEFT],
                x: x.clone(),
                y: y.clone(),
                x_axis: Some(&chart.x),
                y_axis: Some(&chart.y),
                x_ticks: 3,
            },
        )?;
        let style = figure.styles.get(*index).copied().unwrap_or(*index);
        line(&canvas, &plot, spots, style, false)?;
        let label = fit(name, LABEL, step - LEFT - RIGHT);
        canvas.label(
            &label,
            (start + LEFT, top + HEAD / 2.0),
            Ink::Text,
            Align::Start,
        )?;
    }
    drop(canvas);
    Ok(Drawing {
        width,
        height: height as u32,
        body,
    })
}
