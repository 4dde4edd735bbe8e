//! From what is given to a scored model to token ids, with the model's own tokenizer and chat template.

use driftgauge_engine::{Continuation, EngineError, LoadModel, Prompt};
use driftgauge_problem::Problem;

use crate::chat::tokenizer_config;
use crate::{ChatTemplate, Error, Message, Pair, Result, Tokenizer};

/// The tokenizer and chat template of a model.
pub(super) struct Reader {
    tokenizer: Tokenizer,
    /// Why there is none matters only when a conversation is to be rendered.
    template: Result<ChatTemplate>,
    /// Tokens that the tokenizer itself puts before a text.
    leading: Vec<u32>,
    /// What a choice without a prompt follows where the tokenizer puts nothing before a text: the token that begins texts, else
    /// the one that ends them.
    prefix: Option<u32>,
}

impl Reader {
    /// Reads them from the model's folder, with the chat template of the spec where it names one.
    pub(super) fn of(model: &LoadModel) -> Result<Self> {
        let tokenizer = Tokenizer::from_folder(&model.folder)?;
        let leading = tokenizer.leading()?;
        let special = tokenizer_config(&model.folder)?;
        let prefix = ["bos_token", "eos_token"].iter().find_map(|name| {
            let token = &special[name];
            tokenizer.token_to_id(token.as_str().or_else(|| token["content"].as_str())?)
        });
        Ok(Self {
            tokenizer,
            template: ChatTemplate::of_model(&model.folder, model.chat_template.as_deref()),
            leading,
            prefix,
        })
    }

    /// Prompt and continuation as tokens; both have at least one.
    ///
    /// Where nothing stands before it, the first token of a text is given and the rest is scored; a `choice` is scored whole.
    fn tokens(
        &self,
        prompt: &Prompt,
        continuation: &Continuation,
        choice: bool,
    ) -> std::result::Result<Pair, EngineError> {
        let mut pair = self
            .pair(prompt, continuation)
            .map_err(|error| EngineError::Request(error.into()))?;
        if pair.prompt.is_empty() {
            match self.prefix.filter(|_| choice) {
                Some(prefix) if pair.continuation.first() != Some(&prefix) => {
                    pair.prompt.push(prefix);
                }
                _ => {
                    pair.prompt = pair
                        .continuation
                        .drain(..1.min(pair.continuation.len()))
                        .collect();
                }
            }
        }
        if pair.continuation.is_empty() {
            return Err(EngineError::Request(Problem::failed(
                "there is nothing to score: the text is empty",
            )));
        }
        Ok(pair)
    }

    /// As [`Self::tokens`], for a model that reads so many tokens; the last one need not be read.
    pub(super) fn tokens_within(
        &self,
        longest: usize,
        prompt: &Prompt,
        continuation: &Continuation,
        choice: bool,
    ) -> std::result::Result<Pair, EngineError> {
        let pair = self.tokens(prompt, continuation, choice)?;
        let all = pair.prompt.len() + pair.continuation.len();
        if all - 1 > longest {
            return Err(EngineError::Request(
                Problem::new(
                    "too-long",
                    format!("the prompt and the text to score have {all} tokens, and the model reads {longest}"),
                )
                .help("shorten them, or leave the row out with the dataset's `filter`"),
            ));
        }
        Ok(pair)
    }

    fn pair(&self, prompt: &Prompt, continuation: &Continuation) -> Result<Pair> {
        let (given, before) = self.given(prompt)?;
        match (&prompt.tokens, continuation) {
            (None, Continuation::Text(text)) => self.tokenizer.pair(&given, text, before),
            (tokens, continuation) => Ok(Pair {
                prompt: match tokens {
                    Some(tokens) => tokens.clone(),
                    None => self.tokenizer.pair(&given, "", before)?.prompt,
                },
                continuation: match continuation {
                    Continuation::Text(text) => self.tokenizer.encode(text, false)?,
                    Continuation::Tokens(tokens) => tokens.clone(),
                },
                merged: false,
            }),
        }
    }

    /// The prompt as text, and the tokens that begin it: a chat template writes them itself.
    fn given(&self, prompt: &Prompt) -> Result<(String, &[u32])> {
        let Some(messages) = &prompt.messages else {
            return Ok((prompt.text.clone(), &self.leading));
        };
        let template = self
            .template
            .as_ref()
            .map_err(|error| Error::Template(error.to_string()))?;
        let messages: Vec<Message> = messages
            .iter()
            .map(|message| Message::new(message.role.clone(), message.content.clone()))
            .collect();
        Ok((template.render(&messages, true)? + &prompt.text, &[]))
    }
}
