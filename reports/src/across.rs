//! Several runs side by side: what changed from each to the next, and how the primary numbers moved over all of them.

use std::collections::HashMap;

use driftgauge_plugin_protocol::wire::{Axis, ChartKind, ChartSpec, Point, Series};
use driftgauge_record::{Comparison, Interval, Metric, Results, visible_json};
use serde::Serialize;

use crate::anchor::anchor;
use crate::build::{describe, effect};
use crate::model::{Effect, Figure, ONLY_CONDITION};
use crate::numbers;

/// One of several runs.
#[derive(Debug, Clone)]
pub struct NamedRun {
    /// What it is called on the page.
    pub label: String,
    /// What it measured.
    pub results: Results,
}

/// What came of holding a run against the one before it.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The later run less the earlier one.
    pub comparisons: Vec<Comparison>,
    /// What was not compared, and why.
    pub refused: Vec<String>,
    /// How much of it the earlier run measured.
    pub lost: usize,
    /// What differs on purpose, perhaps.
    pub notes: Vec<String>,
}

/// Several runs side by side, the newest last.
#[derive(Debug, Clone, Serialize)]
pub struct AcrossRuns {
    /// The runs, in order.
    runs: Vec<String>,
    /// What changed from each to the next, the newest first.
    steps: Vec<Changed>,
    /// The differences of the newest step, a picture for each unit.
    forests: Vec<Figure>,
    /// Each primary number over all runs, where there are more than two.
    trends: Vec<Figure>,
}

/// What changed from one run to the next.
#[derive(Debug, Clone, Serialize)]
struct Changed {
    before: String,
    after: String,
    /// The primary numbers first.
    rows: Vec<Change>,
    refused: Vec<String>,
    #[serde(skip)]
    lost: usize,
    notes: Vec<String>,
}

/// One number of two runs.
#[derive(Debug, Clone, Serialize)]
struct Change {
    evaluation: String,
    /// Empty where there is only one.
    condition: String,
    title: String,
    /// The model, or both where they differ.
    model: String,
    primary: bool,
    unit: String,
    before: Option<f64>,
    after: Option<f64>,
    delta: Option<f64>,
    ci: Option<Interval>,
    effect: Effect,
    test: String,
    p: Option<f64>,
    adjusted: bool,
    n: u64,
    /// There is no difference, though the earlier run measured it.
    #[serde(skip)]
    lost: bool,
    /// Samples that only the earlier, and only the later run scored.
    only_before: Vec<String>,
    only_after: Vec<String>,
}

impl AcrossRuns {
    /// Puts runs side by side; `steps` holds each against the one before it, so there is one fewer.
    #[must_use]
    pub fn new(runs: &[NamedRun], steps: &[Step]) -> Self {
        let labels = labels(runs);
        let changed: Vec<Changed> = steps
            .iter()
            .enumerate()
            .map(|(place, step)| Changed {
                before: labels.get(place).cloned().unwrap_or_default(),
                after: labels.get(place + 1).cloned().unwrap_or_default(),
                rows: rows(
                    step,
                    [place, place + 1].map(|run| runs.get(run).map(|run| &run.results)),
                ),
                refused: step.refused.clone(),
                lost: step.lost,
                notes: step.notes.clone(),
            })
            .rev()
            .collect();
        Self {
            forests: changed.first().map_or_else(Vec::new, forests),
            trends: if runs.len() > 2 {
                trends(runs, &labels)
            } else {
                Vec::new()
            },
            runs: labels,
            steps: changed,
        }
    }

    /// How many primary numbers of the newest run are clearly worse than those of the run before.
    #[must_use]
    pub fn worse(&self) -> usize {
        let newest = self.steps.first();
        newest.map_or(0, |step| {
            let worse = |row: &&Change| row.primary && row.effect == Effect::Worse;
            step.rows.iter().filter(worse).count()
        })
    }

    /// How much of what the run before measured has nothing in the newest run that it could be held against.
    #[must_use]
    pub fn lost(&self) -> usize {
        let newest = self.steps.first();
        newest.map_or(0, |step| {
            let lost = |row: &&Change| row.primary && row.lost;
            step.lost + step.rows.iter().filter(lost).count()
        })
    }

