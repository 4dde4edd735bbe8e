//! What the plugins said of a metric: their charts and tables, brought together over models.

use driftgauge_plugin_protocol::wire::{ChartKind, ChartSpec, Point, Series, Table};
use driftgauge_record::files::metrics::{OutputRecord, PluginRecord};
use serde_json::Value;

use super::context::Context;
use super::figures::{figure, shows_something};
use super::place::Place;
use crate::anchor::anchor;
use crate::model::{FigureGroup, ONLY_CONDITION, TableData};

/// Rows of a plugin's table on the page; `metrics.json` holds all.
const TABLE_ROWS: usize = 100;
/// Points of a series on the page.
const SERIES_POINTS: usize = 400;

/// The plugins' part of a section.
#[derive(Default)]
pub(super) struct Said {
    pub(super) plugin: Option<PluginRecord>,
    pub(super) groups: Vec<FigureGroup>,
    pub(super) tables: Vec<TableData>,
    pub(super) notes: Vec<String>,
}

pub(super) fn of(context: &Context<'_>, place: &Place) -> Said {
    let mut outputs: Vec<&OutputRecord> = context
        .index
        .outputs(&place.evaluation, &place.metric)
        .to_vec();
    outputs.sort_by_key(|output| context.style(&output.model));
    Said {
        plugin: outputs.first().map(|output| &output.plugin).cloned(),
        groups: groups(context, &outputs, place),
        tables: tables(&outputs),
        notes: asked_in(&outputs)
            .into_iter()
            .chain(notes(&outputs))
            .collect(),
    }
}

/// A plugin of someone else in our own process could have changed any number: the reader has to know.
fn asked_in(outputs: &[&OutputRecord]) -> Option<String> {
    outputs.iter().any(|output| output.plugin.in_process).then(|| {
        "The plugin ran in the process of driftgauge itself, as the spec asks (`isolation: in-process`): a fault of it could \
         have touched other numbers."
            .to_owned()
    })
}

/// Charts of the same id become one group.
fn groups(context: &Context<'_>, outputs: &[&OutputRecord], place: &Place) -> Vec<FigureGroup> {
    let mut ids: Vec<&str> = Vec::new();
    for chart in outputs.iter().flat_map(|output| &output.output.charts) {
        if !ids.contains(&chart.id.as_str()) {
            ids.push(&chart.id);
        }
    }
    ids.iter()
        .map(|id| {
            let parts: Vec<(&str, ChartSpec)> = outputs
                .iter()
                .filter_map(|output| {
                    let chart = output.output.charts.iter().find(|chart| chart.id == *id)?;
                    shows_something(chart).then(|| (output.model.as_str(), thinned(chart)))
                })
                .collect();
            group(context, &parts, place, id)
        })
        .filter(|group| !group.figures.is_empty())
        .collect()
}

fn group(
    context: &Context<'_>,
    parts: &[(&str, ChartSpec)],
    place: &Place,
    id: &str,
) -> FigureGroup {
    let named = |more: &[&str]| {
        let parts = [&["p", &*place.evaluation, &*place.metric, id], more].concat();
        anchor(&parts)
    };
    let title = parts
        .first()
        .map_or_else(String::new, |(_, chart)| chart.title.clone());
    if let Some(chart) = overlaid(parts).or_else(|| side_by_side(parts)) {
        return FigureGroup {
            title,
            figures: vec![figure(context, named(&[]), chart)],
        };
    }
    let figures = parts.iter().map(|(model, chart)| {
        let mut chart = chart.clone();
        chart.title = (*model).to_owned();
        // A single series speaks of the model and takes its colour.
        let own = chart.series.len() == 1;
        let mut drawn = figure(context, named(&[model]), chart);
        if own {
            drawn.styles = vec![context.style(model)];
        }
        drawn
    });
    FigureGroup {
        title,
        figures: figures.collect(),
    }
}

/// One chart with a series per model, where every model brought a single series of a kind that can be compared so.
fn overlaid(parts: &[(&str, ChartSpec)]) -> Option<ChartSpec> {
    let (_, first) = parts.first()?;
    let fits = |chart: &ChartSpec| {
        chart.kind == first.kind
            && chart.series.len() == 1
            && chart.x == first.x
            && chart.y == first.y
    };
    let comparable = matches!(
        first.kind,
        ChartKind::Bar | ChartKind::Line | ChartKind::Forest
    );
    if !comparable || !parts.iter().all(|(_, chart)| fits(chart)) {
        return None;
    }
    let series = parts.iter().flat_map(|(model, chart)| {
        chart.series.iter().map(|series| Series {
            name: (*model).to_owned(),
            points: series.points.clone(),
        })
    });
    Some(ChartSpec {
        kind: match first.kind {
            ChartKind::Bar => ChartKind::GroupedBar,
            kind => kind,
        },
        series: series.collect(),
        ..first.clone()
    })
}

