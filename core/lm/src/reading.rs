//! How a model reads prompts: its tokenizer and chat template, and for those that are not loaded how long a text may be.

use std::path::Path;

use driftgauge_engine::{Limits, LocalEngine, PREFILL_ROLE, Prompt, PromptReader, TextFiles};
use driftgauge_problem::{Problem, Result as Told};
use driftgauge_record::thinking;
use serde_json::Value;

use crate::chat::{ChatTemplate, Message, unasked};
use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::gguf::GgufFile;
use crate::tokenize::Tokenizer;

/// What turns a prompt into tokens.
pub(crate) struct Words {
    pub(crate) tokenizer: Tokenizer,
    /// Why there is none matters only when a conversation is to be rendered.
    template: Result<ChatTemplate>,
    /// Tokens that the tokenizer itself puts before a text.
    leading: Vec<u32>,
}

impl Words {
    pub(crate) fn new(tokenizer: Tokenizer, template: Result<ChatTemplate>) -> Result<Self> {
        Ok(Self {
            leading: tokenizer.leading()?,
            tokenizer,
            template,
        })
    }

    /// The prompt as text, and the tokens that begin it: a chat template writes them itself.
    pub(crate) fn given(&self, prompt: &Prompt) -> Result<(String, &[u32])> {
        let Some(messages) = &prompt.messages else {
            return Ok((prompt.text.clone(), &self.leading));
        };
        let template = self.template.as_ref().map_err(again)?;
        Ok((conversation(template, messages)? + &prompt.text, &[]))
    }
}

/// The tokens of a conversation that is learnt as it stands.
pub(crate) fn learnt(
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
    messages: &[driftgauge_record::Message],
) -> Result<usize> {
    let text = template.render(&turns(messages), false)?;
    Ok(tokenizer.encode(&text, false)?.len())
}

/// How a template writes an answer that begins with the prefill, from the last place on where the prompt still is the same.
pub(crate) fn prefilled_otherwise(
    template: &ChatTemplate,
    messages: &[driftgauge_record::Message],
) -> Told<Option<String>> {
    let Some((last, asked)) = messages.split_last() else {
        return Ok(None);
    };
    if last.role != PREFILL_ROLE {
        return Ok(None);
    }
    let prompt = conversation(template, messages)?;
    // Behind reasoning that the prompt or the prefill ends, an answer begins whatever the template leaves out of earlier ones.
    let before = template.render(&turns(asked), true)?;
    let opened = thinking::opened_by(&before);
    let (reasoned, said) = thinking::apart(&last.content, opened.as_deref());
    if ends_reasoning(&before) || (reasoned.is_some() && !said.trim().is_empty()) {
        return Ok(None);
    }
    let written = |content: &str| {
        let mut answered = turns(asked);
        answered.push(Message::new("assistant", content));
        template.render(&answered, false)
    };
    let answered = written(&last.content)?;
    // A template may trim what is said, and one that writes a space before an answer has it where the prefill begins with one.
    let begins = |answered: &str| answered.starts_with(prompt.trim_end());
    if begins(&answered) || begins(&written(last.content.trim_start())?) {
        return Ok(None);
    }
    let same = prompt.bytes().zip(answered.bytes());
    let mut same = same.take_while(|(ours, theirs)| ours == theirs).count();
    while !answered.is_char_boundary(same) {
        same -= 1;
    }
    Ok(Some(answered[same..].to_owned()))
}

/// Whether a prompt ends with the end of a block of reasoning.
fn ends_reasoning(prompt: &str) -> bool {
    let end = prompt.trim_end();
    let tag = end.rfind(['<', '[']).map(|at| &end[at..]);
    tag.is_some_and(|tag| tag.contains('/') && thinking::is_tag(tag))
}

/// Refuses a conversation whose answer would be learnt with what stands before it.
pub(crate) fn learns_answers(
    template: &ChatTemplate,
    messages: &[driftgauge_record::Message],
) -> Told<()> {
    let header = template.unasked_header(&turns(messages))?;
    header.map_or(Ok(()), |header| Err(unasked(&header)))
}

fn turns(messages: &[driftgauge_record::Message]) -> Vec<Message> {
    let turns = messages.iter();
    turns
        .map(|message| Message::new(message.role.clone(), message.content.clone()))
        .collect()
}

/// The text of a conversation that is to be answered.
pub(crate) fn conversation(
    template: &ChatTemplate,
    messages: &[driftgauge_record::Message],
) -> Result<String> {
    // What begins the answer stands behind the template.
    let (messages, prefill) = match messages.split_last() {
        Some((last, asked)) if last.role == PREFILL_ROLE => (asked, last.content.as_str()),
        _ => (messages, ""),
    };
    Ok(template.render(&turns(messages), true)? + prefill)
}

/// The same error, for whoever meets it next.
fn again(error: &Error) -> Error {
    match error {
        Error::Advised { error, help } => again(error).hint(help.clone()),
        Error::Template(why) => Error::Template(why.clone()),
        other => Error::Template(other.to_string()),
    }
}

/// A model's tokenizer, chat template and context, without its weights.
pub struct Reader {
    words: Words,
    /// How long texts may be; an engine that computes less far says so here.
    pub limits: Limits,
}

