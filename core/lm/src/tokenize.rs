//! Text to token ids and back, and byte-level BPE learnt from data.

mod sentencepiece;

use std::collections::BTreeMap;
use std::path::Path;

pub(crate) use sentencepiece::{Piece, SentencePiece};

use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder, TokenizerImpl};

use crate::error::{Error, Result};

/// What turns text into tokens and back: a model folder's `tokenizer.json`, or what a GGUF file has.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Inner,
}

#[derive(Clone)]
enum Inner {
    /// As a `tokenizer.json` says.
    Json(Box<tokenizers::Tokenizer>),
    /// Of a GGUF file: the scores of its pieces have no like in a `tokenizer.json`.
    Pieces(SentencePiece),
}

impl From<SentencePiece> for Tokenizer {
    fn from(pieces: SentencePiece) -> Self {
        Self {
            inner: Inner::Pieces(pieces),
        }
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a model folder.
    ///
    /// # Errors
    /// When the file is missing or malformed.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        Self::from_bytes(&bytes).map_err(|e| Error::file(&path, e))
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(failed)?;
        // A folder may carry the padding and truncation of whoever saved it; neither is wanted here.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(failed)?;
        Ok(Self {
            inner: Inner::Json(Box::new(inner)),
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
                let encoding = inner.encode_fast(text, add_special).map_err(failed)?;
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

    /// Spellings of the special tokens, by id.
    #[must_use]
    pub fn special(&self) -> BTreeMap<u32, String> {
        match &self.inner {
            Inner::Json(inner) => {
                let added = inner.get_added_tokens_decoder();
                let special = added.iter().filter(|(_, token)| token.special);
                special
                    .map(|(id, token)| (*id, token.content.clone()))
                    .collect()
            }
            Inner::Pieces(pieces) => {
                let tokens = (0_u32..).zip(pieces.tokens());
                let special = tokens.filter(|(id, _)| pieces.is_special(*id));
                special.map(|(id, token)| (id, token.clone())).collect()
            }
        }
    }

    /// Whether `id` is a special token, such as the end of a turn.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        match &self.inner {
            Inner::Json(inner) => inner
                .get_added_tokens_decoder()
                .get(&id)
                .is_some_and(|token| token.special),
            Inner::Pieces(pieces) => pieces.is_special(id),
        }
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
