//! One section per metric of an evaluation.

use std::collections::HashMap;

use driftgauge_record::{Comparison, Metric};
use indexmap::{IndexMap, IndexSet};

use super::context::{Context, metric_id, section_id};
use super::place::Place;
use super::{figures, pairing, plugin_output};
use crate::model::{ComparisonRow, CompletionCount, MetricSection, NumberRow};

pub(super) fn of(context: &Context<'_>, completions: &[CompletionCount]) -> Vec<MetricSection> {
    places(context)
        .iter()
        .map(|place| section(context, place, completions))
        .collect()
}

/// All metrics with a number or an output, in the order of the results.
fn places(context: &Context<'_>) -> Vec<Place> {
    let mut places: IndexSet<Place> = IndexSet::new();
    let metrics = context.files.results.metrics.iter();
    let outputs = context.files.outputs.iter();
    let named = metrics
        .map(|metric| (&metric.evaluation, &metric.metric))
        .chain(outputs.map(|output| (&output.evaluation, &output.metric)));
    for (evaluation, metric) in named {
        places.insert(Place {
            evaluation: evaluation.clone(),
            metric: metric_id(metric).to_owned(),
        });
    }
    places.into_iter().collect()
}

fn section(context: &Context<'_>, place: &Place, completions: &[CompletionCount]) -> MetricSection {
    let metrics = metrics(context, place);
    let compared = |list: &[Comparison]| -> Vec<ComparisonRow> {
        list.iter()
            .filter(|comparison| place.holds(&comparison.evaluation, &comparison.metric))
            .map(|comparison| comparison_row(context, comparison))
            .collect()
    };
    let results = &context.files.results;
    let models = context.models_of(&place.evaluation);
    let lead = metrics
        .iter()
        .find(|metric| metric.primary)
        .or(metrics.first());
    let title = lead.map_or(place.metric.as_str(), |metric| metric.title.as_str());
    let numbers = number_rows(context, &metrics, &models);
    let paired = [&results.comparisons, &results.further_comparisons];
    let paired = paired.into_iter().flatten();
    let paired = paired.filter(|found| place.holds(&found.evaluation, &found.metric));
    let mut rows = compared(&results.comparisons);
    rows.extend(compared(&results.further_comparisons));
    let id = section_id(&place.evaluation, &place.metric);
    let said = plugin_output::of(context, place);
    let figures = figures::of(context, place, title, &numbers, &rows);
    let is_asr = said
        .plugin
        .as_ref()
        .is_some_and(|plugin| plugin.id == "asr");
    let unpaired_prompts = pairing::explained(context, paired, completions, is_asr);
    let numbers = if is_asr {
        with_twins(context, &place.evaluation, numbers, &models)
    } else {
        numbers
    };
    MetricSection {
        figures,
        id,
        evaluation: place.evaluation.clone(),
        metric: place.metric.clone(),
        title: title.to_owned(),
        plugin: said.plugin.map_or_else(String::new, |plugin| {
            format!("{} {}", plugin.id, plugin.version)
        }),
        formula: lead.map_or_else(String::new, |lead| {
            formula(&of_all_models(&metrics)[&named(lead)])
        }),
        direction: lead.map_or_else(String::new, |metric| metric.direction.clone()),
        models,
        numbers,
        comparisons: rows,
        unpaired_prompts,
        condition_comparisons: compared(&results.condition_comparisons),
        differences_in_differences: compared(&results.differences_in_differences),
        training_comparisons: compared(&results.training_comparisons),
        unpaired_comparisons: compared(&results.unpaired_comparisons),
        groups: said.groups,
        tables: said.tables,
        notes: said.notes,
    }
}

/// The numbers of a metric, primary ones first.
fn metrics<'a>(context: &Context<'a>, place: &Place) -> Vec<&'a Metric> {
    let all = context.index.of_evaluation(&place.evaluation).iter();
    let own = all.filter(|metric| place.holds(&metric.evaluation, &metric.metric));
    let mut own: Vec<&Metric> = own.copied().collect();
    own.sort_by_key(|metric| !metric.primary);
    own
}

/// Adds the over-refusal on benign prompts right after the attack success rate, for each evaluation that measures it.
fn with_twins(
    context: &Context<'_>,
    evaluation: &str,
    mut numbers: Vec<NumberRow>,
    models: &[String],
) -> Vec<NumberRow> {
    let evaluations = context.files.experiment.evaluations.iter();
    let twins =
        evaluations.filter(|(_, other)| other.over_refusal_of.as_deref() == Some(evaluation));
    let mut rows = Vec::new();
    for (twin, _) in twins {
        let metrics = context.index.of_evaluation(twin).iter();
        let of_twin: Vec<&Metric> = metrics.filter(|metric| metric.primary).copied().collect();
        let own = number_rows(context, &of_twin, models).into_iter();
        rows.extend(own.map(|row| NumberRow {
            title: format!("{} (benign prompts of {twin})", row.title),
            primary: false,
            ..row
        }));
    }
    let after = numbers.iter().filter(|row| row.primary).count();
    numbers.splice(after..after, rows);
    numbers
}

