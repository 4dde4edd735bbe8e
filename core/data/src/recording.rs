//! Completions made elsewhere, read as if they had been generated here.

mod cells;
mod choices;
mod held;
mod layouts;
mod pairing;
mod put;
mod questions;
mod readings;
mod said;
mod scores;
mod settings;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::{Degeneracy, Sample, value};
use driftgauge_spec::spec::{ColumnType, RecordedFormat};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::PinnedFile;
use crate::dataset::Row;
use crate::degenerate;
use crate::prompt::Templates;

use cells::{
    Place, ends_with_eos, failure, finish_reason, place, sample_index, text, token_logprob, values,
    verdicts,
};
pub use choices::SpecChoices;
pub use questions::unsaid;
pub use readings::Readings;
pub use scores::{Marked, Marks, Measure, Wanted, marks_of};
pub use settings::{Difference, Settings};

/// Which columns of a recording hold what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedMapping {
    /// How the file is written.
    pub format: RecordedFormat,
    /// What the cells of columns are.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub types: IndexMap<String, ColumnType>,
    /// Column of the sample id, which pairs with the ids of the evaluation's dataset. When absent: what the layout has, or the
    /// row number where the dataset has no ids either.
    pub id: Option<String>,
    /// Expression over the columns that a row has to fulfil, for example `model == "base"`.
    pub filter: Option<String>,
    /// Column of the condition. Where none is named, the rows serve an evaluation's only one.
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

