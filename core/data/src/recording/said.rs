//! What the rows of a file say of how they were made and marked, beside its head.

use driftgauge_record::VerdictLabel;
use driftgauge_record::value::column;
use driftgauge_spec::spec::RecordedFormat;
use serde_json::Value;

use super::settings::{SHOWN, Settings};
use super::{RecordedMapping, layouts};
use crate::dataset::Row;

/// Columns of rows of one's own that say by their names how an answer was made, or who marked it.
const OWN: [&str; 12] = [
    "condition",
    "filter",
    "judge",
    "judge_model",
    "grader",
    "scorer",
    "metric",
    "temperature",
    "top_p",
    "max_tokens",
    "max_new_tokens",
    "system_prompt",
];

/// Those that name who said something, whose numbers are marks.
const SAID_BY: [&str; 6] = [
    "judge",
    "judge_model",
    "grader",
    "scorer",
    "metric",
    "filter",
];

/// What each row says, beside the head of its file.
pub(super) fn of_rows(head: &Settings, mapping: &RecordedMapping, rows: &[&Row]) -> Settings {
    let mut settings = head.clone();
    match mapping.format {
        RecordedFormat::LmEval => {
            say_column(&mut settings, rows, "filter");
            let asked = rows
                .iter()
                .filter_map(|row| layouts::generation_of(&row.columns));
            for made in few(asked) {
                settings.say_generation(&made);
            }
        }
        RecordedFormat::Inspect => {
            let scorers = rows.iter().filter_map(|row| {
                let scores = row.columns.get("scores")?.as_object()?;
                let names: Vec<&str> = scores.keys().map(String::as_str).collect();
                (!names.is_empty()).then(|| names.join(" and "))
            });
            for names in few(scorers.map(Value::from)) {
                settings.say("scorers", &names);
            }
        }
        RecordedFormat::Rows(_) => {
            let free = |name: &&&str| !mapping.reads(name);
            for name in OWN.iter().filter(free) {
                say_column(&mut settings, rows, name);
            }
        }
        RecordedFormat::Harmbench
        | RecordedFormat::Promptfoo
        | RecordedFormat::Garak
        | RecordedFormat::Jailbreakbench => {}
    }
    settings
}

/// Adds what a column says, where it says settings.
fn say_column(settings: &mut Settings, rows: &[&Row], name: &str) {
    let cells = rows
        .iter()
        .filter_map(|row| Some(column(&row.columns, name)?.clone()));
    // A mark, and what belongs to one row, are no settings.
    let is_setting = |cell: &Value| match cell {
        Value::String(text) => VerdictLabel::parse(text).is_none(),
        Value::Number(_) => !SAID_BY.contains(&name),
        _ => false,
    };
    for value in few(cells.filter(is_setting)) {
        settings.say(name, &value);
    }
}

/// What values there are, each once; none where there are many, since what differs from row to row is no setting.
fn few(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
        if seen.len() > 2 * SHOWN {
            return Vec::new();
        }
    }
    seen
}
