//! lm-evaluation-harness 0.4: `samples_*.jsonl`, one line for each document and filter, or one list (0.4.0 to 0.4.2).
//!
//! Generated answers become completions. Multiple choice has no completion: the log-likelihoods of its requests become
//! `choice_loglik`, and `target` says which is right. From 0.4.3 on all leaves are text, and `arguments` is an object.

use std::collections::BTreeSet;
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_spec::spec::DatasetFormat;
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{number, row};
use crate::dataset::{Row, Table, read_table};

/// Fields that tell whether an answer is correct, the first that is there.
pub(in crate::recording) const CORRECT: [&str; 3] = ["acc", "exact_match", "em"];

pub(super) fn read(path: &Path) -> Result<Table, Problem> {
    let lines = read_table(path, DatasetFormat::Jsonl)?;
    let by = target_is(lines.rows.iter().map(|line| &line.columns));
    let mut rows = Vec::new();
    for (index, line) in lines.rows.into_iter().enumerate() {
        let found = document(line.columns, by, &mut rows);
        found.map_err(|problem| {
            problem.prefixed(&format!("`{}`, sample {}: ", path.display(), index + 1))
        })?;
    }
    Ok(Table {
        rows,
        notes: lines.notes,
    })
}

/// What a document was answered with.
enum Answers {
    /// ln p of each request's continuation.
    Logliks(Vec<f64>),
    /// Texts: several where the task repeats.
    Texts(Vec<String>),
    /// One ln p of a whole text.
    Rolling(f64),
}

/// Adds the rows of one line.
fn document(
    line: IndexMap<String, Value>,
    by: Option<TargetIs>,
    rows: &mut Vec<Row>,
) -> Result<(), Problem> {
    let Some(id) = line.get("doc_id").filter(|id| !id.is_null()).cloned() else {
        return Err(Problem::failed("there is no `doc_id`")
            .help("samples are written by lm-eval 0.4 with `--log_samples`"));
    };
    let requests = requests(line.get("arguments"));
    let mut known = vec![("id", id)];
    let mark = mark(&line);
    let is_mark = |mark: &f64| *mark == 0.0 || *mark == 1.0;
    let mark_cell = mark.filter(is_mark).map_or(Value::Null, Value::from);
    match answers(&line, &requests)? {
        Answers::Texts(texts) => {
            let one = texts.len() == 1;
            let mut own = line;
            if !one {
                // A metric that is called so would be taken for the mark of each.
                own.shift_remove("correct");
            }
            for (sample, text) in texts.into_iter().enumerate() {
                let mut known = known.clone();
                known.push(("sample", sample.into()));
                known.push(("completion", text.into()));
                // One mark of several answers is none of each.
                known.push(("correct", if one { mark_cell.clone() } else { Value::Null }));
                rows.push(row(rows.len(), known, own.clone().into_iter().collect()));
            }
            return Ok(());
        }
        Answers::Rolling(loglik) => known.push(("loglik", loglik.into())),
        Answers::Logliks(all) => {
            let choices = choices(&line, &all);
            let logliks = &all[..choices];
            if choices == 1 {
                known.push(("loglik", logliks[0].into()));
            } else {
                let labels = labels(&line, &requests, logliks, by)?;
                check_mark(logliks, &labels, mark)?;
                known.push(("choice_loglik", json!(logliks)));
                known.push(("choice_correct", json!(labels)));
                // Without the space that stands between question and choice: lengths are those of the choices themselves.
                let length =
                    |choice: &str| choice.strip_prefix(' ').unwrap_or(choice).chars().count();
                let characters: Option<Vec<usize>> = (0..choices)
                    .map(|at| Some(length(requests.get(at)?.get(1)?.as_str()?)))
                    .collect();
                known.push(("choice_characters", json!(characters)));
            }
            known.push(("correct", mark_cell));
        }
    }
    rows.push(row(rows.len(), known, line.into_iter().collect()));
    Ok(())
}

/// The arguments of each request: `[[context, continuation], ...]`, or `{gen_args_0: {arg_0, arg_1}, ...}`.
fn requests(arguments: Option<&Value>) -> Vec<Vec<Value>> {
    let list = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        Value::Object(fields) => fields.values().cloned().collect(),
        other => vec![other.clone()],
    };
    match arguments {
        Some(Value::Array(requests)) => requests.iter().map(list).collect(),
        Some(Value::Object(requests)) => requests.values().map(list).collect(),
        _ => Vec::new(),
    }
}

/// How a line's answer was generated: the settings of its first request, where it generates.
pub(in crate::recording) fn generation_of(line: &IndexMap<String, Value>) -> Option<Value> {
    let requests = requests(line.get("arguments"));
    let settings = requests.first()?.get(1)?;
    settings.is_object().then(|| settings.clone())
}

