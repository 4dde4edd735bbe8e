//! Completions made elsewhere, read as if they had been generated here.

mod layouts;
mod readings;

use std::collections::HashMap;
use std::path::Path;

use driftgauge_record::{Degeneracy, FinishReason, Sample, Verdict, VerdictLabel};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::{Format, Row, cell_text};
use crate::degenerate;
use crate::exec::{Context, prompts, unanswered};
use crate::judge::error_verdict;
use crate::prompt::Templates;
use crate::resolved::{ModelSource, Recorded};

/// Which columns of a recording hold what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecordedMapping {
    /// File format.
    pub format: Format,
    /// `table`, or the layout of another tool: `harmbench`, `lm_eval`.
    pub layout: String,
    /// Column of the sample id, which pairs with the ids of the evaluation's dataset; row numbers when absent.
    pub id: Option<String>,
    /// Expression over the columns that a row has to fulfil, for example `model == "base"`.
    pub filter: Option<String>,
    /// Column of the condition; rows without one serve every condition.
    pub condition: Option<String>,
    /// Words of the condition column, by condition id, where they differ.
    pub conditions: IndexMap<String, String>,
    /// Column of the sample index.
    pub sample: Option<String>,
    /// Column of the completion.
    pub completion: Option<String>,
    /// Column of the finish reason.
    pub finish_reason: Option<String>,
    /// Column of the error.
    pub error: Option<String>,
    /// Column of the list of ln p of the completion's tokens.
    pub token_logprob: Option<String>,
    /// Columns of verdicts (`safe`, `unsafe`, `unparsable`, `error`), by judge.
    pub verdicts: IndexMap<String, String>,
    /// Columns of numbers, by the name that metrics know them by.
    pub values: IndexMap<String, String>,
}

pub(crate) use readings::Readings;

/// The rows of a file that belong to the model.
pub(crate) fn select<'a>(
    rows: &'a [Row],
    mapping: &RecordedMapping,
) -> Result<Vec<&'a Row>, String> {
    let Some(filter) = &mapping.filter else {
        return Ok(rows.iter().collect());
    };
    let templates = Templates::default();
    let mut kept = Vec::new();
    for row in rows {
        if templates
            .holds(filter, row)
            .map_err(|error| error.to_string())?
        {
            kept.push(row);
        }
    }
    Ok(kept)
}

/// The samples of a recorded model under one condition.
pub(crate) fn samples(
    context: &Context,
    evaluation: &str,
    condition: &str,
    model: &str,
) -> Result<Vec<Sample>, String> {
    let ModelSource::Recorded(recordings) = &context.experiment.models[model].source else {
        return Err(format!("model `{model}` is not recorded"));
    };
    let recorded = Recorded::position(recordings, evaluation)
        .and_then(|position| recordings.get(position))
        .ok_or_else(|| {
            format!("no recording of model `{model}` serves evaluation `{evaluation}`")
        })?;
    let all = context.experiment.readings.rows(recorded)?;
    let judged = !context.experiment.evaluations[evaluation].judges.is_empty();
    let rows = ConditionRows::of(&all, recorded, condition, judged)?;
    prompts(context, evaluation, condition)?
        .into_iter()
        .map(|sample| rows.fill(sample))
        .collect()
}

/// Checks, before a run, that a recording has what an evaluation will want of it under one condition: one row for each
/// sample, with everything that is read from it.
///
/// # Errors
/// With the place in the file of the first thing that is wrong.
pub(crate) fn check_samples(
    all: &[Row],
    recorded: &Recorded,
    condition: &str,
    judged: bool,
    samples: impl Iterator<Item = (String, u32)>,
) -> Result<(), String> {
    let rows = ConditionRows::of(all, recorded, condition, judged)?;
    for (id, index) in samples {
        rows.fill(unanswered(id, index, Vec::new()))?;
    }
    Ok(())
}

/// The rows of a recording that serve one condition.
struct ConditionRows<'a> {
    recorded: &'a Recorded,
    condition: &'a str,
    mapping: RecordedMapping,
    /// By sample id and sample index.
    by_sample: HashMap<(String, usize), &'a Row>,
}

