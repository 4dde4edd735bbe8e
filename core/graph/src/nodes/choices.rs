//! The choices of a row and which of them are right, before anything is scored.

use std::collections::BTreeSet;

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{Templates, is_flag, lone_expression};
use driftgauge_data::recording::SpecChoices;
use driftgauge_problem::Problem;

use crate::resolved::ResolvedScore;

/// What is scored of a row: its choices, or its text.
pub(crate) fn texts(
    score: &ResolvedScore,
    row: &Row,
    templates: &Templates,
) -> Result<Vec<String>, Problem> {
    match score {
        ResolvedScore::Choices { choices, .. } => {
            let mut texts = Vec::new();
            for template in choices {
                texts.extend(templates.texts(template, row)?);
            }
            Ok(texts)
        }
        ResolvedScore::Perplexity { text } => Ok(vec![templates.fill(text, row, None)?]),
    }
}

/// The choices of a row as the spec says them; `None` where a text is scored.
pub(crate) fn of_spec(
    score: &ResolvedScore,
    row: &Row,
    templates: &Templates,
) -> Result<Option<SpecChoices>, Problem> {
    let ResolvedScore::Choices { correct, .. } = score else {
        return Ok(None);
    };
    let texts = texts(score, row, templates)?;
    let labels = labels(correct, row, texts.len(), templates)?;
    Ok(Some(SpecChoices { texts, labels }))
}

/// The first right one of a row's choices.
pub(crate) fn right_choice(
    score: &ResolvedScore,
    row: &Row,
    templates: &Templates,
) -> Result<usize, Problem> {
    let ResolvedScore::Choices { correct, .. } = score else {
        return Err("a text that is scored has no right choice".into());
    };
    let choices = texts(score, row, templates)?.len();
    let labels = labels(correct, row, choices, templates)?;
    Ok(labels.iter().position(|&label| label > 0.0).unwrap_or(0))
}

/// Which choices are right: an index, a list of indices, or a list of as many 0s and 1s as there are choices.
pub(crate) fn labels(
    expression: &str,
    row: &Row,
    choices: usize,
    templates: &Templates,
) -> Result<Vec<f64>, Problem> {
    let value = templates.evaluate(lone_expression(expression).unwrap_or(expression), row)?;
    if value.is_undefined() || value.is_none() {
        let message = format!("`{expression}` names nothing in row `{}`", row.id);
        let known = driftgauge_data::dataset::names(&row.columns);
        return Err(Problem::new("no-right-choice", message).help(format!("columns are {known}")));
    }
    let wrong = || {
        let message = format!(
            "`{expression}` is {value} in row `{}`, and names no right one of its {choices} choices",
            row.id
        );
        Problem::new("no-right-choice", message).help(match value.as_str() {
            Some(_) => format!("text is no index: write `{expression} | int`, or give the column a type with the dataset's `types`"),
            None => format!("it has to be the index of the right choice, from 0, or a list of {choices} zeros and ones"),
        })
    };
    if is_flag(&value) {
        return Err(wrong().help(format!(
            "true and false are no index: write the place of the right choice, as `{expression} | int` if true means the second one"
        )));
    }
    let numbers: Vec<usize> = match value.as_usize() {
        Some(index) => vec![index],
        None => value
            .try_iter()
            .map_err(|_| wrong())?
            .map(|item| item.as_usize().ok_or_else(wrong))
            .collect::<Result<_, _>>()?,
    };
    let mut labels = vec![0.0; choices];
    let flags = value
        .try_iter()
        .is_ok_and(|mut items| items.any(|item| is_flag(&item)));
    let distinct: BTreeSet<usize> = numbers.iter().copied().collect();
    let masks = flags || distinct.len() < numbers.len();
    if masks && numbers.len() != choices {
        return Err(wrong());
    }
    if numbers.len() == choices && choices > 1 && numbers.iter().all(|&number| number <= 1) {
        for (label, number) in labels.iter_mut().zip(numbers) {
            *label = number as f64;
        }
    } else {
        for number in numbers {
            *labels.get_mut(number).ok_or_else(wrong)? = 1.0;
        }
    }
    if labels.iter().all(|&label| label == 0.0) {
        return Err(wrong());
    }
    if labels.iter().all(|&label| label == 1.0) {
        let message = format!(
            "`{expression}` says of all {choices} choices of row `{}` that they are right",
            row.id
        );
        let problem = Problem::new("no-right-choice", message);
        return Err(problem.help("something is measured where one of them is wrong; leave such rows out with the dataset's `filter`"));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(expression: &str, row: &Row, choices: usize) -> Result<Vec<f64>, Problem> {
        super::labels(expression, row, choices, &Templates::default())
    }

    fn row(value: serde_json::Value) -> Row {
        Row {
            id: "q1".into(),
            columns: [("answer".to_owned(), value)].into_iter().collect(),
        }
    }

    #[test]
    fn right_choices_are_an_index_or_a_mask() {
        assert_eq!(
            labels("answer", &row(json!(2)), 3).unwrap(),
            [0.0, 0.0, 1.0]
        );
        assert_eq!(
            labels("answer", &row(json!([1, 0, 1])), 3).unwrap(),
            [1.0, 0.0, 1.0]
        );
        assert_eq!(
            labels("answer", &row(json!([2])), 3).unwrap(),
            [0.0, 0.0, 1.0]
        );
        assert!(
            labels("answer", &row(json!(3)), 3)
                .unwrap_err()
                .message
                .contains("row `q1`")
        );
        assert!(labels("answer", &row(json!([0, 0])), 2).is_err());
        assert_eq!(
            labels("answer", &row(json!([true, false])), 2).unwrap(),
            [1.0, 0.0]
        );
        // A truth value, as many zeros and ones as there are no choices, and nothing that is wrong.
        for (value, choices) in [
            (json!(true), 2),
            (json!(false), 2),
            (json!([true]), 2),
            (json!([0, 0, 1]), 4),
            (json!([1, 0, 0, 0]), 5),
            (json!([1, 1]), 2),
            (json!([0, 1, 2]), 3),
        ] {
            let error = labels("answer", &row(value.clone()), choices).unwrap_err();
            assert_eq!(error.code, "no-right-choice", "{value}");
        }
        let two = labels("answer", &row(json!([0, 1])), 4).unwrap();
        assert_eq!(two, [1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn choices_are_a_list() {
        let row = row(json!(["a", "b"]));
        let of = |choices: &[&str]| {
            let score = ResolvedScore::Choices {
                choices: choices.iter().map(|text| (*text).to_owned()).collect(),
                correct: "0".to_owned(),
            };
            texts(&score, &row, &Templates::default()).unwrap()
        };
        assert_eq!(of(&["{{ answer }}"]), ["a", "b"]);
        assert_eq!(of(&["{{ answer[1] }}!", "c"]), ["b!", "c"]);
    }
}
