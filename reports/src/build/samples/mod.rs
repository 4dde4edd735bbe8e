//! The samples of a report: which prompts are shown, what of them, and how much of their texts.
//!
//! A table is read twice: first for verdicts, which say which prompts separate the models, then for what is shown of the
//! prompts that there is room for. No more than those are ever held in memory.

mod cells;
mod choice;
mod counts;
mod fields;
mod scores;

use std::collections::HashMap;

use driftgauge_record::files::resolved::SampleMode;
use driftgauge_record::{RunDir, SampleReader};

use super::context::Context;
use crate::ReportError;
use crate::model::{CompletionCell, CompletionCount, Judging, SampleRow, SampleSection};
use cells::{cell_of, cut_texts, row_of};
use choice::{Chosen, Prompt, choose};
use counts::Counts;
use scores::Scores;

/// Bytes of all samples on the page, about: it opens at once, and stays well below ten megabytes.
const ROOM: usize = 6_000_000;
/// Completions of one prompt by one model on the page.
const COMPLETIONS: usize = 3;

/// A prompt under a condition.
type Key = (String, String);

/// Everything that comes from the tables of samples.
#[derive(Default)]
pub(super) struct FromSamples {
    pub(super) sections: Vec<SampleSection>,
    pub(super) completions: Vec<CompletionCount>,
    pub(super) judging: Vec<Judging>,
}

pub(super) fn of(run: &RunDir, context: &Context<'_>) -> Result<FromSamples, ReportError> {
    let mut out = FromSamples::default();
    let evaluations = &context.files.experiment.evaluations;
    let mut room = ROOM;
    for (place, evaluation) in evaluations.keys().enumerate() {
        let path = run.samples_of(evaluation);
        // Names of evaluations come from a file: one that leads elsewhere is not followed.
        if path.parent() != Some(run.samples().as_path()) || !path.is_file() {
            continue;
        }
        run.check_sealed(&path)?;
        let read = || SampleReader::open(&path);
        // What one does not need is left to those after it.
        let share = room / (evaluations.len() - place);
        let (section, counts, judging) = section(context, evaluation, share, read)?;
        room -= cells::bytes(&section.rows, section.models.len()).min(share);
        out.sections.push(section);
        out.completions.extend(counts);
        out.judging.push(judging);
    }
    Ok(out)
}

