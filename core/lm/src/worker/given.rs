//! From what is given to a scored model to token ids, with the model's own tokenizer and chat template.

use driftgauge_engine::{Continuation, EngineError, LoadModel, Prompt};
use driftgauge_folder::special::SpecialTokens;
use driftgauge_problem::Problem;

use crate::reading::Words;
use crate::{ChatTemplate, Pair, Result, Tokenizer};

/// The tokenizer and chat template of a model.
pub(super) struct Reader {
    words: Words,
    /// What a choice without a prompt follows where the tokenizer puts nothing before a text: the token that begins texts, else
    /// the one that ends them.
    prefix: Option<u32>,
}

impl Reader {
    /// Reads them from the model's folder, with the chat template of the spec where it names one.
    pub(super) fn of(model: &LoadModel) -> Result<Self> {
        let tokenizer = Tokenizer::from_folder(&model.folder)?;
        let special = SpecialTokens::read(&model.folder)?;
        let prefix = ["bos_token", "eos_token"]
            .iter()
            .find_map(|name| tokenizer.token_to_id(special.get(name)?));
        let template = ChatTemplate::of_model(&model.folder, model.chat_template.as_deref());
        Ok(Self {
            words: Words::new(tokenizer, template)?,
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
        let (given, before) = self.words.given(prompt)?;
        let tokenizer = &self.words.tokenizer;
        match (&prompt.tokens, continuation) {
            (None, Continuation::Text(text)) => tokenizer.pair(&given, text, before),
            (tokens, continuation) => Ok(Pair {
                prompt: match tokens {
                    Some(tokens) => tokens.clone(),
                    None => tokenizer.pair(&given, "", before)?.prompt,
                },
                continuation: match continuation {
                    Continuation::Text(text) => tokenizer.encode(text, false)?,
                    Continuation::Tokens(tokens) => tokens.clone(),
                },
                merged: false,
            }),
        }
    }
}
