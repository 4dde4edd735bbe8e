//! What is read of one row of a recording.

use std::fmt;
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::value::{column, kind, scalar_text};
use driftgauge_record::{FinishReason, Verdict, VerdictLabel, is_no_logprob};
use driftgauge_spec::spec::RecordedFormat;
use serde_json::Value;

use super::{RecordedMapping, choices};
use crate::dataset::Row;

/// Why a row has no completion, when it says so: by its error, or by a finish reason of `error`. An error of false, 0 or nothing is
/// none, however it is written; an object is one, whatever stands in it.
pub(super) fn failure(mapping: &RecordedMapping, row: &Row) -> Option<String> {
    let error = mapping.error.as_ref();
    let error = error.and_then(|path| column(&row.columns, path));
    let ended = mapping.finish_reason.as_ref();
    let ended = ended.and_then(|path| text_at(row, path));
    let ended_in_error = ended.is_some_and(|word| {
        FinishReason::parse(&word).is_some_and(|reason| reason == FinishReason::Error)
    });
    error
        .filter(|cell| !is_none(cell))
        .map(message)
        .or_else(|| ended_in_error.then(|| "its finish reason is `error`".to_owned()))
}

/// Whether an error is none.
pub(super) fn is_none(cell: &Value) -> bool {
    match cell {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
        other => scalar_text(other).is_some_and(|text| says_none(&text)),
    }
}

/// Whether a text of an error says that there is none.
pub(super) fn says_none(text: &str) -> bool {
    const NONE: [&str; 7] = ["", "false", "0", "0.0", "none", "null", "nan"];
    NONE.contains(&text.trim().to_ascii_lowercase().as_str())
}

/// What an error says: its text, the `message` of an object, else all of it.
pub(super) fn message(error: &Value) -> String {
    let told = match error {
        Value::Object(fields) => fields.get("message").and_then(scalar_text),
        other => scalar_text(other),
    };
    let told = told.filter(|text| !text.trim().is_empty());
    told.unwrap_or_else(|| error.to_string())
}

/// The text of a cell, where it is one.
fn text_at(row: &Row, path: &str) -> Option<String> {
    column(&row.columns, path).and_then(scalar_text)
}

/// The recorded verdicts of a row. One without a completion may lack them; that is an error, and no verdict.
pub(super) fn verdicts(
    mapping: &RecordedMapping,
    row: &Row,
    place: &Place<'_>,
) -> Result<Vec<(String, Verdict)>, Problem> {
    let read = |(judge, column): (&String, &String)| {
        let word = text_at(row, column);
        let word = word.unwrap_or_default();
        match failure(mapping, row) {
            Some(problem) if word.trim().is_empty() => {
                Ok((judge.clone(), Verdict::error(&problem)))
            }
            _ => Ok((judge.clone(), verdict(&word, column, place)?)),
        }
    };
    mapping.verdicts.iter().map(read).collect()
}

/// The recorded numbers of a row, each one number or a list of them. One without a completion may lack them; they are then absent.
pub(super) fn values(
    mapping: &RecordedMapping,
    row: &Row,
    place: &Place<'_>,
) -> Result<Vec<(String, Vec<f64>)>, Problem> {
    let failed = failure(mapping, row).is_some();
    let mut out = Vec::new();
    for (name, path) in &mapping.values {
        let cell = column(&row.columns, path);
        let is_empty = cell
            .and_then(scalar_text)
            .is_some_and(|text| text.trim().is_empty());
        // Null is absent.
        let is_absent =
            matches!(cell, Some(Value::Null)) || (failed && (cell.is_none() || is_empty));
        if !is_absent {
            let is_of_layout = !matches!(mapping.format, RecordedFormat::Rows(_)) && path == name;
            if cell.is_none() && is_of_layout && name == "correct" {
                return Err(Problem::failed(format!(
                    "{place}: it has no mark of 0 or 1, and others have"
                ))
                .help("a mark between them, as `P` is 0.5, or none says neither right nor wrong: leave such samples out with `filter`"));
            }
            let numbers = numbers(cell, name, path, place)?;
            if numbers.len() > 1 && ONE_NUMBER.contains(&name.as_str()) {
                return Err(Problem::failed(format!(
                    "{place}: column `{path}` holds a list of {} for `{name}`, which is one number",
                    numbers.len()
                ))
                .help(format!(
                    "name the one that is meant by its place, as `{path}.0`, or give each completion a row of its own"
                )));
            }
            out.push((name.clone(), numbers));
        }
    }
    choices::check(&out, place)?;
    Ok(out)
}

