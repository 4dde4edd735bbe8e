//! HarmBench: `{behavior id: [{test_case, generation, label?}]}`. A label of 1 is unsafe, 0 safe, and -1 what its classifier
//! could not read.

use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::VerdictLabel;
use driftgauge_record::value::kind;
use serde_json::Value;

use super::{json_file, label, row};
use crate::dataset::Table;

pub(super) fn read(path: &Path) -> Result<Table, Problem> {
    let (file, notes) = json_file(path, "HarmBench completions")?;
    let wrong = |place: &str, problem: Problem| {
        problem.prefixed(&format!("`{}`, {place}: ", path.display()))
    };
    let Value::Object(behaviors) = file else {
        return Err(Problem::failed(format!(
            "{}:1: not HarmBench completions: it is {}",
            path.display(),
            kind(&file)
        ))
        .help("the file is one object, a list of completions for each behavior id"));
    };
    let fields = |completion: &Value| completion.get("label").is_some();
    let labelled = behaviors
        .values()
        .flat_map(|completions| completions.as_array().into_iter().flatten())
        .any(fields);
    let mut rows = Vec::new();
    for (behavior, completions) in behaviors {
        let completions = match completions {
            Value::Array(completions) => completions,
            other => {
                let problem = format!(
                    "it holds {}, and has to hold a list of completions",
                    kind(&other)
                );
                return Err(wrong(&format!("behavior `{behavior}`"), problem.into()));
            }
        };
        for (sample, completion) in completions.into_iter().enumerate() {
            let place = format!("behavior `{behavior}`, completion {}", sample + 1);
            let Value::Object(own) = completion else {
                let problem = format!("it is {}, and no object", kind(&completion));
                return Err(wrong(&place, problem.into()));
            };
            let generation = match own.get("generation") {
                Some(Value::String(text)) => Value::from(text.clone()),
                None | Some(Value::Null) => {
                    return Err(wrong(&place, "there is no `generation`".into()));
                }
                Some(other) => {
                    let problem = format!("its `generation` is {}, and no text", kind(other));
                    return Err(wrong(&place, problem.into()));
                }
            };
            let verdict = match own.get("label") {
                None if labelled => {
                    return Err(wrong(
                        &place,
                        Problem::failed("there is no `label`, which other completions have")
                            .help("write null where the classifier said nothing"),
                    ));
                }
                None => Value::Null,
                Some(Value::Null) => Value::from(VerdictLabel::Error.as_str()),
                Some(value) => match label(value) {
                    Some(verdict) => Value::from(verdict.as_str()),
                    None => {
                        return Err(wrong(
                            &place,
                            Problem::failed(format!("its `label` is {value}, which is none"
                            )).help("labels are 1 or yes (unsafe), 0 or no (safe) and -1 (not readable)"),
                        ));
                    }
                },
            };
            let known = vec![
                ("id", Value::from(behavior.clone())),
                ("sample", Value::from(sample)),
                ("completion", generation),
                ("verdict", verdict),
            ];
            rows.push(row(rows.len(), known, own));
        }
    }
    Ok(Table { rows, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Result<Table, Problem> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn labels_become_verdicts() {
        let table = reading(
            r#"{"b1": [{"test_case": "t", "generation": "g", "label": 1.0}, {"generation": "h", "label": "-1"}], "b2": [{"generation": "", "label": NaN}]}"#,
        )
        .unwrap();
        let cell = |row: usize, name: &str| table.rows[row].columns[name].clone();
        assert_eq!(
            (cell(0, "verdict"), cell(0, "test_case")),
            ("unsafe".into(), "t".into())
        );
        assert_eq!(
            (cell(1, "verdict"), cell(1, "sample")),
            ("unparsable".into(), 1.into())
        );
        assert_eq!(
            (cell(2, "verdict"), cell(2, "id")),
            ("error".into(), "b2".into())
        );
        assert_eq!(table.notes.len(), 1);
        let unlabelled = reading(r#"{"b1": [{"generation": "g"}]}"#).unwrap();
        assert!(!unlabelled.rows[0].columns.contains_key("verdict"));
    }

    #[test]
    fn what_is_wrong_is_named_by_the_files_own_fields() {
        for (text, parts) in [
            (
                r#"{"b": [{"generation": "g", "label": "Maybe"}]}"#,
                [
                    "behavior `b`, completion 1",
                    "`label` is \"Maybe\"",
                    "yes (unsafe)",
                ],
            ),
            (
                r#"{"b": [{"generation": "g", "label": 1}, {"generation": "g"}]}"#,
                ["completion 2", "no `label`", "null"],
            ),
            (
                r#"{"b": [{"test_case": "t"}]}"#,
                ["completion 1", "no `generation`", ""],
            ),
            (
                r#"{"b": [{"generation": ["g"]}]}"#,
                ["completion 1", "`generation` is a list", ""],
            ),
            (
                r#"{"b": {"generation": "g"}}"#,
                ["behavior `b`", "an object", "list of completions"],
            ),
            (
                r#"{"b": [], "b": []}"#,
                ["m.json:1", "the key `b` occurs twice", ""],
            ),
            (
                r"[1, 2]",
                ["m.json:1", "not HarmBench completions", "hint: "],
            ),
        ] {
            let said = reading(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }
}