/// What numbers of several models share: the metric, then the condition.
type Name<'a> = [&'a str; 2];

fn named(metric: &Metric) -> Name<'_> {
    [&metric.metric, &metric.condition]
}

/// The numbers of one evaluation, brought together over its models.
fn of_all_models<'a>(metrics: &[&'a Metric]) -> HashMap<Name<'a>, Vec<&'a Metric>> {
    let mut all: HashMap<Name<'a>, Vec<&'a Metric>> = HashMap::new();
    for metric in metrics {
        all.entry(named(metric)).or_default().push(metric);
    }
    all
}

/// How a number was made; where models differ in it (other judges, answers that were marked elsewhere), for each of them.
fn formula(models: &[&Metric]) -> String {
    let mut found: IndexMap<&str, Vec<String>> = IndexMap::new();
    for metric in models.iter().filter(|metric| metric.n > 0) {
        let model = format!("`{}`", metric.model);
        found.entry(&metric.formula).or_default().push(model);
    }
    if found.len() < 2 {
        return models
            .first()
            .map_or_else(String::new, |metric| metric.formula.clone());
    }
    let parts = found.iter();
    let parts = parts.map(|(text, models)| format!("{}: {text}", models.join(", ")));
    parts.collect::<Vec<_>>().join("; ")
}

/// Turns a list of numbers into rows with one column per model, primary numbers first, the conditions of a number below each other.
fn number_rows(context: &Context<'_>, metrics: &[&Metric], models: &[String]) -> Vec<NumberRow> {
    let all = of_all_models(metrics);
    let columns = models.iter().enumerate();
    let columns: HashMap<&str, usize> = columns.map(|(at, model)| (model.as_str(), at)).collect();
    let primary = metrics.iter().filter(|metric| metric.primary);
    let others = metrics.iter().filter(|metric| !metric.primary);
    let mut rows: IndexMap<&str, IndexMap<&str, NumberRow>> = IndexMap::new();
    for metric in primary.chain(others) {
        let row = rows.entry(&metric.metric).or_default();
        let row = row.entry(&metric.condition).or_insert_with(|| NumberRow {
            metric: metric.metric.clone(),
            title: metric.title.clone(),
            condition: context.condition_label(&metric.evaluation, &metric.condition),
            unit: metric.unit.clone(),
            direction: metric.direction.clone(),
            formula: formula(&all[&named(metric)]),
            primary: metric.primary,
            cells: vec![None; models.len()],
        });
        if let Some(&column) = columns.get(metric.model.as_str()) {
            row.cells[column] = Some(context.cell(metric));
        }
    }
    rows.into_values().flat_map(IndexMap::into_values).collect()
}

fn comparison_row(context: &Context<'_>, comparison: &Comparison) -> ComparisonRow {
    let metric = context.metric_of(comparison);
    let text = |get: fn(&Metric) -> &String| metric.map_or("", |metric| get(metric).as_str());
    let title = if comparison.title.is_empty() {
        text(|metric| &metric.title)
    } else {
        &comparison.title
    };
    let test = comparison.test.as_ref();
    let detail = comparison.detail.as_ref();
    ComparisonRow {
        title: if title.is_empty() {
            comparison.metric.clone()
        } else {
            title.to_owned()
        },
        condition: context.condition_label(&comparison.evaluation, &comparison.condition),
        unit: text(|metric| &metric.unit).to_owned(),
        baseline: comparison.baseline.clone(),
        model: comparison.model.clone(),
        delta: context.delta(comparison, text(|metric| &metric.direction)),
        test: test.map_or_else(String::new, |test| test.name.clone()),
        baseline_only: test.and_then(|test| test.baseline_only),
        model_only: test.and_then(|test| test.model_only),
        n: comparison.n,
        asked: comparison.n
            + detail
                .and_then(|detail| detail.left_out)
                .map_or(0, |left_out| left_out.prompts),
        primary: metric.is_some_and(|metric| metric.primary),
        baseline_condition: comparison.baseline_condition.clone().unwrap_or_default(),
        detectable: context.detectable(comparison),
        sides: detail
            .and_then(|detail| detail.sides)
            .map(|sides| [sides.baseline, sides.model]),
        trainings: detail
            .and_then(|detail| detail.trainings.as_ref())
            .map(|trainings| [&trainings.baseline, &trainings.model].map(|side| side.len() as u64)),
        adjustment: comparison
            .adjustment
            .as_ref()
            .map_or_else(String::new, |adjustment| {
                let method = match adjustment.method.as_str() {
                    "holm" => "Holm",
                    _ => "Benjamini-Hochberg",
                };
                format!("{method} over {}", adjustment.size)
            }),
    }
}
