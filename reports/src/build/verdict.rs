//! The finding in a few lines, computed from the primary comparisons: one line per model, differences that are clear.

use crate::model::{Change, Effect, Headline, HeadlineRow, ModelVerdict, Verdict};

/// What matters first: differences with a better direction, then the others.
const ORDER: [Effect; 4] = [Effect::Worse, Effect::Better, Effect::Higher, Effect::Lower];

pub(super) fn of(headline: &Headline) -> Verdict {
    let columns = headline.models.iter().enumerate();
    let models: Vec<ModelVerdict> = columns
        .map(|(column, model)| model_verdict(model, &headline.rows, column))
        .filter(|verdict| verdict.compared > 0)
        .collect();
    Verdict {
        summary: summary(headline, models.is_empty()),
        models,
    }
}

fn summary(headline: &Headline, nothing_compared: bool) -> String {
    match &headline.baseline {
        _ if headline.rows.is_empty() => "No metric produced a number.".to_owned(),
        Some(baseline) if !nothing_compared => {
            format!("Compared with {baseline}, prompt by prompt:")
        }
        _ => format!(
            "{} measured on {}; nothing was compared with a baseline.",
            counted(headline.rows.len(), "primary number"),
            counted(headline.models.len(), "model"),
        ),
    }
}

fn model_verdict(model: &str, rows: &[HeadlineRow], column: usize) -> ModelVerdict {
    let compared: Vec<(&HeadlineRow, f64, Effect)> = rows
        .iter()
        .filter_map(|row| {
            let delta = row.cells.get(column)?.as_ref()?.delta.as_ref()?;
            Some((row, delta.value?, delta.effect))
        })
        .collect();
    let mut changes: Vec<Change> = Vec::new();
    for (row, value, effect) in &compared {
        if *effect == Effect::Unclear {
            continue;
        }
        let same = changes
            .iter_mut()
            .find(|change| change.section == row.section && change.effect == *effect);
        match same {
            Some(change) => join(change, row, *value),
            None => changes.push(Change {
                title: in_sentence(&row.title),
                section: row.section.clone(),
                unit: row.unit.clone(),
                effect: *effect,
                smallest: *value,
                largest: *value,
                conditions: vec![row.condition.clone()],
                everywhere: false,
            }),
        }
    }
    for change in &mut changes {
        let asked = compared
            .iter()
            .filter(|(row, ..)| row.section == change.section)
            .count();
        change.everywhere = asked == change.conditions.len();
        change.conditions.retain(|condition| !condition.is_empty());
    }
    changes.sort_by_key(|change| ORDER.iter().position(|effect| *effect == change.effect));
    ModelVerdict {
        model: model.to_owned(),
        unclear: count(&compared, |effect| effect == Effect::Unclear),
        compared: compared.len() as u64,
        changes,
    }
}

/// The same measure under one more condition.
fn join(change: &mut Change, row: &HeadlineRow, value: f64) {
    change.conditions.push(row.condition.clone());
    if value.abs() < change.smallest.abs() {
        change.smallest = value;
    }
    if value.abs() > change.largest.abs() {
        change.largest = value;
    }
}

fn count(compared: &[(&HeadlineRow, f64, Effect)], which: impl Fn(Effect) -> bool) -> u64 {
    compared
        .iter()
        .filter(|(.., effect)| which(*effect))
        .count() as u64
}

/// Lower-cases a title's first letter, unless it begins with an abbreviation.
fn in_sentence(title: &str) -> String {
    let mut letters = title.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            let rest: String = title.chars().skip(1).collect();
            format!("{}{rest}", first.to_lowercase())
        }
        _ => title.to_owned(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Delta};

    fn row(title: &str, condition: &str, deltas: &[Option<(f64, Effect)>]) -> HeadlineRow {
        let cell = |delta: &Option<(f64, Effect)>| {
            Some(Cell {
                model: String::new(),
                value: Some(0.5),
                n: 10,
                ci: None,
                delta: delta.map(|(value, effect)| Delta {
                    value: Some(value),
                    ci: None,
                    p: None,
                    p_adjusted: None,
                    p_is_bound: false,
                    shared: None,
                    effect,
                }),
            })
        };
        HeadlineRow {
            evaluation: "e".into(),
            condition: condition.into(),
            metric: "m".into(),
            section: title.to_lowercase(),
            title: title.into(),
            unit: "ratio".into(),
            direction: "lower".into(),
            cells: deltas.iter().map(cell).collect(),
        }
    }

    fn headline(rows: Vec<HeadlineRow>) -> Headline {
        Headline {
            level: String::new(),
            models: vec!["base".into(), "harmful".into(), "safe".into()],
            baseline: Some("base".into()),
            rows,
        }
    }

    #[test]
    fn one_measure_under_several_conditions_is_one_change() {
        let unclear = Some((0.0, Effect::Unclear));
        let worse = |value| Some((value, Effect::Worse));
        let verdict = of(&headline(vec![
            row("ECE", "", &[None, Some((0.1, Effect::Higher)), unclear]),
            row("Accuracy", "plain", &[None, worse(-0.1), unclear]),
            row("Accuracy", "false", &[None, worse(-0.44), unclear]),
            row("Accuracy", "random", &[None, unclear, unclear]),
        ]));
        assert_eq!(verdict.summary, "Compared with base, prompt by prompt:");
        let [harmful, safe] = verdict.models.as_slice() else {
            panic!("the baseline is not compared with itself: {verdict:?}");
        };
        let [accuracy, ece] = harmful.changes.as_slice() else {
            panic!("{harmful:?}");
        };
        assert_eq!(accuracy.title, "accuracy");
        assert_eq!((accuracy.smallest, accuracy.largest), (-0.1, -0.44));
        assert_eq!(accuracy.conditions, ["plain", "false"]);
        assert!(!accuracy.everywhere);
        assert_eq!(ece.title, "ECE");
        assert!(ece.everywhere && ece.conditions.is_empty());
        assert_eq!((harmful.unclear, harmful.compared), (1, 4));
        assert!(safe.changes.is_empty());
        assert_eq!((safe.unclear, safe.compared), (4, 4));
    }

    #[test]
    fn without_a_comparison_nothing_is_claimed() {
        let table = headline(vec![row("Accuracy", "", &[None, None, None])]);
        assert_eq!(
            of(&table).summary,
            "1 primary number measured on 3 models; nothing was compared with a baseline."
        );
        assert_eq!(
            of(&headline(Vec::new())).summary,
            "No metric produced a number."
        );
    }
}
