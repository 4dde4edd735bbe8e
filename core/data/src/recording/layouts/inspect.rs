//! Logs of inspect: `.json`, and `.eval`, an archive with one file for each sample and epoch.
//!
//! A sample's `output` gives the completion and why it ended, an `error` or an `invalidation` why there is none, `scores` what its scorers said: C, I, P
//! and N as 1, 0, 0.5 and 0, as inspect counts them itself. With one scorer, its marks of 0 and 1 are `correct`.

mod settings;

use std::collections::BTreeSet;
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::FinishReason;
use driftgauge_record::value::kind;
use serde_json::{Map, Value, json};

use super::super::settings::Settings;
use super::zip::Archive;
use super::{RecordedFile, error_text, json_file, number, row};
use crate::dataset::{Row, nulls_note, parse_json};

pub(super) fn read(path: &Path) -> Result<RecordedFile, Problem> {
    let is_archive = std::fs::File::open(path).and_then(|mut file| {
        let mut start = [0; 2];
        std::io::Read::read_exact(&mut file, &mut start)?;
        Ok(&start == b"PK")
    });
    let Log {
        samples,
        mut notes,
        settings,
    } = match is_archive {
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
    notes.extend(
        scorers
            .iter()
            .filter_map(|scorer| words(path, &rows, scorer)),
    );
    Ok(RecordedFile {
        rows,
        notes,
        settings,
    })
}

/// What is said of marks of a scorer that are words and no grades: they tell nobody here whether an answer is right.
fn words(path: &Path, rows: &[Row], scorer: &str) -> Option<String> {
    let word = |row: &Row| {
        row.columns
            .get("scores")?
            .get(scorer)?
            .as_str()
            .map(str::to_owned)
    };
    let mut found = rows.iter().filter_map(word);
    let first = found.next()?;
    let name = path.file_name()?.to_string_lossy();
    Some(format!(
        "`{name}`: {} of {} marks of the scorer `{scorer}` are words that inspect itself counts as no number, such as `{first}`; they are not read",
        1 + found.count(),
        rows.len()
    ))
}

/// What a log holds.
#[derive(Default)]
struct Log {
    samples: Vec<Map<String, Value>>,
    notes: Vec<String>,
    settings: Settings,
}

/// Samples of one JSON file.
fn in_one(path: &Path) -> Result<Log, Problem> {
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
    known_version(path, &log)?;
    let ended = status(path, &log)?;
    let notes = notes.into_iter().chain(reduced(path, &log)).chain(ended);
    Ok(Log {
        samples,
        notes: notes.collect(),
        settings: settings::of(&log),
    })
}

/// Versions of a log that are read; inspect itself reads none that is newer than its own.
const VERSIONS: [u64; 2] = [1, 2];

fn known_version(path: &Path, log: &Value) -> Result<(), Problem> {
    match log.get("version") {
        None | Some(Value::Null) => Ok(()),
        Some(version) if version.as_u64().is_some_and(|number| VERSIONS.contains(&number)) => Ok(()),
        Some(version) => Err(Problem::failed(format!(
            "`{}`: its `version` is {version}, and logs of versions 1 and 2 are read",
            path.display()
        ))
        .help("`inspect log convert` of an older inspect writes them; or write its samples as rows of your own (`jsonl`)")),
    }
}

/// What is said of a log of a run that did not end well: it may lack samples.
///
/// # Errors
/// When its status is none of inspect's.
fn status(path: &Path, log: &Value) -> Result<Option<String>, Problem> {
    let status = match log.get("status") {
        None | Some(Value::Null) => return Ok(None),
        Some(status) => status,
    };
    match status.as_str() {
        Some("success") => Ok(None),
        Some(word @ ("started" | "cancelled" | "error")) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok(Some(format!(
                "`{name}`: the status of this log is `{word}`, so inspect's run did not end; only the samples that it wrote are here"
            )))
        }
        _ => Err(Problem::failed(format!(
            "`{}`: its `status` is {status}, and is not known",
            path.display()
        ))
        .help("it is `success`, `started`, `cancelled` or `error`")),
    }
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
fn archived(path: &Path) -> Result<Log, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::failed(format!("cannot read `{}`: {error}", path.display()))
    };
    let mut archive = Archive::open(path).map_err(unreadable)?;
    let entries = archive.entries.clone();
    let of_sample = |name: &str| name.starts_with("samples/") && name.ends_with(".json");
    let (mut samples, mut nulls) = (Vec::new(), 0);
    let (mut notes, mut settings) = (Vec::new(), Settings::default());
    let mut headers = entries.iter().filter(|entry| entry.name == "header.json");
    // Written last, so that a run which was killed leaves none.
    match headers.next() {
        Some(entry) => {
            let bytes = archive.read(entry).map_err(unreadable)?;
            let wrong = |problem: String| {
                Problem::failed(format!("`header.json` in `{}`: {problem}", path.display()))
            };
            let text = std::str::from_utf8(&bytes).map_err(|error| wrong(error.to_string()))?;
            let header = parse_json(text).map_err(|error| wrong(error.to_string()))?;
            known_version(path, &header.value)?;
            notes.extend(reduced(path, &header.value));
            notes.extend(status(path, &header.value)?);
            settings = settings::of(&header.value);
        }
        None => notes.extend(status(path, &json!({"status": "started"}))?),
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
    Ok(Log {
        samples,
        notes,
        settings,
    })
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
    let (completion, error, finish) = match failure(&sample, &output) {
        Some(error) => (Value::Null, error, FinishReason::Error),
        None => answered(&sample, &output, choice)?,
    };
    let marks = marks(sample.get("scores"))?;
    let correct = scorer
        .filter(|_| error.is_null())
        .and_then(|scorer| marks.get(scorer))
        .cloned();
    let is_mark = |mark: &Value| mark.as_f64().is_some_and(|mark| mark == 0.0 || mark == 1.0);
    sample.insert("scores".to_owned(), Value::Object(marks));
    let known = vec![
        ("id", id),
        ("sample", epoch),
        // A sample that failed has no completion and no mark, whatever its output and its scores hold.
        ("completion", completion),
        ("error", error),
        ("finish_reason", finish.as_str().into()),
        ("correct", correct.filter(is_mark).unwrap_or(Value::Null)),
    ];
    // What the tool says of errors stands in the known column.
    sample.remove("error");
    Ok(row(number_of_row, known, sample))
}

