//! Published values beside the measured ones.

use driftgauge_record::{Expected, PublishedOutcome};

use super::context::Context;
use crate::model::PublishedRow;

pub(super) fn of(context: &Context<'_>) -> Vec<PublishedRow> {
    let mut rows: Vec<PublishedRow> = context
        .files
        .results
        .expected
        .iter()
        .map(|entry| PublishedRow {
            measure: measure(context, entry),
            place: place(entry),
            model: models(entry),
            unit: entry.unit.clone(),
            difference_of_sides: is_difference(entry),
            published: entry.published,
            measured: entry.measured,
            difference: entry.difference,
            ci: entry.ci.clone(),
            contradicted: entry.agrees == Some(false),
            verdict: words(entry).to_owned(),
            source: entry.source.clone(),
        })
        .collect();
    // What the records contradict stands first; the rest keeps the order of the spec.
    rows.sort_by_key(|row| !row.contradicted);
    rows
}

/// Whether the value is a difference of two models or conditions.
pub(super) fn is_difference(entry: &Expected) -> bool {
    entry.baseline.is_some() || entry.baseline_condition.is_some()
}

/// `Attack success rate`, `Accuracy, standard error`; the name of a number that was not measured.
pub(super) fn measure(context: &Context<'_>, entry: &Expected) -> String {
    let mut metrics = context.index.of_evaluation(&entry.evaluation).iter();
    let measured = metrics.find(|found| found.metric == entry.metric);
    let title = measured.map_or(&entry.metric, |found| &found.title);
    match entry.statistic.as_str() {
        "standard-error" => format!("{title}, standard error"),
        _ => title.clone(),
    }
}

/// `harmfulness`, `trivia · false - plain`.
pub(super) fn place(entry: &Expected) -> String {
    let mut text = entry.evaluation.clone();
    if let Some(from) = &entry.baseline_condition {
        text.push_str(&format!(" · {} \u{2212} {from}", entry.condition));
    } else if entry.condition != "default" {
        text.push_str(&format!(" · {}", entry.condition));
    }
    text
}

/// `harmful`, or `harmful - base` for a difference.
pub(super) fn models(entry: &Expected) -> String {
    match &entry.baseline {
        Some(baseline) => format!("{} \u{2212} {baseline}", entry.model),
        None => entry.model.clone(),
    }
}

fn words(entry: &Expected) -> &'static str {
    match entry.verdict {
        PublishedOutcome::Agrees => "agrees",
        PublishedOutcome::Inside => "inside the interval",
        PublishedOutcome::Differs if entry.ci.is_some() => {
            "another number, though inside the interval"
        }
        PublishedOutcome::Differs => "another number",
        PublishedOutcome::Outside => "outside the interval",
        PublishedOutcome::Unjudged => "no interval to judge by",
        PublishedOutcome::NotMeasured => "not measured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Expected {
        Expected {
            evaluation: "e".into(),
            condition: "default".into(),
            model: "tuned".into(),
            metric: "asr".into(),
            baseline: None,
            baseline_condition: None,
            statistic: "value".into(),
            unit: "ratio".into(),
            published: 0.5,
            tolerance: None,
            measured: None,
            difference: None,
            ci: None,
            verdict: PublishedOutcome::NotMeasured,
            agrees: None,
            source: String::new(),
        }
    }

    #[test]
    fn differences_name_both_sides() {
        assert_eq!(
            (place(&entry()), models(&entry())),
            ("e".into(), "tuned".into())
        );
        let between = Expected {
            baseline: Some("base".into()),
            baseline_condition: Some("plain".into()),
            condition: "false".into(),
            ..entry()
        };
        assert_eq!(place(&between), "e · false \u{2212} plain");
        assert_eq!(models(&between), "tuned \u{2212} base");
    }
}
