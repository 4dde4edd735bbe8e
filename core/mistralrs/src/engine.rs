//! The engine answers requests.

use driftgauge_problem::Problem;
use std::sync::Arc;

use driftgauge_engine::{EngineError, GenerateRequest, Generator, Loaded, LongPrompt, Reach};
use driftgauge_record::{Completion, FinishReason, answer_start, answer_start_within, thinking};

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
        let (prompt, max_tokens, prefill) = self.prompt(request).map_err(refused)?;
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
            prefill,
            recorder,
            receiver,
        })
    }

    /// The block of reasoning in which the prompt ends.
    fn opened(&self, request: &GenerateRequest) -> Result<Option<String>, Problem> {
        Ok(match &request.text {
            Some(text) => thinking::opened_by(text),
            None => thinking::opened_by(&self.text.render(&request.messages)?),
        })
    }

    /// The tokens of a prompt that fits, how many may follow, and what the answer is begun with.
    fn prompt(
        &self,
        request: &GenerateRequest,
    ) -> Result<(Vec<u32>, usize, Option<String>), Problem> {
        if request.max_tokens == 0 {
            return Err("`max_tokens` is 0".into());
        }
        let (mut tokens, prefill) = match &request.text {
            Some(text) => (self.text.encode_plain(text)?, None),
            None => {
                let limit = request.prefill_tokens;
                self.text.encode_conversation(&request.messages, limit)?
            }
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
        Ok((tokens, max_tokens, prefill))
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

    /// For each string the tokens that begin it, in all spellings; none of those that begin several of the strings.
    fn watched(&self, request: &GenerateRequest) -> Result<Vec<Vec<u32>>, Problem> {
        let sets: Vec<Vec<u32>> = request
            .watch_first_token
            .iter()
            .map(|word| self.first_tokens(word))
            .collect::<Result<_, _>>()?;
        let several = |id: &u32| sets.iter().filter(|set| set.contains(id)).count() > 1;
        let own = |set: &Vec<u32>| set.iter().copied().filter(|id| !several(id)).collect();
        Ok(sets.iter().map(own).collect())
    }

    /// The tokens with which a word begins: the first one of its plain spelling, and those of ` word`, `Word` and `WORD` that
    /// say the same letters.
    fn first_tokens(&self, word: &str) -> Result<Vec<u32>, Problem> {
        let spelt = |id: u32| self.text.decode(&[id]).trim().to_lowercase();
        let mut capital = word.to_owned();
        if let Some(first) = capital.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let plain = self.text.encode(word)?;
        let first = *plain
            .first()
            .ok_or_else(|| Problem::failed(format!("`{word}` has no first token to watch")))?;
        let letters = spelt(first);
        let mut tokens = vec![first];
        for spelling in [
            format!(" {word}"),
            capital.clone(),
            format!(" {capital}"),
            word.to_uppercase(),
            format!(" {}", word.to_uppercase()),
        ] {
            let begins = self.text.encode(&spelling)?.into_iter().next();
            tokens.extend(begins.filter(|&id| !letters.is_empty() && spelt(id) == letters));
        }
        tokens.sort_unstable();
        tokens.dedup();
        Ok(tokens)
    }
}

/// Reasoning is to be kept apart.
struct Apart {
    /// The block that the prompt began.
    opened: Option<String>,
}

/// A request that mistral.rs works on.
struct InFlight {
    prompt: Vec<u32>,
    watch: Vec<String>,
    /// Where reasoning is kept apart from the answer.
    thinking: Option<Apart>,
    /// What the answer was begun with.
    prefill: Option<String>,
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
        let watched = if self.watch.is_empty() {
            Vec::new()
        } else {
            let opened = self
                .thinking
                .as_ref()
                .is_some_and(|apart| apart.opened.is_some());
            answer_position(&recording.tokens, opened, text)
                .and_then(|position| recording.watched.into_iter().nth(position))
                .unwrap_or_default()
        };
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
            prefill: self.prefill,
            first_token_logprob: self
                .watch
                .into_iter()
                .zip(watched)
                .filter(|(_, ln_p)| *ln_p > f32::MIN)
                .collect(),
        };
        if let Some((tagged, opened)) = tagged
            && let (Some(thinking), answer) = thinking::apart(&tagged, opened.as_deref())
        {
            completion.thinking = Some(thinking);
            completion.text = answer;
        }
        completion
    }
}

/// The position of the token with which the answer proper begins; `opened` tells that the prompt ends inside of reasoning.
fn answer_position(tokens: &[u32], opened: bool, text: &Text) -> Option<usize> {
    let answer = text.decode_with_tags(tokens);
    let start = match opened {
        true => answer_start_within(&answer),
        false => answer_start(&answer),
    }?;
    // A character may take several tokens, and shows with its last.
    let ends = |position: usize| text.decode_with_tags(&tokens[..=position]).len() > start;
    (0..tokens.len()).find(|&position| ends(position))
}
