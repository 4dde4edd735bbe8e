//! Answered examples before each prompt of an evaluation.

use driftgauge_data::dataset::{Row, shuffled};
use driftgauge_data::prompt::{TEXT_ROLE, Templates};
use driftgauge_problem::Problem;
use driftgauge_record::Message;

use super::choices::{right_choice, texts};
use crate::resolved::{ExampleAnswer, ResolvedEvaluation, ResolvedExamples, ResolvedExperiment};

/// What separates examples that are plain text, as in lm-eval.
const BETWEEN: &str = "\n\n";

/// The examples of an evaluation, one more than are shown where the asked row may be one of them.
pub(super) struct Shown {
    /// Id of the row, and its turns.
    examples: Vec<(String, Vec<Message>)>,
    count: usize,
    /// Whether the examples are rows of the dataset that is asked.
    own: bool,
}

impl Shown {
    /// Draws the examples and fills their turns.
    pub(super) fn new(
        experiment: &ResolvedExperiment,
        evaluation: &ResolvedEvaluation,
        examples: &ResolvedExamples,
    ) -> Result<Self, Problem> {
        let own = examples.dataset == evaluation.dataset;
        let rows = experiment.datasets[&examples.dataset].rows.clone();
        let needed = examples.count + usize::from(own);
        let drawn = shuffled(rows, examples.seed);
        let templates = Templates::default();
        let filled = drawn.iter().take(needed).map(|row| {
            let messages = example(&templates, examples, row)?;
            Ok((row.id.clone(), messages))
        });
        Ok(Self {
            examples: filled.collect::<Result<_, Problem>>()?,
            count: examples.count,
            own,
        })
    }

    /// The turns of a prompt with the examples before them, behind its instructions; of plain text, one text.
    pub(super) fn before(&self, messages: Vec<Message>, row: &Row) -> Vec<Message> {
        let others = self
            .examples
            .iter()
            .filter(|(id, _)| !(self.own && *id == row.id));
        let shown = others.take(self.count).flat_map(|(_, messages)| messages);
        if let [only] = messages.as_slice()
            && only.role == TEXT_ROLE
        {
            let mut text: String = shown.map(|message| message.content.as_str()).collect();
            text.push_str(&only.content);
            return vec![Message {
                role: TEXT_ROLE.to_owned(),
                content: text,
            }];
        }
        let instructions = messages.iter().take_while(|m| m.role == "system").count();
        let (before, after) = messages.split_at(instructions);
        before.iter().chain(shown).chain(after).cloned().collect()
    }
}

/// The turns of one example with its answer.
pub(crate) fn example(
    templates: &Templates,
    examples: &ResolvedExamples,
    row: &Row,
) -> Result<Vec<Message>, Problem> {
    let mut messages = templates.turns(&examples.turns, row, None)?;
    messages.retain(|m| m.role != "system" || !m.content.trim().is_empty());
    let Some(answer) = &examples.answer else {
        return Ok(messages);
    };
    let answer = match answer {
        ExampleAnswer::Reference(template) => {
            templates.references(template, row)?.into_iter().next()
        }
        ExampleAnswer::Choice(score) => {
            let right = right_choice(score, row, templates)?;
            texts(score, row, templates)?.into_iter().nth(right)
        }
    };
    let answer = answer.ok_or_else(|| {
        Problem::failed(format!("example `{}` has no accepted answer", row.id))
            .help("filter such rows out of the dataset of the examples")
    })?;
    match messages.as_mut_slice() {
        [only] if only.role == TEXT_ROLE => {
            let joined = only.content.ends_with(char::is_whitespace)
                || answer.starts_with(char::is_whitespace);
            if !joined {
                only.content.push(' ');
            }
            only.content.push_str(&answer);
            only.content.push_str(BETWEEN);
        }
        _ => messages.push(Message {
            role: "assistant".to_owned(),
            content: answer,
        }),
    }
    Ok(messages)
}