    /// The same as data.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data with text keys always serialises.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        visible_json(&text).into_owned() + "\n"
    }
}

/// Names of the runs; those that share one are numbered.
fn labels(runs: &[NamedRun]) -> Vec<String> {
    let shared = |label: &str| runs.iter().filter(|run| run.label == label).count() > 1;
    let named = runs.iter().enumerate().map(|(place, run)| {
        if shared(&run.label) {
            format!("{} ({})", run.label, place + 1)
        } else {
            run.label.clone()
        }
    });
    named.collect()
}

/// `runs` are the earlier and the later one.
fn rows(step: &Step, runs: [Option<&Results>; 2]) -> Vec<Change> {
    let numbers = runs.map(|run| Numbers::of(run.map_or(&[][..], |run| &run.metrics)));
    let mut rows: Vec<Change> = step
        .comparisons
        .iter()
        .map(|comparison| row(comparison, &numbers))
        .collect();
    rows.sort_by_key(|row| !row.primary);
    rows
}

/// The numbers of a run, by evaluation, metric, condition and model.
struct Numbers<'m>(HashMap<[&'m str; 4], &'m Metric>);

impl<'m> Numbers<'m> {
    fn of(metrics: &'m [Metric]) -> Self {
        let named = metrics.iter().rev().map(|metric| {
            let name = [
                &*metric.evaluation,
                &*metric.metric,
                &*metric.condition,
                &*metric.model,
            ];
            (name, metric)
        });
        Self(named.collect())
    }

    /// The number of a model that a comparison is of.
    fn get(&self, of: &'m Comparison, model: &'m str) -> Option<&'m Metric> {
        let name = [&*of.evaluation, &*of.metric, &*of.condition, model];
        self.0.get(&name).copied()
    }
}

fn row<'m>(comparison: &'m Comparison, [earlier, numbers]: &[Numbers<'m>; 2]) -> Change {
    let known = numbers.get(comparison, &comparison.model);
    let detail = comparison.detail.as_ref();
    let level = comparison.ci.as_ref().map_or(0.95, |ci| ci.level);
    let direction = match comparison.direction.as_str() {
        "" => known.map_or("none", |metric| metric.direction.as_str()),
        direction => direction,
    };
    let flips = detail.and_then(|detail| detail.flips.as_ref());
    let measured = || {
        let was = earlier.get(comparison, &comparison.baseline);
        earlier.0.is_empty() || was.is_some_and(|metric| metric.value.is_some())
    };
    Change {
        lost: comparison.delta.is_none() && measured(),
        evaluation: comparison.evaluation.clone(),
        condition: condition(&comparison.condition),
        title: known.map_or_else(
            || match comparison.title.as_str() {
                "" => comparison.metric.clone(),
                title => title.to_owned(),
            },
            |metric| metric.title.clone(),
        ),
        model: if comparison.baseline == comparison.model {
            comparison.model.clone()
        } else {
            format!("{} → {}", comparison.baseline, comparison.model)
        },
        // Two files have no metrics of ours, and their numbers all stand for themselves.
        primary: known.map_or(numbers.0.is_empty(), |metric| metric.primary),
        unit: match (known, &comparison.test) {
            (Some(metric), _) => metric.unit.clone(),
            (None, Some(test)) if test.baseline_only.is_some() => "ratio".to_owned(),
            (None, _) => String::new(),
        },
        before: detail.and_then(|detail| detail.baseline_value),
        after: detail.and_then(|detail| detail.model_value),
        delta: comparison.delta,
        ci: comparison.ci.clone(),
        effect: effect(comparison, direction, 1.0 - level),
        test: comparison
            .test
            .as_ref()
            .map_or_else(String::new, |test| test.name.clone()),
        p: comparison.p_adjusted.or(comparison.p),
        adjusted: comparison.p_adjusted.is_some(),
        n: comparison.n,
        only_before: flips.map_or_else(Vec::new, |flips| flips.baseline_only.clone()),
        only_after: flips.map_or_else(Vec::new, |flips| flips.model_only.clone()),
    }
}

