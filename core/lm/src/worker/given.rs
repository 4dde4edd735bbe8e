//! From what is given to a scored model to token ids, with the model's own tokenizer and chat template.

use driftgauge_engine::{Continuation, EngineError, LoadModel, Prompt};
use driftgauge_problem::Problem;

use crate::{ChatTemplate, Error, Message, Result, Tokenizer};

/// The tokenizer and chat template of a model.
pub(super) struct Reader {
    tokenizer: Tokenizer,
    /// Why there is none matters only when a conversation is to be rendered.
    template: Result<ChatTemplate>,
    /// Tokens that the tokenizer itself puts before a text.
    leading: Vec<u32>,
}

impl Reader {
    /// Reads them from the model's folder, with the chat template of the spec where it names one.
    pub(super) fn of(model: &LoadModel) -> Result<Self> {
        let tokenizer = Tokenizer::from_folder(&model.folder)?;
        let leading = leading(&tokenizer)?;
        Ok(Self {
            tokenizer,
            template: ChatTemplate::of_model(&model.folder, model.chat_template.as_deref()),
            leading,
        })
    }

    /// Prompt and continuation as tokens; both have at least one.
    ///
    /// Without a prompt, and with a tokenizer that puts nothing before a text, the first token of the text is given and
    /// the rest is scored.
    fn tokens(
        &self,
        prompt: &Prompt,
        continuation: &Continuation,
    ) -> std::result::Result<(Vec<u32>, Vec<u32>), EngineError> {
        let refuse = |error: Error| EngineError::Request(error.into());
        let prompt = self.prompt(prompt).map_err(refuse)?;
        let tokens = match continuation {
            Continuation::Text(text) => self.tokenizer.encode(text, false).map_err(refuse)?,
            Continuation::Tokens(tokens) => tokens.clone(),
        };
        let (prompt, tokens) = match (prompt.as_slice(), tokens.as_slice()) {
            ([], [first, rest @ ..]) => (vec![*first], rest.to_vec()),
            _ => (prompt, tokens),
        };
        if tokens.is_empty() {
            return Err(EngineError::Request(Problem::failed(
                "there is nothing to score: the text is empty",
            )));
        }
        Ok((prompt, tokens))
    }

    /// As [`Self::tokens`], for a model that reads so many tokens; the last one need not be read.
    pub(super) fn tokens_within(
        &self,
        longest: usize,
        prompt: &Prompt,
        continuation: &Continuation,
    ) -> std::result::Result<(Vec<u32>, Vec<u32>), EngineError> {
        let (prompt, tokens) = self.tokens(prompt, continuation)?;
        let all = prompt.len() + tokens.len();
        if all - 1 > longest {
            return Err(EngineError::Request(
                Problem::new(
                    "too-long",
                    format!("the prompt and the text to score have {all} tokens, and the model reads {longest}"),
                )
                .help("shorten them, or leave the row out with the dataset's `filter`"),
            ));
        }
        Ok((prompt, tokens))
    }

    fn prompt(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        if let Some(tokens) = &prompt.tokens {
            return Ok(tokens.clone());
        }
        let Some(messages) = &prompt.messages else {
            return self.plain(&prompt.text);
        };
        let template = self
            .template
            .as_ref()
            .map_err(|error| Error::Template(error.to_string()))?;
        let messages: Vec<Message> = messages
            .iter()
            .map(|message| Message::new(message.role.clone(), message.content.clone()))
            .collect();
        let mut text = template.render(&messages, true)?;
        text.push_str(&prompt.text);
        self.tokenizer.encode(&text, false)
    }

    /// Plain text begins as the tokenizer begins a text, unless it begins so already.
    fn plain(&self, text: &str) -> Result<Vec<u32>> {
        let tokens = self.tokenizer.encode(text, false)?;
        if tokens.starts_with(&self.leading) {
            return Ok(tokens);
        }
        Ok([self.leading.as_slice(), &tokens].concat())
    }
}

/// What the tokenizer puts before any text (often a first token); what it puts after one has no place in a prompt.
fn leading(tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let bare = tokenizer.encode("a", false)?;
    let mut dressed = tokenizer.encode("a", true)?;
    let before = dressed
        .windows(bare.len().max(1))
        .position(|window| window == bare)
        .unwrap_or(0);
    dressed.truncate(before);
    Ok(dressed)
}
