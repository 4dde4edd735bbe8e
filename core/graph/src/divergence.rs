//! Divergence from a reference model: both read the same tokens, and their distributions are compared at each position.

use std::path::Path;

use driftgauge_data::prompt::Templates;
use driftgauge_engine::worker::Ask;
use driftgauge_engine::{Continuation, DivergenceRequest, DivergenceResponse, Prompt};
use driftgauge_record::{FinishReason, Sample, read_samples};
use serde::{Deserialize, Serialize};

use crate::artifacts::{COMPLETIONS, artifact_of};
use crate::exec::{Answer, Context, evaluated_rows, prompts};
use crate::plan::Part;
use crate::resolved::ResolvedKl;
use crate::score::given;

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

/// What is to be compared for one sample.
struct Compared {
    sample_id: String,
    sample_index: u32,
    ends_with_eos: bool,
    exact_match: Option<bool>,
    /// The question to the two models, or why there is none.
    ask: Result<DivergenceRequest, String>,
}

/// What is asked of the two models, sample by sample; `None` where there is nothing to compare.
pub(crate) fn asks(context: &Context, node: usize) -> Result<Vec<Option<Ask>>, String> {
    Ok(compared(context, node)?
        .into_iter()
        .map(|compared| compared.ask.ok().map(Ask::Diverge))
        .collect())
}

/// Writes the divergences of a node's answers.
pub(crate) fn write(
    context: &Context,
    node: usize,
    answers: Vec<Answer>,
    path: &Path,
) -> Result<(), String> {
    let mut answers = answers.into_iter();
    let mut text = String::new();
    let mut failures = Vec::new();
    for compared in compared(context, node)? {
        let outcome = match compared.ask {
            Err(error) => Err(error),
            Ok(_) => answers
                .next()
                .unwrap_or_else(|| Err("no answer".to_owned()))
                .and_then(|answer| {
                    serde_json::from_value::<DivergenceResponse>(answer)
                        .map_err(|error| error.to_string())
                }),
        };
        let (response, error) = match outcome {
            Ok(response) => (Some(response), None),
            Err(error) => {
                failures.push(format!("sample `{}`: {error}", compared.sample_id));
                (None, Some(error))
            }
        };
        let agree = |flags: &Vec<bool>| flags.iter().map(|&x| f64::from(u8::from(x))).collect();
        let line = DivergenceLine {
            sample_id: compared.sample_id,
            sample_index: compared.sample_index,
            top1_agree: response
                .as_ref()
                .map(|response| agree(&response.top1_agree)),
            kl: response.map(|response| response.kl),
            ends_with_eos: compared.ends_with_eos,
            exact_match: compared.exact_match,
            error,
        };
        text.push_str(&serde_json::to_string(&line).map_err(|error| error.to_string())?);
        text.push('\n');
    }
    if let Some(first) = failures.first() {
        context.note(
            &context.plan.nodes[node].id,
            format!(
                "{} samples have no divergence; the first: {first}",
                failures.len()
            ),
        );
    }
    std::fs::write(path, text)
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

fn compared(context: &Context, node: usize) -> Result<Vec<Compared>, String> {
    let Part::Divergence {
        evaluation,
        condition,
        ..
    } = &context.plan.nodes[node].part
    else {
        return Err("not a divergence node".to_owned());
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
) -> Result<Vec<Compared>, String> {
    let rows = evaluated_rows(context, evaluation);
    let samples = prompts(context, evaluation, condition)?;
    // Samples of one row stand together.
    let per_row = samples.len() / rows.len().max(1);
    samples
        .into_iter()
        .zip(
            rows.iter()
                .flat_map(|row| std::iter::repeat_n(row, per_row)),
        )
        .map(|(sample, row)| {
            let text = Templates::default()
                .fill(template, row, None)
                .map_err(|error| error.to_string())?;
            Ok(Compared {
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
fn on_completions(context: &Context, node: usize, greedy: bool) -> Result<Vec<Compared>, String> {
    let read = |input: usize| {
        let node = context.plan.nodes[node].inputs[input];
        let path = artifact_of(context, node)?.path(COMPLETIONS);
        read_samples(&path).map_err(|error| error.to_string())
    };
    let (reference, model) = (read(2)?, read(3)?);
    Ok(reference
        .into_iter()
        .zip(model)
        .map(|(reference, model)| {
            let failed = |sample: &Sample| sample.completion.finish_reason == FinishReason::Error;
            let both = !failed(&reference) && !failed(&model);
            let theirs = reference.completion;
            let exact = theirs.completion_token_ids == model.completion.completion_token_ids;
            let ask = if !both {
                Err("there is no completion to compare".to_owned())
            } else if theirs.completion_token_ids.is_empty() {
                Err("the reference's completion has no tokens".to_owned())
            } else {
                Ok(DivergenceRequest {
                    prompt: Prompt {
                        tokens: Some(theirs.prompt_token_ids),
                        ..Prompt::default()
                    },
                    continuation: Continuation::Tokens(theirs.completion_token_ids),
                })
            };
            Compared {
                sample_id: reference.sample_id,
                sample_index: reference.sample_index,
                ends_with_eos: theirs.ends_with_eos,
                exact_match: (greedy && both).then_some(exact),
                ask,
            }
        })
        .collect())
}
