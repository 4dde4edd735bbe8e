//! Logs of inspect: `.json`, and `.eval`, an archive with one file for each sample and epoch.
//!
//! A sample's `output` gives the completion and why it ended, `error` why there is none, `scores` what its scorers said: C, I, P
//! and N as 1, 0, 0.5 and 0, as inspect counts them itself. With one scorer, its marks of 0 and 1 are `correct`.

use std::collections::BTreeSet;
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::value::kind;
use serde_json::{Map, Value, json};

use super::zip::Archive;
use super::{json_file, number, row};
use crate::dataset::{Row, Table, nulls_note, parse_json};

pub(super) fn read(path: &Path) -> Result<Table, Problem> {
    let is_archive = std::fs::File::open(path).and_then(|mut file| {
        let mut start = [0; 2];
        std::io::Read::read_exact(&mut file, &mut start)?;
        Ok(&start == b"PK")
    });
    let (samples, notes) = match is_archive {
        Ok(true) => archived(path)?,
        _ => in_one(path)?,
    };
    if samples.is_empty() {
        return Err(
            Problem::failed(format!("`{}` has no samples", path.display()))
                .help("a log of a run that ended holds them; `log_samples` has to be on"),
        );
    }
    let scorers: BTreeSet<String> = samples
        .iter()
        .filter_map(|sample| sample.get("scores")?.as_object())
        .flat_map(|scores| scores.keys().cloned())
        .collect();
    let mut only = scorers.iter();
    let only = only.next().filter(|_| scorers.len() == 1);
    let mut rows = Vec::with_capacity(samples.len());
    for sample in samples {
        let place = format!(
            "`{}`, sample {} of epoch {}: ",
            path.display(),
            sample.get("id").unwrap_or(&Value::Null),
            sample.get("epoch").unwrap_or(&Value::Null)
        );
        let made = sample_row(rows.len(), sample, only.map(String::as_str));
        rows.push(made.map_err(|problem| problem.prefixed(&place))?);
    }
    Ok(Table { rows, notes })
}

type Samples = (Vec<Map<String, Value>>, Vec<String>);

/// Samples of one JSON file.
fn in_one(path: &Path) -> Result<Samples, Problem> {
    let (log, notes) = json_file(path, "a log of inspect")?;
    let samples = match log.get("samples") {
        Some(Value::Array(samples)) if log.get("eval").is_some() => samples.clone(),
        _ => {
            return Err(Problem::failed(format!(
                "`{}` is no log of inspect: it has no `eval` or no `samples`",
                path.display()
            )));
        }
    };
    let samples = samples.into_iter().map(|sample| match sample {
        Value::Object(fields) => Ok(fields),
        other => Err(Problem::failed(format!(
            "`{}`: a sample is {}, and no object",
            path.display(),
            kind(&other)
        ))),
    });
    let samples: Vec<Map<String, Value>> = samples.collect::<Result<_, _>>()?;
    let notes = notes.into_iter().chain(reduced(path, &log)).collect();
    Ok((samples, notes))
}

/// What is said of a log whose epochs inspect itself takes together otherwise than by their mean.
fn reduced(path: &Path, log: &Value) -> Option<String> {
    let named = log["eval"]["config"]["epochs_reducer"].as_array()?;
    let other: Vec<&str> = named
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| *name != "mean")
        .collect();
    let name = path.file_name()?.to_string_lossy();
    (!other.is_empty()).then(|| {
        format!(
            "`{name}`: inspect takes the epochs of a sample together by `{}`; here every completion counts, and a prompt with their mean",
            other.join("`, `")
        )
    })
}

/// Samples of an archive, in the order of its directory.
fn archived(path: &Path) -> Result<Samples, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::failed(format!("cannot read `{}`: {error}", path.display()))
    };
    let mut archive = Archive::open(path).map_err(unreadable)?;
    let entries = archive.entries.clone();
    let of_sample = |name: &str| name.starts_with("samples/") && name.ends_with(".json");
    let (mut samples, mut nulls) = (Vec::new(), 0);
    let mut notes = Vec::new();
    for entry in entries.iter().filter(|entry| entry.name == "header.json") {
        let header = archive.read(entry).map_err(unreadable)?;
        let header = std::str::from_utf8(&header)
            .ok()
            .and_then(|text| parse_json(text).ok());
        notes.extend(header.and_then(|header| reduced(path, &header.value)));
    }
    for entry in entries.iter().filter(|entry| of_sample(&entry.name)) {
        let bytes = archive.read(entry).map_err(unreadable)?;
        let wrong = |problem: String| {
            Problem::failed(format!(
                "`{}` in `{}`: {problem}",
                entry.name,
                path.display()
            ))
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| wrong(error.to_string()))?;
        let parsed = parse_json(text).map_err(|error| wrong(error.to_string()))?;
        nulls += parsed.nulls;
        match parsed.value {
            Value::Object(fields) => samples.push(fields),
            other => return Err(wrong(format!("it is {}", kind(&other)))),
        }
    }
    notes.extend(nulls_note(path, nulls));
    Ok((samples, notes))
}

