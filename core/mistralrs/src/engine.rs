//! The engine answers requests.

use driftgauge_problem::Problem;
use std::sync::Arc;

use driftgauge_engine::{EngineError, GenerateRequest, Generator, Loaded, LongPrompt};
use driftgauge_record::{Completion, FinishReason, thinking};

use crate::config::Reach;
use crate::folder::Prepared;
use crate::recorder::{Ending, Plan, Recorder, Recording};
use crate::runtime::{self, Refusal, Runtime};
use crate::text::Text;

/// A model loaded in mistral.rs.
pub struct MistralRsEngine {
    pub(crate) runtime: Runtime,
    pub(crate) text: Arc<Text>,
    pub(crate) end_tokens: Arc<[u32]>,
    pub(crate) ending: Ending,
    /// How far mistral.rs computes the model as transformers does.
    pub(crate) reach: Option<Reach>,
    pub(crate) loaded: Loaded,
    /// The links that the weights are mapped through, removed with the engine.
    pub(crate) folder: Option<Prepared>,
}

impl Generator for MistralRsEngine {
    fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn generate(&mut self, requests: &[GenerateRequest]) -> Vec<Result<Completion, EngineError>> {
        let mut answers = Vec::with_capacity(requests.len());
        for together in requests.chunks(self.loaded.max_in_flight.max(1)) {
            let sent: Vec<_> = together.iter().map(|r| self.send(r)).collect();
            answers.extend(sent.into_iter().map(|s| s?.receive(&self.text)));
        }
        answers
    }
}

impl MistralRsEngine {
    fn send(&mut self, request: &GenerateRequest) -> Result<InFlight, EngineError> {
        let refused = EngineError::Request;
        let (prompt, max_tokens) = self.prompt(request).map_err(refused)?;
        self.within_reach(prompt.len(), max_tokens)
            .map_err(|why| EngineError::Model(why.into()))?;
        let thinking = match request.strip_thinking {
            true => Some(Apart {
                opened: self.opened(request).map_err(refused)?,
            }),
            false => None,
        };
        let watch = self.watched(request).map_err(refused)?;
        let recorder = Arc::new(Recorder::new(
            Plan {
                prompt_len: prompt.len(),
                max_tokens,
                sampling: request.sampling.clone(),
                end_tokens: self.end_tokens.clone(),
                stop: request.stop.clone(),
                watch,
                top_logprobs: request.top_logprobs,
                ending: self.ending,
                keep_first: false,
            },
            self.text.clone(),
        ));
        let receiver = self
            .runtime
            .send(prompt.clone(), max_tokens, self.ending, recorder.clone())
            .map_err(|why| EngineError::Model(why.into()))?;
        Ok(InFlight {
            prompt,
            watch: request.watch_first_token.clone(),
            thinking,
            recorder,
            receiver,
        })
    }