/// The completion of a sample that did not fail, or why it has none after all, and how it ended.
fn answered(
    sample: &Map<String, Value>,
    output: &Value,
    choice: Option<&Value>,
) -> Result<(Value, Value, FinishReason), Problem> {
    let failed = |error: &str| (Value::Null, Value::from(error), FinishReason::Error);
    let limit = limit(sample)?;
    let finish = match ended(choice)? {
        Ended::Withheld => return Ok(failed(WITHHELD)),
        Ended::Itself if limit.is_none() => FinishReason::Stop,
        Ended::Itself | Ended::Cut => FinishReason::Length,
    };
    let text = match choice {
        Some(choice) => answer(choice, limit.is_some(), sample.get("attachments"))?,
        None => output.get("completion").cloned().unwrap_or(Value::Null),
    };
    let is_blank = text.as_str().is_some_and(|text| text.trim().is_empty()) || text.is_null();
    Ok(match limit {
        Some(limit) if is_blank => {
            failed(&format!("the limit `{limit}` was reached before an answer"))
        }
        // Without a choice nothing was generated: that is no empty answer.
        None if choice.is_none() && is_blank => (Value::Null, Value::Null, finish),
        _ => (text, Value::Null, finish),
    })
}

/// What is said of an answer that the provider's filter took away, or cut: nobody knows what it would have been.
const WITHHELD: &str = "the provider's filter withheld the answer (`content_filter`)";

/// Why a sample has no answer: it failed, the model's provider did, or somebody took it back since.
fn failure(sample: &Map<String, Value>, output: &Value) -> Option<Value> {
    let told = |value: Option<&Value>| match value? {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        other => Some(error_text(other)),
    };
    let withdrawn = || {
        let invalidation = sample
            .get("invalidation")
            .filter(|found| !found.is_null())?;
        let reason = invalidation.get("reason").and_then(Value::as_str);
        Some(match reason {
            Some(reason) => format!("invalidated in inspect: {reason}").into(),
            None => "invalidated in inspect".into(),
        })
    };
    told(sample.get("error"))
        .or_else(|| told(output.get("error")))
        .or_else(withdrawn)
}