fn sample_row(
    number_of_row: usize,
    mut sample: Map<String, Value>,
    scorer: Option<&str>,
) -> Result<Row, Problem> {
    let id = match sample.get("id") {
        Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
        _ => return Err("there is no `id`".into()),
    };
    let epoch = sample.get("epoch").cloned().unwrap_or(json!(1));
    let error = match sample.get("error") {
        None | Some(Value::Null) => Value::Null,
        Some(Value::Object(error)) => error.get("message").cloned().unwrap_or("error".into()),
        Some(other) => other.clone(),
    };
    let output = sample.get("output").cloned().unwrap_or(Value::Null);
    let choices = output.get("choices").and_then(Value::as_array);
    let choice = match choices.map(Vec::as_slice) {
        None | Some([]) => None,
        Some([only]) => Some(only),
        Some(several) => {
            return Err(Problem::failed(format!(
                "its `output` has {} choices, and one would be read",
                several.len()
            ))
            .help("ask for one choice in several epochs instead"));
        }
    };
    let completion = match choice {
        Some(choice) => content(&choice["message"]["content"], sample.get("attachments"))?,
        None => output.get("completion").cloned().unwrap_or(Value::Null),
    };
    let reason = choice.and_then(|choice| choice["stop_reason"].as_str());
    let finish = match reason {
        Some("max_tokens" | "model_length") => "length",
        _ => "stop",
    };
    let marks = marks(sample.get("scores"))?;
    let correct = scorer.and_then(|scorer| marks.get(scorer)).cloned();
    let is_mark = |mark: &Value| mark.as_f64().is_some_and(|mark| mark == 0.0 || mark == 1.0);
    sample.insert("scores".to_owned(), Value::Object(marks));
    let known = vec![
        ("id", id),
        ("sample", epoch),
        // A sample that failed has no completion, whatever its output holds.
        (
            "completion",
            if error.is_null() {
                completion
            } else {
                Value::Null
            },
        ),
        ("error", error),
        ("finish_reason", finish.into()),
        ("correct", correct.filter(is_mark).unwrap_or(Value::Null)),
    ];
    // What the tool says of errors stands in the known column.
    sample.remove("error");
    Ok(row(number_of_row, known, sample))
}

/// The text of a message: a text, or a list of parts of which the texts are taken.
fn content(content: &Value, attachments: Option<&Value>) -> Result<Value, Problem> {
    match content {
        Value::Null => Ok("".into()),
        // Long texts are kept apart.
        Value::String(text) => match text.strip_prefix("attachment://") {
            None => Ok(text.clone().into()),
            Some(name) => attachments
                .and_then(|kept| kept.get(name))
                .cloned()
                .ok_or_else(|| format!("its attachment `{name}` is not there").into()),
        },
        Value::Array(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                if part["type"] == "text" {
                    let text = self::content(&part["text"], attachments)?;
                    texts.extend(text.as_str().map(str::to_owned));
                }
            }
            Ok(texts.join("\n").into())
        }
        other => Err(format!("its completion is {}, and no text", kind(other)).into()),
    }
}

