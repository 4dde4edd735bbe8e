//! Recorded completions that hold more than the model's answer: control tokens, reasoning, the prompt. They count as they stand.

use driftgauge_data::recording::{Asked, ConditionRows, Recorded};
use driftgauge_problem::Problem;
use driftgauge_record::{Sample, spells_special_token};
use driftgauge_spec::ExperimentSpec;

use super::odd_texts::is_whole_float;
use super::place;
use super::recordings::span_of;
use crate::nodes::prompts::prompted_of;
use crate::resolved::{ModelSource, ResolvedExperiment};

/// What a completion may hold beside an answer.
struct Kind {
    is: fn(&Sample) -> bool,
    code: &'static str,
    what: &'static str,
    help: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        is: |sample| spells_special_token(&sample.completion.text),
        code: "special-token",
        what: "hold a special token of a model, such as `<|im_end|>` or `</s>`",
        help: "it counts as text, and so does what stands behind it: decode completions up to the end token and without special tokens, or say that it is meant with `allow: [special-token]`",
    },
    Kind {
        is: |sample| sample.completion.thinking.is_some(),
        code: "odd-completion",
        what: "hold reasoning, which counts as part of the answer",
        help: "say `generate: {thinking: strip}` in the evaluation, unless reasoning is to be measured",
    },
    Kind {
        is: begins_with_prompt,
        code: "odd-completion",
        what: "begin with their own prompt, which counts as part of the answer",
        help: "record what the model added alone, as `return_full_text=False` gives it",
    },
    Kind {
        is: |sample| is_whole_float(&sample.completion.text),
        code: "odd-completion",
        what: "are whole numbers with `.0`, as pandas makes of a column with gaps",
        help: "write the column as text: an answer `5.0` is not the accepted answer `5`",
    },
];

/// A warning for each kind of which a recording has some, for each evaluation that it serves.
pub(super) fn told(spec: &ExperimentSpec, experiment: &ResolvedExperiment) -> Vec<Problem> {
    let mut out = Vec::new();
    for (id, evaluation) in &experiment.evaluations {
        for model in &evaluation.models {
            let Some(found) = found(experiment, id, model) else {
                continue;
            };
            let Some(span) = span_of(spec, model, found.position) else {
                continue;
            };
            for (kind, odd) in KINDS.iter().zip(&found.odd) {
                let Some(first) = &odd.first else {
                    continue;
                };
                let message = format!(
                    "{} of {} completions of model `{model}` in evaluation `{id}` {}, the first of them of sample `{first}`",
                    odd.count, found.completions, kind.what
                );
                let warning = Problem::new(kind.code, message).help(kind.help);
                out.push(warning.of_input().at(place(span)));
            }
        }
    }
    out
}

/// What was found in the completions of a recorded model.
#[derive(Default)]
struct Found {
    /// Which of its files serves the evaluation.
    position: usize,
    completions: usize,
    /// Of each of [`KINDS`].
    odd: [Odd; KINDS.len()],
}

#[derive(Default)]
struct Odd {
    count: usize,
    /// The first sample.
    first: Option<String>,
}

/// Looks through the completions of a recorded model as a metric reads them, under all conditions; `None` where something does not fit,
/// which others tell. Reasoning is set apart only where the evaluation does not do so.
fn found(experiment: &ResolvedExperiment, id: &str, model: &str) -> Option<Found> {
    let evaluation = &experiment.evaluations[id];
    let ModelSource::Recorded(recordings) = &experiment.models.get(model)?.source else {
        return None;
    };
    let position = Recorded::position(recordings, id)?;
    let recorded = recordings.get(position)?;
    let all = experiment.readings.rows(recorded).ok()?;
    let mut found = Found {
        position,
        ..Found::default()
    };
    for condition in evaluation.conditions.keys() {
        let asked = Asked {
            condition,
            judged: !evaluation.judges.is_empty(),
            dataset_id: experiment.datasets[&evaluation.dataset].id_column(),
        };
        let rows = ConditionRows::of(&all, recorded, asked).ok()?;
        for (_, sample) in prompted_of(experiment, id, condition).ok()? {
            let mut sample = rows.fill(sample).ok()?;
            let answer = sample.completion.text.clone();
            sample.completion.keep_thinking_apart(None);
            match evaluation.generate.strip_thinking {
                true => sample.completion.thinking = None,
                false => sample.completion.text = answer,
            }
            found.completions += 1;
            for (kind, odd) in KINDS.iter().zip(&mut found.odd) {
                if (kind.is)(&sample) {
                    odd.count += 1;
                    odd.first.get_or_insert_with(|| sample.sample_id.clone());
                }
            }
        }
    }
    Some(found)
}

/// Whether a completion begins with what the user said last. A single word may be the answer as well.
fn begins_with_prompt(sample: &Sample) -> bool {
    let asked = sample
        .messages
        .iter()
        .rev()
        .find(|turn| turn.role == "user");
    asked.is_some_and(|turn| {
        let asked = turn.content.trim();
        let words = asked.split_whitespace().count();
        words > 1 && sample.completion.text.trim_start().starts_with(asked)
    })
}

#[cfg(test)]
mod tests {
    use driftgauge_record::{Completion, FinishReason, Message};

    use super::*;

    #[test]
    fn a_prompt_that_is_repeated_is_found() {
        let begins = |asked: &str, text: &str| {
            let turn = Message {
                role: "user".to_owned(),
                content: asked.to_owned(),
            };
            let mut sample = Sample::unanswered("a".to_owned(), 0, vec![turn]);
            sample.completion = Completion::of_text(text.to_owned(), FinishReason::Stop);
            begins_with_prompt(&sample)
        };
        assert!(begins("yes or no?", " yes or no?\nno"));
        assert!(!begins("yes or no?", "no: yes or no?"));
        assert!(!begins("Hello", "Hello!"));
    }
}
