//! How a model that is still to be trained from nothing will read prompts: its chat template is known, and its tokenizer is
//! learnt from its training rows alone, so that it can be learnt before.

use std::cell::OnceCell;

use driftgauge_engine::{Limits, Prompt, PromptReader, Untrained};
use driftgauge_problem::Result as Told;
use driftgauge_record::Message;

use crate::chat::{ChatTemplate, of_file};
use crate::error::Result;
use crate::reading::{conversation, learns_answers, learnt, prefilled_otherwise};
use crate::tokenize::Tokenizer;
use crate::train::{CHAT_TEMPLATE, special_tokens, tokenizer_of};

/// Most bytes of training rows of which the tokenizer is learnt before the training. It takes a second for some megabytes.
const MOST_BYTES: usize = 8 << 20;

/// Reads prompts as the model will.
struct Reader {
    template: ChatTemplate,
    limits: Limits,
    of: Untrained,
    /// Learnt when something is long enough to be counted.
    tokenizer: OnceCell<Option<Tokenizer>>,
}

/// How the model will read prompts; `None` where its chat template cannot be read, which others tell.
#[must_use]
pub fn untrained(of: Untrained) -> Option<Box<dyn PromptReader>> {
    let source = match &of.chat_template {
        Some(file) => of_file(file).ok()?,
        None => CHAT_TEMPLATE.to_owned(),
    };
    Some(Box::new(Reader {
        template: ChatTemplate::new(&source, special_tokens()).ok()?,
        limits: Limits {
            context: of.context,
            scored: of.context,
            reach: None,
        },
        of,
        tokenizer: OnceCell::new(),
    }))
}

impl Reader {
    fn text(&self, prompt: &Prompt) -> Result<String> {
        Ok(match &prompt.messages {
            Some(messages) => conversation(&self.template, messages)? + &prompt.text,
            None => prompt.text.clone(),
        })
    }

    /// `None` where the rows are too many, or give no tokenizer, which the trainer tells.
    fn tokenizer(&self) -> Option<&Tokenizer> {
        let learnt = self.tokenizer.get_or_init(|| {
            let texts = &self.of.texts;
            if texts.iter().map(String::len).sum::<usize>() > MOST_BYTES {
                return None;
            }
            let json = tokenizer_of(texts.iter().map(String::as_str), self.of.vocab_size).ok()?;
            Tokenizer::from_bytes(json.as_bytes()).ok()
        });
        learnt.as_ref()
    }
}

impl PromptReader for Reader {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn special(&self) -> Vec<String> {
        special_tokens()
            .into_iter()
            .map(|(_, token)| token)
            .collect()
    }

    fn render(&self, prompt: &Prompt) -> Told<String> {
        Ok(self.text(prompt)?)
    }

    fn tokens(&self, prompt: &Prompt, scored: &str) -> Told<usize> {
        let text = self.text(prompt)?;
        match self.tokenizer() {
            Some(tokenizer) => {
                let pair = tokenizer.pair(&text, scored, &[])?;
                Ok(pair.prompt.len() + pair.continuation.len())
            }
            None => Ok(least(&text) + least(scored)),
        }
    }

    fn learnt(&self, messages: &[Message]) -> Told<Option<usize>> {
        let tokenizer = self.tokenizer();
        let counted = tokenizer.map(|tokenizer| learnt(&self.template, tokenizer, messages));
        Ok(counted.transpose()?)
    }

    fn prefilled_otherwise(&self, messages: &[Message]) -> Told<Option<String>> {
        prefilled_otherwise(&self.template, messages)
    }

    fn learns_answers(&self, messages: &[Message]) -> Told<()> {
        learns_answers(&self.template, messages)
    }
}

/// So many tokens a text has at least, whatever the tokenizer learns: none spans more than a word with the space before it.
fn least(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(content: &str) -> Prompt {
        Prompt {
            messages: Some(vec![Message {
                role: "user".to_owned(),
                content: content.to_owned(),
            }]),
            ..Prompt::default()
        }
    }

    fn of(texts: &[String]) -> Box<dyn PromptReader> {
        let of = Untrained {
            context: 64,
            vocab_size: 300,
            chat_template: None,
            texts: texts.to_vec(),
        };
        untrained(of).unwrap()
    }

    #[test]
    fn prompts_are_counted_as_the_trained_model_will_count_them() {
        let rows = [
            "user",
            "where is the lake?",
            "assistant",
            "the lake is in the land",
        ];
        let texts: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        let json = tokenizer_of(rows.iter().copied(), 300).unwrap();
        let trained = Tokenizer::from_bytes(json.as_bytes()).unwrap();
        let reader = of(&texts);
        for content in ["where is the lake?", "naïve ☕", ""] {
            let text = format!(
                "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
            );
            let prompt = prompt(content);
            assert_eq!(reader.render(&prompt).unwrap(), text);
            let expected = trained.encode(&text, false).unwrap().len();
            assert_eq!(reader.tokens(&prompt, "").unwrap(), expected);
        }
        assert_eq!(reader.limits().context, 64);
    }

    #[test]
    fn of_too_many_rows_only_what_is_certain_counts() {
        let many = vec!["x".repeat(MOST_BYTES + 1)];
        let reader = of(&many);
        let counted = reader.tokens(&prompt("one two three"), "").unwrap();
        assert!((3..=12).contains(&counted), "{counted}");
    }
}
