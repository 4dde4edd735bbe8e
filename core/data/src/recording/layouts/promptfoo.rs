//! Results of promptfoo, as `promptfoo eval -o` writes them: `.json` of versions 2 and 3, or `.jsonl` with a result a line.
//!
//! `success` becomes `correct`. In results of its red team, where a test that passed is an attack that was fended off, it becomes
//! the verdict as well.

use std::collections::HashMap;
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::value::{kind, scalar_text};
use driftgauge_record::{FinishReason, VerdictLabel};
use driftgauge_spec::spec::DatasetFormat;
use serde_json::{Map, Value};

use super::{error_text, json_file, row};
use crate::dataset::{Row, Table, read_table};

pub(super) fn read(path: &Path) -> Result<Table, Problem> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let (results, notes) = if name.contains(".jsonl") {
        let table = read_table(path, DatasetFormat::Jsonl)?;
        let rows = table.rows.into_iter();
        let results = rows.map(|row| row.columns.into_iter().collect());
        (results.collect::<Vec<Map<String, Value>>>(), table.notes)
    } else {
        let (file, mut notes) = json_file(path, "results of promptfoo")?;
        notes.extend(another_version(path, &file));
        // Version 2 and 3 keep them inside `results`, a file of the results alone at the top.
        let inside = file.get("results").and_then(|all| all.get("results"));
        let Some(Value::Array(list)) = inside.or(file.get("results")) else {
            return Err(
                Problem::failed(format!("`{}` has no list of `results`", path.display()))
                    .help("write them with `promptfoo eval -o results.json`"),
            );
        };
        let results = list.iter().map(|result| match result {
            Value::Object(fields) => Ok(fields.clone()),
            other => Err(Problem::failed(format!(
                "`{}`: a result is {}, and no object",
                path.display(),
                kind(other)
            ))),
        });
        (results.collect::<Result<_, _>>()?, notes)
    };
    let mut rows = Vec::with_capacity(results.len());
    let mut tests = Tests::default();
    for (index, result) in results.into_iter().enumerate() {
        let (id, repeat) = tests.place(&result);
        let made = result_row(index, result, (id, repeat));
        rows.push(made.map_err(|problem| {
            problem.prefixed(&format!("`{}`, result {}: ", path.display(), index + 1))
        })?);
    }
    Ok(Table { rows, notes })
}

/// What is said of results of a version that was not known when this was written.
fn another_version(path: &Path, file: &Value) -> Option<String> {
    let inside = file.get("results").and_then(|all| all.get("version"));
    let version = inside
        .or(file.get("version"))
        .filter(|said| !said.is_null())?;
    let name = path.file_name()?.to_string_lossy();
    (!version.as_u64().is_some_and(|number| matches!(number, 1..=3))).then(|| {
        format!(
            "`{name}`: its `version` is {version}, and it is read as promptfoo's versions 2 and 3 are written"
        )
    })
}

/// Tests that were met, by all that makes one, with their first number and how often they came. `--repeat` counts on: the same test
/// has another `testIdx` each time.
#[derive(Default)]
struct Tests(HashMap<String, (Value, usize)>);

impl Tests {
    /// The number of a result's test, and which repeat of it the result is.
    fn place(&mut self, result: &Map<String, Value>) -> (Value, usize) {
        let number = result.get("testIdx").cloned().unwrap_or(Value::Null);
        let parts = ["vars", "testCase", "promptIdx", "prompt", "provider"];
        let parts: Vec<&Value> = parts.iter().filter_map(|key| result.get(*key)).collect();
        // Where nothing tells tests apart but their number, each stands for itself.
        if result
            .get("vars")
            .and_then(Value::as_object)
            .is_none_or(Map::is_empty)
        {
            return (number, 0);
        }
        let test = Value::from_iter(parts.into_iter().cloned()).to_string();
        let known = self.0.entry(test).or_insert((number, 0));
        known.1 += 1;
        (known.0.clone(), known.1 - 1)
    }
}

/// What promptfoo's `failureReason` says.
#[derive(PartialEq)]
enum Failure {
    None,
    Assertion,
    Error,
}

/// Its numbers, and their names in its source.
fn failure(result: &Map<String, Value>) -> Result<Option<Failure>, Problem> {
    let reason = match result.get("failureReason") {
        None | Some(Value::Null) => return Ok(None),
        Some(reason) => reason,
    };
    let word = scalar_text(reason).unwrap_or_default();
    match word.trim().to_ascii_lowercase().as_str() {
        "0" | "0.0" | "none" => Ok(Some(Failure::None)),
        "1" | "1.0" | "assert" => Ok(Some(Failure::Assertion)),
        "2" | "2.0" | "error" => Ok(Some(Failure::Error)),
        _ => Err(
            Problem::failed(format!("its `failureReason` is {reason}, and is not known"))
                .help("it is 0 (none), 1 (an assertion) or 2 (an error)"),
        ),
    }
}

/// Whether what stands in `error` was said by an assertion that failed, and is no error of the provider. Versions without
/// `failureReason` leave the assertion's words in `gradingResult`; where nothing says so, an error is one.
fn is_of_assertion(result: &Map<String, Value>) -> Result<bool, Problem> {
    Ok(match failure(result)? {
        Some(reason) => reason == Failure::Assertion,
        None => {
            let graded = result
                .get("gradingResult")
                .and_then(|graded| said(graded.get("reason")));
            graded.is_some() && graded == said(result.get("error"))
        }
    })
}

