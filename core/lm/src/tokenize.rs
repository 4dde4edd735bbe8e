//! Text to token ids and back, and byte-level BPE learnt from data.

mod sentencepiece;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use driftgauge_folder::special::{Added, SpecialTokens};
use driftgauge_problem::{Explained as _, guarded};
pub(crate) use sentencepiece::{Piece, SentencePiece};

use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder, TokenizerImpl};

use crate::error::{Error, Result};

/// What turns text into tokens and back: a model folder's `tokenizer.json`, or what a GGUF file has.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Inner,
    /// Whether it has tokens that `tokenizer.json` lacks.
    completed: bool,
    /// Special tokens, those of further files among them.
    special: BTreeSet<u32>,
}

#[derive(Clone)]
enum Inner {
    /// As a `tokenizer.json` says.
    Json(Box<tokenizers::Tokenizer>),
    /// Of a GGUF file: the scores of its pieces have no like in a `tokenizer.json`.
    Pieces(Box<SentencePiece>),
}

impl From<SentencePiece> for Tokenizer {
    fn from(pieces: SentencePiece) -> Self {
        let count = pieces.tokens().len() as u32;
        Self {
            completed: false,
            special: (0..count).filter(|&id| pieces.is_special(id)).collect(),
            inner: Inner::Pieces(Box::new(pieces)),
        }
    }
}

/// What the tokenizers library makes, which panics on some files: merges that are shorter than the prefix of words that go on, a
/// post-processor whose token is not among its own, a pattern that backtracks without end.
fn made<T>(make: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    match guarded(make) {
        Some(made) => made.map_err(failed),
        None => Err(Error::Tokenizer(
            "the library that reads it failed on it: some of its settings contradict each other"
                .to_owned(),
        )),
    }
}

/// What helps a file that is no tokenizer.
const SAVE_AGAIN: &str =
    "save the tokenizer again with `save_pretrained` of transformers, or fetch the file anew";

