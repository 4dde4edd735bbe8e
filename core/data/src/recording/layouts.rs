//! Recordings in the layout of another tool: which of its fields hold what.
//!
//! A layout's rows keep the tool's own fields, so that `filter` and paths can name them, and get the columns that are known here
//! beside them (`id`, `sample`, `completion`, `error`, `finish_reason`, `verdict`, `correct`).

mod detect;
mod garak;
mod harmbench;
mod inspect;
mod jailbreakbench;
mod lm_eval;
mod promptfoo;
mod zip;

use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::{FinishReason, VerdictLabel};
use driftgauge_spec::spec::RecordedFormat;
use indexmap::IndexMap;
use serde_json::{Map, Value};

pub(super) use detect::layout_of;
pub(super) use lm_eval::{CORRECT, generation_of};

use super::RecordedMapping;
use super::cells::{is_none, message, says_none};
use super::settings::Settings;
use crate::dataset::{Row, Table, parse_json, read_table, typed, whole_text};

/// A file that was read: its rows, what has to be said of them, and what its head says of how they were made.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordedFile {
    pub(super) rows: Vec<Row>,
    pub(super) notes: Vec<String>,
    pub(super) settings: Settings,
}

impl From<Table> for RecordedFile {
    fn from(table: Table) -> Self {
        Self {
            rows: table.rows,
            notes: table.notes,
            settings: Settings::default(),
        }
    }
}

/// The rows of a file, in one form whatever tool wrote them.
pub(super) fn read(path: &Path, mapping: &RecordedMapping) -> Result<RecordedFile, Problem> {
    let mut file = match mapping.format {
        RecordedFormat::Rows(format) => read_table(path, format)?.into(),
        RecordedFormat::Harmbench => harmbench::read(path)?.into(),
        RecordedFormat::LmEval => lm_eval::read(path)?.into(),
        RecordedFormat::Inspect => inspect::read(path)?,
        RecordedFormat::Promptfoo => promptfoo::read(path)?.into(),
        RecordedFormat::Garak => garak::read(path)?,
        RecordedFormat::Jailbreakbench => jailbreakbench::read(path)?,
    };
    typed(path, &mut file.rows, &mapping.types)?;
    Ok(file)
}

/// A row of the columns that are known, and of the tool's own fields beside them.
fn row(number: usize, known: Vec<(&str, Value)>, own: Map<String, Value>) -> Row {
    let known = known.into_iter().filter(|(_, value)| !value.is_null());
    let mut columns: IndexMap<String, Value> = known
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for (name, value) in own {
        columns.entry(name).or_insert(value);
    }
    Row {
        id: number.to_string(),
        columns,
    }
}

/// What a tool says of a failure, as a text that is read as an error whatever the tool says.
fn error_text(error: &Value) -> Value {
    let said = message(error);
    match says_none(&said) {
        true => format!("error: {said}").into(),
        false => said.into(),
    }
}

/// The whole of a JSON file, with the note on numbers that are none.
fn json_file(path: &Path, what: &str) -> Result<(Value, Vec<String>), Problem> {
    let text = whole_text(path).map_err(|error| error.to_string())?;
    let parsed = parse_json(&text)
        .map_err(|error| format!("{}:{}: not {what}: {error}", path.display(), error.line()))?;
    let note = crate::dataset::nulls_note(path, parsed.nulls);
    Ok((parsed.value, note.into_iter().collect()))
}

/// A verdict as tools write labels: 1 and yes for unsafe, 0 and no for safe, -1 for what could not be read, as numbers, texts
/// and truth values. `None` where it is something else.
fn label(value: &Value) -> Option<VerdictLabel> {
    let number = match value {
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let word = text.trim().to_ascii_lowercase();
            return match word.as_str() {
                "yes" | "true" | "harmful" | "jailbroken" => Some(VerdictLabel::Unsafe),
                "no" | "false" | "harmless" => Some(VerdictLabel::Safe),
                word => VerdictLabel::parse(word)
                    .or_else(|| label(&Value::from(word.parse::<f64>().ok()?))),
            };
        }
        _ => return None,
    };
    match number {
        1.0 => Some(VerdictLabel::Unsafe),
        0.0 => Some(VerdictLabel::Safe),
        -1.0 => Some(VerdictLabel::Unparsable),
        _ => None,
    }
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

