//! The engine answers requests.

use std::sync::Arc;

use driftgauge_engine::{EngineError, GenerateRequest, Generator, Loaded, Reach};
use driftgauge_lm::answer::{Asked, Text};
use driftgauge_problem::Problem;
use driftgauge_record::Completion;

use crate::folder::Prepared;
use crate::recorder::{Ending, Recorder};
use crate::runtime::{self, Refusal, Runtime};

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
        let asked = Asked::new(request, &self.text, &self.end_tokens, self.runtime.context);
        let asked = asked.map_err(EngineError::Request)?;
        self.within_reach(asked.prompt.len(), asked.plan.max_tokens)
            .map_err(EngineError::Model)?;
        let recorder = Arc::new(Recorder::new(
            asked.plan.clone(),
            asked.prompt.len(),
            self.ending,
            self.text.clone(),
        ));
        let receiver = self
            .runtime
            .send(
                asked.prompt.clone(),
                asked.plan.max_tokens,
                self.ending,
                recorder.clone(),
            )
            .map_err(EngineError::Model)?;
        Ok(InFlight {
            asked,
            recorder,
            receiver,
        })
    }

    /// Refuses what mistral.rs would compute otherwise than transformers: no sample of the model could be trusted.
    fn within_reach(&self, prompt: usize, max_tokens: usize) -> Result<(), Problem> {
        match &self.reach {
            Some(Reach { tokens, key }) if prompt + max_tokens > *tokens => Err(Problem::failed(format!(
                "a prompt has {prompt} tokens and its answer up to {max_tokens}, which reaches beyond `{key}`; mistral.rs 0.8.1 does \
                 not compute sliding windows and scaled contexts there as transformers does"
            ))
            .help(
                "shorten prompts or `max_tokens`, or serve the model with another engine and use an `endpoint` source",
            )),
            _ => Ok(()),
        }
    }
}

/// A request that mistral.rs works on.
struct InFlight {
    asked: Asked,
    recorder: Arc<Recorder>,
    receiver: tokio::sync::mpsc::Receiver<mistralrs::Response>,
}

impl InFlight {
    fn receive(mut self, text: &Text) -> Result<Completion, EngineError> {
        let outcome = runtime::wait(&mut self.receiver);
        let recorded = self.recorder.take();
        if let Some(failure) = recorded.failure {
            return Err(failure);
        }
        match (outcome, recorded.answer.finish) {
            (Err(Refusal::Stopped(why)), _) => Err(EngineError::Model(why.into())),
            (Err(Refusal::Request(why)), None) => {
                Err(EngineError::Request(format!("mistral.rs: {why}").into()))
            }
            (Ok(()), None) => Err(EngineError::Model(
                "mistral.rs ended an answer before its end; this is a bug of driftgauge or mistral.rs".into(),
            )),
            (_, Some(finish)) => Ok(self.asked.completion(recorded.answer, finish, text)),
        }
    }
}
