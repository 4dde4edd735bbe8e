//! mistral.rs as a witness: it answers probes that another engine is held against.

use driftgauge_engine::{LoadModel, ProbeAnswer, Probes, Testimony};
use driftgauge_lm::answer::Text;
use driftgauge_problem::{Context as _, Problem};
use std::sync::Arc;

use crate::ENGINE;
use crate::runtime::{Runtime, Source};
use crate::selfcheck::batching;
use crate::{device, folder};

/// Loads the folder of a model and answers probes, one after the other. A process should load one model.
///
/// # Errors
/// When mistral.rs should compute the model and cannot, or gives no answer.
pub fn testify(model: &LoadModel, probes: &Probes) -> Result<Testimony, Problem> {
    let prepared = match folder::prepare(&model.folder) {
        Ok(prepared) => prepared,
        Err(why) => return Ok(Testimony::NotComputed(why.message)),
    };
    if let Some(why) = prepared.gpu_alone {
        return Ok(Testimony::NotComputed(why.message));
    }
    if driftgauge_lm::built_for_gpu() {
        let why = format!("{ENGINE} computes on GPUs alone in a build for them");
        return Ok(Testimony::NotComputed(why));
    }
    let device = device::device("cpu")?;
    let (dtype, _) = device::dtype("f32", &device)?;
    let text = Arc::new(Text::of_model(
        &model.folder,
        model.chat_template.as_deref(),
    )?);
    let mut runtime = Runtime::start(&Source::Folder(prepared.path()), dtype, &device, None)
        .with_context(|| format!("mistral.rs cannot load `{}`", model.folder.display()))
        .map_err(|why| {
            why.help("`engine: native` is held against an independent forward pass instead")
        })?;
    let reach = prepared
        .reach
        .as_ref()
        .map_or(usize::MAX, |reach| reach.tokens);
    let mut answers = Vec::new();
    for prompt in &probes.prompts {
        answers.push(match prompt.len() + probes.steps <= reach {
            true => Some(answer(&mut runtime, &text, prompt, probes.steps)?),
            false => None,
        });
    }
    let beyond = prepared.reach.filter(|_| answers.contains(&None));
    Ok(Testimony::Answers {
        answers,
        beyond: beyond.map(|reach| {
            format!(
                "{ENGINE} does not compute what is beyond `{}` as transformers does",
                reach.key
            )
        }),
    })
}

fn answer(
    runtime: &mut Runtime,
    text: &Arc<Text>,
    prompt: &[u32],
    steps: usize,
) -> Result<ProbeAnswer, Problem> {
    let (recorder, mut receiver) = batching::send(runtime, text, prompt, steps)?;
    let finished = batching::finished(&mut receiver);
    let recorded = recorder.take();
    if let Some(failure) = recorded.failure {
        return Err(failure.problem());
    }
    finished?;
    let tokens = recorded.answer.tokens.iter().copied();
    let ln_p = recorded.answer.logprob.iter().copied().map(f64::from);
    Ok(tokens.zip(ln_p).collect())
}
