//! The samples, prompt by prompt: what is shown of them, and what became of all of them.

use std::collections::{HashMap, HashSet};

use driftgauge_plugin_protocol::wire::ScoreKind;
use driftgauge_record::{FinishReason, RunDir, Sample, SampleReader, VerdictLabel};
use indexmap::IndexMap;

use super::context::Context;
use crate::ReportError;
use crate::model::{
    CompletionCell, CompletionCount, SampleCell, SampleMode, SampleRow, SampleSection, VerdictCount,
};

/// Cells on the page over all evaluations, so that it stays below two megabytes.
const CELLS: usize = 5000;
/// Prompts of an evaluation on the page, at least and at most.
const ROWS: (usize, usize) = (20, 200);
/// Completions of one prompt by one model on the page.
const COMPLETIONS: usize = 3;
/// Characters of one text on the page, and of all texts.
const TEXT: usize = 1500;
const TEXTS: usize = 600_000;

/// A prompt under a condition.
type Key = (String, String);

pub(super) fn of(
    run: &RunDir,
    context: &Context<'_>,
) -> Result<(Vec<SampleSection>, Vec<CompletionCount>), ReportError> {
    let evaluations = evaluations(context);
    let mut budget = TEXTS;
    let mut sections = Vec::new();
    let mut counts = Vec::new();
    for evaluation in &evaluations {
        let path = run.samples_of(evaluation);
        // Names of evaluations come from a file: one that leads elsewhere is not followed.
        if path.parent() != Some(run.samples().as_path()) || !path.is_file() {
            continue;
        }
        let mut collector = Collector::new(context, evaluation, evaluations.len());
        for sample in SampleReader::open(&path)? {
            collector.take(&sample?, &mut budget);
        }
        let (section, own) = collector.finish();
        sections.push(section);
        counts.extend(own);
    }
    Ok((sections, counts))
}

fn evaluations(context: &Context<'_>) -> Vec<String> {
    let declared = context
        .files
        .experiment
        .evaluations
        .iter()
        .map(|entry| &entry.id);
    let measured = context
        .files
        .results
        .metrics
        .iter()
        .map(|metric| &metric.evaluation);
    let mut names: Vec<String> = Vec::new();
    for name in declared.chain(measured) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The scores of an evaluation's first binary primary metric, by prompt.
#[derive(Default)]
struct Scores {
    title: String,
    /// One entry per model.
    values: HashMap<Key, Vec<Option<f64>>>,
}

impl Scores {
    fn of(context: &Context<'_>, evaluation: &str, models: &[String]) -> Self {
        let mut found = Self::default();
        let mut metric = "";
        for output in &context.files.outputs {
            let Some(column) = models.iter().position(|model| *model == output.model) else {
                continue;
            };
            if output.evaluation != evaluation || !(metric.is_empty() || metric == output.metric) {
                continue;
            }
            for scores in &output.output.scores {
                let scalar = output.output.scalars.iter().find(|scalar| {
                    scalar.id == scores.id && scalar.condition == scores.condition && scalar.primary
                });
                let (Some(scalar), ScoreKind::Binary) = (scalar, scores.kind) else {
                    continue;
                };
                metric = &output.metric;
                found.title.clone_from(&scalar.title);
                for (id, value) in scores.sample_ids.iter().zip(&scores.values) {
                    let key = (scores.condition.clone(), id.to_owned());
                    let entry = found.values.entry(key);
                    entry.or_insert_with(|| vec![None; models.len()])[column] = *value;
                }
            }
        }
        found
    }

    fn differing(&self) -> impl Iterator<Item = &Key> {
        self.values
            .iter()
            .filter(|(_, values)| differ(values.iter().flatten()))
            .map(|(key, _)| key)
    }
}

fn differ<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let first = values.next();
    values.any(|value| Some(value) != first)
}

struct Collector {
    mode: SampleMode,
    models: Vec<String>,
    scores: Scores,
    /// How many other prompts there is room for.
    room: usize,
    /// Prompts that are shown whatever else is: those that separate the models.
    wanted: HashSet<Key>,
    /// What a condition is called, in the order of the spec.
    labels: IndexMap<String, String>,
    section: SampleSection,
    rows: IndexMap<Key, SampleRow>,
    seen: HashSet<[u8; 32]>,
    counts: IndexMap<(String, String), CompletionCount>,
}