impl RecordedMapping {
    /// A mapping that names no column: what a layout has is found where it stands.
    #[must_use]
    pub fn of(format: RecordedFormat) -> Self {
        Self {
            format,
            types: IndexMap::new(),
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

    /// Whether a column is read as something of its own: a completion, a mark, a condition.
    fn reads(&self, name: &str) -> bool {
        let named = [
            &self.id,
            &self.condition,
            &self.sample,
            &self.completion,
            &self.finish_reason,
            &self.error,
            &self.token_logprob,
            &self.ends_with_eos,
        ];
        let named = named.into_iter().flatten();
        let mut all = named
            .chain(self.verdicts.values())
            .chain(self.values.values());
        all.any(|column| column == name)
    }
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

/// The judges whose verdicts a recording holds.
///
/// # Errors
/// When its filter cannot be applied.
pub fn judges_of(all: &[Row], recorded: &Recorded, judged: bool) -> Result<Vec<String>, Problem> {
    let rows = select(&recorded.file.path, &recorded.mapping, all)?;
    let mapping = layouts::with_columns(recorded.mapping.clone(), &rows, judged);
    Ok(mapping.verdicts.into_keys().collect())
}

/// What an evaluation asks of a recording.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Condition id.
    pub condition: &'a str,
    /// Whether the evaluation has judges of its own.
    pub judged: bool,
    /// The dataset's column of ids, if it has one.
    pub dataset_id: Option<&'a str>,
}

/// The rows of a file that belong to the model.
///
/// # Errors
/// With the file and the first row of which its filter cannot be asked.
pub fn select<'a>(
    path: &Path,
    mapping: &RecordedMapping,
    rows: &'a [Row],
) -> Result<Vec<&'a Row>, Problem> {
    let Some(filter) = &mapping.filter else {
        return Ok(rows.iter().collect());
    };
    let templates = Templates::default();
    let mut kept = Vec::new();
    for row in rows {
        let holds = templates.holds(filter, row).map_err(|error| {
            let error = error.of_filter(row);
            error.prefixed(&format!("`{}`: ", path.display()))
        })?;
        if holds {
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
    asked: Asked<'_>,
    samples_of_a_prompt: u32,
    mut samples: impl Iterator<Item = (&'a str, u32)>,
    used: &mut HashSet<String>,
) -> Result<(), Problem> {
    let rows = ConditionRows::of(all, recorded, asked)?;
    let several = rows.by_sample.keys().map(|(_, index)| index + 1).max();
    let several = several.unwrap_or(0);
    if several > samples_of_a_prompt as usize {
        rows.are_counted()?;
        let read = match samples_of_a_prompt {
            1 => "one would be read".to_owned(),
            some => format!("{some} would be read"),
        };
        return Err(Problem::failed(format!(
            "`{}` holds up to {several} completions of a prompt, and {read}",
            recorded.file.path.display(),
        ))
        .help(format!(
            "say how many with `generate: {{samples: {several}}}`, or narrow the rows with `filter`"
        )));
    }
    samples.try_for_each(|(id, index)| {
        used.insert(rows.check(id, index)?.id.clone());
        Ok(())
    })
}

/// Checks that a recording is of the rows that it is paired with: what both name alike is the same, row by row, and what was asked
/// is what the row asks.
///
/// # Errors
/// With the first row that is another one.
pub fn check_rows(
    all: &[Row],
    recorded: &Recorded,
    asked: Asked<'_>,
    rows: &[Row],
) -> Result<(), Problem> {
    // Only a count pairs with rows that have no ids, and what both name alike is none.
    if asked.dataset_id.is_none()
        && let Some(column) = &recorded.mapping.id
        && rows.iter().any(|row| row.columns.contains_key(column))
    {
        return Err(
            pairing::undeclared(column).prefixed(&format!("`{}` ", recorded.file.path.display()))
        );
    }
    let found = ConditionRows::of(all, recorded, asked)?;
    held::check(&found, asked, rows)?;
    questions::check(&found, asked, rows)
}

/// The beginning of a text, for messages.
fn beginning(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short + "..."
    } else {
        short
    }
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
    pub fn of(all: &'a [Row], recorded: &'a Recorded, asked: Asked<'a>) -> Result<Self, Problem> {
        let rows = select(&recorded.file.path, &recorded.mapping, all)?;
        let mut mapping = layouts::with_columns(recorded.mapping.clone(), &rows, asked.judged);
        mapping.id = pairing::id_column(&recorded.mapping, &rows, asked.dataset_id)
            .map_err(|problem| problem.prefixed(&format!("`{}` ", recorded.file.path.display())))?;
        let path = &recorded.file.path;
        Ok(Self {
            recorded,
            condition: asked.condition,
            by_sample: pairing::index(&mapping, &rows, asked, path)?,
            mapping,
        })
    }

    /// The rows of all completions of a prompt.
    fn of_id<'s>(&'s self, id: &'s str) -> impl Iterator<Item = &'a Row> + 's {
        (0..).map_while(move |index| self.by_sample.get(&(id.to_owned(), index)).copied())
    }

    /// What these rows and those of another recording of the same tool say of what was asked, where that is not the same: the field, the samples of which it differs, and the samples that both have.
    #[must_use]
    pub fn asked_otherwise(&self, other: &Self) -> Vec<(&'static str, usize, usize)> {
        let format = self.mapping.format;
        let is_own = matches!(format, RecordedFormat::Rows(_));
        // Rows of one's own were held against the dataset's.
        if is_own || format.name() != other.mapping.format.name() {
            return Vec::new();
        }
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut both = 0;
        for (sample, ours) in &self.by_sample {
            let Some(theirs) = other.by_sample.get(sample) else {
                continue;
            };
            both += 1;
            let theirs = put::question(format, theirs);
            for (field, said) in put::question(format, ours) {
                if theirs.get(field).is_some_and(|other| *other != said) {
                    *counts.entry(field).or_default() += 1;
                }
            }
        }
        let counts = counts.into_iter();
        counts.map(|(field, count)| (field, count, both)).collect()
    }

    /// The row of a sample.
    fn row(&self, id: &str, index: u32) -> Result<&'a Row, Problem> {
        let found = self.by_sample.get(&(id.to_owned(), index as usize));
        found.copied().ok_or_else(|| {
            let which = match index {
                0 => String::new(),
                _ => format!(" with the index {index}"),
            };
            Problem::failed(format!("`{}` has no row for sample `{id}`{which} under condition `{}`",
                self.recorded.file.path.display(),
                self.condition
            )).help("every sample of the dataset needs one; narrow the dataset with `filter` when some were not recorded")
        })
    }