fn condition(id: &str) -> String {
    if id == ONLY_CONDITION {
        String::new()
    } else {
        id.to_owned()
    }
}

/// Where a number was measured, in a word for a chart.
fn place(evaluation: &str, condition: &str) -> String {
    if condition.is_empty() {
        evaluation.to_owned()
    } else {
        format!("{evaluation}, {condition}")
    }
}

/// The primary differences as points with intervals, one picture for each unit.
fn forests(step: &Changed) -> Vec<Figure> {
    let primary = || step.rows.iter().filter(|row| row.primary);
    let unit = |row: &Change| match row.unit.as_str() {
        unit if numbers::is_share(unit) => "difference of ratios".to_owned(),
        unit => unit.to_owned(),
    };
    let mut units: Vec<String> = Vec::new();
    for row in primary() {
        if !units.contains(&unit(row)) {
            units.push(unit(row));
        }
    }
    let drawn = units.into_iter().map(|wanted| {
        let mut series: Vec<Series> = Vec::new();
        for row in primary().filter(|row| unit(row) == wanted && row.delta.is_some()) {
            let point = Point {
                label: format!("{} ({})", row.title, place(&row.evaluation, &row.condition)),
                y: row.delta,
                low: row.ci.as_ref().map(|ci| ci.low),
                high: row.ci.as_ref().map(|ci| ci.high),
                n: Some(row.n),
                ..Point::default()
            };
            push(&mut series, &row.model, point);
        }
        let worded = match wanted.as_str() {
            "difference of ratios" => ", in percentage points".to_owned(),
            "" => String::new(),
            unit => format!(", in {unit}"),
        };
        let chart = ChartSpec {
            id: "differences".into(),
            title: format!("{} less {}{worded}", step.after, step.before),
            kind: ChartKind::Forest,
            x: Axis::default(),
            y: Axis {
                label: "difference".into(),
                unit: wanted.clone(),
                domain: None,
            },
            series,
        };
        figure(anchor(&["f", &wanted]), chart)
    });
    drawn
        .filter(|figure| !figure.chart.series.is_empty())
        .collect()
}

/// Every primary number over all runs.
fn trends(runs: &[NamedRun], labels: &[String]) -> Vec<Figure> {
    let mut known: Vec<&Metric> = Vec::new();
    for metric in runs.iter().flat_map(|run| &run.results.metrics) {
        if metric.primary && !known.iter().any(|other| same_number(other, metric)) {
            known.push(metric);
        }
    }
    let drawn = known.into_iter().map(|wanted| {
        let mut series: Vec<Series> = Vec::new();
        for (label, run) in labels.iter().zip(runs) {
            let metrics = run.results.metrics.iter();
            for metric in metrics.filter(|metric| same_number(metric, wanted)) {
                let point = Point {
                    label: label.clone(),
                    y: metric.value,
                    low: metric.ci.as_ref().map(|ci| ci.low),
                    high: metric.ci.as_ref().map(|ci| ci.high),
                    n: Some(metric.n),
                    ..Point::default()
                };
                push(&mut series, &metric.model, point);
            }
        }
        let at = place(&wanted.evaluation, &condition(&wanted.condition));
        let chart = ChartSpec {
            id: "trend".into(),
            title: format!("{} ({at})", wanted.title),
            kind: ChartKind::Line,
            x: Axis::default(),
            y: Axis {
                label: wanted.title.clone(),
                domain: numbers::is_share(&wanted.unit).then_some([0.0, 1.0]),
                unit: wanted.unit.clone(),
            },
            series,
        };
        let id = anchor(&["t", &wanted.evaluation, &wanted.metric, &wanted.condition]);
        figure(id, chart)
    });
    drawn.collect()
}

fn same_number(a: &Metric, b: &Metric) -> bool {
    a.evaluation == b.evaluation && a.metric == b.metric && a.condition == b.condition
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

fn figure(id: String, chart: ChartSpec) -> Figure {
    Figure {
        id,
        description: describe(&chart),
        styles: (0..chart.series.len()).collect(),
        chart,
    }
}