/// Values of which a sample has one.
const ONE_NUMBER: [&str; 4] = ["correct", "probability", "entropy", "perplexity"];

/// Where a row stands, counted from 1. Written out only when there is something to say of it.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    pub(super) row: &'a Row,
    pub(super) sample: Option<&'a str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, row {}", self.path.display(), self.row.number())?;
        match self.sample {
            Some(sample) => write!(f, " (sample `{sample}`)"),
            None => Ok(()),
        }
    }
}

pub(super) fn place<'a>(path: &'a Path, row: &'a Row) -> Place<'a> {
    Place {
        path,
        row,
        sample: None,
    }
}

/// Which of a prompt's completions a row is, when the recording says so.
pub(super) fn sample_index(
    mapping: &RecordedMapping,
    row: &Row,
    place: &Place<'_>,
) -> Result<Option<usize>, Problem> {
    let Some(column) = &mapping.sample else {
        return Ok(None);
    };
    let text = text_at(row, column).unwrap_or_default();
    let whole = text.trim();
    let whole = whole.strip_suffix(".0").unwrap_or(whole);
    let index = whole.parse::<u32>().map_err(|_| {
        Problem::failed(format!(
            "{place}: `{text}` in column `{column}` is no index of a sample"
        ))
        .help("the completions of a prompt are counted 0, 1, 2, ...")
    })?;
    Ok(usize::try_from(index).ok())
}

pub(super) fn finish_reason(
    mapping: &RecordedMapping,
    row: &Row,
    place: &Place<'_>,
) -> Result<FinishReason, Problem> {
    let cell = mapping.finish_reason.as_ref();
    let word = cell.and_then(|column| text_at(row, column));
    let reason = match word {
        None => FinishReason::Stop,
        Some(word) => FinishReason::parse(&word).ok_or_else(|| {
            Problem::failed(format!("{place}: `{word}` is no finish reason"))
                .help("it is `stop`, `length` or `error`")
        })?,
    };
    Ok(match failure(mapping, row) {
        Some(_) => FinishReason::Error,
        None => reason,
    })
}

pub(super) fn token_logprob(
    mapping: &RecordedMapping,
    row: &Row,
    place: &Place<'_>,
) -> Result<Vec<f32>, Problem> {
    let Some(column) = &mapping.token_logprob else {
        return Ok(Vec::new());
    };
    let cell = self::column(&row.columns, column);
    if failure(mapping, row).is_some() && cell.is_none_or(Value::is_null) {
        return Ok(Vec::new());
    }
    let is_list = match cell {
        Some(Value::Array(_)) => true,
        Some(Value::String(text)) => text.trim_start().starts_with('['),
        _ => false,
    };
    // An answer without tokens has an empty list.
    if cell.and_then(Value::as_array).is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    if !is_list {
        return Err(format!("{place}: column `{column}` is no list of numbers").into());
    }
    let numbers = numbers(cell, "token_logprob", column, place)?;
    // Recorded statistics have the precision of stored ones.
    #[expect(clippy::cast_possible_truncation)]
    let single = numbers.into_iter().map(|number| number as f32);
    Ok(single.collect())
}