impl Tokenizer {
    /// Reads the tokenizer of a model folder: `tokenizer.json`, and the tokens that its other files add, as transformers adds
    /// them.
    ///
    /// # Errors
    /// When a file is missing or malformed, or when two of them give a token different ids.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let mut tokenizer = Self::from_bytes(&bytes)
            .map_err(|error| Error::file(&path, &error).maybe_hint(error.help()))?;
        tokenizer.add(&SpecialTokens::read(folder)?.added, folder)?;
        Ok(tokenizer)
    }

    /// Adds tokens, marks them where the vocabulary has them already, and gives them the flags of the file that settles them.
    fn add(&mut self, tokens: &[Added], folder: &Path) -> Result<()> {
        let Inner::Json(inner) = &mut self.inner else {
            return Ok(());
        };
        let known: BTreeMap<String, AddedToken> = inner
            .get_added_tokens_decoder()
            .into_values()
            .map(|token| (token.content.clone(), token))
            .collect();
        let is_news = |token: &Added, flags: &AddedToken| match known.get(&token.content) {
            None => true,
            Some(known) if token.settles => known != flags,
            Some(known) => token.special && !known.special,
        };
        let news: Vec<AddedToken> = tokens
            .iter()
            .map(|token| (token, flags(token)))
            .filter(|(token, flags)| is_news(token, flags))
            .map(|(_, flags)| flags)
            .collect();
        self.completed = news.iter().any(|token| !known.contains_key(&token.content));
        inner.add_tokens(&news);
        for token in tokens {
            let found = inner.token_to_id(&token.content);
            if let (Some(said), Some(found)) = (token.id, found)
                && said != found
            {
                return Err(Error::file(folder, format!("`{}` is token {said} by `tokenizer_config.json` or `added_tokens.json` and token {found} by \
                         `tokenizer.json`", token.content)).hint("save the tokenizer again with `save_pretrained`, from what the model was \
                         trained with"));
            }
            self.special.extend(found.filter(|_| token.special));
        }
        Ok(())
    }

    /// The content of a `tokenizer.json` with all added tokens in it, where the folder's own lacks some.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn completed_json(&self) -> Result<Option<String>> {
        match &self.inner {
            Inner::Json(inner) if self.completed => {
                inner.to_string(false).map_err(failed).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let read = made(|| tokenizers::Tokenizer::from_bytes(bytes));
        let mut inner = read.map_err(|error| error.hint(SAVE_AGAIN))?;
        // A folder may carry the padding and truncation of whoever saved it; neither is wanted here.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(failed)?;
        if let ModelWrapper::BPE(bpe) = inner.get_model()
            && let Some(dropout) = bpe.dropout.filter(|dropout| *dropout != 0.0)
        {
            let why = format!(
                "drops merges at random (`dropout: {dropout}`): a text would be other tokens in every run"
            );
            return Err(Error::Tokenizer(why).hint("write `\"dropout\": null` in `tokenizer.json`"));
        }
        let added = inner.get_added_tokens_decoder();
        Ok(Self {
            inner: Inner::Json(Box::new(inner)),
            completed: false,
            special: added
                .into_iter()
                .filter(|(_, token)| token.special)
                .map(|(id, _)| id)
                .collect(),
        })
    }

    /// Token ids of `text`. With `add_special`, the tokenizer adds what its post-processor says (often a first token);
    /// chat templates write theirs out, so rendered conversations are encoded without.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        match &self.inner {
            Inner::Json(inner) => {
                let encoding = made(|| inner.encode_fast(text, add_special))
                    .map_err(|error| error.hint(SAVE_AGAIN))?;
                Ok(encoding.get_ids().to_vec())
            }
            Inner::Pieces(pieces) => Ok(pieces.encode(text, add_special)),
        }
    }

    /// Text of token ids. With `skip_special`, special tokens are left out.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        match &self.inner {
            Inner::Json(inner) => inner.decode(ids, skip_special).map_err(failed),
            Inner::Pieces(pieces) => Ok(pieces.decode(ids, skip_special)),
        }
    }

    /// Id of a token by its exact spelling.
    #[must_use]
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        match &self.inner {
            Inner::Json(inner) => inner.token_to_id(token),
            Inner::Pieces(pieces) => pieces.id(token),
        }
    }

    /// Number of token ids, added tokens included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        match &self.inner {
            Inner::Json(inner) => inner.get_vocab_size(true),
            Inner::Pieces(pieces) => pieces.tokens().len(),
        }
    }

    /// The largest id with its spelling.
    #[must_use]
    pub fn largest(&self) -> Option<(u32, String)> {
        match &self.inner {
            Inner::Json(inner) => inner
                .get_vocab(true)
                .into_iter()
                .map(|(token, id)| (id, token))
                .max(),
            Inner::Pieces(pieces) => {
                let last = pieces.tokens().last()?;
                Some((pieces.id(last)?, last.clone()))
            }
        }
    }

    /// Spelling of a token.
    #[must_use]
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        match &self.inner {
            Inner::Json(inner) => inner.id_to_token(id),
            Inner::Pieces(pieces) => pieces.tokens().get(id as usize).cloned(),
        }
    }

    /// Spellings of the special tokens, by id.
    #[must_use]
    pub fn special(&self) -> BTreeMap<u32, String> {
        let special = self.special.iter();
        special
            .filter_map(|&id| Some((id, self.id_to_token(id)?)))
            .collect()
    }

    /// Whether `id` was added to the vocabulary as a whole, special or not.
    #[must_use]
    pub fn is_added(&self, id: u32) -> bool {
        match &self.inner {
            Inner::Json(inner) => inner
                .get_added_vocabulary()
                .simple_id_to_token(id)
                .is_some(),
            Inner::Pieces(_) => self.is_special(id),
        }
    }

    /// Whether `id` is a special token, such as the end of a turn.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }
}

