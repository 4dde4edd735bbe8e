//! What becomes of the answers: the artifact of an inference node.

use driftgauge_judge::degenerate;
use driftgauge_record::{Completion, Sample, write_samples};

use super::Context;
use super::asks::prompts;
use super::judging::judge_by_answers;
use super::session::{Answer, Answers};
use crate::artifacts::{COMPLETIONS, DIVERGENCE, VERDICTS, keep};
use crate::divergence;
use crate::plan::{Kind, Part};

/// Makes the artifact of an inference node from its answers.
pub(super) fn commit(context: &Context, node: usize, answers: Answers) -> Result<(), String> {
    let Answers {
        answers,
        unanswered,
    } = answers;
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    if unanswered > 0 {
        let first = answers.iter().find_map(|answer| answer.as_ref().err());
        let note = format!(
            "{unanswered} of {} requests got no answer; the next run asks again; the first: {}",
            answers.len(),
            first.map_or("", String::as_str)
        );
        context.note(&planned.id, note);
    }
    let scratch = context
        .store
        .scratch(key)
        .map_err(|error| error.to_string())?;
    match (&planned.part, planned.kind) {
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            Kind::Generate,
        ) => {
            let samples: Vec<Sample> = prompts(context, evaluation, condition)?
                .into_iter()
                .zip(answers)
                .map(|(sample, answer)| with_completion(sample, answer))
                .collect();
            if unanswered == 0 {
                note_failures(context, node, &samples);
            }
            write_samples(&scratch.join(COMPLETIONS), samples)
                .map_err(|error| error.to_string())?;
        }
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            _,
        ) => {
            let samples = crate::score::samples(context, evaluation, condition, answers)?;
            if unanswered == 0 {
                note_failures(context, node, &samples);
            }
            write_samples(&scratch.join(COMPLETIONS), samples)
                .map_err(|error| error.to_string())?;
        }
        (Part::Divergence { .. }, _) => {
            divergence::write(context, node, answers, &scratch.join(DIVERGENCE))?;
        }
        _ => judge_by_answers(context, node, answers, &scratch.join(VERDICTS))?,
    }
    keep(context, node, &scratch, unanswered)
}

/// Says which samples have no completion, and why the first has none.
fn note_failures(context: &Context, node: usize, samples: &[Sample]) {
    let mut failed = samples.iter().filter(|sample| sample.error.is_some());
    let Some(first) = failed.next() else { return };
    let others = failed.count();
    let error = first.error.as_deref().unwrap_or_default();
    let more = match others {
        0 => String::new(),
        _ => format!(" ({others} more failed)"),
    };
    context.note(
        &context.plan.nodes[node].id,
        format!("sample `{}`: {error}{more}", first.sample_id),
    );
}

fn with_completion(mut sample: Sample, answer: Answer) -> Sample {
    match answer.and_then(|value| {
        serde_json::from_value::<Completion>(value).map_err(|error| error.to_string())
    }) {
        Ok(mut completion) => {
            round_statistics(&mut completion);
            sample.degenerate = degenerate::flags(&completion);
            sample.completion = completion;
        }
        Err(error) => sample.error = Some(error),
    }
    sample
}

/// Keeps token statistics to six decimals: what follows is rounding, which another processor or a batch does otherwise.
pub(super) fn round_statistics(completion: &mut Completion) {
    let lists = [
        &mut completion.token_logprob,
        &mut completion.token_top1_logprob,
        &mut completion.token_margin,
        &mut completion.token_top10_entropy,
        &mut completion.token_top10_mass,
        &mut completion.token_entropy,
        &mut completion.token_top_logprobs,
    ];
    let round = |value: &mut f32| {
        // The nearest f32 of a decimal is again the same decimal when it is rounded once more.
        #[expect(clippy::cast_possible_truncation)]
        let rounded = ((f64::from(*value) * 1e6).round() / 1e6) as f32;
        *value = rounded;
    };
    lists.into_iter().flatten().for_each(round);
    completion.first_token_logprob.values_mut().for_each(round);
}