/// Columns that a known layout implies, where its rows have them. Verdicts are those of a judge called `recorded`, unless
/// the evaluation has judges of its own.
pub(super) fn with_columns(
    mut mapping: RecordedMapping,
    rows: &[&Row],
    judged: bool,
) -> RecordedMapping {
    if matches!(mapping.format, RecordedFormat::Rows(_)) {
        return with_failures(mapping, rows);
    }
    let has = |column: &str| rows.iter().any(|row| row.columns.contains_key(column));
    for (name, column) in [
        (&mut mapping.id, "id"),
        (&mut mapping.sample, "sample"),
        (&mut mapping.completion, "completion"),
        (&mut mapping.error, "error"),
        (&mut mapping.finish_reason, "finish_reason"),
    ] {
        if name.is_none() && has(column) {
            *name = Some(column.to_owned());
        }
    }
    for value in [
        "correct",
        "choice_loglik",
        "choice_correct",
        "choice_characters",
    ] {
        if has(value) && !mapping.values.contains_key(value) {
            mapping.values.insert(value.to_owned(), value.to_owned());
        }
    }
    if !judged && mapping.verdicts.is_empty() {
        let by_judge = rows
            .iter()
            .filter_map(|row| row.columns.get(garak::VERDICTS)?.as_object());
        for judge in by_judge.flat_map(|verdicts| verdicts.keys()) {
            if !mapping.verdicts.contains_key(judge) {
                let path = format!("{}.{judge}", garak::VERDICTS);
                mapping.verdicts.insert(judge.clone(), path);
            }
        }
    }
    if !judged && mapping.verdicts.is_empty() && has("verdict") {
        let judge = "recorded".to_owned();
        mapping.verdicts.insert(judge, "verdict".to_owned());
    }
    mapping
}

/// Rows of one's own with the columns that say by their names which completions were not made, where the spec names none: `error`
/// with words of one, and `finish_reason` of `error`, as `export` writes them.
fn with_failures(mut mapping: RecordedMapping, rows: &[&Row]) -> RecordedMapping {
    let some = |column: &str, says: &dyn Fn(&Value) -> bool| {
        let cells = rows.iter().filter_map(|row| row.columns.get(column));
        cells.into_iter().any(says)
    };
    // A number is a measure of something.
    let is_error = |cell: &Value| !is_none(cell) && number(cell).is_none();
    if mapping.error.is_none() && !mapping.reads("error") && some("error", &is_error) {
        mapping.error = Some("error".to_owned());
    }
    let failed = FinishReason::Error.as_str();
    if mapping.finish_reason.is_none()
        && !mapping.reads("finish_reason")
        && some("finish_reason", &|cell| cell == failed)
    {
        mapping.finish_reason = Some("finish_reason".to_owned());
    }
    mapping
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_read_whatever_their_type() {
        use VerdictLabel::{Safe, Unparsable, Unsafe};
        for (values, verdict) in [
            (
                json!([1, 1.0, "1", "1.0", " Yes ", true, "unsafe", "True"]),
                Some(Unsafe),
            ),
            (
                json!([0, 0.0, "0", "no", false, "SAFE", "False"]),
                Some(Safe),
            ),
            (json!([-1, -1.0, "-1", "unparsable"]), Some(Unparsable)),
            (json!([2, 0.5, "maybe", "", null, [1]]), None),
        ] {
            for value in values.as_array().unwrap() {
                assert_eq!(label(value), verdict, "{value}");
            }
        }
    }
}
