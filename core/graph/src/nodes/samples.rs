//! The samples of one model over one evaluation: completions, with what the dataset, the judges and the reference model say
//! beside them. Only what is asked for is read.

mod declared;
mod lines;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_judge::Judge;
use driftgauge_plugin_protocol::field::{Field, Integer, Text};
use driftgauge_plugin_protocol::rows::{BatchError, Batches, Lookup, Rows};
use driftgauge_problem::Problem;
use driftgauge_record::{Sample, SampleRows, TableRows, Verdict, cell, value};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::declared::Declared;
use self::lines::Lines;
use super::artifacts::{COMPLETIONS, DIVERGENCE, VERDICTS, artifact_of};
use super::divergence::DivergenceLine;
use crate::context::Context;
use crate::plan::Part;

/// No samples.
static NONE: SampleRows = SampleRows(Vec::new());

/// All samples of one model over one evaluation, condition after condition.
pub(crate) struct ModelSamples<'a> {
    /// Those after the current one.
    conditions: std::vec::IntoIter<ConditionSamples<'a>>,
    current: Option<ConditionSamples<'a>>,
}

impl<'a> ModelSamples<'a> {
    /// Finds what the nodes before left.
    ///
    /// # Errors
    /// When something is not there.
    pub(crate) fn new(
        context: &'a Context,
        evaluation: &'a str,
        model: &'a str,
    ) -> Result<Self, Problem> {
        let resolved = &context.experiment.evaluations[evaluation];
        let rows = &context.experiment.datasets[&resolved.dataset].rows;
        let dataset = Arc::new(Declared {
            evaluation: resolved,
            rows: rows.iter().map(|row| (row.id.as_str(), row)).collect(),
            templates: Templates::default(),
        });
        let conditions: Vec<_> = resolved
            .conditions
            .keys()
            .map(|condition| {
                ConditionSamples::new(context, evaluation, condition, model, dataset.clone())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            conditions: conditions.into_iter(),
            current: None,
        })
    }

    /// The samples one by one, with everything.
    pub(crate) fn whole(mut self) -> impl Iterator<Item = Result<Sample, String>> + 'a {
        let mut row = 0;
        std::iter::from_fn(move || {
            loop {
                if let Some(batch) = self.current.as_ref().filter(|batch| row < batch.len()) {
                    row += 1;
                    return Some(batch.sample(row - 1));
                }
                row = 0;
                match self.advance() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
        })
    }

    /// The samples at hand.
    pub(super) fn rows(&self) -> &dyn Rows {
        match &self.current {
            Some(current) => current,
            None => &NONE,
        }
    }

    /// One of the samples at hand, with everything.
    pub(super) fn sample(&self, row: usize) -> Result<Sample, String> {
        let current = self.current.as_ref().ok_or("no sample is at hand")?;
        current.sample(row)
    }

    /// Goes on to the next samples; says whether there are any.
    pub(super) fn advance(&mut self) -> Result<bool, String> {
        loop {
            if let Some(current) = &mut self.current
                && current.advance()?
            {
                return Ok(true);
            }
            self.current = self.conditions.next();
            if self.current.is_none() {
                return Ok(false);
            }
        }
    }
}

impl Batches for ModelSamples<'_> {
    fn prompts(&self) -> usize {
        // The other conditions have the same prompts.
        let first = self.conditions.as_slice().first();
        first.map_or(0, |condition| condition.completions.total())
    }

    fn next_batch(&mut self) -> Result<Option<&dyn Rows>, BatchError> {
        self.advance()?;
        Ok(self.current.as_ref().map(|batch| batch as &dyn Rows))
    }
}

/// The samples of one condition, a batch at a time.
struct ConditionSamples<'a> {
    evaluation: &'a str,
    condition: &'a str,
    model: &'a str,
    completions: TableRows,
    dataset: Arc<Declared<'a>>,
    /// The dataset's row of each sample of the batch.
    rows: OnceLock<Result<Vec<Option<&'a Row>>, String>>,
    judges: Vec<(&'a str, Lines<VerdictLine>)>,
    divergences: Option<Lines<DivergenceLine>>,
}

