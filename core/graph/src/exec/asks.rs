//! What is asked in an inference node, item by item.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{Templates, plain_text};
use driftgauge_data::sample_seed;
use driftgauge_engine::GenerateRequest;
use driftgauge_engine::worker::Ask;
use driftgauge_record::Sample;

use super::Context;
use super::judging::judging;
use super::session::Task;
use crate::divergence;
use crate::plan::{Kind, Part};

/// What a node asks, item by item.
pub(super) fn task(context: &Context, node: usize) -> Result<Task, String> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.clone().ok_or("its source is not pinned")?;
    let asks = match (&planned.part, planned.kind) {
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            Kind::Generate,
        ) => generation_asks(context, evaluation, condition)?
            .into_iter()
            .map(Some)
            .collect(),
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            _,
        ) => crate::score::asks(context, evaluation, condition)?
            .into_iter()
            .map(Some)
            .collect(),
        (Part::Divergence { .. }, _) => divergence::asks(context, node)?,
        (Part::Verdicts { .. }, _) => judging(context, node)?
            .into_iter()
            .map(|(_, ask)| ask.ok())
            .collect(),
        _ => return Err("not an inference node".to_owned()),
    };
    Ok(Task::new(planned.id.clone(), key, asks))
}

/// Every prompt of a condition, row by row, as many times as samples are wanted.
fn generation_asks(
    context: &Context,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<Ask>, String> {
    let settings = &context.experiment.evaluations[evaluation].generate;
    let mut asks = Vec::new();
    for sample in prompts(context, evaluation, condition)? {
        let seed = sample_seed(
            settings.sampling.seed,
            &sample.sample_id,
            sample.sample_index,
        );
        let mut sampling = settings.sampling.clone();
        sampling.seed = seed;
        let text = plain_text(&sample.messages).map(str::to_owned);
        asks.push(Ask::Generate(GenerateRequest {
            messages: if text.is_some() {
                Vec::new()
            } else {
                sample.messages
            },
            text,
            max_tokens: settings.max_tokens,
            sampling,
            stop: settings.stop.clone(),
            watch_first_token: Vec::new(),
            top_logprobs: settings.top_logprobs,
            on_long_prompt: settings.on_long_prompt,
        }));
    }
    Ok(asks)
}

/// The samples of a condition before anything was generated: ids and conversations. Names of evaluation, condition and
/// model stay empty, since an artifact does not depend on them.
pub(crate) fn prompts(
    context: &Context,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<Sample>, String> {
    let rows = evaluated_rows(context, evaluation);
    let evaluation = &context.experiment.evaluations[evaluation];
    let turns = &evaluation.conditions[condition].turns;
    let stand_ins = driftgauge_data::dataset::derangement(rows.len(), evaluation.shuffle_seed);
    let templates = Templates::default();
    let mut samples = Vec::with_capacity(rows.len());
    for (row, &stand_in) in rows.iter().zip(&stand_ins) {
        let mut messages = templates
            .turns(turns, row, Some(&rows[stand_in]))
            .map_err(|error| error.to_string())?;
        // A row without a context has no system turn, rather than an empty one.
        messages.retain(|m| m.role != "system" || !m.content.trim().is_empty());
        for sample_index in 0..evaluation.generate.samples {
            samples.push(Sample::unanswered(
                row.id.clone(),
                sample_index,
                messages.clone(),
            ));
        }
    }
    Ok(samples)
}

/// The rows of the dataset that an evaluation asks.
pub(crate) fn evaluated_rows<'a>(context: &'a Context, evaluation: &str) -> &'a [Row] {
    let evaluation = &context.experiment.evaluations[evaluation];
    let rows = &context.experiment.datasets[&evaluation.dataset].rows;
    &rows[..evaluation.limit.unwrap_or(usize::MAX).min(rows.len())]
}
