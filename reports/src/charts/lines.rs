//! Charts with two numeric axes: lines, reliability diagrams, histograms.

use driftgauge_plugin_protocol::wire::{Axis, ChartKind, Point, Series};

use super::axis::{Frame, Plot, range};
use super::canvas::{Align, Canvas, SMALL};
use super::palette::Ink;
use super::text_width::{self, fit};
use super::{Drawing, empty};
use crate::model::Figure;
use crate::numbers;

const HEIGHT: u32 = 260;
/// Of a chart whose two axes have the same scale.
const SQUARE: u32 = 372;
const LEFT: f64 = 60.0;
/// Half a tick may stand beyond the end of the axis.
const RIGHT: f64 = 22.0;
const BOTTOM: f64 = 48.0;
/// The same where names stand instead of numbers, which need no title.
const BOTTOM_OF_NAMES: f64 = 28.0;
/// Markers on lines of more points would cover them.
const MARKED: usize = 40;

/// A point with both coordinates.
pub(super) struct Spot<'a> {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) point: &'a Point,
}

pub(super) fn draw(figure: &Figure, width: u32) -> Result<Drawing, String> {
    let chart = &figure.chart;
    let categories = categories(&chart.series);
    let series: Vec<Vec<Spot<'_>>> = chart
        .series
        .iter()
        .map(|series| spots(series, &categories))
        .collect();
    if series.iter().all(Vec::is_empty) {
        return empty(width);
    }
    let unit = Axis {
        domain: Some([0.0, 1.0]),
        ..Axis::default()
    };
    let square = chart.kind == ChartKind::Reliability;
    let histogram = chart.kind == ChartKind::Histogram;
    let half = if histogram { bin(&series) / 2.0 } else { 0.0 };
    let xs = series
        .iter()
        .flatten()
        .flat_map(|spot| [spot.x - half, spot.x + half]);
    let ys = series
        .iter()
        .flatten()
        .flat_map(|spot| [Some(spot.y), spot.point.low, spot.point.high])
        .flatten();
    let x = range(if square { &unit } else { &chart.x }, xs, false);
    let y = range(
        if square { &unit } else { &chart.y },
        ys,
        histogram || chart.y.unit == "count",
    );
    // A square stays one, however wide its place is.
    let width = if square {
        width.min(SQUARE + 12)
    } else {
        width
    };
    let numeric = categories.is_empty();
    let bottom = if numeric { BOTTOM } else { BOTTOM_OF_NAMES };
    let height = if square {
        width - 12
    } else {
        HEIGHT - (BOTTOM - bottom) as u32
    };

    let mut body = String::new();
    let canvas = Canvas::new(&mut body, width, height);
    let plot = Plot::draw(
        &canvas,
        &Frame {
            margin: [8.0, RIGHT, bottom, LEFT],
            x,
            y: y.clone(),
            x_axis: numeric.then_some(&chart.x),
            y_axis: Some(&chart.y),
            x_ticks: 6,
        },
    )?;
    if !numeric {
        ticks(
            &canvas,
            &plot,
            &categories,
            [f64::from(width), f64::from(height) - bottom],
        )?;
    }
    if square {
        canvas.path(&[plot.at(0.0, 0.0), plot.at(1.0, 1.0)], Ink::Reference, 1.0)?;
    }
    for (index, spots) in series.iter().enumerate() {
        let style = figure.styles.get(index).copied().unwrap_or(index);
        if histogram {
            bins(&canvas, &plot, spots, half, style, y.start.max(0.0))?;
        } else if chart.kind == ChartKind::Scatter {
            marks(&canvas, &plot, spots, style)?;
        } else {
            line(&canvas, &plot, spots, style, series.len() == 1)?;
            if square && series.len() == 1 {
                counts(&canvas, &plot, spots)?;
            }
        }
    }
    drop(plot);
    drop(canvas);
    Ok(Drawing {
        width,
        height,
        body,
    })
}

/// Labels that stand in for numbers on the horizontal axis, when no point has one.
pub(super) fn categories(series: &[Series]) -> Vec<&str> {
    let points = || series.iter().flat_map(|series| &series.points);
    let mut labels: Vec<&str> = Vec::new();
    if points().any(|point| point.x.is_some()) {
        return labels;
    }
    for point in points() {
        if !labels.contains(&point.label.as_str()) {
            labels.push(&point.label);
        }
    }
    labels
}

pub(super) fn spots<'a>(series: &'a Series, categories: &[&str]) -> Vec<Spot<'a>> {
    let place = |point: &Point| {
        let category = categories.iter().position(|label| *label == point.label);
        point.x.or(category.map(|index| index as f64))
    };
    let mut spots: Vec<Spot<'a>> = series
        .points
        .iter()
        .filter_map(|point| {
            Some(Spot {
                x: place(point)?,
                y: point.y?,
                point,
            })
        })
        .filter(|spot| {
            spot.x.is_finite() && spot.y.is_finite() && spot.x.abs() < 1e15 && spot.y.abs() < 1e15
        })
        .collect();
    spots.sort_by(|a, b| a.x.total_cmp(&b.x));
    spots
}

