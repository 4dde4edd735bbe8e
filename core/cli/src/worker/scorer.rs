//! Scoring given text with the decoder of `driftgauge-lm`.

use anyhow::{Result, bail};
use driftgauge_graph::engine::{
    Continuation, EngineError, LoadModel, Loaded, ScoreRequest, ScoreResponse, TextScorer,
};
use driftgauge_lm::{ChatTemplate, Compute, Message, Scorer, Tokenizer};

/// A model that scores.
pub(super) struct FolderScorer {
    scorer: Scorer,
    tokenizer: Tokenizer,
    folder: std::path::PathBuf,
    /// Instead of the folder's own.
    chat_template: Option<std::path::PathBuf>,
    loaded: Loaded,
}

/// Loads a model folder for scoring.
pub(super) fn load(model: &LoadModel) -> Result<FolderScorer> {
    if model.gguf.is_some() || model.quantization.is_some() {
        bail!(
            "scoring needs plain weights: a GGUF or quantised model cannot be scored\nhint: score the unquantised folder"
        );
    }
    let compute = Compute {
        device: Some(model.device.clone()),
        dtype: (model.dtype != "auto").then(|| model.dtype.clone()),
    };
    let scorer = Scorer::load(&model.folder, &compute)?;
    let loaded = Loaded {
        engine: crate::commands::TRAINER.to_owned(),
        device: compute.device_class()?.to_owned(),
        dtype: scorer.dtype_name().to_owned(),
        max_in_flight: 1,
        checks: Vec::new(),
    };
    Ok(FolderScorer {
        scorer,
        tokenizer: Tokenizer::from_folder(&model.folder)?,
        folder: model.folder.clone(),
        chat_template: model.chat_template.clone(),
        loaded,
    })
}

impl FolderScorer {
    fn prompt(&self, request: &ScoreRequest) -> Result<Vec<u32>, driftgauge_lm::Error> {
        let mut text = String::new();
        if let Some(messages) = &request.messages {
            let messages: Vec<Message> = messages
                .iter()
                .map(|message| Message::new(message.role.clone(), message.content.clone()))
                .collect();
            let template = match &self.chat_template {
                Some(file) => ChatTemplate::from_file(file, &self.folder)?,
                None => ChatTemplate::from_folder(&self.folder)?,
            };
            text = template.render(&messages, true)?;
        }
        text.push_str(&request.text);
        self.tokenizer.encode(&text, false)
    }
}

impl TextScorer for FolderScorer {
    fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn score(&mut self, request: &ScoreRequest) -> Result<ScoreResponse, EngineError> {
        let refuse = |error: driftgauge_lm::Error| EngineError::Request(error.to_string());
        let prompt = self.prompt(request).map_err(refuse)?;
        let mut response = ScoreResponse {
            token_logprob: Vec::new(),
            distributions: Vec::new(),
        };
        for continuation in &request.continuations {
            let tokens = match continuation {
                Continuation::Text(text) => self.tokenizer.encode(text, false).map_err(refuse)?,
                Continuation::Tokens(tokens) => tokens.clone(),
            };
            // Without a prompt, the first token of a text is given and the rest is scored.
            let (prompt, tokens) = match (prompt.as_slice(), tokens.as_slice()) {
                ([], [first, rest @ ..]) => (vec![*first], rest.to_vec()),
                (prompt, tokens) => (prompt.to_vec(), tokens.to_vec()),
            };
            if tokens.is_empty() {
                return Err(EngineError::Request(
                    "there is nothing to score: the text is empty".to_owned(),
                ));
            }
            response.token_logprob.push(
                self.scorer
                    .token_logprobs(&prompt, &tokens)
                    .map_err(refuse)?,
            );
            if request.distributions {
                let rows = self
                    .scorer
                    .distributions(&prompt, &tokens)
                    .map_err(refuse)?;
                // Stored at the precision in which they were computed.
                #[expect(clippy::cast_possible_truncation)]
                let rows = rows
                    .into_iter()
                    .map(|row| row.into_iter().map(|value| value as f32).collect())
                    .collect();
                response.distributions.push(rows);
            }
        }
        Ok(response)
    }
}
