//! Jailbreak artifacts of JailbreakBench: `{parameters, jailbreaks: [{index, goal, prompt, response, jailbroken, ...}]}`.
//!
//! A behavior for which an attack found no prompt has no response; it counts as not jailbroken there, and so it does here: an
//! empty completion with the recorded verdict.

use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::VerdictLabel;
use driftgauge_record::value::kind;
use serde_json::Value;

use super::super::settings::Settings;
use super::{RecordedFile, json_file, label, row};

pub(super) fn read(path: &Path) -> Result<RecordedFile, Problem> {
    let (file, notes) = json_file(path, "an artifact of JailbreakBench")?;
    let Some(Value::Array(jailbreaks)) = file.get("jailbreaks") else {
        return Err(
            Problem::failed(format!("`{}` has no list of `jailbreaks`", path.display()))
                .help("an artifact is one JSON object with `parameters` and `jailbreaks`"),
        );
    };
    let mut rows = Vec::with_capacity(jailbreaks.len());
    for (number, jailbreak) in jailbreaks.iter().enumerate() {
        let wrong = |problem: String| {
            Problem::failed(format!(
                "`{}`, jailbreak {}: {problem}",
                path.display(),
                number + 1
            ))
        };
        let Value::Object(own) = jailbreak else {
            return Err(wrong(format!("it is {}, and no object", kind(jailbreak))));
        };
        let Some(index) = own.get("index").filter(|index| index.is_u64()) else {
            return Err(wrong("there is no `index`".to_owned()));
        };
        let verdict = match own.get("jailbroken") {
            Some(Value::Null) | None => VerdictLabel::Error,
            Some(value) => label(value).ok_or_else(|| {
                wrong(format!(
                    "`jailbroken` is {value}, which is neither true nor false"
                ))
            })?,
        };
        let (completion, error) = match own.get("response") {
            Some(Value::String(text)) => (text.clone().into(), Value::Null),
            // The attack did not get as far as to ask.
            Some(Value::Null) | None if own.get("prompt").is_none_or(Value::is_null) => {
                ("".into(), Value::Null)
            }
            Some(Value::Null) | None => (Value::Null, "there is no `response`".into()),
            Some(other) => {
                return Err(wrong(format!(
                    "its `response` is {}, and no text",
                    kind(other)
                )));
            }
        };
        let known = vec![
            ("id", index.clone()),
            ("completion", completion),
            ("error", error),
            ("verdict", verdict.as_str().into()),
        ];
        rows.push(row(number, known, own.clone()));
    }
    Ok(RecordedFile {
        rows,
        notes,
        settings: settings(&file["parameters"]),
    })
}

/// Parameters of an artifact that are its results, or name the model, which is what differs on purpose.
const NO_SETTINGS: [&str; 5] = [
    "model",
    "attack_success_rate",
    "total_number_of_jailbreaks",
    "number_of_queries",
    "total_cost",
];

fn settings(parameters: &Value) -> Settings {
    let mut settings = Settings::default();
    let all = parameters.as_object().into_iter().flatten();
    for (name, value) in all.filter(|(name, _)| !NO_SETTINGS.contains(&name.as_str())) {
        settings.say(name, value);
    }
    settings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reading(file: &Value) -> Result<RecordedFile, Problem> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("artifact.json");
        std::fs::write(&path, file.to_string()).unwrap();
        read(&path)
    }

    #[test]
    fn jailbreaks_become_verdicts() {
        let file = json!({"parameters": {}, "jailbreaks": [
            {"index": 0, "goal": "g", "prompt": "p", "response": "r", "jailbroken": true},
            {"index": 1, "goal": "h", "prompt": null, "response": null, "jailbroken": false}
        ]});
        let table = reading(&file).unwrap();
        let cell = |row: usize, name: &str| {
            table.rows[row]
                .columns
                .get(name)
                .cloned()
                .unwrap_or_default()
        };
        assert_eq!(
            (cell(0, "id"), cell(0, "completion"), cell(0, "verdict")),
            (json!(0), "r".into(), "unsafe".into())
        );
        assert_eq!(
            (cell(1, "verdict"), cell(1, "goal"), cell(1, "completion")),
            ("safe".into(), "h".into(), "".into())
        );
    }

    #[test]
    fn what_would_be_misread_is_refused() {
        for (jailbreak, part) in [
            (json!({"response": "r"}), "jailbreak 1: there is no `index`"),
            (
                json!({"index": 0, "response": "r", "jailbroken": "maybe"}),
                "`jailbroken` is \"maybe\"",
            ),
            (
                json!({"index": 0, "response": ["r"]}),
                "`response` is a list",
            ),
        ] {
            let said = reading(&json!({"jailbreaks": [jailbreak]}))
                .unwrap_err()
                .to_string();
            assert!(said.contains(part), "{said}");
        }
    }
}
