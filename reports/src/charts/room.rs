//! What a chart has room for: of very many rows, lines or cells the first are drawn, and the chart says how many that are.

use std::borrow::Cow;
use std::collections::HashSet;

use driftgauge_plugin_protocol::wire::{ChartKind, ChartSpec, Point, Series};

use crate::model::Figure;
use crate::numbers;

/// Rows of bars, points with intervals, boxes.
const ROWS: usize = 60;
/// Lines, or sets of points, in one plot.
const LINES: usize = 16;
/// Plots of small multiples.
const PLOTS: usize = 24;
/// Rows and columns of cells.
const CELLS: [usize; 2] = [40, 24];

/// The figure as it is drawn, and what it says of the rest: `The first 60 of 1,000 rows.`; empty where all is drawn.
pub(super) fn fitted(figure: &Figure) -> (Cow<'_, Figure>, String) {
    let chart = &figure.chart;
    let (mut kept, all, what) = match chart.kind {
        ChartKind::Bar | ChartKind::GroupedBar | ChartKind::Forest | ChartKind::Box => {
            let all = chart.series.iter().map(|series| series.points.len()).sum();
            (rows(chart), all, "rows")
        }
        ChartKind::Line | ChartKind::Scatter | ChartKind::Reliability | ChartKind::Histogram => {
            first_series(chart, LINES, "lines")
        }
        ChartKind::SmallMultiples => first_series(chart, PLOTS, "plots"),
        ChartKind::StackedBar => labels(chart, ROWS),
        ChartKind::Heatmap => return cells(figure),
    };
    let shown: usize = match what {
        "rows" => kept.iter().map(|series| series.points.len()).sum(),
        "bars" => labels_of(&kept).len(),
        _ => kept.len(),
    };
    if shown == all {
        return (Cow::Borrowed(figure), String::new());
    }
    // A style belongs to the series at its place, so empty ones keep theirs.
    kept.resize_with(chart.series.len(), || Series::new("", Vec::new()));
    for (kept, series) in kept.iter_mut().zip(&chart.series) {
        kept.name.clone_from(&series.name);
    }
    let (series, styles): (Vec<Series>, Vec<usize>) = kept
        .into_iter()
        .enumerate()
        .map(|(at, series)| (series, figure.styles.get(at).copied().unwrap_or(at)))
        .filter(|(series, _)| !series.points.is_empty())
        .unzip();
    (
        Cow::Owned(with(figure, series, styles)),
        told(shown, all, what),
    )
}

fn with(figure: &Figure, series: Vec<Series>, styles: Vec<usize>) -> Figure {
    Figure {
        id: figure.id.clone(),
        description: figure.description.clone(),
        styles,
        chart: ChartSpec {
            series,
            id: figure.chart.id.clone(),
            title: figure.chart.title.clone(),
            x: figure.chart.x.clone(),
            y: figure.chart.y.clone(),
            kind: figure.chart.kind,
        },
    }
}

fn told(shown: usize, all: usize, what: &str) -> String {
    let [shown, all] = [shown, all].map(|count| numbers::count(count as u64));
    format!("The first {shown} of {all} {what}.")
}

/// The first rows, category by category, as they are drawn.
fn rows(chart: &ChartSpec) -> Vec<Series> {
    let mut room = ROWS;
    let mut kept: Vec<Series> = chart
        .series
        .iter()
        .map(|one| Series::new(&one.name, Vec::new()))
        .collect();
    for label in labels_of(&chart.series) {
        for (kept, series) in kept.iter_mut().zip(&chart.series) {
            for point in series.points.iter().filter(|point| point.label == label) {
                if room > 0 {
                    kept.points.push(point.clone());
                    room -= 1;
                }
            }
        }
        if room == 0 {
            break;
        }
    }
    kept
}

fn first_series<'a>(
    chart: &ChartSpec,
    most: usize,
    what: &'a str,
) -> (Vec<Series>, usize, &'a str) {
    let kept = chart.series.iter().take(most).cloned().collect();
    (kept, chart.series.len(), what)
}