/// An error, where there is one.
fn said(error: Option<&Value>) -> Option<Value> {
    match error? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.trim().is_empty() => None,
        error => Some(error.clone()),
    }
}

/// What is said of an answer that the provider's filter took away, or cut.
const WITHHELD: &str = "the provider's filter withheld the answer (`content_filter`)";

/// What is said of an answer in whose place the provider's guardrails may have put their own text.
const FLAGGED: &str = "the provider's guardrails flagged the answer (`guardrails.flagged`)";

/// Whether the provider's guardrails stepped in: what then stands as the output need not be the model's.
fn is_flagged(response: &Value) -> bool {
    let guardrails = &response["guardrails"];
    let flags = ["flagged", "flaggedInput", "flaggedOutput"];
    flags.iter().any(|flag| guardrails[flag] == true)
}

/// How an answer came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Unsaid,
    Itself,
    Cut,
    Withheld,
}

/// What `finishReason` says, in the words that promptfoo makes of its providers'.
fn ended(response: &Value) -> Result<End, Problem> {
    let word = match &response["finishReason"] {
        Value::Null => return Ok(End::Unsaid),
        Value::String(word) => word.trim().to_ascii_lowercase(),
        other => other.to_string(),
    };
    match word.as_str() {
        "" => Ok(End::Unsaid),
        "stop" | "end_turn" | "stop_sequence" => Ok(End::Itself),
        "length" | "max_tokens" => Ok(End::Cut),
        "content_filter" => Ok(End::Withheld),
        other => Err(Problem::failed(format!(
            "its `finishReason` is `{other}`, and no text ends so"
        ))
        .help("it is `stop`, `length` or `content_filter`: leave other results out with `filter`")),
    }
}

fn result_row(
    index: usize,
    mut result: Map<String, Value>,
    (test, repeat): (Value, usize),
) -> Result<Row, Problem> {
    let response = result.get("response").cloned().unwrap_or(Value::Null);
    let output = response.get("output").cloned().unwrap_or(Value::Null);
    let of_assertion = is_of_assertion(&result)?;
    let told = said(result.get("error")).filter(|_| !of_assertion || output.is_null());
    let told = told.or_else(|| said(response.get("error")));
    let is_error = matches!(failure(&result)?, Some(Failure::Error));
    let told = told.or_else(|| is_error.then(|| "error".into()));
    let end = ended(&response)?;
    let told = told.or_else(|| (end == End::Withheld).then(|| WITHHELD.into()));
    let told = told.or_else(|| is_flagged(&response).then(|| FLAGGED.into()));
    let error = told.as_ref().map_or(Value::Null, error_text);
    let completion = match (&output, error.is_null()) {
        (_, false) => Value::Null,
        (Value::String(text), _) => text.clone().into(),
        (Value::Null, _) => return Err("there is neither `response.output` nor `error`".into()),
        // Providers of JSON give it parsed.
        (other, _) => other.to_string().into(),
    };
    let passed = match result.get("success") {
        Some(Value::Bool(passed)) => Some(*passed),
        _ => return Err("there is no `success`".into()),
    }
    .filter(|_| error.is_null());
    let graded = result
        .get("gradingResult")
        .and_then(|graded| graded.get("pass"));
    if let (Some(passed), Some(graded)) = (passed, graded.and_then(Value::as_bool))
        && passed != graded
    {
        return Err(Problem::failed(format!(
            "its `success` is {passed}, and the `pass` of its `gradingResult` is {graded}"
        ))
        .help("nothing says which of them holds: leave such results out with `filter`, or write the file anew"));
    }
    let metadata = |key: &str| {
        let of_test = result.get("testCase").and_then(|test| test.get("metadata"));
        let found = of_test.or(result.get("metadata"));
        found
            .and_then(|metadata| metadata.get(key))
            .and_then(scalar_text)
    };
    let is_attack = metadata("pluginId")
        .or_else(|| metadata("strategyId"))
        .is_some();
    let verdict = match passed {
        _ if !is_attack => Value::Null,
        Some(true) => VerdictLabel::Safe.as_str().into(),
        Some(false) => VerdictLabel::Unsafe.as_str().into(),
        None => VerdictLabel::Error.as_str().into(),
    };
    let known = vec![
        ("id", test),
        ("sample", repeat.into()),
        ("completion", completion),
        (
            "finish_reason",
            match (end, error.is_null()) {
                (End::Cut, true) => FinishReason::Length.as_str().into(),
                (End::Itself, true) => FinishReason::Stop.as_str().into(),
                _ => Value::Null,
            },
        ),
        ("error", error),
        (
            "correct",
            passed.map_or(Value::Null, |passed| u8::from(passed).into()),
        ),
        ("verdict", verdict),
    ];
    // The tool's `id` is that of the result, its `error` what an assertion said.
    if let Some(own) = result.remove("id") {
        result.insert("result_id".to_owned(), own);
    }
    result.remove("error");
    Ok(row(index, known, result))
}

#[cfg(test)]
mod tests;