impl<'a> ConditionRows<'a> {
    fn of(
        all: &'a [Row],
        recorded: &'a Recorded,
        condition: &'a str,
        judged: bool,
    ) -> Result<Self, String> {
        let mapping: RecordedMapping =
            serde_json::from_value(recorded.mapping.clone()).map_err(|error| error.to_string())?;
        let rows = select(all, &mapping)?;
        let mapping = layouts::with_columns(mapping, &rows, judged);
        Ok(Self {
            recorded,
            condition,
            by_sample: index(&mapping, &rows, condition, recorded)?,
            mapping,
        })
    }

    /// Fills a sample from its row.
    fn fill(&self, sample: Sample) -> Result<Sample, String> {
        let key = (sample.sample_id.clone(), sample.sample_index as usize);
        let Some(row) = self.by_sample.get(&key) else {
            let (id, index) = key;
            let which = match index {
                0 => String::new(),
                _ => format!(" with the index {index}"),
            };
            return Err(format!(
                "`{}` has no row for sample `{id}`{which} under condition `{}`\nhint: every sample of the dataset needs one; narrow the dataset with `filter` when some were not recorded",
                self.recorded.file.path.display(),
                self.condition
            ));
        };
        fill(sample, &self.mapping, row, self.recorded)
    }
}

/// Checks what can be checked before a run: the columns are there, and every verdict, number and index is one.
pub(crate) fn check(path: &Path, mapping: &RecordedMapping, rows: &[&Row]) -> Result<(), String> {
    if rows.is_empty() {
        return Err(format!(
            "`{}` has no row for this model\nhint: look at `filter`, or into the file",
            path.display()
        ));
    }
    let mapping = layouts::with_columns(mapping.clone(), rows, false);
    let named = [
        &mapping.id,
        &mapping.condition,
        &mapping.sample,
        &mapping.completion,
        &mapping.finish_reason,
        &mapping.error,
        &mapping.token_logprob,
    ];
    let named = named.into_iter().flatten();
    let others = mapping.verdicts.values().chain(mapping.values.values());
    for column in named.chain(others) {
        if !rows.iter().any(|row| row.columns.contains_key(column)) {
            return Err(format!(
                "`{}` has no column `{column}`\nhint: its columns are {}",
                path.display(),
                crate::dataset::names(&rows[0].columns)
            ));
        }
    }
    for row in rows {
        let place = place(path, row);
        verdicts(&mapping, row, &place)?;
        values(&mapping, row, &place)?;
        sample_index(&mapping, row, &place)?;
    }
    Ok(())
}

/// Why a row has no completion, when it says so.
fn failure(mapping: &RecordedMapping, row: &Row) -> Option<String> {
    let cell = row.columns.get(mapping.error.as_ref()?)?;
    cell_text(cell).filter(|text| !text.trim().is_empty())
}

/// The recorded verdicts of a row. One without a completion may lack them; that is an error, and no verdict.
fn verdicts(
    mapping: &RecordedMapping,
    row: &Row,
    place: &str,
) -> Result<Vec<(String, Verdict)>, String> {
    let read = |(judge, column): (&String, &String)| {
        let word = row.columns.get(column).and_then(cell_text);
        let word = word.unwrap_or_default();
        match failure(mapping, row) {
            Some(problem) if word.trim().is_empty() => Ok((judge.clone(), error_verdict(&problem))),
            _ => Ok((judge.clone(), verdict(&word, column, place)?)),
        }
    };
    mapping.verdicts.iter().map(read).collect()
}

/// The recorded numbers of a row. One without a completion may lack them; they are then absent.
fn values(
    mapping: &RecordedMapping,
    row: &Row,
    place: &str,
) -> Result<Vec<(String, Vec<f64>)>, String> {
    let failed = failure(mapping, row).is_some();
    let mut out = Vec::new();
    for (name, column) in &mapping.values {
        let cell = row.columns.get(column);
        let empty = cell
            .and_then(cell_text)
            .is_none_or(|text| text.trim().is_empty());
        if !(failed && empty) {
            out.push((name.clone(), vec![number(cell, name, column, place)?]));
        }
    }
    Ok(out)
}

