//! Divergence from a reference model: both read the same tokens, and their distributions are compared at each position.

use std::collections::HashMap;
use std::path::Path;

use driftgauge_data::prompt::Templates;
use driftgauge_engine::worker::{Answer, Answered, Ask};
use driftgauge_engine::{Continuation, DivergenceRequest, DivergenceResponse, Prompt};
use driftgauge_problem::Problem;
use driftgauge_record::{FinishReason, Sample, read_samples};
use serde::{Deserialize, Serialize};

use super::artifacts::{COMPLETIONS, DIVERGENCE, artifact_of};
use super::inference::{Failure, Inference, no_answer};
use super::prompts::prompted;
use super::score::{given, merged_note};
use crate::context::Context;
use crate::plan::Part;
use crate::resolved::ResolvedKl;

/// `KL(reference || model)` at each compared position, in nats.
const KL: &str = "kl";
/// 1 where both models find the same token the most likely.
const TOP1_AGREE: &str = "kl_top1_agree";
/// 1 when the last compared position is the token that ended the reference's answer.
const EOS: &str = "kl_eos";
/// 1 when both models answered the same tokens; of greedy answers only.
const EXACT_MATCH: &str = "kl_exact_match";

/// One line of a divergence artifact, one per sample.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DivergenceLine {
    sample_id: String,
    sample_index: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kl: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    top1_agree: Option<Vec<f64>>,
    #[serde(default)]
    ends_with_eos: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exact_match: Option<bool>,
    /// Why there is no divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl DivergenceLine {
    /// Id and index of the sample that it is of.
    pub(crate) fn sample(&self) -> (&str, u32) {
        (&self.sample_id, self.sample_index)
    }

    /// The numbers under a name, where there are some.
    pub(crate) fn value(&self, name: &str) -> Option<&[f64]> {
        let flag = |value| if value { &[1.0] } else { &[0.0] };
        let (kl, top1_agree) = (self.kl.as_ref()?, self.top1_agree.as_ref()?);
        match name {
            KL => Some(kl),
            TOP1_AGREE => Some(top1_agree),
            EOS => Some(flag(self.ends_with_eos)),
            EXACT_MATCH => Some(flag(self.exact_match?)),
            _ => None,
        }
    }

    /// Adds the numbers to the sample that they are of.
    pub(crate) fn fill(&self, sample: &mut Sample) {
        for name in [KL, TOP1_AGREE, EOS, EXACT_MATCH] {
            if let Some(values) = self.value(name) {
                sample.values.insert(name.to_owned(), values.to_vec());
            }
        }
    }
}

/// The divergences of one model from its reference under one condition.
pub(super) struct Divergences {
    items: Vec<Item>,
}

/// What is to be compared for one sample.
struct Item {
    sample_id: String,
    sample_index: u32,
    ends_with_eos: bool,
    exact_match: Option<bool>,
    /// The question to the two models, or why there is none.
    ask: Result<DivergenceRequest, Problem>,
}

impl Divergences {
    /// What the node compares, sample by sample.
    pub(super) fn new(context: &Context, node: usize) -> Result<Self, Problem> {
        Ok(Self {
            items: items(context, node)?,
        })
    }
}

impl Inference for Divergences {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn ask(&self, item: usize) -> Option<Ask> {
        let request = self.items.get(item)?.ask.clone().ok()?;
        Some(Ask::Diverge(request))
    }

    fn notes(&self, answers: &[Option<Answer>]) -> Vec<String> {
        let merged = self.items.iter().zip(answers).filter(|(_, answer)| {
            matches!(answer, Some(Ok(Answered::Divergences(response))) if response.merged)
        });
        let ids: Vec<&str> = merged.map(|(item, _)| item.sample_id.as_str()).collect();
        merged_note(&ids).into_iter().collect()
    }

    fn write(&self, answers: Vec<Option<Answer>>, folder: &Path) -> Result<Vec<Failure>, Problem> {
        let mut text = String::new();
        let mut failures = Vec::new();
        for (item, answer) in self.items.iter().zip(answers) {
            let outcome = match &item.ask {
                Err(error) => Err(error.clone()),
                Ok(_) => answer
                    .unwrap_or_else(no_answer)
                    .and_then(|answered| answered.divergences()),
            };
            if let Err(error) = &outcome {
                failures.push(Failure {
                    sample_id: item.sample_id.clone(),
                    error: error.clone(),
                });
            }
            let line = serde_json::to_string(&item.line(outcome))?;
            text.push_str(&line);
            text.push('\n');
        }
        let path = folder.join(DIVERGENCE);
        std::fs::write(&path, text)
            .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
        Ok(failures)
    }
}

