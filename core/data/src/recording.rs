//! Completions made elsewhere, read as if they had been generated here.

mod cells;
mod layouts;
mod readings;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use driftgauge_record::{Degeneracy, Sample};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::PinnedFile;
use crate::dataset::{Format, Row, cell_text};
use crate::degenerate;
use crate::prompt::Templates;

pub use cells::number_of;
use cells::{
    Place, ends_with_eos, failure, finish_reason, place, sample_index, text, token_logprob, values,
    verdicts,
};
pub use readings::Readings;

/// Which columns of a recording hold what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedMapping {
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
    /// Column that tells whether the last of these tokens ended the answer.
    pub ends_with_eos: Option<String>,
    /// Columns of verdicts (`safe`, `unsafe`, `unparsable`, `error`), by judge.
    pub verdicts: IndexMap<String, String>,
    /// Columns of numbers, by the name that metrics know them by.
    pub values: IndexMap<String, String>,
}

/// Completions and verdicts made elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// Ids of the evaluations it serves; all of them when empty.
    #[serde(default)]
    pub evaluations: Vec<String>,
    /// The file.
    pub file: PinnedFile,
    /// Its format and column mapping.
    pub mapping: RecordedMapping,
}

impl Recorded {
    /// Position of the recording that serves an evaluation.
    #[must_use]
    pub fn position(recordings: &[Self], evaluation: &str) -> Option<usize> {
        recordings.iter().position(|recording| {
            recording.evaluations.is_empty()
                || recording.evaluations.iter().any(|id| id == evaluation)
        })
    }
}

/// The rows of a file that belong to the model.
pub fn select<'a>(rows: &'a [Row], mapping: &RecordedMapping) -> Result<Vec<&'a Row>, String> {
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

/// Checks, before a run, that a recording has what an evaluation will want of it under one condition: one row for each
/// sample, with everything that is read from it. Adds the rows that serve a sample to `used`.
///
/// # Errors
/// With the place in the file of the first thing that is wrong.
pub fn check_samples<'a>(
    all: &[Row],
    recorded: &Recorded,
    condition: &str,
    judged: bool,
    mut samples: impl Iterator<Item = (&'a str, u32)>,
    used: &mut HashSet<String>,
) -> Result<(), String> {
    let rows = ConditionRows::of(all, recorded, condition, judged)?;
    samples.try_for_each(|(id, index)| {
        used.insert(rows.check(id, index)?.id.clone());
        Ok(())
    })
}

/// The most completions that a recording holds of one prompt, by its column of the sample index.
pub fn completions_of_a_prompt(all: &[Row], recorded: &Recorded) -> Result<usize, String> {
    let mapping = &recorded.mapping;
    let mut most = 1;
    for row in select(all, mapping)? {
        let index = sample_index(mapping, row, &place(&recorded.file.path, row))?;
        most = most.max(index.unwrap_or(0) + 1);
    }
    Ok(most)
}

/// The rows of a recording that serve one condition.
pub struct ConditionRows<'a> {
    recorded: &'a Recorded,
    condition: &'a str,
    mapping: RecordedMapping,
    /// By sample id and sample index.
    by_sample: HashMap<(String, usize), &'a Row>,
}

impl<'a> ConditionRows<'a> {
    /// Finds them.
    ///
    /// # Errors
    /// When the filter cannot be applied, an index is none, or a sample stands there twice.
    pub fn of(
        all: &'a [Row],
        recorded: &'a Recorded,
        condition: &'a str,
        judged: bool,
    ) -> Result<Self, String> {
        let rows = select(all, &recorded.mapping)?;
        let mapping = layouts::with_columns(recorded.mapping.clone(), &rows, judged);
        Ok(Self {
            recorded,
            condition,
            by_sample: index(&mapping, &rows, condition, recorded)?,
            mapping,
        })
    }

    /// The row of a sample.
    fn row(&self, id: &str, index: u32) -> Result<&'a Row, String> {
        let found = self.by_sample.get(&(id.to_owned(), index as usize));
        found.copied().ok_or_else(|| {
            let which = match index {
                0 => String::new(),
                _ => format!(" with the index {index}"),
            };
            format!(
                "`{}` has no row for sample `{id}`{which} under condition `{}`\nhint: every sample of the dataset needs one; narrow the dataset with `filter` when some were not recorded",
                self.recorded.file.path.display(),
                self.condition
            )
        })
    }

    /// Fills a sample from its row.
    ///
    /// # Errors
    /// When it has none, or a cell of it is not what its column has to hold.
    pub fn fill(&self, sample: Sample) -> Result<Sample, String> {
        let row = self.row(&sample.sample_id, sample.sample_index)?;
        let id = sample.sample_id.clone();
        fill(sample, &self.mapping, row, &self.place(row, &id))
    }

    /// Checks what [`check`] leaves open of a row: it serves a sample, so it needs a completion.
    fn check(&self, id: &str, index: u32) -> Result<&'a Row, String> {
        let row = self.row(id, index)?;
        let place = self.place(row, id);
        finish_reason(&self.mapping, row, &place)?;
        token_logprob(&self.mapping, row, &place)?;
        ends_with_eos(&self.mapping, row, &place)?;
        text(&self.mapping, row, &place)?;
        Ok(row)
    }

    fn place<'p>(&'p self, row: &'p Row, sample: &'p str) -> Place<'p> {
        Place {
            path: &self.recorded.file.path,
            row,
            sample: Some(sample),
        }
    }
}

/// Checks what can be checked before a run: the columns are there, and every verdict, number and index is one.
pub fn check(path: &Path, mapping: &RecordedMapping, rows: &[&Row]) -> Result<(), String> {
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
        &mapping.ends_with_eos,
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
    place: &Place<'_>,
) -> Result<Sample, String> {
    sample.verdicts.extend(verdicts(mapping, row, place)?);
    sample.values.extend(values(mapping, row, place)?);
    sample.error = failure(mapping, row);
    let completion = &mut sample.completion;
    completion.finish_reason = finish_reason(mapping, row, place)?;
    completion.token_logprob = token_logprob(mapping, row, place)?;
    completion.ends_with_eos = ends_with_eos(mapping, row, place)?;
    match text(mapping, row, place)? {
        Some(text) => {
            completion.text = text;
            sample.degenerate = degenerate::flags(&sample.completion);
        }
        // Nothing is known of the completion, so nothing can be said of its form.
        None => sample.degenerate = Degeneracy::default(),
    }
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ends_with_eos: None,
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
