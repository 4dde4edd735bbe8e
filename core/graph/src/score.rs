//! Scoring given text: multiple choice and perplexity, through the scorer rather than by generation.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{Templates, lone_expression, plain_text};
use driftgauge_engine::worker::Ask;
use driftgauge_engine::{Continuation, Prompt, ScoreRequest, ScoreResponse};
use driftgauge_record::{Completion, Message, Sample};
use minijinja::Value as TemplateValue;

use crate::exec::{Answer, Context, evaluated_rows, prompts};
use crate::resolved::ResolvedScore;

/// Log-likelihood of each choice, summed over its tokens.
pub(crate) const CHOICE_LOGLIK: &str = "choice_loglik";
/// 1 for each right choice, else 0.
pub(crate) const CHOICE_CORRECT: &str = "choice_correct";
/// Number of tokens of each choice.
pub(crate) const CHOICE_TOKENS: &str = "choice_tokens";
/// ln p of each token of a scored text.
pub(crate) const TEXT_LOGPROB: &str = "text_logprob";

/// What is asked of the scorer, one item per row.
pub(crate) fn asks(
    context: &Context,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<Ask>, String> {
    let resolved = &context.experiment.evaluations[evaluation];
    let score = resolved.score.as_ref().ok_or("nothing to score")?;
    let rows = evaluated_rows(context, evaluation);
    prompts(context, evaluation, condition)?
        .into_iter()
        .zip(rows)
        .map(|(sample, row)| {
            let continuations = match score {
                ResolvedScore::Choices { choices, .. } => list(choices, row)?,
                ResolvedScore::Perplexity { text } => vec![
                    Templates::default()
                        .fill(text, row, None)
                        .map_err(|error| error.to_string())?,
                ],
            };
            if continuations.is_empty() {
                return Err(format!("row `{}` has no choices", row.id));
            }
            Ok(Ask::Score(ScoreRequest {
                prompt: given(sample.messages),
                continuations: continuations.into_iter().map(Continuation::Text).collect(),
            }))
        })
        .collect()
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

/// The samples made of the scorer's answers: no completion, but values.
pub(crate) fn samples(
    context: &Context,
    evaluation: &str,
    condition: &str,
    answers: Vec<Answer>,
) -> Result<Vec<Sample>, String> {
    let resolved = &context.experiment.evaluations[evaluation];
    let score = resolved.score.as_ref().ok_or("nothing to score")?;
    let rows = evaluated_rows(context, evaluation);
    prompts(context, evaluation, condition)?
        .into_iter()
        .zip(rows)
        .zip(answers)
        .map(|((mut sample, row), answer)| {
            sample.completion = Completion::none();
            match answer.and_then(|value| {
                serde_json::from_value::<ScoreResponse>(value).map_err(|error| error.to_string())
            }) {
                Ok(response) => fill(&mut sample, score, row, &response)?,
                Err(error) => sample.error = Some(error),
            }
            Ok(sample)
        })
        .collect()
}

fn fill(
    sample: &mut Sample,
    score: &ResolvedScore,
    row: &Row,
    response: &ScoreResponse,
) -> Result<(), String> {
    let values = &mut sample.values;
    match score {
        ResolvedScore::Choices { correct, .. } => {
            let choices = response.token_logprob.len();
            let sums = response
                .token_logprob
                .iter()
                .map(|tokens| tokens.iter().sum());
            values.insert(CHOICE_LOGLIK.to_owned(), sums.collect());
            values.insert(CHOICE_CORRECT.to_owned(), labels(correct, row, choices)?);
            let lengths = response
                .token_logprob
                .iter()
                .map(|tokens| tokens.len() as f64);
            values.insert(CHOICE_TOKENS.to_owned(), lengths.collect());
        }
        ResolvedScore::Perplexity { .. } => {
            let first = response.token_logprob.first().cloned().unwrap_or_default();
            values.insert(TEXT_LOGPROB.to_owned(), first);
        }
    }
    Ok(())
}

fn evaluate(template: &str, row: &Row) -> Result<TemplateValue, String> {
    Templates::default()
        .evaluate(lone_expression(template).unwrap_or(template), row)
        .map_err(|error| error.to_string())
}

fn list(templates: &[String], row: &Row) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for template in templates {
        texts.extend(
            Templates::default()
                .texts(template, row)
                .map_err(|error| error.to_string())?,
        );
    }
    Ok(texts)
}

/// Which choices are right: an index, a list of indices, or a list of as many 0s and 1s as there are choices.
fn labels(expression: &str, row: &Row, choices: usize) -> Result<Vec<f64>, String> {
    let value = evaluate(expression, row)?;
    let wrong = || {
        format!(
            "`{expression}` names no right choice in row `{}`\nhint: it has to be the index of the right choice, or a list of {choices} zeros and ones",
            row.id
        )
    };
    let numbers: Vec<usize> = match value.as_usize() {
        Some(index) => vec![index],
        None => value
            .try_iter()
            .map_err(|_| wrong())?
            .map(|item| item.as_usize().ok_or_else(wrong))
            .collect::<Result<_, _>>()?,
    };
    let mut labels = vec![0.0; choices];
    if numbers.len() == choices && choices > 1 && numbers.iter().all(|&number| number <= 1) {
        for (label, number) in labels.iter_mut().zip(numbers) {
            *label = number as f64;
        }
    } else {
        for number in numbers {
            *labels.get_mut(number).ok_or_else(wrong)? = 1.0;
        }
    }
    if labels.iter().all(|&label| label == 0.0) {
        return Err(wrong());
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: serde_json::Value) -> Row {
        Row {
            id: "q1".into(),
            columns: [("answer".to_owned(), value)].into_iter().collect(),
        }
    }

    #[test]
    fn right_choices_are_an_index_or_a_mask() {
        assert_eq!(
            labels("answer", &row(json!(2)), 3).unwrap(),
            [0.0, 0.0, 1.0]
        );
        assert_eq!(
            labels("answer", &row(json!([1, 0, 1])), 3).unwrap(),
            [1.0, 0.0, 1.0]
        );
        assert_eq!(
            labels("answer", &row(json!([2])), 3).unwrap(),
            [0.0, 0.0, 1.0]
        );
        assert!(
            labels("answer", &row(json!(3)), 3)
                .unwrap_err()
                .contains("row `q1`")
        );
        assert!(labels("answer", &row(json!([0, 0])), 2).is_err());
    }

    #[test]
    fn choices_are_a_list() {
        let row = row(json!(["a", "b"]));
        assert_eq!(list(&["{{ answer }}".into()], &row).unwrap(), ["a", "b"]);
        assert_eq!(
            list(&["{{ answer[1] }}!".into(), "c".into()], &row).unwrap(),
            ["b!", "c"]
        );
    }
}
