//! Multiple choice as it was recorded: ln p of each choice, and whether it is a right one.

use std::fmt;
use std::path::Path;

use driftgauge_problem::Problem;
use serde_json::Value;

use crate::dataset::Row;

/// Log-likelihood of each choice.
pub(super) const LOGLIK: &str = "choice_loglik";
/// 1 for each right choice, else 0.
const CORRECT: &str = "choice_correct";
/// What sums of rounded logarithms may lie above 0.
const ROUNDING: f64 = 1e-4;

/// The choices of a sample as the spec says them.
#[derive(Debug, Clone, PartialEq)]
pub struct SpecChoices {
    /// Their texts.
    pub texts: Vec<String>,
    /// 1 for each right one, else 0.
    pub labels: Vec<f64>,
}

/// Checks what the recorded numbers say by themselves: no probability above 1, labels of 0 and 1, as many of one as of the other.
pub(super) fn check(
    values: &[(String, Vec<f64>)],
    place: &impl fmt::Display,
) -> Result<(), Problem> {
    let logliks = of(values, LOGLIK);
    if let Some(above) = logliks.and_then(|all| all.iter().find(|loglik| **loglik > ROUNDING)) {
        return Err(Problem::failed(format!(
            "{place}: a log-likelihood in `{LOGLIK}` is {above}, which is above 0"
        ))
        .help(format!(
            "`{LOGLIK}` holds ln p of each choice; take the logarithm of probabilities first"
        )));
    }
    let labels = of(values, CORRECT);
    let is_label = |label: &f64| *label == 0.0 || *label == 1.0;
    if let Some(other) = labels.and_then(|all| all.iter().find(|label| !is_label(label))) {
        return Err(
            Problem::failed(format!("{place}: `{CORRECT}` holds {other}"))
                .help("it is 1 for each right choice, and 0 for the others"),
        );
    }
    match (logliks, labels) {
        (Some(logliks), Some(labels)) if logliks.len() != labels.len() => {
            Err(Problem::failed(format!(
                "{place}: `{LOGLIK}` has {} entries, and `{CORRECT}` has {}",
                logliks.len(),
                labels.len()
            ))
            .help("both have one entry for each choice"))
        }
        _ => Ok(()),
    }
}

/// Holds recorded choices against those of the spec: as many, in its order, with its right ones.
pub(super) fn held(
    values: &[(String, Vec<f64>)],
    row: &Row,
    spec: &SpecChoices,
    place: &impl fmt::Display,
) -> Result<(), Problem> {
    let Some(logliks) = of(values, LOGLIK) else {
        return Err(Problem::failed(format!(
            "{place}: there is no `{LOGLIK}`, and the evaluation scores choices"
        ))
        .help("a row needs ln p of each choice, or an `error` that says why it has none"));
    };
    if logliks.len() != spec.texts.len() {
        return Err(Problem::failed(format!(
            "{place}: `{LOGLIK}` has {} entries, and by `score.choices` there are {} choices",
            logliks.len(),
            spec.texts.len()
        ))
        .help("the recording has one log-likelihood for each choice of the spec, in its order"));
    }
    if let Some(theirs) = texts(row, logliks.len()) {
        let ours: Vec<&str> = spec.texts.iter().map(|text| text.trim()).collect();
        // Letters may stand for the texts; the same texts in another order are another order.
        if ours != theirs && sorted(&ours) == sorted(&theirs) {
            return Err(Problem::failed(format!(
                "{place}: its choices stand in another order (`{}`) than those of `score.choices` (`{}`)",
                theirs.join("`, `"),
                ours.join("`, `")
            ))
            .help("give `score.choices` in the order of the recording"));
        }
    }
    if let Some(labels) = of(values, CORRECT)
        && *labels != spec.labels
    {
        return Err(Problem::failed(format!(
            "{place}: its right choices are {}, and by `score.correct` they are {}",
            right(labels),
            right(&spec.labels)
        ))
        .help(format!("choices are counted from 0; mend `score.correct` or the recording, or leave `{CORRECT}` out to take the spec's")));
    }
    Ok(())
}

/// What is wrong with a recording of answers where choices are scored.
pub(super) fn missing(path: &Path) -> Problem {
    Problem::failed(format!(
        "`{}` has no `{LOGLIK}`, and the evaluation scores choices",
        path.display()
    ))
    .help(format!(
        "name the column that has ln p of each choice (`columns: {{values: {{{LOGLIK}: COLUMN}}}}`), or ask such answers in an evaluation without `score`"
    ))
}

fn of<'a>(values: &'a [(String, Vec<f64>)], name: &str) -> Option<&'a Vec<f64>> {
    let found = values.iter().find(|(known, _)| known == name);
    found.map(|(_, numbers)| numbers)
}