    /// Checks that the completions of each prompt are counted without a gap.
    fn are_counted(&self) -> Result<(), Problem> {
        let is_behind_a_gap = |(id, index): &&(String, usize)| {
            let before = index.checked_sub(1).map(|before| (id.clone(), before));
            before.is_some_and(|before| !self.by_sample.contains_key(&before))
        };
        let Some((id, index)) = self.by_sample.keys().filter(is_behind_a_gap).min() else {
            return Ok(());
        };
        Err(Problem::failed(format!(
            "`{}` has a completion {index} of sample `{id}`, counted from 0, and none before it under condition `{}`",
            self.recorded.file.path.display(),
            self.condition
        ))
        .help("completions of a prompt count on from the first one, and a `filter` that keeps later ones alone cannot be paired: take it away, or write them as rows of your own (`jsonl`) with a count of their own"))
    }

    /// Fills a sample from its row.
    ///
    /// # Errors
    /// When it has none, or a cell of it is not what its column has to hold.
    pub fn fill(&self, sample: Sample) -> Result<Sample, Problem> {
        let row = self.row(&sample.sample_id, sample.sample_index)?;
        let id = sample.sample_id.clone();
        fill(sample, &self.mapping, row, &self.place(row, &id))
    }

    /// Holds the recorded choices of a sample against those of the spec. False where there is nothing to hold, since the sample failed.
    ///
    /// # Errors
    /// When they are other choices, others are right, or there are no log-likelihoods of choices.
    pub fn has_choices(&self, id: &str, index: u32, spec: &SpecChoices) -> Result<bool, Problem> {
        let row = self.row(id, index)?;
        if failure(&self.mapping, row).is_some() {
            return Ok(false);
        }
        if !self.mapping.values.contains_key(choices::LOGLIK) {
            return Err(choices::missing(&self.recorded.file.path));
        }
        let place = self.place(row, id);
        let values = values(&self.mapping, row, &place)?;
        choices::held(&values, row, spec, &place)?;
        Ok(true)
    }

    /// Checks what [`check`] leaves open of a row: it serves a sample, so it needs a completion.
    fn check(&self, id: &str, index: u32) -> Result<&'a Row, Problem> {
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
pub fn check(path: &Path, mapping: &RecordedMapping, rows: &[&Row]) -> Result<(), Problem> {
    if rows.is_empty() {
        return Err(
            Problem::failed(format!("`{}` has no row for this model", path.display()))
                .help("look at `filter`, or into the file"),
        );
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
        let two = rows
            .iter()
            .find(|row| value::is_ambiguous(&row.columns, column));
        if let Some(row) = two {
            let twice = crate::dataset::twice(column);
            let problem = Problem::failed(format!("{}: {twice}", place(path, row)));
            return Err(problem.help(crate::dataset::ONE_OF_TWO));
        }
        let has = |row: &&Row| value::column(&row.columns, column).is_some();
        if !rows.iter().any(has) {
            let known = crate::dataset::names(&rows[0].columns);
            return Err(
                Problem::failed(format!("`{}` has no column `{column}`", path.display()))
                    .help(format!("its columns are {known}")),
            );
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

/// Checks that recorded marks say right or wrong: metrics of single answers read nothing between.
///
/// # Errors
/// With the first row whose mark is another number.
pub fn check_marks(path: &Path, mapping: &RecordedMapping, rows: &[&Row]) -> Result<(), Problem> {
    if !matches!(mapping.format, RecordedFormat::Rows(_)) {
        return Ok(());
    }
    for row in rows {
        let place = place(path, row);
        for (name, numbers) in values(mapping, row, &place)? {
            let other = numbers.iter().find(|number| ![0.0, 1.0].contains(*number));
            if let (Some(other), "correct") = (other, name.as_str()) {
                return Err(Problem::failed(format!(
                    "{place}: `correct` is {other}, which is neither 0 (wrong) nor 1 (right)"
                ))
                .help("name a score of another scale under `values`, by a name of its own"));
            }
        }
    }
    Ok(())
}

fn fill(
    mut sample: Sample,
    mapping: &RecordedMapping,
    row: &Row,
    place: &Place<'_>,
) -> Result<Sample, Problem> {
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
mod tests;
