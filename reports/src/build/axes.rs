//! Numbers along the axes that a spec varies: cells are named by their coordinates, `tuned@lr=1e-5,seed=1`.

use driftgauge_cell::{self as cell, SEED};
use driftgauge_plugin_protocol::wire::{Axis, ChartKind, ChartSpec, Point, Series};
use driftgauge_record::Metric;
use driftgauge_record::files::resolved::ChartRecord;
use driftgauge_stats::regression::slope;
use driftgauge_stats::summary::{mean, mean_interval};
use indexmap::{IndexMap, IndexSet};

use super::context::Context;
use super::figures::figure;
use crate::anchor::anchor;
use crate::charts::LOG10;
use crate::model::{AxisLine, AxisPoint, AxisSection};
use crate::numbers;

/// Lines that one chart has room for.
const MOST_LINES: usize = 8;
/// An axis that reaches over this factor is drawn by its logarithm.
const FAR: f64 = 10.0;

/// A primary number with the coordinates of its cells.
struct Cell<'a> {
    metric: &'a Metric,
    model: &'a str,
    evaluation: &'a str,
    /// Axis and value, those of the evaluation first.
    coordinates: Vec<(&'a str, &'a str)>,
}

impl Cell<'_> {
    fn at(&self, axis: &str) -> Option<&str> {
        let mut found = self.coordinates.iter().filter(|(own, _)| *own == axis);
        found.next().map(|(_, value)| *value)
    }

    /// What a line of a chart holds: its own axis, or every one but that along which it runs.
    fn held(&self, axis: &str, lines: Option<&str>) -> String {
        let others = self.coordinates.iter().filter(|(own, _)| match lines {
            Some(lines) => *own == lines,
            None => *own != axis && *own != SEED,
        });
        cell::named(self.model, others.copied())
    }
}

/// The lines of a chart.
#[derive(Clone, Copy)]
struct Place<'a> {
    evaluation: &'a str,
    metric: &'a str,
    condition: &'a str,
    axis: &'a str,
    /// The axis that lines stand for, where the spec says so.
    lines: Option<&'a str>,
}

pub(super) fn of(context: &Context<'_>) -> Vec<AxisSection> {
    let chosen = &context.files.experiment.charts;
    let chooses = |chart: &ChartRecord, cell: &Cell<'_>| {
        chart.evaluation == cell.evaluation && chart.metric == cell.metric.metric
    };
    let cells: Vec<Cell<'_>> = context.files.results.metrics.iter().map(cell_of).collect();
    let mut groups: IndexMap<(&str, &str, &str), Vec<&Cell<'_>>> = IndexMap::new();
    for cell in &cells {
        let metric = cell.metric;
        if metric.primary || chosen.iter().any(|chart| chooses(chart, cell)) {
            let key = (
                cell.evaluation,
                metric.metric.as_str(),
                metric.condition.as_str(),
            );
            groups.entry(key).or_default().push(cell);
        }
    }
    let mut out = Vec::new();
    for ((evaluation, metric, condition), cells) in groups {
        let mut draw = |axis, lines| {
            let place = Place {
                evaluation,
                metric,
                condition,
                axis,
                lines,
            };
            out.extend(section(context, place, &cells));
        };
        let own: Vec<&ChartRecord> = chosen
            .iter()
            .filter(|chart| chooses(chart, cells[0]))
            .collect();
        for chart in &own {
            let here = chart.condition.as_deref();
            if here.is_none_or(|here| here == condition) {
                draw(chart.x.as_str(), chart.lines.as_deref());
            }
        }
        if own.is_empty() {
            axes(&cells).into_iter().for_each(|axis| draw(axis, None));
        }
    }
    out
}

/// What varies, seeds left out.
fn axes<'a>(cells: &[&Cell<'a>]) -> IndexSet<&'a str> {
    let all = cells.iter().flat_map(|cell| &cell.coordinates);
    let all = all.map(|(axis, _)| *axis);
    all.filter(|axis| *axis != SEED).collect()
}