/// Where a row stands, counted from 1.
fn place(path: &Path, row: &Row) -> String {
    format!("`{}`, row {}", path.display(), number_of(row))
}

/// Number of a row in its file, counted from 1.
fn number_of(row: &Row) -> String {
    let index = row.id.parse::<usize>();
    index.map_or_else(|_| row.id.clone(), |index| (index + 1).to_string())
}

/// Which of a prompt's completions a row is, when the recording says so.
fn sample_index(
    mapping: &RecordedMapping,
    row: &Row,
    place: &str,
) -> Result<Option<usize>, String> {
    let Some(column) = &mapping.sample else {
        return Ok(None);
    };
    let text = row.columns.get(column).and_then(cell_text);
    let text = text.unwrap_or_default();
    let index = text.trim().parse().map_err(|_| {
        format!(
            "{place}: `{text}` in column `{column}` is no index of a sample\nhint: the completions of a prompt are counted 0, 1, 2, ..."
        )
    })?;
    Ok(Some(index))
}

/// Rows of one condition by sample id and sample index.
fn index<'a>(
    mapping: &RecordedMapping,
    rows: &[&'a Row],
    condition: &str,
    recorded: &Recorded,
) -> Result<HashMap<(String, usize), &'a Row>, String> {
    let word = mapping
        .conditions
        .get(condition)
        .map_or(condition, String::as_str);
    let mut out: HashMap<(String, usize), &Row> = HashMap::new();
    for &row in rows {
        let cell = |column: &String| row.columns.get(column).and_then(cell_text);
        if let Some(column) = &mapping.condition
            && cell(column).as_deref() != Some(word)
        {
            continue;
        }
        let id = match &mapping.id {
            None => row.id.clone(),
            Some(column) => cell(column).ok_or_else(|| {
                format!(
                    "{}: there is no id in column `{column}`",
                    place(&recorded.file.path, row)
                )
            })?,
        };
        // Without a column of the index every row is a first completion.
        let position = sample_index(mapping, row, &place(&recorded.file.path, row))?.unwrap_or(0);
        if let Some(first) = out.insert((id.clone(), position), row) {
            return Err(format!(
                "`{}` holds sample `{id}` more than once under condition `{condition}`: rows {} and {}\nhint: narrow the rows with `filter`, or name the column of the sample index with `sample` when they are several completions of one prompt",
                recorded.file.path.display(),
                number_of(first),
                number_of(row)
            ));
        }
    }
    Ok(out)
}

fn fill(
    mut sample: Sample,
    mapping: &RecordedMapping,
    row: &Row,
    recorded: &Recorded,
) -> Result<Sample, String> {
    let place = format!(
        "{} (sample `{}`)",
        place(&recorded.file.path, row),
        sample.sample_id
    );
    let cell = |column: &String| row.columns.get(column);
    sample.verdicts.extend(verdicts(mapping, row, &place)?);
    sample.values.extend(values(mapping, row, &place)?);
    let completion = &mut sample.completion;
    completion.finish_reason = FinishReason::Stop;
    if let Some(word) = mapping
        .finish_reason
        .as_ref()
        .and_then(cell)
        .and_then(cell_text)
    {
        completion.finish_reason = FinishReason::parse(&word).ok_or_else(|| {
            format!(
                "{place}: `{word}` is no finish reason\nhint: it is `stop`, `length` or `error`"
            )
        })?;
    }
    if let Some(problem) = failure(mapping, row) {
        completion.finish_reason = FinishReason::Error;
        sample.error = Some(problem);
    }
    if let Some(column) = &mapping.token_logprob {
        let list = cell(column)
            .and_then(Value::as_array)
            .ok_or_else(|| format!("{place}: column `{column}` is no list of numbers"))?;
        // Recorded statistics have the precision of stored ones.
        #[expect(clippy::cast_possible_truncation)]
        let numbers = list
            .iter()
            .map(|item| item.as_f64().map(|number| number as f32))
            .collect::<Option<Vec<f32>>>();
        completion.token_logprob =
            numbers.ok_or_else(|| format!("{place}: column `{column}` is no list of numbers"))?;
    }
    match &mapping.completion {
        Some(column) => {
            completion.text = cell(column)
                .and_then(cell_text)
                .or_else(|| sample.error.as_ref().map(|_| String::new()))
                .ok_or_else(|| format!("{place}: there is no completion in column `{column}`"))?;
            sample.degenerate = degenerate::flags(&sample.completion);
        }
        // Nothing is known of the completion, so nothing can be said of its form.
        None => sample.degenerate = Degeneracy::default(),
    }
    Ok(sample)
}