#[derive(Deserialize)]
struct VerdictLine {
    sample_id: String,
    sample_index: u32,
    verdict: Verdict,
}

/// A line of what is said of one sample.
trait OfSample {
    /// Id and index of the sample.
    fn sample(&self) -> (&str, u32);
}

impl OfSample for VerdictLine {
    fn sample(&self) -> (&str, u32) {
        (&self.sample_id, self.sample_index)
    }
}

impl OfSample for DivergenceLine {
    fn sample(&self) -> (&str, u32) {
        self.sample()
    }
}

impl<'a> ConditionSamples<'a> {
    fn new(
        context: &'a Context,
        evaluation: &'a str,
        condition: &'a str,
        model: &'a str,
        dataset: Arc<Declared<'a>>,
    ) -> Result<Self, Problem> {
        let artifact = |part: Part| {
            let node = context.plan.place_of(&part);
            let node = node.ok_or("the plan has no such node")?;
            artifact_of(context, node)
        };
        let (evaluation_id, condition_id) = (evaluation.to_owned(), condition.to_owned());
        let completions = artifact(Part::Completions {
            evaluation: evaluation_id.clone(),
            condition: condition_id.clone(),
            model: model.to_owned(),
        })?;
        let judges = dataset.evaluation.judges.keys().map(|judge| {
            let verdicts = artifact(Part::Verdicts {
                evaluation: evaluation_id.clone(),
                condition: condition_id.clone(),
                model: model.to_owned(),
                judge: judge.clone(),
            })?;
            let what = format!("verdicts of judge `{judge}`");
            Ok((judge.as_str(), Lines::open(&verdicts.path(VERDICTS), what)?))
        });
        let judges = judges.collect::<Result<_, Problem>>()?;
        let divergences = match &dataset.evaluation.kl {
            None => None,
            Some(_) => {
                let divergences = artifact(Part::Divergence {
                    evaluation: evaluation_id.clone(),
                    condition: condition_id.clone(),
                    model: model.to_owned(),
                })?;
                let path = divergences.path(DIVERGENCE);
                Some(Lines::open(&path, "divergences".to_owned())?)
            }
        };
        Ok(Self {
            evaluation,
            condition,
            model,
            completions: TableRows::open(&completions.path(COMPLETIONS))
                .map_err(|error| error.to_string())?,
            dataset,
            rows: OnceLock::new(),
            judges,
            divergences,
        })
    }

    fn advance(&mut self) -> Result<bool, String> {
        let any = self.completions.advance();
        let n = self.completions.len();
        self.rows = OnceLock::new();
        for (_, verdicts) in &mut self.judges {
            verdicts.advance(n)?;
        }
        if let Some(divergences) = &mut self.divergences {
            divergences.advance(n)?;
        }
        Ok(any)
    }

    /// A whole sample, everything beside the completion filled in.
    fn sample(&self, row: usize) -> Result<Sample, String> {
        let mut sample = self.completions.sample(row)?.clone();
        self.evaluation.clone_into(&mut sample.evaluation);
        self.condition.clone_into(&mut sample.condition);
        self.model.clone_into(&mut sample.model);
        if let Some(found) = self.row(row)? {
            if sample.references.is_empty() {
                sample.references = self.dataset.references(found)?;
            }
            if let Some(text) = self.dataset.wrong_answer(found)? {
                sample.wrong_answer = Some(text);
            }
            if let Some(category) = self.dataset.category(found) {
                sample.category = category.map(Cow::into_owned);
            }
            sample.row = found.columns.clone();
        }
        for (judge, verdicts) in &self.judges {
            let verdict = self.said(verdicts, row)?.verdict.clone();
            sample.verdicts.insert((*judge).to_owned(), verdict);
        }
        if let Some(divergences) = &self.divergences {
            self.said(divergences, row)?.fill(&mut sample);
        }
        Ok(sample)
    }

