//! The prompts of an evaluation: its rows under a condition, before anything is answered.

use driftgauge_data::dataset::{Row, derangement};
use driftgauge_data::prompt::Templates;
use driftgauge_problem::Problem;
use driftgauge_record::Sample;

use super::examples::Shown;
use crate::context::Context;
use crate::resolved::ResolvedExperiment;

/// The samples of a condition before anything was generated: ids and conversations. Names of evaluation, condition and
/// model stay empty, since an artifact does not depend on them.
pub(crate) fn prompts(
    context: &Context,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<Sample>, Problem> {
    let prompted = prompted(context, evaluation, condition)?;
    Ok(prompted.into_iter().map(|(_, sample)| sample).collect())
}

/// The same, each with the row that it was made of.
pub(crate) fn prompted<'a>(
    context: &'a Context,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<(&'a Row, Sample)>, Problem> {
    prompted_of(&context.experiment, evaluation, condition)
}

/// The same, before there is a plan.
pub(crate) fn prompted_of<'a>(
    experiment: &'a ResolvedExperiment,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<(&'a Row, Sample)>, Problem> {
    let rows = rows_of(experiment, evaluation);
    let evaluation = &experiment.evaluations[evaluation];
    let turns = &evaluation.conditions[condition].turns;
    let stand_ins = derangement(rows.len(), evaluation.shuffle_seed);
    let templates = Templates::default();
    let mut samples = Vec::with_capacity(rows.len());
    let examples = &evaluation.conditions[condition].examples;
    let examples = examples
        .as_ref()
        .map(|examples| Shown::new(experiment, evaluation, examples))
        .transpose()?;
    for (row, &stand_in) in rows.iter().zip(&stand_ins) {
        let mut messages = templates.turns(turns, row, Some(&rows[stand_in]))?;
        // A row without a context has no system turn, rather than an empty one.
        messages.retain(|m| m.role != "system" || !m.content.trim().is_empty());
        if let Some(examples) = &examples {
            messages = examples.before(messages, row);
        }
        for sample_index in 0..evaluation.generate.samples {
            let sample = Sample::unanswered(row.id.clone(), sample_index, messages.clone());
            samples.push((row, sample));
        }
    }
    Ok(samples)
}

/// The rows of the dataset that an evaluation asks.
pub(crate) fn evaluated_rows<'a>(context: &'a Context, evaluation: &str) -> &'a [Row] {
    rows_of(&context.experiment, evaluation)
}

fn rows_of<'a>(experiment: &'a ResolvedExperiment, evaluation: &str) -> &'a [Row] {
    let evaluation = &experiment.evaluations[evaluation];
    let rows = &experiment.datasets[&evaluation.dataset].rows;
    &rows[..evaluation.limit.unwrap_or(usize::MAX).min(rows.len())]
}