/// One heat map with a column per model, where every model brought a single row of cells.
fn side_by_side(parts: &[(&str, ChartSpec)]) -> Option<ChartSpec> {
    let (_, first) = parts.first()?;
    let fits = |chart: &ChartSpec| {
        chart.kind == ChartKind::Heatmap && chart.series.len() == 1 && chart.y == first.y
    };
    if !parts.iter().all(|(_, chart)| fits(chart)) {
        return None;
    }
    let mut rows: Vec<Series> = Vec::new();
    for (model, chart) in parts {
        for point in &chart.series[0].points {
            let cell = Point {
                label: (*model).to_owned(),
                ..point.clone()
            };
            match rows.iter_mut().find(|row| row.name == point.label) {
                Some(row) => row.points.push(cell),
                None => rows.push(Series {
                    name: point.label.clone(),
                    points: vec![cell],
                }),
            }
        }
    }
    Some(ChartSpec {
        series: rows,
        ..first.clone()
    })
}

/// Takes every k-th point of very long series, and says so.
fn thinned(chart: &ChartSpec) -> ChartSpec {
    let mut chart = chart.clone();
    let longest = chart.series.iter().map(|series| series.points.len()).max();
    let step = longest.unwrap_or(0).div_ceil(SERIES_POINTS).max(1);
    if step > 1 {
        for series in &mut chart.series {
            series.points = series.points.iter().step_by(step).cloned().collect();
        }
        chart.title.push_str(&format!(" (one of {step} points)"));
    }
    chart
}

/// Tables of the same id become one, with a column for the model.
fn tables(outputs: &[&OutputRecord]) -> Vec<TableData> {
    let mut found: Vec<(&Table, Vec<(&str, &Table)>)> = Vec::new();
    for output in outputs {
        for table in &output.output.tables {
            let same = |entry: &&mut (&Table, Vec<(&str, &Table)>)| {
                entry.0.id == table.id && entry.0.columns == table.columns
            };
            match found.iter_mut().find(same) {
                Some(entry) => entry.1.push((&output.model, table)),
                None => found.push((table, vec![(&output.model, table)])),
            }
        }
    }
    found
        .into_iter()
        .map(|(first, parts)| joined(first, &parts))
        .collect()
}

fn joined(first: &Table, parts: &[(&str, &Table)]) -> TableData {
    let mut columns = vec!["model".to_owned()];
    columns.extend(first.columns.iter().cloned());
    // Every model keeps a fair share of the rows shown.
    let share = TABLE_ROWS.div_ceil(parts.len());
    let mut rows = Vec::new();
    let mut omitted = 0;
    for (model, table) in parts {
        omitted += table.rows.len().saturating_sub(share);
        for row in table.rows.iter().take(share) {
            let mut cells = vec![Value::from(*model)];
            cells.extend(row.iter().cloned());
            cells.resize(columns.len(), Value::Null);
            rows.push(cells);
        }
    }
    drop_only_condition(&mut columns, &mut rows);
    TableData {
        title: first.title.clone(),
        columns,
        rows,
        omitted,
    }
}

/// Drops the column of the condition where there is only the one that nobody named.
fn drop_only_condition(columns: &mut Vec<String>, rows: &mut [Vec<Value>]) {
    let Some(place) = columns.iter().position(|column| column == "condition") else {
        return;
    };
    if rows.iter().all(|row| row[place] == ONLY_CONDITION) {
        columns.remove(place);
        for row in rows {
            row.remove(place);
        }
    }
}

/// Notes that all models share stand alone; others name their model.
fn notes(outputs: &[&OutputRecord]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for output in outputs {
        for note in &output.output.notes {
            let shared = outputs
                .iter()
                .all(|other| other.output.notes.contains(note));
            let text = if shared {
                note.clone()
            } else {
                format!("{}: {note}", output.model)
            };
            if !notes.contains(&text) {
                notes.push(text);
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_condition_that_nobody_named_has_no_column() {
        let table = |conditions: [&str; 2]| {
            let mut columns = ["model", "condition", "n"].map(str::to_owned).to_vec();
            let mut rows =
                conditions.map(|condition| vec![json!("base"), json!(condition), json!(3)]);
            drop_only_condition(&mut columns, &mut rows);
            (columns, rows)
        };
        let (columns, rows) = table(["default", "default"]);
        assert_eq!(columns, ["model", "n"]);
        assert_eq!(rows[1], [json!("base"), json!(3)]);
        assert_eq!(table(["default", "plain"]).0.len(), 3);
    }
}