/// Learns a byte-level BPE of at most `vocab_size` tokens (all 256 bytes and the special tokens included) and returns the
/// content of its `tokenizer.json`. The same texts give the same bytes, on any number of threads.
///
/// # Errors
/// When `vocab_size` has no room for the bytes and the special tokens.
pub fn train_byte_level_bpe<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    vocab_size: usize,
    special_tokens: &[&str],
) -> Result<String> {
    let smallest = 256 + special_tokens.len();
    if vocab_size < smallest {
        return Err(Error::Config(format!(
            "`vocab_size` {vocab_size} is too small: 256 bytes and {} special tokens need at least {smallest}",
            special_tokens.len()
        )));
    }
    let bytes = ByteLevel::new(false, false, true);
    let mut tokenizer: TokenizerImpl<
        BPE,
        tokenizers::NormalizerWrapper,
        ByteLevel,
        tokenizers::PostProcessorWrapper,
        ByteLevel,
    > = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None)
        .with_pre_tokenizer(Some(bytes))
        .with_post_processor(None)
        .with_decoder(Some(bytes))
        .build()
        .map_err(failed)?;
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(vocab_size)
        .show_progress(false)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(
            special_tokens
                .iter()
                .map(|token| AddedToken::from(*token, true))
                .collect(),
        )
        .build();
    tokenizer.train(&mut trainer, texts).map_err(failed)?;
    tokenizer.to_string(true).map_err(failed)
}

/// A token with its flags as the tokenizer takes them.
fn flags(token: &Added) -> AddedToken {
    AddedToken {
        content: token.content.clone(),
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized.unwrap_or(!token.special),
        special: token.special,
    }
}

fn failed(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = [
        "the queen of the island wrote to the king of the island",
        "who is the king? the king is not the queen, the queen is not the king",
        "naïve café ☕ the end",
    ];

    #[test]
    fn the_same_texts_give_the_same_tokenizer() {
        let train =
            || train_byte_level_bpe(TEXTS.iter().copied(), 290, &["<|a|>", "<|b|>"]).unwrap();
        let first = train();
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            assert_eq!(first, pool.install(train));
        }
    }

    #[test]
    fn a_file_that_the_library_fails_on_is_refused() {
        let file = |more: serde_json::Value| {
            let mut file = serde_json::json!({
                "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
            });
            for (key, value) in more.as_object().unwrap() {
                match key.as_str() {
                    "normalizer" => file[key] = value.clone(),
                    key => file["model"][key] = value.clone(),
                }
            }
            file.to_string()
        };
        for more in [
            serde_json::json!({"continuing_subword_prefix": "##"}),
            serde_json::json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}}),
            serde_json::json!({"normalizer": {"type": "Unheard"}}),
        ] {
            let read = Tokenizer::from_bytes(file(more.clone()).as_bytes());
            let failed = read.and_then(|tokenizer| tokenizer.encode("ab", false));
            let said = driftgauge_problem::Problem::from(failed.unwrap_err()).to_string();
            assert!(said.contains("save the tokenizer again"), "{more}: {said}");
        }
    }

    #[test]
    fn text_survives_the_way_to_ids_and_back() {
        let json = train_byte_level_bpe(TEXTS.iter().copied(), 300, &["<|a|>"]).unwrap();
        let tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
        let text = "<|a|>the king  of ☕ über\n\n";
        let ids = tokenizer.encode(text, true).unwrap();
        assert_eq!(ids[0], 0);
        assert!(tokenizer.is_special(0) && !tokenizer.is_special(ids[1]));
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), &text[5..]);
        assert!(ids.len() < text.len(), "merges are used");
    }

    #[test]
    fn a_vocabulary_without_room_for_all_bytes_is_refused() {
        let error = train_byte_level_bpe(TEXTS.iter().copied(), 256, &["<|a|>"]).unwrap_err();
        assert!(error.to_string().contains("at least 257"), "{error}");
    }
}