/// The filtered responses; the raw ones where a file has none.
fn answers(line: &IndexMap<String, Value>, requests: &[Vec<Value>]) -> Result<Answers, Problem> {
    let found = |name: &str| line.get(name).filter(|value| !value.is_null());
    let responses = found("filtered_resps").or_else(|| found("resps"));
    let Some(Value::Array(responses)) = responses else {
        return Err(
            Problem::failed("there is neither `filtered_resps` nor `resps`")
                .help("samples are written by lm-eval 0.4 with `--log_samples`"),
        );
    };
    if responses.is_empty() {
        return Err("its list of responses is empty".into());
    }
    let argument = requests.first().and_then(|request| request.get(1));
    let generated = matches!(argument, Some(Value::Object(_)));
    let rolling = requests.first().is_some_and(|request| request.len() == 1);
    let logliks: Option<Vec<f64>> = responses.iter().map(loglik).collect();
    // Of texts a filter may keep one; of likelihoods each belongs to its request.
    if !generated && responses.len() < requests.len() {
        return Err(Problem::failed(format!(
            "it has {} requests in `arguments` and {} of their responses",
            requests.len(),
            responses.len()
        ))
        .help("each request has a response of its own; a filter that drops some, or a file that was cut, cannot be read"));
    }
    if !generated && let Some(logliks) = logliks {
        return Ok(Answers::Logliks(logliks));
    }
    if rolling && let Some(loglik) = first(&responses[0]).and_then(number) {
        return Ok(Answers::Rolling(loglik));
    }
    if responses.len() > 1 && requests.len() == responses.len() && requests.len() > 1 {
        return Err(format!(
            "{} requests were answered with texts, and one is known how to read",
            responses.len()
        )
        .into());
    }
    let mut texts = Vec::new();
    for response in responses {
        leaves(response, &mut texts)?;
    }
    Ok(Answers::Texts(texts))
}

/// A pair of ln p and whether the continuation is the likeliest, null where nobody knows: `[-3.2, false]`, `["-3.2", "False"]`,
/// either one in a list.
fn loglik(response: &Value) -> Option<f64> {
    let items = response.as_array()?;
    match items.as_slice() {
        [only] => loglik(only),
        [loglik, greedy] => {
            let is_flag = match greedy {
                Value::Bool(_) | Value::Null => true,
                Value::String(word) => matches!(word.as_str(), "True" | "False"),
                _ => false,
            };
            is_flag.then(|| number(loglik)).flatten()
        }
        _ => None,
    }
}

/// The first leaf of nested lists.
fn first(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(items) => items.first().and_then(first),
        other => Some(other),
    }
}

/// All texts of nested lists.
fn leaves(value: &Value, out: &mut Vec<String>) -> Result<(), Problem> {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Number(number) => out.push(number.to_string()),
        Value::Array(items) => {
            for item in items {
                leaves(item, out)?;
            }
        }
        other => {
            let kind = driftgauge_record::value::kind(other);
            return Err(format!("a response is {kind}, and no text").into());
        }
    }
    Ok(())
}

/// How many of these ln p are of choices. Tasks with mutual information ask every choice twice, the second time without the question.
fn choices(line: &IndexMap<String, Value>, logliks: &[f64]) -> usize {
    match line.contains_key("acc_mutual_info") {
        true => logliks.len() / 2,
        false => logliks.len(),
    }
}

/// What a document says of its answer.
fn mark(line: &IndexMap<String, Value>) -> Option<f64> {
    match CORRECT.iter().find_map(|name| line.get(*name))? {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        other => number(other),
    }
}

/// What a `target` that is a number in text means: since all leaves are text, the index `1` and the choice `1` are written alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TargetIs {
    Index,
    Choice,
}

/// What the marks of a file say of its targets. One task has targets of one kind, so that documents of which the mark fits one
/// meaning alone tell it of the others.
fn target_is<'a>(lines: impl Iterator<Item = &'a IndexMap<String, Value>>) -> Option<TargetIs> {
    let is_question = |target: &Value| {
        let text = target.as_str().map(str::trim);
        text.is_some_and(|text| text.starts_with('[') || text.parse::<f64>().is_ok())
            || target.is_array()
    };
    let told = lines.filter_map(|line| {
        line.get("target").filter(|target| is_question(target))?;
        let mark = mark(line)?;
        let requests = requests(line.get("arguments"));
        let Ok(Answers::Logliks(all)) = answers(line, &requests) else {
            return None;
        };
        let logliks = &all[..choices(line, &all)];
        let meant = meanings(line, &requests, logliks.len());
        meant.is_ambiguous().then(|| meant.by_mark(logliks, mark))?
    });
    let told: BTreeSet<TargetIs> = told.collect();
    let mut told = told.into_iter();
    told.next().filter(|_| told.next().is_none())
}

/// Which choices are right by each meaning of a target.
struct Meanings {
    by_index: Option<Vec<u8>>,
    by_choice: Option<Vec<u8>>,
}