impl Collector {
    fn new(context: &Context<'_>, evaluation: &str, evaluations: usize) -> Self {
        let models = context.models_of(evaluation);
        let limit = (CELLS / (models.len().max(1) * evaluations.max(1))).clamp(ROWS.0, ROWS.1);
        let scores = Scores::of(context, evaluation, &models);
        let mut wanted: Vec<&Key> = scores.differing().collect();
        wanted.sort();
        let differing = wanted.len() as u64;
        let wanted: HashSet<Key> = wanted.into_iter().take(limit).cloned().collect();
        let conditions = context.conditions(evaluation);
        let labels = conditions.iter().map(|condition| {
            (
                condition.clone(),
                context.condition_label(evaluation, condition),
            )
        });
        let judges = context.files.experiment.evaluation(evaluation);
        Self {
            mode: context.files.experiment.samples,
            room: limit - wanted.len(),
            wanted,
            labels: labels.collect(),
            section: SampleSection {
                evaluation: evaluation.to_owned(),
                file: format!("samples/{evaluation}.parquet"),
                models: models.clone(),
                judges: judges.map_or_else(Vec::new, |entry| entry.judges.clone()),
                score: scores.title.clone(),
                prompts: 0,
                conditions: 0,
                differing,
                rows: Vec::new(),
            },
            models,
            scores,
            rows: IndexMap::new(),
            seen: HashSet::new(),
            counts: IndexMap::new(),
        }
    }

    fn take(&mut self, sample: &Sample, budget: &mut usize) {
        for judge in sample.verdicts.keys() {
            if !self.section.judges.contains(judge) {
                self.section.judges.push(judge.clone());
            }
        }
        self.count(sample);
        let key = (sample.condition.clone(), sample.sample_id.clone());
        if self.seen.insert(digest(&key)) {
            self.section.prompts += 1;
        }
        if !self.rows.contains_key(&key) && !self.wanted.contains(&key) {
            if self.room == 0 {
                return;
            }
            self.room -= 1;
        }
        let Some(column) = self.models.iter().position(|model| *model == sample.model) else {
            return;
        };
        let scores = self.scores.values.get(&key);
        let row = self.rows.entry(key).or_insert_with(|| SampleRow {
            condition: label(&self.labels, &sample.condition),
            sample_id: sample.sample_id.clone(),
            differs: false,
            category: match self.mode {
                SampleMode::Hidden => None,
                _ => sample.category.clone(),
            },
            prompt: match self.mode {
                SampleMode::Full => Some(cut(&prompt(sample), budget)),
                _ => None,
            },
            cells: vec![None; self.models.len()],
        });
        let cell = row.cells[column].get_or_insert_with(|| SampleCell {
            model: sample.model.clone(),
            score: scores.and_then(|scores| scores[column]),
            ..SampleCell::default()
        });
        if cell.completions.len() < COMPLETIONS {
            let judges = &self.section.judges;
            cell.completions
                .push(completion(sample, judges, self.mode, budget));
        } else {
            cell.omitted += 1;
        }
    }

    fn count(&mut self, sample: &Sample) {
        let key = (sample.condition.clone(), sample.model.clone());
        let count = self.counts.entry(key).or_insert_with(|| CompletionCount {
            evaluation: self.section.evaluation.clone(),
            condition: label(&self.labels, &sample.condition),
            model: sample.model.clone(),
            ..CompletionCount::default()
        });
        count.total += 1;
        if sample.completion.finish_reason == FinishReason::Error {
            count.errors += 1;
            return;
        }
        let flags = sample.degenerate;
        count.empty += u64::from(flags.empty);
        count.looping += u64::from(flags.looping);
        count.truncated += u64::from(flags.truncated);
        count.degenerate += u64::from(flags.any());
        for (judge, verdict) in &sample.verdicts {
            let known = count
                .verdicts
                .iter()
                .position(|entry| entry.judge == *judge);
            let index = known.unwrap_or_else(|| {
                count.verdicts.push(VerdictCount {
                    judge: judge.clone(),
                    ..VerdictCount::default()
                });
                count.verdicts.len() - 1
            });
            let verdicts = &mut count.verdicts[index];
            match verdict.label {
                VerdictLabel::Safe => verdicts.safe += 1,
                VerdictLabel::Unsafe => verdicts.unsafe_ += 1,
                VerdictLabel::Unparsable => verdicts.unparsable += 1,
                VerdictLabel::Error => verdicts.errors += 1,
            }
        }
    }