/// The completion, when the recording has completions. A sample that failed has an empty one.
pub(super) fn text(
    mapping: &RecordedMapping,
    row: &Row,
    place: &Place<'_>,
) -> Result<Option<String>, Problem> {
    let Some(column) = &mapping.completion else {
        return Ok(None);
    };
    let cell = self::column(&row.columns, column);
    let text = cell.and_then(scalar_text);
    text.or_else(|| failure(mapping, row).map(|_| String::new()))
        .map(Some)
        .ok_or_else(|| match cell {
            None | Some(Value::Null) => {
                format!("{place}: there is no completion in column `{column}`").into()
            }
            Some(other) => Problem::failed(format!(
                "{place}: column `{column}` is {}, and a completion is text",
                kind(other)
            ))
            .help(format!(
                "name the text in it by its path, as `{column}.0.content`"
            )),
        })
}

fn verdict(word: &str, column: &str, place: &impl fmt::Display) -> Result<Verdict, Problem> {
    let label = VerdictLabel::parse(&word.trim().to_ascii_lowercase());
    let label = label.filter(|label| *label != VerdictLabel::Scored);
    let label = label.ok_or_else(|| {
        Problem::failed(format!(
            "{place}: `{word}` in column `{column}` is no verdict"
        ))
        .help("verdicts are `safe`, `unsafe`, `unparsable` and `error`")
    })?;
    Ok(Verdict {
        label,
        categories: Vec::new(),
        p_unsafe: None,
        score: None,
        points: None,
        output: word.to_owned(),
    })
}

/// A list of numbers, or one number. In a table of text a list is written as in JSON.
fn numbers(
    cell: Option<&Value>,
    name: &str,
    column: &str,
    place: &impl fmt::Display,
) -> Result<Vec<f64>, Problem> {
    let written: Option<Value> = match cell {
        Some(Value::String(text)) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).ok()
        }
        _ => None,
    };
    let Some(items) = written.as_ref().or(cell).and_then(Value::as_array) else {
        return Ok(vec![number(cell, name, column, place)?]);
    };
    if items.is_empty() {
        return Err(Problem::failed(format!(
            "{place}: column `{column}` holds an empty list for `{name}`"
        ))
        .help(
            "a list of numbers, as `[-1.5, -0.2]`, has one for each \
             token or choice",
        ));
    }
    let read = |item: &Value| number(Some(item), name, column, place);
    items.iter().map(read).collect()
}

/// Whether the last token of a row's list ended the answer. Without a column that tells, it is not known, and taken as no.
pub(super) fn ends_with_eos(
    mapping: &RecordedMapping,
    row: &Row,
    place: &Place<'_>,
) -> Result<bool, Problem> {
    let Some(column) = &mapping.ends_with_eos else {
        return Ok(false);
    };
    let flag = match self::column(&row.columns, column) {
        // A row without a completion has no last token.
        None | Some(Value::Null) if failure(mapping, row).is_some() => return Ok(false),
        cell => number(cell, "ends_with_eos", column, place)?,
    };
    match flag {
        0.0 => Ok(false),
        1.0 => Ok(true),
        other => Err(Problem::failed(format!(
            "{place}: column `{column}` says {other}, which is neither true nor false"
        ))
        .help(
            "it tells whether the last token of the \
             list ended the answer",
        )),
    }
}

fn number(
    cell: Option<&Value>,
    name: &str,
    column: &str,
    place: &impl fmt::Display,
) -> Result<f64, Problem> {
    let number = match cell {
        Some(Value::Bool(flag)) => Some(f64::from(u8::from(*flag))),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Some(1.0),
            "false" => Some(0.0),
            other => other.parse().ok(),
        },
        _ => None,
    };
    let number = number
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("{place}: column `{column}` holds no number for `{name}`"))?;
    match impossible(name, number) {
        None => Ok(number),
        Some((what, help)) => Err(Problem::failed(format!(
            "{place}: `{name}` is {number}, which is no {what}"
        ))
        .help(help)),
    }
}

/// What sums of rounded logarithms may lie beyond their bound.
const ROUNDING: f64 = 1e-3;

