//! Between text and tokens: the chat template and the tokenizer of a model that answers.

use std::collections::BTreeMap;
use std::path::Path;

use crate::GgufFile;
use crate::chat::{self, ChatTemplate};
use crate::tokenize::Tokenizer;
use driftgauge_engine::PREFILL_ROLE;
use driftgauge_folder::ends;
use driftgauge_folder::special::SpecialTokens;
use driftgauge_problem::Problem;
use driftgauge_record::{Message, thinking};
use serde_json::Value;

/// The tokenizer and chat template of a model.
pub struct Text {
    tokenizer: Tokenizer,
    /// Why there is none matters only when a conversation is to be rendered.
    template: Result<ChatTemplate, Problem>,
    vocabulary: Vocabulary,
    /// Spelling of the first token of a text, where the tokenizer has one.
    bos: Option<String>,
    /// Spelling of the token that ends an answer.
    eos: Option<String>,
    /// Tokens with their ids as the tokenizer's configuration lists them.
    listed: Vec<(u32, String)>,
}

/// The messages of a conversation, and the text that begins its answer.
fn split_prefill(messages: &[Message]) -> (&[Message], Option<&str>) {
    match messages.split_last() {
        Some((last, asked)) if last.role == PREFILL_ROLE => (asked, Some(&last.content)),
        _ => (messages, None),
    }
}

impl Text {
    /// Reads the tokenizer, its special tokens and the chat template of a folder.
    ///
    /// # Errors
    /// When a file is missing or malformed.
    pub fn load(folder: &Path) -> Result<Self, Problem> {
        Self::of_model(folder, None)
    }

