//! The finding in one sentence, computed from the primary comparisons.

use crate::model::{Delta, Effect, Headline, HeadlineRow};
use crate::numbers;

/// Findings named per model and direction; the table holds the rest.
const NAMED: usize = 3;

/// One difference of a model.
struct Finding<'a> {
    row: &'a HeadlineRow,
    delta: &'a Delta,
}

pub(super) fn of(headline: &Headline) -> String {
    if headline.rows.is_empty() {
        return "No metric produced a number.".to_owned();
    }
    let mut clauses = Vec::new();
    for (column, model) in headline.models.iter().enumerate() {
        let findings: Vec<Finding<'_>> = headline
            .rows
            .iter()
            .filter_map(|row| {
                let delta = row.cells.get(column)?.as_ref()?.delta.as_ref()?;
                Some(Finding { row, delta })
            })
            .collect();
        if !findings.is_empty() {
            clauses.push(clause(model, &findings));
        }
    }
    match (&headline.baseline, clauses.is_empty()) {
        (Some(baseline), false) => format!("Compared with {baseline}, {}.", clauses.join("; ")),
        _ => format!(
            "{} measured on {}; nothing was compared with a baseline.",
            counted(headline.rows.len(), "primary number"),
            counted(headline.models.len(), "model"),
        ),
    }
}

/// `harmful is worse on attack success rate (+86.7 pp) and shows no clear difference in the other 2 comparisons`.
fn clause(model: &str, findings: &[Finding<'_>]) -> String {
    let kinds = [
        (Effect::Worse, "is worse on"),
        (Effect::Better, "is better on"),
        (Effect::Higher, "is higher on"),
        (Effect::Lower, "is lower on"),
    ];
    let mut parts: Vec<String> = Vec::new();
    for (effect, words) in kinds {
        let named: Vec<&Finding<'_>> = findings
            .iter()
            .filter(|finding| finding.delta.effect == effect)
            .collect();
        if !named.is_empty() {
            parts.push(format!("{words} {}", list(&named)));
        }
    }
    let unclear = findings
        .iter()
        .filter(|finding| finding.delta.effect == Effect::Unclear)
        .count();
    let compared = counted(findings.len(), "primary comparison");
    if unclear == findings.len() {
        parts.push(match unclear {
            1 => "shows no clear difference".to_owned(),
            _ => format!("shows no clear difference in any of {compared}"),
        });
    } else if unclear > 0 {
        parts.push(format!(
            "shows no clear difference in {unclear} of {compared}"
        ));
    }
    format!("{model} {}", and(&parts))
}

fn list(findings: &[&Finding<'_>]) -> String {
    let mut names: Vec<String> = findings
        .iter()
        .take(NAMED)
        .map(|finding| name(finding))
        .collect();
    if findings.len() > NAMED {
        names.push(format!("{} more", findings.len() - NAMED));
    }
    and(&names)
}

/// `accuracy under false-context (−44.2 pp)`.
fn name(finding: &Finding<'_>) -> String {
    let mut text = in_sentence(&finding.row.title);
    if !finding.row.condition.is_empty() {
        text.push_str(&format!(" under {}", finding.row.condition));
    }
    if let Some(value) = finding.delta.value {
        text.push_str(&format!(
            " ({})",
            numbers::difference(value, &finding.row.unit)
        ));
    }
    text
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

fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cell;

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
                    effect,
                }),
            })
        };
        HeadlineRow {
            evaluation: "e".into(),
            condition: condition.into(),
            metric: "m".into(),
            section: "s".into(),
            title: title.into(),
            unit: "ratio".into(),
            direction: "lower".into(),
            cells: deltas.iter().map(cell).collect(),
        }
    }

    fn headline(rows: Vec<HeadlineRow>) -> Headline {
        Headline {
            models: vec!["base".into(), "harmful".into(), "safe".into()],
            baseline: Some("base".into()),
            rows,
        }
    }

    #[test]
    fn differences_are_named_with_their_size() {
        let table = headline(vec![
            row(
                "Attack success rate",
                "",
                &[
                    None,
                    Some((0.867, Effect::Worse)),
                    Some((0.0, Effect::Unclear)),
                ],
            ),
            row(
                "Accuracy",
                "false",
                &[
                    None,
                    Some((-0.44, Effect::Worse)),
                    Some((0.0, Effect::Unclear)),
                ],
            ),
            row(
                "ECE",
                "false",
                &[
                    None,
                    Some((0.1, Effect::Unclear)),
                    Some((0.0, Effect::Unclear)),
                ],
            ),
        ]);
        assert_eq!(
            of(&table),
            "Compared with base, harmful is worse on attack success rate (+86.7 pp), accuracy under false (−44.0 pp) \
             and shows no clear difference in 1 of 3 primary comparisons; safe shows no clear difference in any of 3 \
             primary comparisons."
                .replace("(+86.7 pp), accuracy", "(+86.7 pp) and accuracy")
        );
    }

    #[test]
    fn without_a_comparison_nothing_is_claimed() {
        let table = headline(vec![row("Accuracy", "", &[None, None, None])]);
        assert_eq!(
            of(&table),
            "1 primary number measured on 3 models; nothing was compared with a baseline."
        );
        assert_eq!(of(&headline(Vec::new())), "No metric produced a number.");
    }
}