    /// The dataset's row of a sample.
    fn row(&self, row: usize) -> Result<Option<&'a Row>, String> {
        let find = || {
            let id = |row| match self.completions.text(row, Field::Text(Text::SampleId)) {
                Lookup::Present(id) => Ok(self.dataset.rows.get(&*id).copied()),
                Lookup::Failed(problem) => Err(problem),
                Lookup::Null | Lookup::OtherType => Ok(None),
            };
            (0..self.len()).map(id).collect()
        };
        let rows = self.rows.get_or_init(find);
        rows.as_ref().map(|rows| rows[row]).map_err(Clone::clone)
    }

    /// What is said of a sample. Lines stand in the order of the samples; that each is of its own is looked at all the same.
    fn said<'l, T: DeserializeOwned + OfSample>(
        &self,
        lines: &'l Lines<T>,
        row: usize,
    ) -> Result<&'l T, String> {
        let line = lines.get(row)?;
        let id = match self.completions.text(row, Field::Text(Text::SampleId)) {
            Lookup::Present(id) => id,
            Lookup::Failed(problem) => return Err(problem),
            Lookup::Null | Lookup::OtherType => Cow::Borrowed(""),
        };
        let index = match self
            .completions
            .integer(row, Field::Integer(Integer::SampleIndex))
        {
            Lookup::Present(index) => index,
            _ => 0,
        };
        let of = line.sample();
        if of.0 == id && i64::from(of.1) == index {
            return Ok(line);
        }
        Err(format!(
            "the {} are of other samples: `{}` stands where `{id}` should",
            lines.what, of.0
        ))
    }

    fn verdict(&self, row: usize, judge: &str) -> Result<Option<&Verdict>, String> {
        match self.judges.iter().find(|(id, _)| *id == judge) {
            Some((_, verdicts)) => Ok(Some(&self.said(verdicts, row)?.verdict)),
            None => Ok(self.completions.verdicts(row)?.get(judge)),
        }
    }

    /// Judges that are known, and those of the evaluation that are such.
    fn with_judges<'j>(
        &'j self,
        mut known: Vec<Cow<'j, str>>,
        such: impl Fn(&Judge) -> bool,
    ) -> Vec<Cow<'j, str>> {
        for &(id, _) in &self.judges {
            let judge = self.dataset.evaluation.judges.get(id);
            if judge.is_some_and(|judge| such(&judge.judge))
                && known.iter().all(|known| known != id)
            {
                known.push(Cow::Borrowed(id));
            }
        }
        known
    }

    fn divergence(&self, row: usize, name: &str) -> Result<Option<&[f64]>, String> {
        match &self.divergences {
            Some(divergences) => {
                let values = self.said(divergences, row)?.value(name);
                Ok(values.filter(|values| !values.is_empty()))
            }
            None => Ok(None),
        }
    }
}

/// Found, or not readable; where there is nothing, `other` looks elsewhere.
fn found_or<T>(found: Result<Option<T>, String>, other: impl FnOnce() -> Lookup<T>) -> Lookup<T> {
    match found {
        Ok(Some(found)) => Lookup::Present(found),
        Ok(None) => other(),
        Err(problem) => Lookup::Failed(problem),
    }
}

