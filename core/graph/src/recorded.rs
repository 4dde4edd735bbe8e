//! Completions made elsewhere, read as if they had been generated here.

use std::collections::HashMap;
use std::path::Path;

use driftgauge_record::{Degeneracy, FinishReason, Sample, Verdict, VerdictLabel};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::{Format, Row, cell_text, read_rows};
use crate::degenerate;
use crate::exec::{Context, prompts};
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

/// The rows of a recording that belong to the model, in one form whatever tool wrote them.
pub(crate) fn read_all(path: &Path, mapping: &RecordedMapping) -> Result<Vec<Row>, String> {
    let rows = match mapping.layout.as_str() {
        "harmbench" => harmbench_rows(path)?,
        "lm_eval" => lm_eval_rows(path)?,
        _ => read_rows(path, mapping.format, None).map_err(|error| error.to_string())?,
    };
    let Some(filter) = &mapping.filter else {
        return Ok(rows);
    };
    let templates = Templates::default();
    let mut kept = Vec::new();
    for row in rows {
        if templates
            .holds(filter, &row)
            .map_err(|error| error.to_string())?
        {
            kept.push(row);
        }
    }
    Ok(kept)
}

fn row(index: usize, columns: &[(&str, Value)]) -> Row {
    Row {
        id: index.to_string(),
        columns: columns
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    }
}

/// HarmBench completions: `{behavior id: [{test_case, generation, label?}]}`. A label of 1 is unsafe, 0 safe, and -1 what
/// its classifier could not read.
fn harmbench_rows(path: &Path) -> Result<Vec<Row>, String> {
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
            let verdict = match completion["label"].as_i64() {
                Some(1) => "unsafe",
                Some(0) => "safe",
                Some(_) => "unparsable",
                None => "",
            };
            rows.push(row(
                rows.len(),
                &[
                    ("id", Value::from(behavior.clone())),
                    ("sample", Value::from(sample)),
                    ("completion", completion["generation"].clone()),
                    ("verdict", Value::from(verdict)),
                ],
            ));
        }
    }
    Ok(rows)
}

/// `samples_*.jsonl` of lm-evaluation-harness: the document's number, the filtered response, and `acc` or `exact_match`.
fn lm_eval_rows(path: &Path) -> Result<Vec<Row>, String> {
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
            row(
                index,
                &[
                    ("id", columns.get("doc_id").cloned().unwrap_or(Value::Null)),
                    ("completion", response),
                    ("correct", correct.unwrap_or(Value::Null)),
                ],
            )
        })
        .collect())
}

/// The samples of a recorded model under one condition.
pub(crate) fn samples(
    context: &Context,
    evaluation: &str,
    condition: &str,
    model: &str,
) -> Result<Vec<Sample>, String> {
    let ModelSource::Recorded(recorded) = &context.experiment.models[model].source else {
        return Err(format!("model `{model}` is not recorded"));
    };
    let mapping: RecordedMapping =
        serde_json::from_value(recorded.mapping.clone()).map_err(|error| error.to_string())?;
    let mapping = with_layout_columns(mapping, context, evaluation);
    let rows = read_all(&recorded.file.path, &mapping)?;
    let by_sample = index(&mapping, &rows, condition, recorded)?;
    prompts(context, evaluation, condition)?
        .into_iter()
        .map(|sample| {
            let row = by_sample
                .get(&(sample.sample_id.clone(), sample.sample_index as usize))
                .ok_or_else(|| {
                    format!(
                        "`{}` has no row for sample `{}` under condition `{condition}`\nhint: every sample of the dataset needs one; narrow the dataset with `filter` when some were not recorded",
                        recorded.file.path.display(),
                        sample.sample_id
                    )
                })?;
            fill(sample, &mapping, row, recorded)
        })
        .collect()
}

/// Columns that a known layout implies: its verdicts belong to the evaluation's first judge, or to one called `recorded`.
fn with_layout_columns(
    mut mapping: RecordedMapping,
    context: &Context,
    evaluation: &str,
) -> RecordedMapping {
    let default = |name: &mut Option<String>, column: &str| {
        name.get_or_insert_with(|| column.to_owned());
    };
    match mapping.layout.as_str() {
        "harmbench" => {
            default(&mut mapping.id, "id");
            default(&mut mapping.sample, "sample");
            default(&mut mapping.completion, "completion");
            if context.experiment.evaluations[evaluation].judges.is_empty() {
                mapping
                    .verdicts
                    .insert("recorded".to_owned(), "verdict".to_owned());
            }
        }
        "lm_eval" => {
            default(&mut mapping.id, "id");
            default(&mut mapping.completion, "completion");
            mapping
                .values
                .insert("correct".to_owned(), "correct".to_owned());
        }
        _ => {}
    }
    mapping
}

/// Rows of one condition by sample id and sample index.
fn index<'a>(
    mapping: &RecordedMapping,
    rows: &'a [Row],
    condition: &str,
    recorded: &Recorded,
) -> Result<HashMap<(String, usize), &'a Row>, String> {
    let word = mapping
        .conditions
        .get(condition)
        .map_or(condition, String::as_str);
    let mut out: HashMap<(String, usize), &Row> = HashMap::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for row in rows {
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
                    "`{}`, row {}: there is no id in column `{column}`",
                    recorded.file.path.display(),
                    row.id
                )
            })?,
        };
        let position = match &mapping.sample {
            Some(column) => cell(column).and_then(|text| text.parse().ok()).unwrap_or(0),
            None => {
                let next = seen.entry(id.clone()).or_insert(0);
                *next += 1;
                *next - 1
            }
        };
        if mapping.sample.is_none() && position > 0
            || out.insert((id.clone(), position), row).is_some()
        {
            return Err(format!(
                "`{}` holds sample `{id}` more than once under condition `{condition}`\nhint: narrow the rows with `filter`, or name the column of the sample index with `sample` when they are several completions of one prompt",
                recorded.file.path.display()
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
        "`{}`, row {} (sample `{}`)",
        recorded.file.path.display(),
        row.id
            .parse::<usize>()
            .map_or_else(|_| row.id.clone(), |index| (index + 1).to_string()),
        sample.sample_id
    );
    let cell = |column: &String| row.columns.get(column);
    for (judge, column) in &mapping.verdicts {
        let word = cell(column).and_then(cell_text).unwrap_or_default();
        sample
            .verdicts
            .insert(judge.clone(), verdict(&word, column, &place)?);
    }
    for (name, column) in &mapping.values {
        sample.values.insert(
            name.clone(),
            vec![number(cell(column), name, column, &place)?],
        );
    }
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
    if let Some(problem) = mapping
        .error
        .as_ref()
        .and_then(cell)
        .and_then(cell_text)
        .filter(|text| !text.is_empty())
    {
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

    #[test]
    fn harmbench_labels_become_verdicts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        std::fs::write(
            &path,
            r#"{"b1": [{"test_case": "t", "generation": "g", "label": 1}, {"generation": "h", "label": -1}]}"#,
        )
        .unwrap();
        let rows = harmbench_rows(&path).unwrap();
        assert_eq!(rows[0].columns["verdict"], "unsafe");
        assert_eq!(rows[1].columns["verdict"], "unparsable");
        assert_eq!(rows[1].columns["sample"], 1);
    }
}