/// What each scorer said, as numbers where inspect counts it as one.
fn marks(scores: Option<&Value>) -> Result<Map<String, Value>, Problem> {
    let mut marks = Map::new();
    let scores = match scores {
        None | Some(Value::Null) => return Ok(marks),
        Some(Value::Object(scores)) => scores,
        Some(other) => {
            return Err(format!("its `scores` are {}, and no object", kind(other)).into());
        }
    };
    for (scorer, score) in scores {
        let value = score.get("value").unwrap_or(score);
        let mark = match value {
            Value::Bool(flag) => json!(f64::from(u8::from(*flag))),
            Value::String(word) => match word.as_str() {
                "C" => json!(1.0),
                "P" => json!(0.5),
                "I" | "N" => json!(0.0),
                other => match other.to_ascii_lowercase().as_str() {
                    "yes" | "true" => json!(1.0),
                    "no" | "false" => json!(0.0),
                    _ => number(value).map_or_else(|| value.clone(), Value::from),
                },
            },
            other => other.clone(),
        };
        marks.insert(scorer.clone(), mark);
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::super::zip::tests::archive;
    use super::*;

    fn reading(name: &str, bytes: &[u8]) -> Result<Table, Problem> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    fn samples() -> [Value; 3] {
        [
            json!({"id": 1, "epoch": 1, "input": "q", "target": "x", "scores": {"match": {"value": "C", "answer": "x"}},
                "output": {"choices": [{"message": {"role": "assistant", "content": "x"}, "stop_reason": "stop"}]}}),
            json!({"id": 2, "epoch": 1, "scores": {"match": {"value": "I"}},
                "output": {"choices": [{"message": {"content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "attachment://k"}]}, "stop_reason": "max_tokens"}]},
                "attachments": {"k": "long"}}),
            json!({"id": 3, "epoch": 1, "error": {"message": "timed out", "traceback": "..."}, "scores": {}, "output": {"choices": []}}),
        ]
    }

    #[test]
    fn both_forms_of_a_log_are_the_same() {
        let samples = samples();
        let log =
            json!({"version": 2, "status": "success", "eval": {"task": "t"}, "samples": samples});
        let plain = reading("log.json", log.to_string().as_bytes()).unwrap();
        let texts = samples.map(|sample| sample.to_string());
        for method in [8, 93] {
            let packed = archive(&[
                ("header.json", method, b"{}"),
                ("samples/1_epoch_1.json", method, texts[0].as_bytes()),
                ("samples/2_epoch_1.json", method, texts[1].as_bytes()),
                ("samples/3_epoch_1.json", method, texts[2].as_bytes()),
            ]);
            assert_eq!(reading("log.eval", &packed).unwrap().rows, plain.rows);
        }
        let cell = |row: usize, name: &str| {
            plain.rows[row]
                .columns
                .get(name)
                .cloned()
                .unwrap_or_default()
        };
        assert_eq!(
            (
                cell(0, "completion"),
                cell(0, "correct"),
                cell(0, "finish_reason")
            ),
            ("x".into(), json!(1.0), "stop".into())
        );
        assert_eq!(
            (
                cell(1, "completion"),
                cell(1, "correct"),
                cell(1, "finish_reason")
            ),
            ("long".into(), json!(0.0), "length".into())
        );
        assert_eq!(
            (cell(2, "completion"), cell(2, "error"), cell(2, "correct")),
            (Value::Null, "timed out".into(), Value::Null)
        );
        assert_eq!(cell(0, "scores"), json!({"match": 1.0}));
    }

    #[test]
    fn epochs_that_inspect_takes_together_otherwise_are_told() {
        let log = |reducer: &str| json!({"eval": {"config": {"epochs": 2, "epochs_reducer": [reducer]}}, "samples": samples()});
        let notes = |reducer: &str| {
            reading("log.json", log(reducer).to_string().as_bytes())
                .unwrap()
                .notes
        };
        assert!(notes("mean").is_empty());
        assert!(
            notes("max")[0].contains("together by `max`"),
            "{:?}",
            notes("max")
        );
        let header = log("pass_at_2").to_string();
        let sample = samples()[0].to_string();
        let packed = archive(&[
            ("header.json", 8, header.as_bytes()),
            ("samples/1_epoch_1.json", 8, sample.as_bytes()),
        ]);
        let notes = reading("log.eval", &packed).unwrap().notes;
        assert!(notes[0].contains("`pass_at_2`"), "{notes:?}");
    }

    #[test]
    fn of_several_scorers_none_is_taken_unasked() {
        let sample = json!({"id": "a", "epoch": 1, "scores": {"one": {"value": "P"}, "two": {"value": 0.25}}, "output": {"completion": "x", "choices": []}});
        let log = json!({"eval": {}, "samples": [sample]});
        let table = reading("log.json", log.to_string().as_bytes()).unwrap();
        let columns = &table.rows[0].columns;
        assert_eq!(columns["scores"], json!({"one": 0.5, "two": 0.25}));
        assert!(!columns.contains_key("correct"));
        assert_eq!(columns["completion"], "x");
    }

    #[test]
    fn what_would_be_misread_is_refused() {
        let twice = json!({"id": 1, "output": {"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}});
        for (log, parts) in [
            (
                json!({"eval": {}, "samples": [twice]}),
                ["sample 1", "2 choices"],
            ),
            (json!({"eval": {}, "samples": []}), ["no samples", "hint: "]),
            (json!({"samples": [{}]}), ["no log of inspect", ""]),
            (
                json!({"eval": {}, "samples": [{"epoch": 1}]}),
                ["no `id`", ""],
            ),
        ] {
            let said = reading("log.json", log.to_string().as_bytes())
                .unwrap_err()
                .to_string();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }
}
