//! Whether a recording says of each row what the dataset says of it, column by column: equal ids do not prove equal rows.

use std::collections::HashSet;

use driftgauge_problem::Problem;
use driftgauge_record::value::scalar_text;
use driftgauge_spec::spec::RecordedFormat;
use serde_json::Value;

use super::put::listed;
use super::{Asked, ConditionRows, RecordedMapping, beginning};
use crate::dataset::Row;

/// Columns of a table of one's own that say what the model answered or how that was marked as often as what is right.
const ANSWERS: [&str; 12] = [
    "answer",
    "response",
    "completion",
    "output",
    "prediction",
    "generation",
    "label",
    "score",
    "correct",
    "verdict",
    "error",
    "finish_reason",
];

/// A row of the dataset, and what the recording and the row say in a column that both name.
type Pair<'a> = (&'a Row, &'a Value, &'a Value);

/// What both say in one column, where they do.
struct Shared<'a>(Vec<Pair<'a>>);

/// Holds every field that a recording and the rows name alike against each other.
///
/// # Errors
/// With the first row of which they say different things.
pub(super) fn check(
    found: &ConditionRows<'_>,
    asked: Asked<'_>,
    rows: &[Row],
) -> Result<(), Problem> {
    let names = rows.iter().take(1).flat_map(|row| row.columns.keys());
    // What pairs the rows is equal already, and elsewhere the tool's own number may have its name.
    let names = names.filter(|name| asked.dataset_id != Some(name.as_str()));
    for name in names {
        for field in fields(&found.mapping, name) {
            let shared = Shared(pairs(found, rows, name, &field));
            if let Some((row, theirs, ours)) = shared.differing() {
                return Err(Problem::failed(format!(
                    "`{}` says something else under `{}` than the dataset does: `{}` is `{}` there, and `{name}` is `{}` here",
                    found.recorded.file.path.display(),
                    row.id,
                    field,
                    shown(theirs),
                    shown(ours)
                ))
                .help(match asked.dataset_id {
                    None => "its samples are counted: give the dataset its `id`, a column that the recording has as well, or the rows in the order of the file".to_owned(),
                    Some(_) => format!("take the dataset as it was when this was recorded, or pair them by an id that means the same row in both; where the two are different things, give the dataset's column `{name}` another name"),
                }));
            }
        }
    }
    Ok(())
}

/// Where the rows of a layout may say what a dataset has in a column of that name.
fn fields(mapping: &RecordedMapping, name: &str) -> Vec<String> {
    let if_one_of = |names: &[&str]| match names.contains(&name) {
        true => vec![name.to_owned()],
        false => Vec::new(),
    };
    match mapping.format {
        RecordedFormat::LmEval => vec![format!("doc.{name}")],
        RecordedFormat::Promptfoo => vec![format!("vars.{name}")],
        RecordedFormat::Inspect => {
            let mut fields = if_one_of(&["target", "choices"]);
            fields.push(format!("metadata.{name}"));
            fields
        }
        RecordedFormat::Jailbreakbench => if_one_of(&["goal", "behavior", "category"]),
        RecordedFormat::Harmbench => if_one_of(&["test_case", "context_str", "behavior"]),
        RecordedFormat::Garak => if_one_of(&["prompt"]),
        RecordedFormat::Rows(_) if ANSWERS.contains(&name) || mapping.reads(name) => Vec::new(),
        RecordedFormat::Rows(_) => vec![name.to_owned()],
    }
}

fn pairs<'a>(found: &ConditionRows<'a>, rows: &'a [Row], name: &str, field: &str) -> Vec<Pair<'a>> {
    let said = |cell: Option<&'a Value>| {
        cell.filter(|cell| {
            !cell.is_null() && cell.as_str().is_none_or(|text| !text.trim().is_empty())
        })
    };
    let of_row = |row: &'a Row| {
        let ours = said(row.columns.get(name));
        let theirs = found
            .of_id(&row.id)
            .filter_map(move |other| said(driftgauge_record::value::column(&other.columns, field)));
        theirs.filter_map(move |theirs| Some((row, theirs, ours?)))
    };
    rows.iter().flat_map(of_row).collect()
}

impl<'a> Shared<'a> {
    /// The first row of which both say different things.
    fn differing(&self) -> Option<Pair<'a>> {
        let differs = |(_, theirs, ours): &&Pair<'a>| !are_same(theirs, ours);
        let first = self.0.iter().find(differs)?;
        let differing = self.0.iter().filter(differs).count();
        if differing < self.0.len() || self.tells() && !self.is_template() {
            return Some(*first);
        }
        // All of them differ, and the column tells few rows apart: `source` is another thing here and there.
        None
    }

    /// Whether the column tells most rows apart.
    fn tells(&self) -> bool {
        let ids: HashSet<&str> = self.0.iter().map(|(row, ..)| row.id.as_str()).collect();
        let texts: HashSet<String> = self.0.iter().map(|(_, _, ours)| ours.to_string()).collect();
        2 * texts.len() > ids.len()
    }

    /// Whether each text stands within the recorded one, which is what was made of it for the model.
    fn is_template(&self) -> bool {
        self.0.iter().all(|(_, theirs, ours)| {
            let texts = theirs.as_str().zip(ours.as_str());
            texts.is_some_and(|(theirs, ours)| theirs.contains(ours.trim()))
        })
    }
}

/// Whether two cells say the same, whatever types and spaces their files write it with. What stands in other forms, as an object
/// and a text, cannot be held against each other.
fn are_same(theirs: &Value, ours: &Value) -> bool {
    match (&*listed(theirs), &*listed(ours)) {
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(a, b)| are_same(a, b))
        }
        (Value::Array(items), other) | (other, Value::Array(items)) => match items.as_slice() {
            [item] => are_same(item, other),
            _ => true,
        },
        (Value::Object(theirs), Value::Object(ours)) => theirs
            .iter()
            .all(|(name, value)| ours.get(name).is_none_or(|ours| are_same(value, ours))),
        (theirs, ours) => match (scalar_text(theirs), scalar_text(ours)) {
            (Some(a), Some(b)) => {
                a.split_whitespace().eq(b.split_whitespace()) || are_same_scalars(&a, &b)
            }
            _ => true,
        },
    }
}

/// Whether two texts are one number or one truth value, written otherwise.
fn are_same_scalars(theirs: &str, ours: &str) -> bool {
    let number = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        other => other.parse::<f64>().ok(),
    };
    // A file of numbers in single precision has 0.1 as 0.10000000149.
    let is_near = |a: f64, b: f64| (a - b).abs() <= f64::from(f32::EPSILON) * a.abs().max(b.abs());
    let is_whole = |text: &str| !text.contains(['.', 'e', 'E']);
    let numbers = number(theirs).zip(number(ours));
    numbers.is_some_and(|(a, b)| match is_whole(theirs) && is_whole(ours) {
        true => a.to_bits() == b.to_bits() && theirs.trim().len() == ours.trim().len(),
        false => is_near(a, b),
    })
}

fn shown(value: &Value) -> String {
    let text = scalar_text(value).unwrap_or_else(|| value.to_string());
    beginning(text.trim())
}