impl Meanings {
    fn is_ambiguous(&self) -> bool {
        self.by_index.is_some() && self.by_choice.is_some() && self.by_index != self.by_choice
    }

    /// The meaning that a recorded mark fits, where it fits one alone.
    fn by_mark(&self, logliks: &[f64], mark: f64) -> Option<TargetIs> {
        let fits = |labels: &Option<Vec<u8>>| {
            let labels = labels.as_deref();
            labels.is_some_and(|labels| mark_of(logliks, labels) == mark)
        };
        match (fits(&self.by_index), fits(&self.by_choice)) {
            (true, false) => Some(TargetIs::Index),
            (false, true) => Some(TargetIs::Choice),
            _ => None,
        }
    }
}

/// `target` is an index, a list of them, or the text of a choice.
fn meanings(line: &IndexMap<String, Value>, requests: &[Vec<Value>], choices: usize) -> Meanings {
    let target = line.get("target").unwrap_or(&Value::Null);
    let unpacked = match target {
        // A list that was turned into text.
        Value::String(text) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).unwrap_or_else(|_| target.clone())
        }
        other => other.clone(),
    };
    let index = |value: &Value| -> Option<usize> {
        let index = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse::<f64>().ok(),
            _ => None,
        }?;
        // Checked to be whole, and compared with the number of choices.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let place = index as usize;
        (index.fract() == 0.0 && index >= 0.0 && place < choices).then_some(place)
    };
    let choice = |value: &Value| -> Option<usize> {
        let text = value.as_str()?.trim();
        let says = |at: &usize| {
            let choice = requests.get(*at).and_then(|request| request.get(1));
            choice
                .and_then(Value::as_str)
                .is_some_and(|choice| choice.trim() == text)
        };
        let mut same = (0..choices).filter(says);
        let only = same.next()?;
        same.next().is_none().then_some(only)
    };
    let labels = |place: &dyn Fn(&Value) -> Option<usize>| {
        let right: Vec<usize> = match &unpacked {
            Value::Array(all) => all.iter().map(place).collect::<Option<_>>()?,
            one => vec![place(one)?],
        };
        let mut labels = vec![0; choices];
        for place in &right {
            labels[*place] = 1;
        }
        (!right.is_empty()).then_some(labels)
    };
    Meanings {
        by_index: labels(&index),
        by_choice: labels(&choice),
    }
}

/// Which choices are right.
fn labels(
    line: &IndexMap<String, Value>,
    requests: &[Vec<Value>],
    logliks: &[f64],
    by: Option<TargetIs>,
) -> Result<Vec<u8>, Problem> {
    let target = line.get("target").unwrap_or(&Value::Null);
    let choices = logliks.len();
    let meant = meanings(line, requests, choices);
    let by = match meant.is_ambiguous() {
        true => mark(line)
            .and_then(|mark| meant.by_mark(logliks, mark))
            .or(by),
        // Both say the same, or one says nothing.
        false if meant.by_index.is_some() => Some(TargetIs::Index),
        false => Some(TargetIs::Choice),
    };
    let labels = match by {
        Some(TargetIs::Index) => meant.by_index,
        Some(TargetIs::Choice) => meant.by_choice,
        None => {
            return Err(Problem::failed(format!(
                "its `target` is {target}, which is the index of a choice and the text of another one, and no `acc` tells which is meant"
            ))
            .help("log the samples with the metric `acc`, or name the right choices as rows (`jsonl`), with `values: {choice_loglik: ..., choice_correct: ...}`"));
        }
    };
    labels.ok_or_else(|| {
        Problem::failed(format!(
            "its `target` is {target}, which is none of its {choices} choices"
        ))
        .help("`target` is the index of the right choice, from 0, or its text")
    })
}

/// The mark of a document by its likeliest choice.
fn mark_of(logliks: &[f64], labels: &[u8]) -> f64 {
    let mut best = 0;
    for (at, loglik) in logliks.iter().enumerate() {
        if *loglik > logliks[best] {
            best = at;
        }
    }
    f64::from(labels[best])
}

/// Holds the recorded `acc` against what the log-likelihoods and the target say: tasks of which the target means something else
/// are not misread.
fn check_mark(logliks: &[f64], labels: &[u8], mark: Option<f64>) -> Result<(), Problem> {
    let Some(mark) = mark else { return Ok(()) };
    let ours = mark_of(logliks, labels);
    if ours == mark {
        return Ok(());
    }
    Err(Problem::failed(format!("its `acc` is {mark}, and by `target` and the log-likelihoods it is {ours}"
    )).help("the task marks in another way than by the likeliest choice; name the right choices of such a task as rows (`jsonl`), with `values: {choice_loglik: ..., choice_correct: ...}`"))
}

#[cfg(test)]
mod tests;
