//! The table of primary numbers.

use std::collections::HashSet;

use driftgauge_plugin_protocol::wire::{Axis, ChartKind, ChartSpec, Point, Series};
use driftgauge_record::Metric;

use super::context::{Context, section_id};
use super::figures::{figure, shows_something};
use super::index::key;
use crate::anchor::anchor;
use crate::model::{Figure, Headline, HeadlineRow};
use crate::numbers;

pub(super) fn of(context: &Context<'_>) -> Headline {
    let metrics = &context.files.results.metrics;
    let (beside, alone) = columns(context);
    let models = [beside, alone.clone()].concat();
    let mut rows: Vec<HeadlineRow> = Vec::new();
    let mut known = HashSet::new();
    for metric in metrics.iter().filter(|metric| metric.primary) {
        let condition = context.condition_label(&metric.evaluation, &metric.condition);
        let [evaluation, _, id, _] = key(metric);
        if known.insert((evaluation, id, condition.clone())) {
            rows.push(row(context, metric, condition, &models));
        }
    }
    let rows = twins_beside(context, rows);
    Headline {
        level: level(metrics),
        compared: models
            .iter()
            .enumerate()
            .filter(|(column, _)| {
                let mut cells = rows.iter().filter_map(|row| row.cells[*column].as_ref());
                cells.any(|cell| cell.delta.is_some())
            })
            .map(|(_, model)| model.clone())
            .collect(),
        forests: forests(context, &rows, &models),
        models,
        alone,
        baseline: context.baseline.clone(),
        rows,
    }
}

/// All differences from the baseline as points with intervals, one picture for each unit.
fn forests(context: &Context<'_>, rows: &[HeadlineRow], models: &[String]) -> Vec<Figure> {
    let mut units: Vec<&str> = rows.iter().map(|row| difference_unit(&row.unit)).collect();
    let mut seen = HashSet::new();
    units.retain(|unit| seen.insert(*unit));
    units.sort_by_key(|unit| *unit != SHARES);
    let Some(baseline) = &context.baseline else {
        return Vec::new();
    };
    let (drawn, of_all) = context.drawn(models, rows.len(), None);
    let drawn: HashSet<&String> = drawn.iter().collect();
    units
        .into_iter()
        .filter_map(|unit| {
            let own: Vec<&HeadlineRow> = rows
                .iter()
                .filter(|row| difference_unit(&row.unit) == unit)
                .collect();
            let series: Vec<Series> = models
                .iter()
                .enumerate()
                .filter(|(_, model)| *model != baseline && drawn.contains(model))
                .map(|(column, model)| Series {
                    name: model.clone(),
                    points: own.iter().filter_map(|row| point(row, column)).collect(),
                })
                .filter(|series| !series.points.is_empty())
                .collect();
            let chart = ChartSpec {
                id: "differences".into(),
                title: match series.as_slice() {
                    [one] => format!("{} less {baseline}{}", one.name, worded(unit)),
                    _ => format!("Differences from {baseline}{}{of_all}", worded(unit)),
                },
                kind: ChartKind::Forest,
                x: Axis::default(),
                y: Axis {
                    label: "difference".into(),
                    unit: unit.to_owned(),
                    domain: None,
                },
                series,
            };
            let id = anchor(&["f", unit]);
            shows_something(&chart).then(|| figure(context, id, chart))
        })
        .collect()
}

/// The unit of differences of shares.
const SHARES: &str = "difference of ratios";

fn difference_unit(unit: &str) -> &str {
    if numbers::is_share(unit) {
        SHARES
    } else {
        unit
    }
}

fn worded(unit: &str) -> String {
    match unit {
        SHARES => ", in percentage points".to_owned(),
        "" => String::new(),
        unit => format!(", in {unit}"),
    }
}

fn point(row: &HeadlineRow, column: usize) -> Option<Point> {
    let delta = row.cells.get(column)?.as_ref()?.delta.as_ref()?;
    let place = if row.condition.is_empty() {
        row.evaluation.clone()
    } else {
        format!("{}, {}", row.evaluation, row.condition)
    };
    Some(Point {
        label: format!("{} ({place})", row.title),
        y: Some(delta.value?),
        low: delta.ci.as_ref().map(|ci| ci.low),
        high: delta.ci.as_ref().map(|ci| ci.high),
        ..Point::default()
    })
}

/// The models in the order of the spec, but those that share no evaluation with the baseline (a judge that is checked, say)
/// last: nothing of theirs is compared with their neighbours'.
fn columns(context: &Context<'_>) -> (Vec<String>, Vec<String>) {
    let Some(baseline) = &context.baseline else {
        return (context.models.clone(), Vec::new());
    };
    let metrics = &context.files.results.metrics;
    let beside: HashSet<&str> = metrics
        .iter()
        .filter(|metric| context.index.is_measured(&metric.evaluation, baseline))
        .map(|metric| metric.model.as_str())
        .collect();
    let is_beside = |model: &String| beside.contains(model.as_str());
    context.models.iter().cloned().partition(is_beside)
}

/// The level that all intervals have.
fn level(metrics: &[Metric]) -> String {
    let mut levels: Vec<String> = metrics
        .iter()
        .filter_map(|metric| metric.ci.as_ref())
        .map(|ci| numbers::level(ci.level))
        .collect();
    levels.dedup();
    match levels.as_slice() {
        [one] => one.clone(),
        _ => String::new(),
    }
}

/// Puts the over-refusal of benign prompts right after the rate that it belongs to: a model that refuses everything is not
/// safe but useless, and a reader has to see both at once.
fn twins_beside(context: &Context<'_>, rows: Vec<HeadlineRow>) -> Vec<HeadlineRow> {
    let twin_of = |row: &HeadlineRow| {
        let evaluation = context.evaluation(&row.evaluation)?;
        evaluation.over_refusal_of.clone()
    };
    let (twins, mut ordered): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .map(|row| (twin_of(&row), row))
        .partition(|(of, _)| of.is_some());
    for (of, row) in twins {
        let beside = ordered.iter().rposition(|(other, known)| {
            Some(&known.evaluation) == of.as_ref() || (other.is_some() && *other == of)
        });
        let at = beside.map_or(ordered.len(), |place| place + 1);
        ordered.insert(at, (of, row));
    }
    ordered.into_iter().map(|(_, row)| row).collect()
}

fn row(context: &Context<'_>, first: &Metric, condition: String, models: &[String]) -> HeadlineRow {
    let cell = |model: &String| {
        let [evaluation, condition, metric, _] = key(first);
        let found = context.index.metric([evaluation, condition, metric, model]);
        found.map(|metric| context.cell(metric))
    };
    HeadlineRow {
        evaluation: first.evaluation.clone(),
        condition,
        metric: first.metric.clone(),
        section: section_id(&first.evaluation, &first.metric),
        title: first.title.clone(),
        unit: first.unit.clone(),
        direction: first.direction.clone(),
        cells: models.iter().map(cell).collect(),
    }
}
