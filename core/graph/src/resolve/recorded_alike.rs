//! Whether recorded answers that are held against each other were made and marked alike, and whether one answer stands for two.

use std::collections::HashMap;

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{Templates, TurnTemplate};
use driftgauge_data::recording::{Asked, ConditionRows, Recorded};
use driftgauge_problem::Problem;
use driftgauge_spec::ExperimentSpec;

use super::place;
use super::recordings::span_of;
use crate::resolved::{
    ModelSource, ResolvedCondition, ResolvedDataset, ResolvedEvaluation, ResolvedExperiment,
};

/// What recordings of models of one evaluation do not share, model by model, held against the first one of the same evaluation.
pub(super) fn told(spec: &ExperimentSpec, experiment: &ResolvedExperiment) -> Vec<Problem> {
    let mut out = Vec::new();
    for (id, evaluation) in &experiment.evaluations {
        let mut recorded = evaluation.models.iter().filter_map(|model| {
            let (position, recorded) = recording_of(experiment, id, model)?;
            Some((model, position, recorded))
        });
        let Some((first, _, ours)) = recorded.next() else {
            continue;
        };
        for (model, position, theirs) in recorded {
            let differences = differences(experiment, id, [ours, theirs]).unwrap_or_default();
            let Some(span) = span_of(spec, model, position) else {
                continue;
            };
            if differences.is_empty() {
                continue;
            }
            let message = format!(
                "evaluation `{id}`: model `{model}` was recorded in another way than `{first}`: {}",
                differences.join("; ")
            );
            let warning = Problem::new("recorded-otherwise", message).help(
                "a difference between the two is partly one of how they were made or marked: record both alike, give the evaluation judges or rules \
                 that mark both anew, or say that it is meant with `allow: [recorded-otherwise]`",
            );
            out.push(warning.of_input().at(place(span)));
        }
    }
    out
}

/// The recording that serves an evaluation, and its place among those of the model.
fn recording_of<'e>(
    experiment: &'e ResolvedExperiment,
    evaluation: &str,
    model: &str,
) -> Option<(usize, &'e Recorded)> {
    let ModelSource::Recorded(recordings) = &experiment.models.get(model)?.source else {
        return None;
    };
    let position = Recorded::position(recordings, evaluation)?;
    Some((position, recordings.get(position)?))
}

/// What two recordings of one evaluation do not share, in words; `None` where one cannot be read, which others tell.
fn differences(
    experiment: &ResolvedExperiment,
    id: &str,
    [ours, theirs]: [&Recorded; 2],
) -> Option<Vec<String>> {
    let evaluation = &experiment.evaluations[id];
    let judged = !evaluation.judges.is_empty();
    let readings = &experiment.readings;
    let settings = [ours, theirs].map(|recorded| readings.settings(recorded, judged).ok());
    let [Some(one), Some(other)] = &settings else {
        return None;
    };
    let other_tool = ours.mapping.format.name() != theirs.mapping.format.name();
    let settings = one.differences(other, other_tool).into_iter();
    let mut out: Vec<String> = settings
        .map(|found| {
            let [ours, theirs] = found.sides;
            format!("`{}` is {theirs} here and {ours} there", found.setting)
        })
        .collect();
    let (ours_read, theirs_read) = (readings.rows(ours).ok()?, readings.rows(theirs).ok()?);
    for condition in evaluation.conditions.keys() {
        let asked = Asked {
            condition,
            judged,
            dataset_id: experiment.datasets[&evaluation.dataset].id_column(),
        };
        let ours = ConditionRows::of(&ours_read, ours, asked).ok()?;
        let theirs = ConditionRows::of(&theirs_read, theirs, asked).ok()?;
        let asked = theirs.asked_otherwise(&ours).into_iter();
        out.extend(asked.map(|(field, count, both)| {
            format!("`{field}` differs in {count} of {both} samples under condition `{condition}`")
        }));
    }
    Some(out)
}

/// Why an answer would stand for two: an earlier evaluation reads the same rows of a recording and puts other prompts, or has
/// answers made in another way.
pub(super) fn answered_twice(
    recorded: &Recorded,
    [
        (earlier_id, earlier, earlier_data),
        (later_id, later, later_data),
    ]: [(&str, &ResolvedEvaluation, &ResolvedDataset); 2],
) -> Option<Problem> {
    let mapping = &recorded.mapping;
    let word = |id: &String| mapping.conditions.get(id).unwrap_or(id).clone();
    let made_alike = earlier.generate.sampling == later.generate.sampling;
    let shared = shared([(earlier_data, earlier), (later_data, later)]);
    if shared.is_empty() {
        return None;
    }
    let what = earlier.conditions.iter().find_map(|(id, condition)| {
        let mut others = later
            .conditions
            .iter()
            .filter(|(other, _)| mapping.condition.is_none() || word(id) == word(other));
        others.find_map(|(_, other)| {
            if condition.examples != other.examples || !same_prompts([condition, other], &shared) {
                Some("prompts")
            } else {
                (!made_alike).then_some("settings of `generate`")
            }
        })
    })?;
    Some(
        Problem::failed(format!(
            "rows of `{}` would be the answers of the evaluations `{earlier_id}` and `{later_id}`, whose {what} differ: an answer was given to one of them",
            recorded.file.path.display()
        ))
        .help("give each evaluation a recording of its own (`evaluations: [...]`), of its own file or with a `filter` of its own"),
    )
}

/// The rows that both evaluations ask about, of the earlier and of the later one.
fn shared<'d>(
    [(ours, earlier), (theirs, later)]: [(&'d ResolvedDataset, &ResolvedEvaluation); 2],
) -> Vec<[&'d Row; 2]> {
    let rows = |data: &'d ResolvedDataset, evaluation: &ResolvedEvaluation| {
        data.rows
            .iter()
            .take(evaluation.limit.unwrap_or(usize::MAX))
    };
    let known: HashMap<&str, &Row> = rows(ours, earlier).map(|row| (&*row.id, row)).collect();
    let both = rows(theirs, later).filter_map(|row| Some([*known.get(&*row.id)?, row]));
    both.collect()
}

/// Whether two conditions ask the same of every row, whatever their templates are.
fn same_prompts(conditions: [&ResolvedCondition; 2], rows: &[[&Row; 2]]) -> bool {
    let [ours, theirs] = conditions;
    // Which row stands in is no matter of one row.
    let is_shuffled =
        |turns: &[TurnTemplate]| turns.iter().any(|turn| turn.template.contains("shuffled"));
    if ours.turns == theirs.turns || is_shuffled(&ours.turns) || is_shuffled(&theirs.turns) {
        return ours.turns == theirs.turns;
    }
    let templates = Templates::default();
    let filled = |turns: &[TurnTemplate], row: &Row| templates.turns(turns, row, None).ok();
    rows.iter().all(|[one, other]| {
        let asked = filled(&ours.turns, one);
        // What cannot be filled is told elsewhere.
        asked.is_none() || asked == filled(&theirs.turns, other)
    })
}
