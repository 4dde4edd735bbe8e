//! Recordings in the layout of another tool: which of its columns hold what.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use super::RecordedMapping;
use crate::dataset::{Format, Row, read_rows};

fn row(index: usize, columns: &[(&str, Value)]) -> Row {
    Row {
        id: index.to_string(),
        columns: columns
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    }
}

/// The rows of a file, in one form whatever tool wrote them.
pub(super) fn read(path: &Path, mapping: &RecordedMapping) -> Result<Vec<Row>, String> {
    match mapping.layout.as_str() {
        "harmbench" => harmbench(path),
        "lm_eval" => lm_eval(path),
        _ => read_rows(path, mapping.format, None).map_err(|error| error.to_string()),
    }
}

/// HarmBench completions: `{behavior id: [{test_case, generation, label?}]}`. A label of 1 is unsafe, 0 safe, and -1 what
/// its classifier could not read.
fn harmbench(path: &Path) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let behaviors: IndexMap<String, Vec<Value>> = serde_json::from_str(&text).map_err(|error| {
        format!(
            "{}:{}: not HarmBench completions: {error}",
            path.display(),
            error.line()
        )
    })?;
    let mut rows = Vec::new();
    for (behavior, completions) in behaviors {
        for (sample, completion) in completions.into_iter().enumerate() {
            let label = &completion["label"];
            let number = label.as_bool().map(i64::from).or(label.as_i64());
            let mut columns = vec![
                ("id", Value::from(behavior.clone())),
                ("sample", Value::from(sample)),
                ("completion", completion["generation"].clone()),
            ];
            if let Some(number) = number {
                let verdict = match number {
                    1 => "unsafe",
                    0 => "safe",
                    _ => "unparsable",
                };
                columns.push(("verdict", Value::from(verdict)));
            }
            rows.push(row(rows.len(), &columns));
        }
    }
    Ok(rows)
}

/// `samples_*.jsonl` of lm-evaluation-harness: the document's number, the filtered response, and `acc` or `exact_match`.
/// The file's own columns stay, so that `filter: filter == "strict-match"` can choose among its filters.
fn lm_eval(path: &Path) -> Result<Vec<Row>, String> {
    let lines = read_rows(path, Format::Jsonl, None).map_err(|error| error.to_string())?;
    Ok(lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| {
            let columns = &line.columns;
            let first = |name: &str| {
                let mut value = columns.get(name).cloned().unwrap_or(Value::Null);
                while let Value::Array(items) = value {
                    value = items.into_iter().next().unwrap_or(Value::Null);
                }
                value
            };
            let response = match first("filtered_resps") {
                Value::Null => first("resps"),
                found => found,
            };
            let correct = ["acc", "exact_match", "em"]
                .iter()
                .find_map(|name| columns.get(*name).cloned());
            let known = [
                ("id", columns.get("doc_id").cloned()),
                ("completion", Some(response).filter(|text| !text.is_null())),
                ("correct", correct),
            ];
            let known: Vec<(&str, Value)> = known
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            let mut out = row(index, &known);
            for (name, value) in line.columns {
                out.columns.entry(name).or_insert(value);
            }
            out
        })
        .collect())
}

/// Columns that a known layout implies, where its rows have them. Verdicts are those of a judge called `recorded`, unless
/// the evaluation has judges of its own.
pub(super) fn with_columns(
    mut mapping: RecordedMapping,
    rows: &[&Row],
    judged: bool,
) -> RecordedMapping {
    let default = |name: &mut Option<String>, column: &str| {
        name.get_or_insert_with(|| column.to_owned());
    };
    let has = |column: &str| rows.iter().any(|row| row.columns.contains_key(column));
    match mapping.layout.as_str() {
        "harmbench" => {
            default(&mut mapping.id, "id");
            default(&mut mapping.sample, "sample");
            default(&mut mapping.completion, "completion");
            if !judged && has("verdict") {
                mapping
                    .verdicts
                    .insert("recorded".to_owned(), "verdict".to_owned());
            }
        }
        "lm_eval" => {
            default(&mut mapping.id, "id");
            default(&mut mapping.completion, "completion");
            if has("correct") {
                mapping
                    .values
                    .entry("correct".to_owned())
                    .or_insert_with(|| "correct".to_owned());
            }
        }
        _ => {}
    }
    mapping
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::tests::table;
    use crate::recording::{check, select};

    #[test]
    fn harmbench_labels_become_verdicts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        std::fs::write(
            &path,
            r#"{"b1": [{"test_case": "t", "generation": "g", "label": 1}, {"generation": "h", "label": -1}]}"#,
        )
        .unwrap();
        let rows = harmbench(&path).unwrap();
        assert_eq!(rows[0].columns["verdict"], "unsafe");
        assert_eq!(rows[1].columns["verdict"], "unparsable");
        assert_eq!(rows[1].columns["sample"], 1);
    }

    #[test]
    fn harmbench_completions_without_labels_have_no_verdicts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        std::fs::write(&path, r#"{"b1": [{"test_case": "t", "generation": "g"}]}"#).unwrap();
        let mapping = RecordedMapping {
            layout: "harmbench".to_owned(),
            ..table()
        };
        let rows = read(&path, &mapping).unwrap();
        let rows: Vec<&Row> = rows.iter().collect();
        check(&path, &mapping, &rows).unwrap();
        assert!(with_columns(mapping, &rows, false).verdicts.is_empty());
    }

    #[test]
    fn samples_of_lm_eval_keep_their_own_columns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples_task.jsonl");
        let line = |filter: &str, response: &str, exact: u8| {
            format!(
                r#"{{"doc_id": 3, "filter": "{filter}", "resps": [["raw"]], "filtered_resps": ["{response}"], "exact_match": {exact}}}"#
            )
        };
        let text = format!(
            "{}\n{}\n",
            line("strict-match", "4", 1),
            line("flexible-extract", "5", 0)
        );
        std::fs::write(&path, text).unwrap();
        let mapping = RecordedMapping {
            layout: "lm_eval".to_owned(),
            filter: Some("filter == \"flexible-extract\"".to_owned()),
            ..table()
        };
        let rows = read(&path, &mapping).unwrap();
        let rows = select(&rows, &mapping).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].columns["completion"], "5");
        assert_eq!(rows[0].columns["correct"], 0);
        assert_eq!(rows[0].columns["id"], 3);
        check(&path, &mapping, &rows).unwrap();
    }
}