    /// The same, with another chat template where one is given.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn of_model(folder: &Path, chat_template: Option<&Path>) -> Result<Self, Problem> {
        let tokenizer = Tokenizer::from_folder(folder)?;
        let special = SpecialTokens::read(folder)?;
        let spelling = |name: &str| special.get(name).map(str::to_owned);
        Ok(Self {
            vocabulary: Vocabulary::of(&tokenizer),
            template: ChatTemplate::of_model(folder, chat_template).map_err(Problem::from),
            bos: spelling("bos_token"),
            eos: spelling("eos_token"),
            listed: special
                .added
                .iter()
                .filter(|token| !token.content.trim().is_empty())
                .filter_map(|token| Some((token.id?, token.content.clone())))
                .collect(),
            tokenizer,
        })
    }

    /// The tokenizer and the chat template inside a GGUF file, or those of a folder beside it, or another template. The file's own
    /// special tokens and template stand in where the folder says nothing of them.
    ///
    /// # Errors
    /// When the tokenizer cannot be built as llama.cpp builds it, or the template that is named cannot be read.
    pub fn of_gguf(
        file: &GgufFile,
        tokenizer: Option<&Path>,
        chat_template: Option<&Path>,
    ) -> Result<Self, Problem> {
        let own = |name: &str| file.token(name).map(str::to_owned);
        let Some(folder) = tokenizer else {
            let tokenizer = file.tokenizer()?;
            return Ok(Self {
                vocabulary: Vocabulary::of(&tokenizer),
                tokenizer,
                template: file.template(chat_template).map_err(Problem::from),
                bos: own("bos"),
                eos: own("eos"),
                listed: Vec::new(),
            });
        };
        let template = file.template_with(folder, chat_template);
        let mut text = Self {
            template: template.map_err(Problem::from),
            ..Self::of_model(folder, None)?
        };
        if !folder.join("tokenizer_config.json").exists() {
            (text.bos, text.eos) = (own("bos"), own("eos"));
        }
        Ok(text)
    }

    /// The tokens that end an answer of a GGUF file: those of the file, and those of the folder whose tokenizer is read instead.
    ///
    /// # Errors
    /// When a file of the folder is malformed.
    pub fn ends_of_gguf(
        &self,
        file: &GgufFile,
        tokenizer: Option<&Path>,
    ) -> Result<Vec<u32>, Problem> {
        let mut found = file.end_tokens();
        found.extend(self.eos_id());
        if let Some(folder) = tokenizer {
            found.extend(ends::declared(folder, &Value::Null, None)?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The prompt of a conversation, up to where the answer begins.
    ///
    /// # Errors
    /// When there is no chat template, or it refuses the conversation.
    pub fn render(&self, messages: &[Message]) -> Result<String, Problem> {
        let turn = |m: &Message| chat::Message::new(m.role.as_str(), m.content.as_str());
        let (asked, prefill) = split_prefill(messages);
        let turns: Vec<chat::Message> = asked.iter().map(turn).collect();
        let template = self.template.as_ref().map_err(Clone::clone)?;
        Ok(template.render(&turns, true)? + prefill.unwrap_or_default())
    }

    /// Tokens of a conversation, and the text that begins its answer, of which only the first tokens are taken where so many
    /// are asked for.
    pub fn encode_conversation(
        &self,
        messages: &[Message],
        prefill_tokens: Option<usize>,
    ) -> Result<(Vec<u32>, Option<String>), Problem> {
        let whole = self.encode(&self.render(messages)?)?;
        let (asked, prefill) = split_prefill(messages);
        let (Some(prefill), Some(limit)) = (prefill, prefill_tokens) else {
            return Ok((whole, prefill.map(str::to_owned)));
        };
        let mut tokens = self.encode(&self.render(asked)?)?;
        // Where a token reaches over the boundary, the prefill is encoded alone.
        let taken: Vec<u32> = match whole.strip_prefix(tokens.as_slice()) {
            Some(rest) => rest.iter().copied().take(limit).collect(),
            None => self.encode(prefill)?.into_iter().take(limit).collect(),
        };
        let text = self.decode(&taken);
        tokens.extend(taken);
        Ok((tokens, Some(text)))
    }

    /// Tokens of a rendered prompt, in which the template has written every special token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Problem> {
        self.tokenizer.encode(text, false).map_err(Problem::from)
    }

    /// Tokens of plain text, with the special tokens that the tokenizer adds, unless the text begins with one itself.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>, Problem> {
        let begins = self.bos.as_deref().is_some_and(|bos| text.starts_with(bos));
        self.tokenizer.encode(text, !begins).map_err(Problem::from)
    }

    /// The first token that the tokenizer's configuration lists and that its text does not become.
    #[must_use]
    pub fn not_as_listed(&self) -> Option<(u32, &str, Vec<u32>)> {
        self.listed.iter().find_map(|(id, spelling)| {
            let tokens = self.encode(spelling).unwrap_or_default();
            (tokens != [*id]).then_some((*id, spelling.as_str(), tokens))
        })
    }

    /// How many tokens the tokenizer's configuration lists.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.listed.len()
    }

    /// Text of an answer, without special tokens.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens, true).unwrap_or_default()
    }

    /// Text of an answer with the tags around reasoning, where they are special tokens, and without other special tokens.
    #[must_use]
    pub fn decode_with_tags(&self, tokens: &[u32]) -> String {
        let is_tag = |id: &u32| {
            let spelling = self.vocabulary.special.get(id);
            spelling.is_some_and(|spelling| thinking::is_tag(spelling))
        };
        if !tokens.iter().any(is_tag) {
            return self.decode(tokens);
        }
        let mut text = String::new();
        for run in tokens.chunk_by(|a, b| !is_tag(a) && !is_tag(b)) {
            match run {
                [id] if is_tag(id) => text.push_str(&self.vocabulary.special[id]),
                run => text.push_str(&self.decode(run)),
            }
        }
        text
    }

    /// Text of tokens, special tokens included.
    #[must_use]
    pub fn decode_all(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens, false).unwrap_or_default()
    }

    /// Id of the token that begins a text.
    #[must_use]
    pub fn bos_id(&self) -> Option<u32> {
        self.tokenizer.token_to_id(self.bos.as_deref()?)
    }

    /// Id of the token that the tokenizer's configuration says ends an answer.
    #[must_use]
    pub fn eos_id(&self) -> Option<u32> {
        self.tokenizer.token_to_id(self.eos.as_deref()?)
    }

    /// What ids the tokenizer can give.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Whether the tokenizer itself puts BOS before a text.
    #[must_use]
    pub fn adds_bos(&self) -> bool {
        let with = self.tokenizer.encode("a", true).unwrap_or_default();
        let bos = self.bos_id();
        bos.is_some() && with.first().copied() == bos
    }
}

/// The ids of a tokenizer.
#[derive(Debug, Default)]
pub struct Vocabulary {
    /// Largest id with its spelling.
    pub largest: (u32, String),
    /// Spellings of the special tokens.
    pub special: BTreeMap<u32, String>,
}

impl Vocabulary {
    fn of(tokenizer: &Tokenizer) -> Self {
        Self {
            largest: tokenizer.largest().unwrap_or_default(),
            special: tokenizer.special(),
        }
    }
}