fn cell_of(metric: &Metric) -> Cell<'_> {
    let coordinates = cell::coordinates(&metric.evaluation);
    Cell {
        metric,
        model: cell::family(&metric.model),
        evaluation: cell::family(&metric.evaluation),
        coordinates: coordinates
            .chain(cell::coordinates(&metric.model))
            .collect(),
    }
}

/// One axis of one number; `None` where it is no axis of numbers.
fn section(
    context: &Context<'_>,
    Place {
        evaluation,
        metric,
        condition,
        axis,
        lines: chosen,
    }: Place<'_>,
    cells: &[&Cell<'_>],
) -> Option<AxisSection> {
    let mut lines: IndexMap<String, IndexMap<&str, Vec<&Metric>>> = IndexMap::new();
    let mut values: Vec<f64> = Vec::new();
    for cell in cells {
        let Some(at) = cell.at(axis) else { continue };
        // One word among the values makes it an axis of words.
        values.push(at.parse().ok().filter(|x: &f64| x.is_finite())?);
        let line = lines.entry(cell.held(axis, chosen)).or_default();
        line.entry(at).or_default().push(cell.metric);
    }
    let (least, most) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), x| {
            (least.min(*x), most.max(*x))
        });
    if least >= most {
        return None;
    }
    let logarithmic = least > 0.0 && most / least >= FAR;
    let level = context.files.experiment.compare.level;
    let all: Vec<AxisLine> = lines
        .into_iter()
        .map(|(name, points)| line(name, &points, logarithmic, level))
        .filter(|line| line.points.len() > 1)
        .collect();
    let omitted = all.len().saturating_sub(MOST_LINES);
    let shown: Vec<AxisLine> = all.into_iter().take(MOST_LINES).collect();
    let first = cells.first()?.metric;
    let averaged: Vec<String> = match chosen {
        None => Vec::new(),
        Some(lines) => axes(cells)
            .into_iter()
            .filter(|other| *other != axis && *other != lines)
            .map(str::to_owned)
            .collect(),
    };
    let place = match condition {
        crate::model::ONLY_CONDITION => evaluation.to_owned(),
        condition => format!("{evaluation}, {condition}"),
    };
    let over = match averaged.as_slice() {
        [] => String::new(),
        over => format!(", averaged over {}", over.join(", ")),
    };
    let title = format!("{place}: {} along {axis}{over}", first.title);
    let chart = ChartSpec {
        id: "axis".into(),
        title: title.clone(),
        kind: ChartKind::Line,
        x: Axis {
            label: axis.to_owned(),
            unit: match logarithmic {
                true => LOG10.to_owned(),
                false => String::new(),
            },
            ..Axis::default()
        },
        y: Axis {
            label: first.title.clone(),
            domain: numbers::is_share(&first.unit).then_some([0.0, 1.0]),
            unit: first.unit.clone(),
        },
        series: shown.iter().map(|line| series(line, logarithmic)).collect(),
    };
    (!shown.is_empty()).then(|| AxisSection {
        title,
        axis: axis.to_owned(),
        averaged,
        logarithmic,
        unit: first.unit.clone(),
        figure: figure(
            context,
            match chosen {
                None => anchor(&["x", evaluation, metric, condition, axis]),
                Some(lines) => anchor(&["x", evaluation, metric, condition, axis, lines]),
            },
            chart,
        ),
        lines: shown,
        omitted,
    })
}