    /// The tag that closes the reasoning in which the prompt ends.
    fn opened(&self, request: &GenerateRequest) -> Result<Option<&'static str>, Problem> {
        Ok(match &request.text {
            Some(text) => thinking::opened_by(text),
            None => thinking::opened_by(&self.text.render(&request.messages)?),
        })
    }

    /// The tokens of a prompt that fits, and how many may follow.
    fn prompt(&self, request: &GenerateRequest) -> Result<(Vec<u32>, usize), Problem> {
        if request.max_tokens == 0 {
            return Err("`max_tokens` is 0".into());
        }
        let mut tokens = match &request.text {
            Some(text) => self.text.encode_plain(text)?,
            None => self.text.encode(&self.text.render(&request.messages)?)?,
        };
        if tokens.is_empty() {
            return Err("the rendered prompt is empty".into());
        }
        let context = self.runtime.context;
        if tokens.len() >= context {
            match request.on_long_prompt {
                LongPrompt::Error | LongPrompt::Skip => {
                    return Err(Problem::failed(format!(
                        "the prompt has {} tokens and the model's context holds {context}",
                        tokens.len()
                    ))
                    .help(
                        "shorten it, or set \
                         `on_long_prompt: truncate`",
                    ));
                }
                LongPrompt::Truncate => {
                    let room = request.max_tokens.min(context / 2).max(1);
                    tokens.drain(..tokens.len() + room - context);
                }
            }
        }
        // mistral.rs 0.8.1 would run past the last position that the model has.
        let max_tokens = request.max_tokens.min(context - tokens.len());
        Ok((tokens, max_tokens))
    }

    /// Refuses what mistral.rs would compute otherwise than transformers: no sample of the model could be trusted.
    fn within_reach(&self, prompt: usize, max_tokens: usize) -> Result<(), Problem> {
        match &self.reach {
            Some(Reach { tokens, key }) if prompt + max_tokens > *tokens => Err(Problem::failed(format!("a prompt has {prompt} tokens and its answer up to {max_tokens}, which reaches beyond `{key}`; mistral.rs 0.8.1 does \
                 not compute sliding windows and scaled contexts there as transformers does")).help("shorten prompts or \
                 `max_tokens`, or serve the model with another engine and use an `endpoint` source")),
            _ => Ok(()),
        }
    }

    fn watched(&self, request: &GenerateRequest) -> Result<Vec<u32>, Problem> {
        let first = |s: &String| {
            let tokens = self.text.encode(s)?;
            tokens
                .first()
                .copied()
                .ok_or_else(|| Problem::failed(format!("`{s}` has no first token to watch")))
        };
        request.watch_first_token.iter().map(first).collect()
    }
}

/// Reasoning is to be kept apart.
#[derive(Clone, Copy)]
struct Apart {
    /// The tag that closes what the prompt began.
    opened: Option<&'static str>,
}

/// A request that mistral.rs works on.
struct InFlight {
    prompt: Vec<u32>,
    watch: Vec<String>,
    /// Where reasoning is kept apart from the answer.
    thinking: Option<Apart>,
    recorder: Arc<Recorder>,
    receiver: tokio::sync::mpsc::Receiver<mistralrs::Response>,
}

impl InFlight {
    fn receive(mut self, text: &Text) -> Result<Completion, EngineError> {
        let outcome = runtime::wait(&mut self.receiver);
        let recording = self.recorder.take();
        if let Some(failure) = recording.failure {
            return Err(failure);
        }
        match (outcome, recording.finish) {
            (Err(Refusal::Stopped(why)), _) => Err(EngineError::Model(why.into())),
            (Err(Refusal::Request(why)), None) => {
                Err(EngineError::Request(format!("mistral.rs: {why}").into()))
            }
            (Ok(()), None) => Err(EngineError::Model(
                "mistral.rs ended an answer before its end; this is a bug of driftgauge or mistral.rs".into(),
            )),
            (_, Some(finish)) => Ok(self.completion(recording, finish, text)),
        }
    }

    fn completion(self, recording: Recording, finish: FinishReason, text: &Text) -> Completion {
        let mut answer = text.decode(&recording.tokens);
        if let Some(cut) = recording.cut {
            answer.truncate(cut);
        }
        // Tags may be special tokens, which are no part of the text.
        let tagged = self.thinking.map(|Apart { opened }| match recording.cut {
            None => (text.decode_with_tags(&recording.tokens), opened),
            Some(_) => (answer.clone(), opened),
        });
        let mut completion = Completion {
            prompt_token_ids: self.prompt,
            completion_token_ids: recording.tokens,
            text: answer,
            finish_reason: finish,
            ends_with_eos: recording.ends_with_eos,
            token_logprob: recording.logprob,
            token_top1_logprob: recording.top1_logprob,
            token_margin: recording.margin,
            token_top10_entropy: recording.top10_entropy,
            token_top10_mass: recording.top10_mass,
            token_entropy: recording.entropy,
            token_top_logprobs: recording.top_logprobs,
            thinking: None,
            first_token_logprob: self.watch.into_iter().zip(recording.watched).collect(),
        };
        if let Some((tagged, opened)) = tagged
            && let (Some(thinking), answer) = thinking::apart(&tagged, opened)
        {
            completion.thinking = Some(thinking);
            completion.text = answer;
        }
        completion
    }
}