impl Item {
    fn line(&self, outcome: Result<DivergenceResponse, Problem>) -> DivergenceLine {
        let (response, error) = match outcome {
            Ok(response) => (Some(response), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let agree = |flags: &Vec<bool>| flags.iter().map(|&x| f64::from(u8::from(x))).collect();
        DivergenceLine {
            sample_id: self.sample_id.clone(),
            sample_index: self.sample_index,
            top1_agree: response
                .as_ref()
                .map(|response| agree(&response.top1_agree)),
            kl: response.map(|response| response.kl),
            ends_with_eos: self.ends_with_eos,
            exact_match: self.exact_match,
            error,
        }
    }
}

fn items(context: &Context, node: usize) -> Result<Vec<Item>, Problem> {
    let Part::Divergence {
        evaluation,
        condition,
        ..
    } = &context.plan.nodes[node].part
    else {
        return Err("not a divergence node".into());
    };
    let resolved = &context.experiment.evaluations[evaluation];
    match resolved.kl.as_ref().ok_or("there is no `kl`")? {
        ResolvedKl {
            text: Some(template),
            ..
        } => on_text(context, evaluation, condition, template),
        _ => {
            let greedy = resolved.generate.sampling.temperature == 0.0;
            on_completions(context, node, greedy)
        }
    }
}

/// On a text of the row, after the prompt of the evaluation.
fn on_text(
    context: &Context,
    evaluation: &str,
    condition: &str,
    template: &str,
) -> Result<Vec<Item>, Problem> {
    prompted(context, evaluation, condition)?
        .into_iter()
        .map(|(row, sample)| {
            let text = Templates::default().fill(template, row, None)?;
            Ok(Item {
                sample_id: sample.sample_id,
                sample_index: sample.sample_index,
                ends_with_eos: false,
                exact_match: None,
                ask: Ok(DivergenceRequest {
                    prompt: given(sample.messages),
                    continuation: Continuation::Text(text),
                }),
            })
        })
        .collect()
}

/// On the reference's completions: inputs 2 and 3 of the node are those of the reference and of the model.
fn on_completions(context: &Context, node: usize, greedy: bool) -> Result<Vec<Item>, Problem> {
    let read = |input: usize| -> Result<Vec<Sample>, Problem> {
        let node = context.plan.nodes[node].inputs[input];
        let path = artifact_of(context, node)?.path(COMPLETIONS);
        Ok(read_samples(&path)?)
    };
    let mut model: HashMap<(String, u32), Sample> = read(3)?
        .into_iter()
        .map(|sample| ((sample.sample_id.clone(), sample.sample_index), sample))
        .collect();
    read(2)?
        .into_iter()
        .map(|reference| {
            let id = (reference.sample_id.clone(), reference.sample_index);
            let model = model.remove(&id).ok_or_else(|| {
                format!(
                    "the model has no completion of sample `{}`, which its reference answered",
                    id.0
                )
            })?;
            Ok(on_completion(reference, &model, greedy))
        })
        .collect()
}

fn on_completion(reference: Sample, model: &Sample, greedy: bool) -> Item {
    let failed = |sample: &Sample| sample.completion.finish_reason == FinishReason::Error;
    let both = !failed(&reference) && !failed(model);
    let theirs = reference.completion;
    let exact = theirs.completion_token_ids == model.completion.completion_token_ids;
    let ask = if !both {
        Err("there is no completion to compare".into())
    } else if theirs.completion_token_ids.is_empty() {
        Err("the reference's completion has no tokens".into())
    } else {
        Ok(DivergenceRequest {
            prompt: Prompt {
                tokens: Some(theirs.prompt_token_ids),
                ..Prompt::default()
            },
            continuation: Continuation::Tokens(theirs.completion_token_ids),
        })
    };
    Item {
        sample_id: reference.sample_id,
        sample_index: reference.sample_index,
        ends_with_eos: theirs.ends_with_eos,
        exact_match: (greedy && both).then_some(exact),
        ask,
    }
}