fn line(
    name: String,
    points: &IndexMap<&str, Vec<&Metric>>,
    logarithmic: bool,
    level: f64,
) -> AxisLine {
    let mut out = Vec::new();
    let mut each = Vec::new();
    for (at, metrics) in points {
        let found: Vec<f64> = metrics.iter().filter_map(|metric| metric.value).collect();
        let (Ok(x), Some(value)) = (at.parse::<f64>(), mean(&found)) else {
            continue;
        };
        each.extend(found.iter().map(|y| (scaled(x, logarithmic), *y)));
        let ci = match found.as_slice() {
            [_] => {
                let own = metrics.iter().find_map(|metric| metric.ci.as_ref());
                own.map(|ci| [ci.low, ci.high])
            }
            several => mean_interval(several, level).map(|ci| [ci.low, ci.high]),
        };
        out.push(AxisPoint {
            at: (*at).to_owned(),
            x,
            value,
            ci,
            seeds: found.len(),
        });
    }
    out.sort_by(|a, b| a.x.total_cmp(&b.x));
    let slope = slope(&each, level);
    AxisLine {
        name,
        points: out,
        slope: slope.as_ref().map(|slope| slope.estimate),
        slope_ci: slope.and_then(|slope| slope.ci).map(|ci| [ci.low, ci.high]),
    }
}

fn scaled(x: f64, logarithmic: bool) -> f64 {
    if logarithmic { x.log10() } else { x }
}

fn series(line: &AxisLine, logarithmic: bool) -> Series {
    let points = line.points.iter().map(|point| Point {
        x: Some(scaled(point.x, logarithmic)),
        y: Some(point.value),
        low: point.ci.map(|[low, _]| low),
        high: point.ci.map(|[_, high]| high),
        ..Point::default()
    });
    Series {
        name: line.name.clone(),
        points: points.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(value: f64) -> Metric {
        serde_json::from_value(serde_json::json!({
            "evaluation": "ask", "condition": "default", "model": "m", "metric": "asr", "title": "ASR", "value": value, "n": 10,
            "ci": null, "direction": "lower", "unit": "ratio", "primary": true
        }))
        .expect("a number")
    }

    #[test]
    fn seeds_are_pooled_and_the_slope_is_of_all_of_them() {
        // Against scipy: linregress([0, 0, 1, 1, 2, 2], [.1, .2, .3, .5, .6, .7]) has slope 0.25 and standard error 0.0433013,
        // t(4) is 2.7764451; of [.3, .5], the mean is .4 and Student's interval reaches 12.7062047 * 0.1 from it.
        let all: Vec<Metric> = [0.1, 0.2, 0.3, 0.5, 0.6, 0.7].map(metric).to_vec();
        let points: IndexMap<&str, Vec<&Metric>> = ["1", "10", "100"]
            .into_iter()
            .zip(all.chunks(2).map(|pair| pair.iter().collect()))
            .collect();
        let line = line("tuned".into(), &points, true, 0.95);
        assert_eq!(line.points.len(), 3);
        assert_eq!((line.points[1].x, line.points[1].seeds), (10.0, 2));
        assert!((line.points[1].value - 0.4).abs() < 1e-12);
        let [low, high] = line.points[1].ci.expect("an interval");
        assert!(
            (low - (0.4 - 1.270_620_473_6)).abs() < 1e-8 && (high - 1.670_620_473_6).abs() < 1e-8
        );
        assert!((line.slope.expect("a slope") - 0.25).abs() < 1e-12);
        let [low, high] = line.slope_ci.expect("an interval");
        assert!(
            (low - 0.129_776).abs() < 1e-5 && (high - 0.370_224).abs() < 1e-5,
            "{low} {high}"
        );
    }

    #[test]
    fn a_chosen_line_averages_what_it_does_not_stand_for() {
        let metric = metric(0.5);
        let cell = |model: &'static str, coordinates: &[(&'static str, &'static str)]| Cell {
            metric: &metric,
            model,
            evaluation: "ask",
            coordinates: coordinates.to_vec(),
        };
        let one = cell(
            "tuned",
            &[("T", "0"), ("lr", "0.1"), ("n", "10"), ("seed", "1")],
        );
        assert_eq!(one.held("n", None), "tuned@T=0,lr=0.1");
        assert_eq!(one.held("n", Some("lr")), "tuned@lr=0.1");
        let other = cell("base", &[("T", "0")]);
        assert_eq!(other.held("n", Some("lr")), "base");
        assert_eq!(
            axes(&[&one, &other]).into_iter().collect::<Vec<_>>(),
            ["T", "lr", "n"]
        );
    }
}