impl Rows for ConditionSamples<'_> {
    fn len(&self) -> usize {
        self.completions.len()
    }

    fn text(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, str>> {
        let other = || self.completions.text(row, field);
        match field {
            Field::Text(Text::Evaluation) => Lookup::Present(Cow::Borrowed(self.evaluation)),
            Field::Text(Text::Condition) => Lookup::Present(Cow::Borrowed(self.condition)),
            Field::Text(Text::Model) => Lookup::Present(Cow::Borrowed(self.model)),
            Field::Text(Text::Category) => match self.row(row) {
                Ok(found) => found
                    .and_then(|found| self.dataset.category(found))
                    .map_or_else(other, Lookup::from),
                Err(problem) => Lookup::Failed(problem),
            },
            Field::Text(Text::WrongAnswer) => {
                let declared = self.row(row).and_then(|found| {
                    found.map_or(Ok(None), |found| self.dataset.wrong_answer(found))
                });
                found_or(declared.map(|text| text.map(Cow::Owned)), other)
            }
            Field::Verdict(judge) => lookup(self.verdict(row, judge))
                .map(|verdict| Cow::Borrowed(verdict.label.as_str())),
            Field::JudgeOutput(judge) => lookup(self.verdict(row, judge))
                .map(|verdict| Cow::Borrowed(verdict.output.as_str())),
            Field::Row(column) => match self.row(row) {
                Ok(Some(found)) => cell(value::column(&found.columns, column)),
                Ok(None) => other(),
                Err(problem) => Lookup::Failed(problem),
            },
            _ => other(),
        }
    }

    fn number(&self, row: usize, field: Field<'_>) -> Lookup<f64> {
        let other = || self.completions.number(row, field);
        match field {
            Field::PUnsafe(judge) => lookup(self.verdict(row, judge).map(|v| v?.p_unsafe)),
            Field::Score(judge) => lookup(self.verdict(row, judge).map(|v| v?.score)),
            Field::Points(judge) => lookup(self.verdict(row, judge).map(|v| v?.points)),
            Field::Row(column) => match self.row(row) {
                Ok(Some(found)) => value::number(value::column(&found.columns, column)),
                Ok(None) => other(),
                Err(problem) => Lookup::Failed(problem),
            },
            Field::Value(name) => {
                let values = self.divergence(row, name);
                found_or(values.map(|values| values?.first().copied()), other)
            }
            _ => other(),
        }
    }

    fn integer(&self, row: usize, field: Field<'_>) -> Lookup<i64> {
        self.completions.integer(row, field)
    }

    fn floats(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f32]>> {
        let other = || self.completions.floats(row, field);
        let Field::Value(name) = field else {
            return other();
        };
        let values = self.divergence(row, name);
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        found_or(values.map(|values| values.map(single)), other)
    }

    fn doubles(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f64]>> {
        let other = || self.completions.doubles(row, field);
        let Field::Value(name) = field else {
            return other();
        };
        let values = self.divergence(row, name);
        found_or(values.map(|values| values.map(Cow::Borrowed)), other)
    }

    fn texts(&self, row: usize, field: Field<'_>) -> Lookup<Vec<Cow<'_, str>>> {
        let recorded = || self.completions.texts(row, field);
        match field {
            Field::References => match (recorded(), self.row(row)) {
                (Lookup::Present(texts), Ok(Some(found))) if texts.is_empty() => {
                    let declared = self.dataset.references(found);
                    lookup(declared.map(|texts| Some(texts.into_iter().map(Cow::Owned).collect())))
                }
                (_, Err(problem)) => Lookup::Failed(problem),
                (recorded, Ok(_)) => recorded,
            },
            Field::Judges => {
                recorded().map(|judges| self.with_judges(judges, |judge| !judge.only_scores()))
            }
            Field::Scorers => {
                recorded().map(|judges| self.with_judges(judges, Judge::gives_scores))
            }
            Field::Categories(judge) => lookup(self.verdict(row, judge)).map(|verdict| {
                let categories = verdict.categories.iter();
                categories
                    .map(|text| Cow::Borrowed(text.as_str()))
                    .collect()
            }),
            _ => recorded(),
        }
    }

    fn alike(&self, field: Field<'_>) -> Option<&[u32]> {
        let recorded = match field {
            Field::Text(Text::FinishReason | Text::Error)
            | Field::Integer(_)
            | Field::Tokens(_) => true,
            Field::Value(_) => self.divergences.is_none(),
            Field::Verdict(_)
            | Field::JudgeOutput(_)
            | Field::PUnsafe(_)
            | Field::Score(_)
            | Field::Points(_)
            | Field::Categories(_)
            | Field::Judges
            | Field::Scorers => self.judges.is_empty(),
            _ => false,
        };
        recorded.then(|| self.completions.alike(field)).flatten()
    }

    fn json(&self, row: usize) -> Result<String, String> {
        serde_json::to_string(&self.sample(row)?).map_err(|error| error.to_string())
    }
}

/// Found, found to be nothing, or not readable.
fn lookup<T>(found: Result<Option<T>, String>) -> Lookup<T> {
    found_or(found, || Lookup::Null)
}