pub(super) fn line(
    canvas: &Canvas<'_>,
    plot: &Plot<'_, '_>,
    spots: &[Spot<'_>],
    style: usize,
    alone: bool,
) -> Result<(), String> {
    let ink = if alone {
        Ink::Solid(style)
    } else {
        Ink::Series(style)
    };
    let bound = |spot: &Spot<'_>, value: f64| plot.at(spot.x, value);
    let bounded: Vec<(&Spot<'_>, f64, f64)> = spots
        .iter()
        .filter_map(|spot| Some((spot, spot.point.low?, spot.point.high?)))
        .filter(|(_, low, high)| low.is_finite() && high.is_finite())
        .collect();
    if spots.len() > MARKED {
        let upper = bounded.iter().map(|(spot, _, high)| bound(spot, *high));
        let lower = bounded.iter().rev().map(|(spot, low, _)| bound(spot, *low));
        let band: Vec<_> = upper.chain(lower).collect();
        if band.len() > 3 {
            canvas.shape(&band, ink, 0.18)?;
        }
    } else {
        for (spot, low, high) in &bounded {
            canvas.whisker(bound(spot, *low), bound(spot, *high), Ink::Solid(style))?;
        }
    }
    let path: Vec<_> = spots.iter().map(|spot| plot.at(spot.x, spot.y)).collect();
    if path.len() > 1 {
        canvas.path(&path, ink, 2.0)?;
    }
    if spots.len() <= MARKED {
        for at in path {
            canvas.mark(at, style, 4.0)?;
        }
    }
    Ok(())
}

/// How many answers are behind each point, where there is room: below it, or above it near the floor.
fn counts(canvas: &Canvas<'_>, plot: &Plot<'_, '_>, spots: &[Spot<'_>]) -> Result<(), String> {
    let mut last = f64::NEG_INFINITY;
    for spot in spots {
        let Some(n) = spot.point.n else { continue };
        let words = numbers::count(n);
        let (x, y) = plot.at(spot.x, spot.y);
        let half = text_width::width(&words, SMALL) / 2.0;
        if x - half < last {
            continue;
        }
        last = x + half + 2.0;
        let down = if spot.y < 0.1 { -14.0 } else { 14.0 };
        canvas.words(
            &words,
            (x + 9.0, y + down),
            Ink::Muted,
            Align::Middle,
            SMALL,
        )?;
    }
    Ok(())
}

/// Marks, smaller where there are many.
fn marks(
    canvas: &Canvas<'_>,
    plot: &Plot<'_, '_>,
    spots: &[Spot<'_>],
    style: usize,
) -> Result<(), String> {
    let radius = if spots.len() > 10 * MARKED { 2.0 } else { 3.5 };
    for spot in spots {
        if let (Some(low), Some(high)) = (spot.point.low, spot.point.high)
            && spots.len() <= MARKED
        {
            canvas.whisker(
                plot.at(spot.x, low),
                plot.at(spot.x, high),
                Ink::Solid(style),
            )?;
        }
        canvas.mark(plot.at(spot.x, spot.y), style, radius)?;
    }
    Ok(())
}

/// The width of a bin: the least distance between two middles.
fn bin(series: &[Vec<Spot<'_>>]) -> f64 {
    let mut middles: Vec<f64> = series.iter().flatten().map(|spot| spot.x).collect();
    middles.sort_by(f64::total_cmp);
    let steps = middles.windows(2).map(|pair| pair[1] - pair[0]);
    let least = steps
        .filter(|step| *step > 0.0)
        .fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 1.0 }
}

fn bins(
    canvas: &Canvas<'_>,
    plot: &Plot<'_, '_>,
    spots: &[Spot<'_>],
    half: f64,
    style: usize,
    floor: f64,
) -> Result<(), String> {
    for spot in spots {
        let (left, foot) = plot.at(spot.x - half, floor);
        let (right, top) = plot.at(spot.x + half, spot.y);
        // A hair of space between bins.
        canvas.block(
            (left + 0.5, foot),
            (right - 0.5, top),
            Ink::Series(style),
            0.55,
        )?;
    }
    Ok(())
}

/// Labels below a horizontal axis of categories, as many as fit.
fn ticks(
    canvas: &Canvas<'_>,
    plot: &Plot<'_, '_>,
    labels: &[&str],
    [across, bottom]: [f64; 2],
) -> Result<(), String> {
    let room = (across - LEFT - RIGHT) / labels.len().max(1) as f64;
    let longest = labels
        .iter()
        .map(|label| text_width::width(label, SMALL))
        .fold(0.0, f64::max);
    let every = ((longest.min(110.0) + 8.0) / room).ceil().max(1.0) as usize;
    for (index, label) in labels.iter().enumerate().step_by(every) {
        let (x, _) = plot.at(index as f64, 0.0);
        let label = fit(label, SMALL, (room * every as f64 - 6.0).max(30.0));
        canvas.words(&label, (x, bottom + 14.0), Ink::Muted, Align::Middle, SMALL)?;
    }
    Ok(())
}