impl Reader {
    /// Reads the files; `None` where one is missing or of a kind that is not known here, which others tell.
    ///
    /// # Errors
    /// When a tokenizer is there and cannot be used.
    pub fn open(files: &TextFiles) -> Result<Option<Self>> {
        let instead = files.chat_template.as_deref();
        let (words, context, scored) = match (&files.gguf, &files.tokenizer) {
            (None, _) => {
                let Some((context, scored)) = contexts(files) else {
                    return Ok(None);
                };
                let Some(tokenizer) = tokenizer_of(&files.folder)? else {
                    return Ok(None);
                };
                let template = ChatTemplate::of_model(&files.folder, instead);
                (Words::new(tokenizer, template), context, scored)
            }
            (Some(name), tokenizer) => {
                let file = GgufFile::open(&files.folder.join(name)).ok();
                let Some((file, context)) = file.and_then(|file| {
                    let context = file.context()?;
                    Some((file, context))
                }) else {
                    return Ok(None);
                };
                let found = match tokenizer {
                    Some(folder) => tokenizer_of(folder)?,
                    None => file.tokenizer().ok(),
                };
                let Some(found) = found else {
                    return Ok(None);
                };
                let template = match tokenizer {
                    Some(folder) => file.template_with(folder, instead),
                    None => file.template(instead),
                };
                (Words::new(found, template), context, context)
            }
        };
        Ok(Some(Self {
            words: words?,
            limits: Limits {
                context,
                scored,
                reach: None,
            },
        }))
    }
}

/// The tokenizer of a folder, where it has a `tokenizer.json`.
fn tokenizer_of(folder: &Path) -> Result<Option<Tokenizer>> {
    let is_there = folder.join("tokenizer.json").is_file();
    is_there.then(|| Tokenizer::from_folder(folder)).transpose()
}

/// Tokens that a folder's model reads where it answers, and where given text is scored.
fn contexts(files: &TextFiles) -> Option<(usize, usize)> {
    let config = std::fs::read(files.folder.join("config.json")).ok()?;
    let config: Value = serde_json::from_slice(&config).ok()?;
    let context = usize::try_from(config["max_position_embeddings"].as_u64()?).ok()?;
    let Ok(config) = DecoderConfig::from_folder(&files.folder) else {
        return Some((context, context));
    };
    let answered = match files.engine {
        LocalEngine::Native => config.fixed_length(),
        LocalEngine::Mistralrs => context,
    };
    Some((answered, config.longest_sequence()))
}

impl PromptReader for Reader {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn render(&self, prompt: &Prompt) -> Told<String> {
        let (text, _) = self.words.given(prompt).map_err(Problem::from)?;
        Ok(text)
    }

    fn tokens(&self, prompt: &Prompt, scored: &str) -> Told<usize> {
        let (text, before) = self.words.given(prompt)?;
        let pair = self.words.tokenizer.pair(&text, scored, before)?;
        Ok(pair.prompt.len() + pair.continuation.len())
    }

    fn learnt(&self, messages: &[driftgauge_record::Message]) -> Told<Option<usize>> {
        let template = self.words.template.as_ref().map_err(again)?;
        Ok(Some(learnt(template, &self.words.tokenizer, messages)?))
    }

    fn learns_answers(&self, messages: &[driftgauge_record::Message]) -> Told<()> {
        let template = self.words.template.as_ref().map_err(again)?;
        learns_answers(template, messages)
    }

    fn prefilled_otherwise(&self, messages: &[driftgauge_record::Message]) -> Told<Option<String>> {
        let template = self.words.template.as_ref().map_err(again)?;
        prefilled_otherwise(template, messages)
    }

    fn special(&self) -> Vec<String> {
        self.words.tokenizer.special().into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefill_stands_where_an_answer_begins_or_not() {
        let written = |source: &str, prefill: &str| {
            let template = ChatTemplate::new(source, Vec::new()).unwrap();
            let turn = |role: &str, content: &str| driftgauge_record::Message {
                role: role.to_owned(),
                content: content.to_owned(),
            };
            let messages = [turn("user", "q"), turn(PREFILL_ROLE, prefill)];
            assert_eq!(
                prefilled_otherwise(&template, &messages[..1]).unwrap(),
                None
            );
            prefilled_otherwise(&template, &messages).unwrap()
        };
        let turns = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}";
        let asks =
            |header: &str| format!("{turns}{{% if add_generation_prompt %}}{header}{{% endif %}}");
        assert_eq!(written(&asks("<assistant>"), "Sure "), None);
        // Inside reasoning, until it is ended.
        let opens = asks("<assistant><think>\n");
        assert_eq!(written(&opens, "Sure").as_deref(), Some("Sure</>"));
        assert_eq!(written(&opens, "so\n</think>\n\nSure"), None);
        assert_eq!(
            written(&asks("<assistant>"), "<think>\n\n</think>\n\nSure"),
            None
        );
        assert_eq!(
            written(&asks("<assistant><think>\n\n</think>\n\n"), "Sure"),
            None
        );
        let spaced = "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]{% else %} {{ m.content }}{% endif %}{% endfor %}";
        assert_eq!(written(spaced, "Sure").as_deref(), Some(" Sure"));
        assert_eq!(written(spaced, " Sure"), None);
    }
}
