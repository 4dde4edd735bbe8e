//! Completions made elsewhere, read as if they had been generated here.

use driftgauge_data::degenerate;
use driftgauge_data::prompt::Templates;
use driftgauge_data::recording::{Asked, ConditionRows, Recorded};
use driftgauge_problem::Problem;
use driftgauge_record::Sample;

use super::choices::of_spec;
use super::prompts::prompted;
use super::score::CHOICE_CORRECT;
use crate::context::Context;
use crate::resolved::ModelSource;

/// The samples of a recorded model under one condition.
pub(super) fn samples(
    context: &Context,
    evaluation: &str,
    condition: &str,
    model: &str,
) -> Result<Vec<Sample>, Problem> {
    let ModelSource::Recorded(recordings) = &context.experiment.models[model].source else {
        return Err(format!("model `{model}` is not recorded").into());
    };
    let recorded = Recorded::position(recordings, evaluation)
        .and_then(|position| recordings.get(position))
        .ok_or_else(|| {
            format!("no recording of model `{model}` serves evaluation `{evaluation}`")
        })?;
    let all = context.experiment.readings.rows(recorded)?;
    let resolved = &context.experiment.evaluations[evaluation];
    let strip = resolved.generate.strip_thinking;
    let asked = Asked {
        condition,
        judged: !resolved.judges.is_empty(),
        dataset_id: context.experiment.datasets[&resolved.dataset].id_column(),
    };
    let rows = ConditionRows::of(&all, recorded, asked)?;
    let templates = Templates::default();
    prompted(context, evaluation, condition)?
        .into_iter()
        .map(|(row, sample)| {
            let mut sample = rows.fill(sample)?;
            let spec = resolved.score.as_ref();
            let spec = spec.map(|score| of_spec(score, row, &templates));
            // Which choices are right, the spec says.
            if let Some(spec) = spec.transpose()?.flatten()
                && rows.has_choices(&sample.sample_id, sample.sample_index, &spec)?
            {
                sample.values.insert(CHOICE_CORRECT.to_owned(), spec.labels);
            }
            if strip {
                sample.completion.keep_thinking_apart(None);
                if sample.completion.thinking.is_some() {
                    sample.degenerate = degenerate::flags(&sample.completion);
                }
            }
            Ok(sample)
        })
        .collect()
}