/// The limit that ended a sample.
///
/// # Errors
/// When it is none of inspect's.
fn limit(sample: &Map<String, Value>) -> Result<Option<String>, Problem> {
    const LIMITS: [&str; 9] = [
        "context", "time", "working", "message", "token", "cost", "turn", "operator", "custom",
    ];
    let limit = match sample.get("limit") {
        None | Some(Value::Null) => return Ok(None),
        Some(limit) => limit,
    };
    let word = limit.get("type").and_then(Value::as_str);
    match word.filter(|word| LIMITS.contains(word)) {
        Some(word) => Ok(Some(word.to_owned())),
        None => Err(Problem::failed(format!(
            "it was ended by the limit {limit}, which is not known"
        ))
        .help(format!("known limits are `{}`", LIMITS.join("`, `")))),
    }
}

/// How an answer came to its end.
#[derive(Clone, Copy)]
enum Ended {
    /// The model said all it had to say.
    Itself,
    /// Something cut it off.
    Cut,
    /// A filter took it.
    Withheld,
}

fn ended(choice: Option<&Value>) -> Result<Ended, Problem> {
    // A choice that says nothing stopped: that is what inspect takes as well.
    let reason = choice.and_then(|choice| choice.get("stop_reason"));
    match reason.map(|reason| (reason, reason.as_str())) {
        None | Some((_, Some("stop" | "tool_calls"))) => Ok(Ended::Itself),
        Some((_, Some("max_tokens" | "model_length"))) => Ok(Ended::Cut),
        Some((_, Some("content_filter"))) => Ok(Ended::Withheld),
        Some((reason, _)) => Err(Problem::failed(format!(
            "its `stop_reason` is {reason}, and nobody knows whether its answer is whole"
        ))
        .help(
            "`stop`, `max_tokens`, `model_length`, `tool_calls` and `content_filter` are read; write such samples as rows of \
             your own (`jsonl`) to say what they are",
        )),
    }
}

/// The text of a choice. One that calls tools and says nothing has none, unless a limit came between.
fn answer(choice: &Value, is_cut: bool, attachments: Option<&Value>) -> Result<Value, Problem> {
    let message = &choice["message"];
    if let Some(role) = message.get("role").filter(|role| *role != "assistant") {
        return Err(Problem::failed(format!(
            "the `role` of its answer is {role}, and not `assistant`"
        )));
    }
    let text = content(&message["content"], attachments)?;
    let is_blank = text.as_str().is_none_or(|text| text.trim().is_empty());
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let calls = calls.map_or(&[][..], Vec::as_slice);
    if is_blank && !is_cut && (!calls.is_empty() || choice["stop_reason"] == "tool_calls") {
        let names = calls.iter().filter_map(|call| call["function"].as_str());
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let of = match names.as_slice() {
            [] => String::new(),
            names => format!(" ({})", names.join(", ")),
        };
        return Err(
            Problem::failed(format!("it ends in calls of tools{of}, and has no text")).help(
                "an answer is text; write such samples as rows of your own (`jsonl`), with the text that is to count",
            ),
        );
    }
    Ok(text)
}

/// The text of a message: a text, or a list of parts of which the texts are taken, and reasoning is left out.
fn content(content: &Value, attachments: Option<&Value>) -> Result<Value, Problem> {
    match content {
        Value::Null => Err("its message has no `content`".into()),
        Value::String(text) => kept_apart(text, attachments).map(Value::from),
        Value::Array(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                match (part["type"].as_str(), part["text"].as_str()) {
                    (Some("text"), Some(text)) => texts.push(kept_apart(text, attachments)?),
                    (Some("reasoning"), _) => {}
                    _ => {
                        return Err(Problem::failed(format!(
                            "its answer has a part of the type {}, which is no text",
                            part["type"]
                        ))
                        .help(
                            "parts of the types `text` and `reasoning` are read; write such samples as rows of your own (`jsonl`), with \
                             the text that is to count",
                        ));
                    }
                }
            }
            Ok(texts.join("\n").into())
        }
        other => Err(format!("its completion is {}, and no text", kind(other)).into()),
    }
}

/// A text, where it stands: long ones are kept apart.
fn kept_apart(text: &str, attachments: Option<&Value>) -> Result<String, Problem> {
    let Some(name) = text.strip_prefix("attachment://") else {
        return Ok(text.to_owned());
    };
    let kept = attachments.and_then(|kept| kept.get(name)?.as_str());
    kept.map(str::to_owned)
        .ok_or_else(|| format!("its attachment `{name}` is not there").into())
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
mod tests;
