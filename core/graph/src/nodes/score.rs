//! Score nodes: given text instead of generation, multiple choice and perplexity.

use std::path::Path;

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{Templates, plain_text};
use driftgauge_engine::worker::{Answer, Answered, Ask};
use driftgauge_engine::{Continuation, Prompt, ScoreRequest, ScoreResponse};
use driftgauge_problem::Problem;
use driftgauge_record::{Completion, Message, Sample, write_samples};

use super::artifacts::COMPLETIONS;
use super::choices::{labels, texts};
use super::inference::{Failure, Inference, no_answer};
use super::prompts::prompted;
use crate::context::Context;
use crate::resolved::ResolvedScore;

/// Log-likelihood of each choice, summed over its tokens.
pub(crate) const CHOICE_LOGLIK: &str = "choice_loglik";
/// 1 for each right choice, else 0.
pub(crate) const CHOICE_CORRECT: &str = "choice_correct";
/// Number of tokens of each choice.
pub(crate) const CHOICE_TOKENS: &str = "choice_tokens";
/// Number of characters of each choice, without the white space before it: that parts it from the prompt.
pub(crate) const CHOICE_CHARACTERS: &str = "choice_characters";
/// ln p of each token of a scored text.
pub(crate) const TEXT_LOGPROB: &str = "text_logprob";

/// The scores of one model under one condition.
pub(super) struct Scoring {
    items: Vec<Item>,
}

/// A sample with what is scored behind its prompt.
struct Item {
    sample: Sample,
    continuations: Vec<String>,
    /// Which choices are right; `None` for a perplexity.
    labels: Option<Vec<f64>>,
}

impl Scoring {
    /// The prompts with their choices or texts, each from its own row.
    pub(super) fn new(
        context: &Context,
        evaluation: &str,
        condition: &str,
    ) -> Result<Self, Problem> {
        let resolved = &context.experiment.evaluations[evaluation];
        let score = resolved.score.as_ref().ok_or("nothing to score")?;
        let templates = Templates::default();
        let items = prompted(context, evaluation, condition)?
            .into_iter()
            .map(|(row, sample)| item(score, row, sample, &templates))
            .collect::<Result<_, _>>()?;
        Ok(Self { items })
    }
}

fn item(
    score: &ResolvedScore,
    row: &Row,
    sample: Sample,
    templates: &Templates,
) -> Result<Item, Problem> {
    let continuations = texts(score, row, templates)?;
    let labels = match score {
        ResolvedScore::Choices { correct, .. } => {
            Some(labels(correct, row, continuations.len(), templates)?)
        }
        ResolvedScore::Perplexity { .. } => None,
    };
    Ok(Item {
        sample,
        continuations,
        labels,
    })
}

impl Inference for Scoring {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn ask(&self, item: usize) -> Option<Ask> {
        let item = self.items.get(item)?;
        Some(Ask::Score(ScoreRequest {
            prompt: given(item.sample.messages.clone()),
            continuations: item
                .continuations
                .iter()
                .cloned()
                .map(Continuation::Text)
                .collect(),
            choices: item.labels.is_some(),
        }))
    }

    fn notes(&self, answers: &[Option<Answer>]) -> Vec<String> {
        let merged = self.items.iter().zip(answers).filter(|(_, answer)| {
            matches!(answer, Some(Ok(Answered::Scores(response))) if response.merged.contains(&true))
        });
        let ids: Vec<&str> = merged
            .map(|(item, _)| item.sample.sample_id.as_str())
            .collect();
        merged_note(&ids).into_iter().collect()
    }

    fn write(&self, answers: Vec<Option<Answer>>, folder: &Path) -> Result<Vec<Failure>, Problem> {
        let mut failures = Vec::new();
        let samples = self.items.iter().zip(answers).map(|(item, answer)| {
            let mut sample = item.sample.clone();
            sample.completion = Completion::none();
            match answer
                .unwrap_or_else(no_answer)
                .and_then(|answered| answered.scores())
            {
                Ok(response) => fill(&mut sample, item, &response),
                Err(error) => {
                    failures.push(Failure::of(&sample, &error));
                    sample.error = Some(error.to_string());
                }
            }
            sample
        });
        write_samples(&folder.join(COMPLETIONS), samples)?;
        Ok(failures)
    }
}

/// Says in which samples the tokenizer merges the end of the prompt with the beginning of what is scored.
pub(super) fn merged_note(samples: &[&str]) -> Option<String> {
    let first = samples.first()?;
    Some(format!(
        "in {} samples, sample `{first}` the first, the tokenizer makes one token of the end of the prompt and the beginning of what \
         follows; it is cut behind the prompt's own tokens, as lm-eval does. A space between the two avoids it",
        samples.len()
    ))
}

fn fill(sample: &mut Sample, item: &Item, response: &ScoreResponse) {
    let values = &mut sample.values;
    match &item.labels {
        Some(labels) => {
            let sums = response
                .token_logprob
                .iter()
                .map(|tokens| tokens.iter().sum());
            values.insert(CHOICE_LOGLIK.to_owned(), sums.collect());
            values.insert(CHOICE_CORRECT.to_owned(), labels.clone());
            let lengths = response
                .token_logprob
                .iter()
                .map(|tokens| tokens.len() as f64);
            values.insert(CHOICE_TOKENS.to_owned(), lengths.collect());
            let texts = item.continuations.iter();
            let characters = texts.map(|text| text.trim_start().chars().count() as f64);
            values.insert(CHOICE_CHARACTERS.to_owned(), characters.collect());
        }
        None => {
            let first = response.token_logprob.first().cloned().unwrap_or_default();
            values.insert(TEXT_LOGPROB.to_owned(), first);
        }
    }
}

/// A prompt as a scorer takes it: plain text, a conversation, or nothing.
pub(crate) fn given(messages: Vec<Message>) -> Prompt {
    match plain_text(&messages) {
        Some(text) => Prompt {
            text: text.to_owned(),
            ..Prompt::default()
        },
        None => Prompt {
            messages: (!messages.is_empty()).then_some(messages),
            ..Prompt::default()
        },
    }
}