/// What a number of that name would be, where it cannot be this one, and what to do.
fn impossible(name: &str, number: f64) -> Option<(&'static str, &'static str)> {
    if name.contains("probability") && !(0.0..=1.0).contains(&number) {
        let help =
            "probabilities lie between 0 and 1; take the exponential of log-probabilities first";
        return Some(("probability", help));
    }
    match name {
        "entropy" if number < -ROUNDING => Some(("entropy", "an entropy is 0 or more, in nats")),
        "perplexity" if number < 1.0 - ROUNDING => Some((
            "perplexity",
            "a perplexity is 1 or more: the exponential of the mean of -ln p",
        )),
        "token_logprob" if number > ROUNDING => Some((
            "logarithm of a probability",
            "write ln p, which is 0 or less, and no probabilities",
        )),
        // As -9999, with which vLLM stands for minus infinity.
        "token_logprob" if is_no_logprob(number) => Some((
            "logarithm of a probability",
            "it stands for an unknown one, or for 0: leave the tokens of this row out (`null`), or say in `error` why it has none",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_too() {
        let read = |cell: Value| numbers(Some(&cell), "choice_loglik", "l", &"row 3");
        assert_eq!(read(serde_json::json!([-1, -0.5])).unwrap(), [-1.0, -0.5]);
        assert_eq!(read(serde_json::json!("[-1, true]")).unwrap(), [-1.0, 1.0]);
        assert_eq!(read(serde_json::json!(2)).unwrap(), [2.0]);
        for (wrong, what) in [
            (serde_json::json!([]), "empty list"),
            (serde_json::json!([-1, "x"]), "no number"),
            (serde_json::json!("[-1, "), "no number"),
        ] {
            let error = read(wrong).unwrap_err().message;
            assert!(error.starts_with("row 3: column `l`"), "{error}");
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn numbers_are_what_their_names_say() {
        let read = |name: &str, number: f64| {
            self::number(Some(&number.into()), name, "n", &"row 3").map_err(|said| said.message)
        };
        for (name, number) in [
            ("probability", 85.0),
            ("entropy", -0.5),
            ("perplexity", 0.5),
            ("token_logprob", 0.9),
            ("token_logprob", -9999.0),
        ] {
            let said = read(name, number).unwrap_err();
            assert!(
                said.contains(&format!("row 3: `{name}` is {number}, which is no")),
                "{said}"
            );
        }
        for (name, number) in [
            ("probability", 1.0),
            ("entropy", 0.0),
            ("perplexity", 1.0),
            ("token_logprob", 0.0),
            ("token_logprob", -700.0),
            ("loudness", -3.0),
        ] {
            assert_eq!(read(name, number), Ok(number), "{name}");
        }
    }

    #[test]
    fn one_number_is_no_list() {
        let mapping = RecordedMapping {
            values: [("correct".to_owned(), "c".to_owned())]
                .into_iter()
                .collect(),
            ..crate::recording::tests::table()
        };
        let read = |cell: Value| {
            let row = Row {
                id: "0".to_owned(),
                columns: [("c".to_owned(), cell)].into_iter().collect(),
            };
            values(&mapping, &row, &place(Path::new("r.jsonl"), &row))
        };
        // As an export keeps it.
        let one = vec![("correct".to_owned(), vec![1.0])];
        assert_eq!(read(serde_json::json!([1])), Ok(one));
        for cell in [serde_json::json!([1, 0]), serde_json::json!("[1, 0]")] {
            let said = read(cell).unwrap_err().to_string();
            assert!(
                said.contains("row 1: column `c` holds a list of 2 for `correct`"),
                "{said}"
            );
        }
    }

    #[test]
    fn words_that_are_no_verdict_are_refused() {
        assert_eq!(
            verdict("unsafe", "v", &"row").unwrap().label,
            VerdictLabel::Unsafe
        );
        assert!(
            verdict("UNSAFE?", "v", &"row 3")
                .unwrap_err()
                .message
                .starts_with("row 3: `UNSAFE?`")
        );
    }

    #[test]
    fn probabilities_lie_between_0_and_1() {
        assert!(number(Some(&Value::from(1.2)), "probability", "p", &"row").is_err());
        assert_eq!(
            number(Some(&Value::from("True")), "correct", "c", &"row"),
            Ok(1.0)
        );
        assert!(number(None, "entropy", "e", &"row").is_err());
    }
}