fn verdict(word: &str, column: &str, place: &str) -> Result<Verdict, String> {
    let label = VerdictLabel::parse(word.trim()).ok_or_else(|| {
        format!(
            "{place}: `{word}` in column `{column}` is no verdict\nhint: verdicts are `safe`, `unsafe`, `unparsable` and `error`"
        )
    })?;
    Ok(Verdict {
        label,
        categories: Vec::new(),
        p_unsafe: None,
        score: None,
        output: word.to_owned(),
    })
}

fn number(cell: Option<&Value>, name: &str, column: &str, place: &str) -> Result<f64, String> {
    let number = match cell {
        Some(Value::Bool(flag)) => Some(f64::from(u8::from(*flag))),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Some(1.0),
            "false" => Some(0.0),
            other => other.parse().ok(),
        },
        _ => None,
    };
    let number = number
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("{place}: column `{column}` holds no number for `{name}`"))?;
    if name.contains("probability") && !(0.0..=1.0).contains(&number) {
        return Err(format!(
            "{place}: `{name}` is {number}, which is no probability\nhint: probabilities lie between 0 and 1; take the exponential of log-probabilities first"
        ));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_no_verdict_are_refused() {
        assert_eq!(
            verdict("unsafe", "v", "row").unwrap().label,
            VerdictLabel::Unsafe
        );
        assert!(
            verdict("UNSAFE?", "v", "row 3")
                .unwrap_err()
                .starts_with("row 3: `UNSAFE?`")
        );
    }

    #[test]
    fn probabilities_lie_between_0_and_1() {
        assert!(number(Some(&Value::from(1.2)), "probability", "p", "row").is_err());
        assert_eq!(
            number(Some(&Value::from("True")), "correct", "c", "row"),
            Ok(1.0)
        );
        assert!(number(None, "entropy", "e", "row").is_err());
    }

    pub(super) fn table() -> RecordedMapping {
        RecordedMapping {
            format: Format::Jsonl,
            layout: "table".to_owned(),
            id: None,
            filter: None,
            condition: None,
            conditions: IndexMap::new(),
            sample: None,
            completion: None,
            finish_reason: None,
            error: None,
            token_logprob: None,
            verdicts: IndexMap::new(),
            values: IndexMap::new(),
        }
    }

    #[test]
    fn what_is_wrong_is_found_before_a_run() {
        let rows = |text: &str| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("r.jsonl");
            std::fs::write(&path, text).unwrap();
            layouts::read(&path, &table()).unwrap()
        };
        let problem = |mapping: &RecordedMapping, text: &str| {
            let rows = rows(text);
            let rows: Vec<&Row> = rows.iter().collect();
            check(Path::new("r.jsonl"), mapping, &rows).unwrap_err()
        };
        let id = RecordedMapping {
            id: Some("key".to_owned()),
            ..table()
        };
        let missing = problem(&id, "{\"id\": 1, \"text\": \"a\"}\n");
        assert!(
            missing.contains("no column `key`") && missing.contains("text"),
            "{missing}"
        );
        let judged = RecordedMapping {
            verdicts: [("j".to_owned(), "v".to_owned())].into_iter().collect(),
            ..table()
        };
        let word = problem(&judged, "{\"v\": \"safe\"}\n{\"v\": \"harmless\"}\n");
        assert!(
            word.contains("row 2") && word.contains("`harmless`"),
            "{word}"
        );
        let sampled = RecordedMapping {
            sample: Some("n".to_owned()),
            ..table()
        };
        let index = problem(&sampled, "{\"n\": \"first\"}\n");
        assert!(
            index.contains("`first`") && index.contains("row 1"),
            "{index}"
        );
        assert!(
            check(Path::new("r.jsonl"), &table(), &[])
                .unwrap_err()
                .contains("no row")
        );
    }
}
