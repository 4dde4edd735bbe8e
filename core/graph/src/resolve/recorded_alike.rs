//! Whether recorded answers that are held against each other were made and marked alike.

use driftgauge_data::recording::{Asked, ConditionRows, Recorded};
use driftgauge_problem::Problem;
use driftgauge_spec::ExperimentSpec;

use super::place;
use super::recordings::span_of;
use crate::resolved::{ModelSource, ResolvedExperiment};

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