fn section(
    context: &Context<'_>,
    evaluation: &str,
    room: usize,
    read: impl Fn() -> Result<SampleReader, driftgauge_record::SampleTableError>,
) -> Result<(SampleSection, Vec<CompletionCount>, Judging), ReportError> {
    let models = context.models_of(evaluation);
    let conditions = context.index.conditions(evaluation).to_vec();
    let scores = Scores::of(context, evaluation, &models);
    let declared = context.evaluation(evaluation);
    let mut judges: Vec<String> =
        declared.map_or_else(Vec::new, |entry| entry.judges.keys().cloned().collect());
    let mut counts = Counts::new(context, evaluation);
    // What separates models where no metric scores single prompts: their first verdicts.
    let mut verdicts: HashMap<Key, Vec<Option<&'static str>>> = HashMap::new();
    let mut prompts: Vec<Prompt> = Vec::new();
    let mut known: HashMap<Key, usize> = HashMap::new();
    let (mut characters, mut texts) = (0, 0_usize);
    let columns = columns(&models);
    for sample in read()? {
        let sample = sample?;
        for judge in sample.verdicts.keys() {
            if !judges.contains(judge) {
                judges.push(judge.clone());
            }
        }
        counts.take(&sample);
        characters += cells::escaped(&sample.completion.text);
        texts += 1;
        let key = (sample.condition.clone(), sample.sample_id.clone());
        let Some(&column) = columns.get(sample.model.as_str()) else {
            continue;
        };
        if !known.contains_key(&key) {
            known.insert(key.clone(), prompts.len());
            prompts.push(Prompt::new(key.clone()));
        }
        if scores.metrics.is_empty() {
            let first = judges.first().and_then(|judge| sample.verdicts.get(judge));
            let row = verdicts
                .entry(key)
                .or_insert_with(|| vec![None; models.len()]);
            if row[column].is_none() {
                row[column] = first.map(|verdict| verdict.label.as_str());
            }
        }
    }
    for prompt in &mut prompts {
        prompt.pattern = match scores.pattern(&prompt.key) {
            Some(pattern) => pattern,
            None => verdicts.get(&prompt.key).map_or(0, |row| pattern_of(row)),
        };
    }
    let mode = context.files.experiment.samples;
    let differing = prompts.iter().filter(|prompt| prompt.differs()).count() as u64;
    let chosen = choose(
        &prompts,
        models.len(),
        room,
        mode,
        context.files.experiment.seed,
        characters.div_ceil(texts.max(1)) + 1,
    );
    let fields = fields::of(context, evaluation);
    let beside = Beside {
        models: &models,
        judges: &judges,
        fields: &fields,
    };
    let mut rows = rows(read, &beside, &scores, mode, &chosen)?;
    let cut_at = cut_texts(&mut rows, room);
    let section = SampleSection {
        evaluation: evaluation.to_owned(),
        file: format!("samples/{evaluation}.parquet"),
        flips: scores.flips(&models, &conditions, context.baseline.as_deref()),
        fields: fields.clone(),
        metrics: scores.metrics,
        models,
        judges: judges.clone(),
        conditions,
        prompts: prompts.len() as u64,
        differing,
        differing_left_out: chosen.differing_left_out,
        alike_left_out: chosen.alike_left_out,
        cut_at,
        rows,
    };
    let (counts, judging) = counts.finish(&judges);
    Ok((section, counts, judging))
}

/// A number that is 0 where all known values are the same, and the same for the same values.
fn pattern_of<T: PartialEq>(values: &[Option<T>]) -> u64 {
    let first = values.iter().flatten().next();
    let others = values.iter().enumerate();
    let other = others.filter(|(_, value)| value.is_some() && value.as_ref() != first);
    // One bit for each value unlike the first; sixty-four models are told apart.
    other.fold(0, |bits, (place, _)| bits | 1 << (place % 64))
}

/// The place of each model in a row.
fn columns(models: &[String]) -> HashMap<&str, usize> {
    let places = models.iter().enumerate();
    places
        .map(|(place, model)| (model.as_str(), place))
        .collect()
}

/// What stands in a row, in order.
struct Beside<'a> {
    models: &'a [String],
    judges: &'a [String],
    fields: &'a [String],
}

/// Reads what is shown of the chosen prompts.
fn rows(
    read: impl Fn() -> Result<SampleReader, driftgauge_record::SampleTableError>,
    Beside {
        models,
        judges,
        fields,
    }: &Beside<'_>,
    scores: &Scores,
    mode: SampleMode,
    chosen: &Chosen,
) -> Result<Vec<SampleRow>, ReportError> {
    let mut rows: Vec<SampleRow> = vec![SampleRow::default(); chosen.places.len()];
    let columns = columns(models);
    for sample in read()? {
        let sample = sample?;
        let key = (sample.condition.clone(), sample.sample_id.clone());
        let Some(&(place, differs)) = chosen.places.get(&key) else {
            continue;
        };
        let Some(&column) = columns.get(sample.model.as_str()) else {
            continue;
        };
        let row = &mut rows[place];
        if row.cells.is_empty() {
            *row = row_of(&sample, mode, differs, models.len());
        }
        let cell = row.cells[column].get_or_insert_with(|| cell_of(scores.of_cell(&key, column)));
        if cell.completions.len() < COMPLETIONS {
            cell.completions.push(CompletionCell {
                fields: fields::values(&sample, fields, mode),
                ..cells::completion(&sample, judges, mode)
            });
        } else {
            cell.omitted += 1;
        }
    }
    Ok(rows)
}