    /// A judge of a model under some condition is one under every condition, also where it said nothing.
    fn complete_verdicts(&mut self) {
        let said = self.counts.iter().flat_map(|((_, model), count)| {
            let judges = count.verdicts.iter();
            judges.map(move |verdicts| (model.clone(), verdicts.judge.clone()))
        });
        let judges: HashSet<(String, String)> = said.collect();
        for ((_, model), count) in &mut self.counts {
            for judge in &self.section.judges {
                let known = count.verdicts.iter().any(|entry| entry.judge == *judge);
                if !known && judges.contains(&(model.clone(), judge.clone())) {
                    count.verdicts.push(VerdictCount {
                        judge: judge.clone(),
                        ..VerdictCount::default()
                    });
                }
            }
        }
    }

    fn finish(mut self) -> (SampleSection, Vec<CompletionCount>) {
        self.complete_verdicts();
        let scored = !self.scores.title.is_empty();
        let mut rows: Vec<SampleRow> = self.rows.into_values().collect();
        for row in &mut rows {
            let cells = row.cells.iter().flatten();
            row.differs = if scored {
                differ(cells.filter_map(|cell| cell.score))
            } else {
                differ(cells.filter_map(|cell| cell.completions.first()?.verdicts.first()))
            };
        }
        // Stable: prompts keep the order of the file otherwise.
        rows.sort_by_key(|row| !row.differs);
        if !scored {
            self.section.differing = rows.iter().filter(|row| row.differs).count() as u64;
        }
        let (models, labels) = (self.models, self.labels);
        let mut counts: Vec<CompletionCount> = self.counts.into_values().collect();
        let mut conditions: Vec<&str> = counts.iter().map(|count| &*count.condition).collect();
        conditions.sort_unstable();
        conditions.dedup();
        self.section.conditions = conditions.len() as u64;
        counts.sort_by_key(|count| {
            let condition = labels.get_index_of(&count.condition);
            (
                condition,
                models.iter().position(|model| *model == count.model),
            )
        });
        self.section.rows = rows;
        (self.section, counts)
    }
}

fn label(labels: &IndexMap<String, String>, condition: &str) -> String {
    labels
        .get(condition)
        .cloned()
        .unwrap_or_else(|| condition.to_owned())
}

fn digest(key: &Key) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.0.len() as u64).to_le_bytes());
    hasher.update(key.0.as_bytes());
    hasher.update(key.1.as_bytes());
    *hasher.finalize().as_bytes()
}

fn prompt(sample: &Sample) -> String {
    let turns = sample.messages.iter();
    let turns = turns.map(|message| format!("{}: {}", message.role, message.content));
    turns.collect::<Vec<_>>().join("\n")
}

/// What the mode allows to be said of a completion.
fn completion(
    sample: &Sample,
    judges: &[String],
    mode: SampleMode,
    budget: &mut usize,
) -> CompletionCell {
    let made = &sample.completion;
    let verdict = |judge: &String| {
        let verdict = sample.verdicts.get(judge);
        verdict.map_or_else(String::new, |verdict| verdict.label.as_str().to_owned())
    };
    let mut cell = CompletionCell {
        verdicts: judges.iter().map(verdict).collect(),
        tokens: made.completion_token_ids.len() as u64,
        characters: made.text.chars().count() as u64,
        finish: made.finish_reason.as_str().to_owned(),
        ..CompletionCell::default()
    };
    if mode == SampleMode::Hidden {
        return cell;
    }
    let flags = [
        (sample.degenerate.empty, "empty"),
        (sample.degenerate.looping, "looping"),
        (sample.degenerate.truncated, "cut"),
    ];
    // What was not made is not empty, whatever an older table says.
    let was_made = made.finish_reason != FinishReason::Error;
    let set = flags.iter().filter(|(set, _)| *set && was_made);
    cell.flags = set.map(|(_, name)| (*name).to_owned()).collect();
    cell.digest = Some(blake3::hash(made.text.as_bytes()).to_hex()[..16].to_owned());
    let logprobs = &made.token_logprob;
    let sum: f64 = logprobs.iter().map(|value| f64::from(*value)).sum();
    cell.mean_logprob = Some(sum / logprobs.len() as f64).filter(|mean| mean.is_finite());
    if mode == SampleMode::Full {
        cell.text = Some(cut(&made.text, budget));
        cell.error.clone_from(&sample.error);
        let written = sample
            .verdicts
            .iter()
            .filter(|(_, verdict)| verdict.output.trim() != verdict.label.as_str());
        cell.judged = written
            .map(|(judge, verdict)| cut(&format!("{judge}: {}", verdict.output), budget))
            .collect();
    }
    cell
}

/// The beginning of a text, as far as the page has room for it.
fn cut(text: &str, budget: &mut usize) -> String {
    let room = TEXT.min(*budget);
    let length = text.chars().count();
    *budget -= room.min(length);
    if length <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room).collect();
    format!("{kept} … [{} more characters]", length - room)
}