/// The choices as lm-eval asked them: `[[context, choice], ...]`, or `{gen_args_0: {arg_0, arg_1}, ...}`.
fn texts(row: &Row, choices: usize) -> Option<Vec<&str>> {
    let requests: Vec<&Value> = match row.columns.get("arguments")? {
        Value::Array(requests) => requests.iter().collect(),
        Value::Object(requests) => requests.values().collect(),
        _ => return None,
    };
    // Tasks with mutual information ask every choice once more.
    let texts = requests.get(..choices)?.iter().map(|request| {
        let choice = match request {
            Value::Array(parts) => parts.get(1),
            other => other.get("arg_1"),
        };
        choice?.as_str().map(str::trim)
    });
    texts.collect()
}

fn sorted<'a>(texts: &[&'a str]) -> Vec<&'a str> {
    let mut texts = texts.to_vec();
    texts.sort_unstable();
    texts
}

/// The places of the right choices.
fn right(labels: &[f64]) -> String {
    let places = labels.iter().enumerate().filter(|(_, label)| **label > 0.0);
    let places: Vec<String> = places.map(|(at, _)| at.to_string()).collect();
    match places.is_empty() {
        true => "none".to_owned(),
        false => places.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(logliks: &[f64], labels: Option<&[f64]>) -> Vec<(String, Vec<f64>)> {
        let labels = labels.map(|labels| (CORRECT.to_owned(), labels.to_vec()));
        [(LOGLIK.to_owned(), logliks.to_vec())]
            .into_iter()
            .chain(labels)
            .collect()
    }

    #[test]
    fn numbers_that_are_no_choices_are_refused() {
        let said =
            |logliks: &[f64], labels: Option<&[f64]>| check(&values(logliks, labels), &"row 1");
        assert_eq!(said(&[-1.0, 0.0], Some(&[0.0, 1.0])), Ok(()));
        for (logliks, labels, part) in [
            (&[5.0, -1.0][..], None, "is 5, which is above 0"),
            (
                &[-1.0, -2.0],
                Some(&[0.2, 0.0][..]),
                "`choice_correct` holds 0.2",
            ),
            (
                &[-1.0, -2.0],
                Some(&[-1.0, 0.0]),
                "`choice_correct` holds -1",
            ),
            (
                &[-1.0, -2.0],
                Some(&[1.0, 0.0, 0.0]),
                "has 2 entries, and `choice_correct` has 3",
            ),
        ] {
            let said = said(logliks, labels).unwrap_err().to_string();
            assert!(said.contains(part) && said.contains("row 1"), "{said}");
        }
    }

    #[test]
    fn recorded_choices_are_those_of_the_spec() {
        let spec = SpecChoices {
            texts: ["x", "y", "z"].map(str::to_owned).to_vec(),
            labels: vec![0.0, 1.0, 0.0],
        };
        let said = |logliks: &[f64], labels: Option<&[f64]>, texts: Value| {
            let row = Row {
                id: "0".to_owned(),
                columns: [("arguments".to_owned(), texts)].into_iter().collect(),
            };
            held(&values(logliks, labels), &row, &spec, &"row 1")
        };
        let asked = |texts: [&str; 3]| {
            let mut number = 0;
            let requests = texts.map(|text| {
                number += 1;
                (
                    format!("gen_args_{}", number - 1),
                    json!({"arg_0": "q", "arg_1": text}),
                )
            });
            Value::Object(requests.into_iter().collect())
        };
        let listed = |texts: [&str; 3]| json!(texts.map(|text| json!(["q", text])));
        let three = [-1.0, -2.0, -3.0];
        let right = [0.0, 1.0, 0.0];
        assert_eq!(said(&three, None, Value::Null), Ok(()));
        assert_eq!(
            said(&three, Some(&right), asked([" x", " y", " z"])),
            Ok(())
        );
        // Letters stand for the texts.
        assert_eq!(
            said(&three, Some(&right), asked([" A", " B", " C"])),
            Ok(())
        );
        for (logliks, labels, texts, part) in [
            (
                &three[..2],
                None,
                Value::Null,
                "has 2 entries, and by `score.choices` there are 3",
            ),
            (
                &three,
                Some(&[1.0, 0.0, 0.0][..]),
                Value::Null,
                "its right choices are 0, and by `score.correct` they are 1",
            ),
            (
                &three,
                Some(&right),
                listed(["z", "y", "x"]),
                "in another order (`z`, `y`, `x`)",
            ),
        ] {
            let said = said(logliks, labels, texts).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
        let row = Row {
            id: "0".to_owned(),
            columns: indexmap::IndexMap::new(),
        };
        let said = held(&[], &row, &spec, &"row 1").unwrap_err().to_string();
        assert!(said.contains("there is no `choice_loglik`"), "{said}");
    }
}
