//! Recordings: what their columns hold, and whether they have what the evaluations want of them.

use std::collections::HashSet;

use driftgauge_data::PinnedFile;
use driftgauge_data::prompt::Templates;
use driftgauge_data::recording::{
    Asked, ConditionRows, Recorded, RecordedMapping, check, check_marks, check_rows, check_samples,
    select, unsaid,
};
use driftgauge_problem::Problem;
use driftgauge_spec::spec::{
    DatasetFormat, ModelSource as SpecSource, Recorded as RecordedSpec, RecordedFormat,
};
use driftgauge_spec::{ExperimentSpec, Span, Text};
use indexmap::IndexMap;

use super::Resolver;
use super::odd_texts::{ODD_COMPLETIONS, odd_completions};
use super::recorded_twice::answered_twice;
use crate::nodes::choices::of_spec;
use crate::resolved::{ModelSource, ResolvedDataset, ResolvedEvaluation, ResolvedModel};

impl Resolver<'_> {
    /// A recording with its file pinned and its columns looked at.
    pub(super) fn recorded(&mut self, recorded: &RecordedSpec) -> Option<Recorded> {
        let (format, path) = recorded.file()?;
        let file = match format {
            RecordedFormat::Rows(rows) => self.pin_rows(path, rows)?,
            _ => self.pin(path)?,
        };
        let columns = &recorded.columns;
        let name = |text: &Option<Text>| text.as_ref().map(|text| text.get().clone());
        let mut values: IndexMap<String, String> = columns
            .values
            .iter()
            .map(|(name, column)| (name.get().clone(), column.get().clone()))
            .collect();
        for (name, column) in [
            ("correct", &columns.correct),
            ("probability", &columns.probability),
            ("entropy", &columns.entropy),
            ("perplexity", &columns.perplexity),
        ] {
            if let Some(column) = column {
                values.insert(name.to_owned(), column.get().clone());
            }
        }
        let mapping = RecordedMapping {
            format,
            types: recorded
                .types
                .iter()
                .map(|(column, of)| (column.get().clone(), *of))
                .collect(),
            id: name(&columns.id),
            filter: recorded.filter.as_ref().map(|filter| filter.get().clone()),
            condition: name(&columns.condition),
            conditions: recorded
                .conditions
                .iter()
                .map(|(id, word)| (id.get().clone(), word.get().clone()))
                .collect(),
            sample: name(&columns.sample),
            completion: name(&columns.completion),
            finish_reason: name(&columns.finish_reason),
            error: name(&columns.error),
            token_logprob: name(&columns.token_logprob),
            ends_with_eos: name(&columns.ends_with_eos),
            verdicts: columns
                .verdicts
                .iter()
                .map(|(judge, column)| (judge.get().clone(), column.get().clone()))
                .collect(),
            values,
        };
        let resolved = Recorded {
            evaluations: recorded
                .evaluations
                .iter()
                .map(|id| id.get().clone())
                .collect(),
            file,
            mapping: mapping.clone(),
        };
        let checked = self.readings.rows(&resolved).and_then(|all| {
            let rows = select(&resolved.file.path, &mapping, &all)?;
            check(&resolved.file.path, &mapping, &rows)?;
            check_marks(&resolved.file.path, &mapping, &rows)?;
            Ok(odd_completions(&mapping, &rows))
        });
        match checked {
            Ok(Some(odd)) => self.warn("odd-completion", path.span(), odd, ODD_COMPLETIONS),
            Ok(None) => {}
            Err(error) => {
                self.bad_recording(path.span(), error);
                return None;
            }
        }
        Some(resolved)
    }

    /// The files behind a path with the digest of their bytes; a problem when there is none.
    fn pin_rows(&mut self, path: &Text, format: DatasetFormat) -> Option<PinnedFile> {
        let full = self.path(path);
        match self.digest_of_files(&full, format) {
            Ok(digest) => Some(PinnedFile { path: full, digest }),
            Err(error) => {
                self.missing(path, &full, &error);
                None
            }
        }
    }

    /// Reports every recording that lacks a sample of an evaluation, or has one twice, for any of the conditions, or more
    /// completions of a prompt than anybody asked about. Gives a note for each that has rows which serve no sample.
    pub(super) fn recorded_samples(
        &mut self,
        datasets: &IndexMap<String, ResolvedDataset>,
        models: &IndexMap<String, ResolvedModel>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) -> Vec<String> {
        let mut used: IndexMap<(&str, usize), HashSet<String>> = IndexMap::new();
        let mut served: IndexMap<(&str, usize), Vec<&str>> = IndexMap::new();
        for (id, evaluation) in evaluations {
            let Some(dataset) = datasets.get(&evaluation.dataset) else {
                continue;
            };
            let rows = dataset
                .rows
                .len()
                .min(evaluation.limit.unwrap_or(usize::MAX));
            for model in &evaluation.models {
                let Some(ModelSource::Recorded(recordings)) =
                    models.get(model).map(|model| &model.source)
                else {
                    continue;
                };
                let Some(position) = Recorded::position(recordings, id) else {
                    continue;
                };
                let recorded = &recordings[position];
                let by_count = dataset.id_column().is_none() && recorded.mapping.id.is_none();
                if by_count && !used.contains_key(&(model.as_str(), position)) {
                    self.by_count_alone(model, position, recorded, &evaluation.dataset);
                }
                if let Some(error) = one_for_all(recorded, evaluation) {
                    if let Some(span) = span_of(self.spec, model, position) {
                        self.bad_recording(span, error.while_doing(format!("evaluation `{id}`")));
                    }
                    continue;
                }
                let earlier = served.entry((model, position)).or_default();
                let twice = earlier.iter().find_map(|earlier| {
                    let earlier = (*earlier, &evaluations[*earlier]);
                    let data = datasets.get(&earlier.1.dataset)?;
                    let later = (id.as_str(), evaluation, dataset);
                    answered_twice(recorded, [(earlier.0, earlier.1, data), later])
                });
                earlier.push(id);
                if let (Some(problem), Some(span)) = (twice, span_of(self.spec, model, position)) {
                    self.bad_recording(span, problem);
                    continue;
                }
                let used = used.entry((model, position)).or_default();
                let checked = self.readings.rows(recorded).and_then(|all| {
                    evaluation.conditions.keys().try_for_each(|condition| {
                        let samples = dataset.rows[..rows].iter().flat_map(|row| {
                            let indices = 0..evaluation.generate.samples;
                            indices.map(|index| (row.id.as_str(), index))
                        });
                        let asked = Asked {
                            condition,
                            judged: !evaluation.judges.is_empty(),
                            dataset_id: dataset.id_column(),
                        };
                        check_rows(&all, recorded, asked, &dataset.rows[..rows])?;
                        let several = evaluation.generate.samples;
                        check_samples(&all, recorded, asked, several, samples, used)?;
                        let Some(score) = &evaluation.score else {
                            return Ok(());
                        };
                        let found = ConditionRows::of(&all, recorded, asked)?;
                        let templates = Templates::default();
                        dataset.rows[..rows].iter().try_for_each(|row| {
                            // Choices that cannot be read are reported where the spec says them.
                            let Ok(Some(spec)) = of_spec(score, row, &templates) else {
                                return Ok(());
                            };
                            (0..several).try_for_each(|index| {
                                found.has_choices(&row.id, index, &spec).map(|_| ())
                            })
                        })
                    })
                });
                let span = span_of(self.spec, model, position);
                if let (Err(error), Some(span)) = (checked, span) {
                    self.bad_recording(span, error.while_doing(format!("evaluation `{id}`")));
                }
            }
        }
        // With fewer rows on demand, some are left over on purpose.
        if self.options.limit.is_some() || !self.problems.is_empty() {
            return Vec::new();
        }
        used.into_iter()
            .filter_map(|((model, position), used)| {
                let ModelSource::Recorded(recordings) = &models.get(model)?.source else {
                    return None;
                };
                self.left_over(model, recordings.get(position)?, &used)
            })
            .collect()
    }

    /// Warns of samples that pair with the rows of a dataset by a count, and do not say what was asked.
    fn by_count_alone(&mut self, model: &str, position: usize, recorded: &Recorded, dataset: &str) {
        let mapping = &recorded.mapping;
        let unsaid = self.readings.rows(recorded).ok().and_then(|all| {
            let rows = select(&recorded.file.path, mapping, &all).ok()?;
            unsaid(mapping.format, &rows)
        });
        let (Some(field), Some(span)) = (unsaid, span_of(self.spec, model, position)) else {
            return;
        };
        self.warn(
            "counted",
            span,
            format!(
                "samples of model `{model}` pair with the rows of `{dataset}` by their count alone: not all of them say in `{field}` what was asked"
            ),
            "give the dataset the count as a column, and say `id: COLUMN`; or write the samples with what was asked",
        );
    }

    /// A note on rows of a recording that serve no sample of any evaluation.
    fn left_over(
        &self,
        model: &str,
        recorded: &Recorded,
        used: &HashSet<String>,
    ) -> Option<String> {
        let all = self.readings.rows(recorded).ok()?;
        let rows = select(&recorded.file.path, &recorded.mapping, &all).ok()?;
        let mut unused = rows.iter().filter(|row| !used.contains(&row.id));
        let first = unused.next()?;
        let name = recorded.file.path.file_name()?.to_string_lossy();
        Some(format!(
            "model `{model}`: left out, since no evaluation has a sample for them: {} of {} rows of `{name}`, the first of them row {}",
            unused.count() + 1,
            rows.len(),
            first.number()
        ))
    }

    fn bad_recording(&mut self, span: Span, error: impl Into<Problem>) {
        self.refuse("bad-recording", span, error);
    }
}

/// Why answers that were given once are no answers under several conditions: between them nothing could differ.
fn one_for_all(recorded: &Recorded, evaluation: &ResolvedEvaluation) -> Option<Problem> {
    let conditions = &evaluation.conditions;
    if conditions.len() < 2 || recorded.mapping.condition.is_some() {
        return None;
    }
    let names: Vec<String> = conditions.keys().map(|id| format!("`{id}`")).collect();
    let file = recorded.file.path.display();
    let said = format!(
        "`{file}` says of no row under which condition it was answered, and there are {}",
        names.join(", ")
    );
    Some(Problem::failed(said).help(
        "name the column that says so with `columns: {condition: ...}`; answers of one condition alone belong to an evaluation of its own",
    ))
}

/// Where the spec names the file of a model's recording.
pub(super) fn span_of(spec: &ExperimentSpec, model: &str, position: usize) -> Option<Span> {
    let (_, model) = spec.models.iter().find(|(id, _)| id.get() == model)?;
    match model.source()? {
        SpecSource::Recorded(recordings) => {
            Some(recordings.as_slice().get(position)?.file()?.1.span())
        }
        _ => None,
    }
}
