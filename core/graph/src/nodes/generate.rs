//! Generate nodes: every prompt of a condition, as many times as completions are wanted.

use std::path::Path;

use driftgauge_data::degenerate;
use driftgauge_data::prompt::plain_text;
use driftgauge_data::sample_seed;
use driftgauge_engine::GenerateRequest;
use driftgauge_engine::worker::{Answer, Ask};
use driftgauge_problem::Problem;
use driftgauge_record::{Sample, write_samples};

use super::artifacts::COMPLETIONS;
use super::inference::{Failure, Inference, no_answer};
use super::prompts::prompts;
use crate::context::Context;
use crate::resolved::ResolvedGenerate;

/// The completions of one model under one condition.
pub(super) struct Generation {
    settings: ResolvedGenerate,
    prefill_tokens: Option<usize>,
    samples: Vec<Sample>,
}

impl Generation {
    /// The prompts, row by row.
    pub(super) fn new(
        context: &Context,
        evaluation: &str,
        condition: &str,
    ) -> Result<Self, Problem> {
        let asked = &context.experiment.evaluations[evaluation];
        Ok(Self {
            settings: asked.generate.clone(),
            prefill_tokens: asked.conditions[condition].prefill_tokens,
            samples: prompts(context, evaluation, condition)?,
        })
    }
}

impl Inference for Generation {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn ask(&self, item: usize) -> Option<Ask> {
        let sample = self.samples.get(item)?;
        let settings = &self.settings;
        let mut sampling = settings.sampling.clone();
        sampling.seed = sample_seed(sampling.seed, &sample.sample_id, sample.sample_index);
        let text = plain_text(&sample.messages).map(str::to_owned);
        Some(Ask::Generate(GenerateRequest {
            messages: match text {
                Some(_) => Vec::new(),
                None => sample.messages.clone(),
            },
            text,
            max_tokens: settings.max_tokens,
            sampling,
            stop: settings.stop.clone(),
            watch_first_token: Vec::new(),
            top_logprobs: settings.top_logprobs,
            on_long_prompt: settings.on_long_prompt,
            strip_thinking: settings.strip_thinking,
            prefill_tokens: self.prefill_tokens,
        }))
    }

    fn write(&self, answers: Vec<Option<Answer>>, folder: &Path) -> Result<Vec<Failure>, Problem> {
        let mut failures = Vec::new();
        let samples = self.samples.iter().zip(answers).map(|(sample, answer)| {
            let mut sample = sample.clone();
            match answer
                .unwrap_or_else(no_answer)
                .and_then(|answered| answered.completion())
            {
                Ok(mut completion) => {
                    completion.round_statistics();
                    // Judges and metrics see the whole answer; the last message keeps the part that was given.
                    if let (Some(given), Some(last)) =
                        (completion.prefill.take(), sample.messages.last_mut())
                    {
                        completion.text.insert_str(0, &given);
                        last.content = given;
                    }
                    sample.degenerate = degenerate::flags(&completion);
                    sample.completion = completion;
                }
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