/// The first categories, each with all its parts.
fn labels(chart: &ChartSpec, most: usize) -> (Vec<Series>, usize, &'static str) {
    let all = labels_of(&chart.series);
    let kept: HashSet<&str> = all.iter().take(most).copied().collect();
    let series = chart.series.iter().map(|series| of_labels(series, &kept));
    (series.collect(), all.len(), "bars")
}

/// A series with the points of some labels alone.
fn of_labels(series: &Series, kept: &HashSet<&str>) -> Series {
    let is_kept = |point: &&Point| kept.contains(point.label.as_str());
    Series {
        name: series.name.clone(),
        points: series.points.iter().filter(is_kept).cloned().collect(),
    }
}

fn cells(figure: &Figure) -> (Cow<'_, Figure>, String) {
    let chart = &figure.chart;
    let columns = labels_of(&chart.series);
    let [most_rows, most_columns] = CELLS;
    if chart.series.len() <= most_rows && columns.len() <= most_columns {
        return (Cow::Borrowed(figure), String::new());
    }
    let kept: HashSet<&str> = columns.iter().take(most_columns).copied().collect();
    let rows = chart.series.iter().take(most_rows);
    let series = rows.map(|series| of_labels(series, &kept));
    let mut said = Vec::new();
    if chart.series.len() > most_rows {
        said.push(told(most_rows, chart.series.len(), "rows"));
    }
    if columns.len() > most_columns {
        said.push(told(most_columns, columns.len(), "columns"));
    }
    let fitted = with(figure, series.collect(), figure.styles.clone());
    (Cow::Owned(fitted), said.join(" "))
}

/// The labels of all points, each once, in order.
fn labels_of(series: &[Series]) -> Vec<&str> {
    let points = series.iter().flat_map(|series| &series.points);
    let labels: indexmap::IndexSet<&str> = points.map(|point| point.label.as_str()).collect();
    labels.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_plugin_protocol::wire::{Axis, Point};

    fn figure(kind: ChartKind, series: usize, points: usize) -> Figure {
        let one = |at: usize| {
            let points = (0..points).map(|point| Point::category(&format!("c{point}"), 1.0));
            Series::new(&format!("s{at}"), points.collect())
        };
        Figure {
            id: "f".to_owned(),
            description: String::new(),
            styles: (0..series).map(|at| at + 3).collect(),
            chart: ChartSpec {
                id: "f".to_owned(),
                title: "F".to_owned(),
                kind,
                x: Axis::new("x"),
                y: Axis::new("y"),
                series: (0..series).map(one).collect(),
            },
        }
    }

    #[test]
    fn what_has_room_is_drawn_as_it_is() {
        for kind in [
            ChartKind::Forest,
            ChartKind::Line,
            ChartKind::Heatmap,
            ChartKind::StackedBar,
        ] {
            let figure = figure(kind, 3, 20);
            let (drawn, said) = fitted(&figure);
            assert!(
                matches!(drawn, Cow::Borrowed(_)) && said.is_empty(),
                "{kind:?}: {said}"
            );
        }
    }

    #[test]
    fn of_more_the_first_are_drawn_and_the_rest_is_counted() {
        for (kind, series, points, expected) in [
            (ChartKind::Forest, 1_000, 2, "The first 60 of 2000 rows."),
            (ChartKind::Bar, 1, 61, "The first 60 of 61 rows."),
            (ChartKind::Line, 17, 3, "The first 16 of 17 lines."),
            (
                ChartKind::SmallMultiples,
                40,
                3,
                "The first 24 of 40 plots.",
            ),
            (ChartKind::StackedBar, 2, 90, "The first 60 of 90 bars."),
            (
                ChartKind::Heatmap,
                41,
                25,
                "The first 40 of 41 rows. The first 24 of 25 columns.",
            ),
        ] {
            let figure = figure(kind, series, points);
            let (drawn, said) = fitted(&figure);
            assert_eq!(said, expected);
            // Each series keeps its own style.
            for (series, style) in drawn.chart.series.iter().zip(&drawn.styles) {
                assert_eq!(series.name, format!("s{}", style - 3));
            }
            assert!(super::super::draw(&figure, 528).is_ok(), "{kind:?}");
        }
    }
}
