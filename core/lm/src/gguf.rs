//! GGUF files: what the header says, whether an engine computes all of it, the tokenizer inside, and the weights.
//!
//! mistral.rs 0.8.1 passes over what it does not know in a header: scaling of the rotary frequencies, windows, biases. So here is the
//! list of what is honoured, by architecture; anything else is refused by name. The tokenizer is built as llama.cpp builds it.

mod architectures;
mod header;
mod honoured;
mod native;
mod shapes;
mod words;

use std::path::{Path, PathBuf};

use crate::chat::{self, ChatTemplate};
use crate::error::{Error, Result};
use crate::tokenize::Tokenizer;
use driftgauge_engine::LocalEngine;
use header::Header;

pub(crate) use native::GgufWeights;

/// A GGUF file whose header was read.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    header: Header,
}

impl GgufFile {
    /// Reads the header, and checks that the file is whole.
    ///
    /// # Errors
    /// When the file is no GGUF file, is cut off, or stores numbers in a form that mistral.rs cannot read.
    pub fn open(path: &Path) -> Result<Self> {
        let header = Header::read(path)?;
        Ok(Self {
            path: path.to_owned(),
            header,
        })
    }

    /// Whether an engine computes what the header says: the architecture, every key of it, every tensor.
    ///
    /// # Errors
    /// [`Error::Unsupported`], with the key or tensor that it would pass over.
    pub fn check(&self, engine: LocalEngine) -> Result<()> {
        honoured::check(&self.header, &self.path, engine).map_err(|problem| {
            let place = self.path.display();
            Error::Unsupported(format!("{} (in `{place}`)", problem.message))
                .maybe_hint(problem.help)
        })
    }

    /// The weights, for the native decoder.
    ///
    /// # Errors
    /// As [`Self::check`], and when the file cannot be read.
    pub(crate) fn weights(&self) -> Result<GgufWeights> {
        self.check(LocalEngine::Native)?;
        GgufWeights::open(&self.header, &self.path)
    }

    /// How many tokens the model reads.
    #[must_use]
    pub fn context(&self) -> Option<usize> {
        let architecture = self.header.text("general.architecture")?;
        let context = self
            .header
            .whole(&format!("{architecture}.context_length"))?;
        usize::try_from(context).ok()
    }

    /// How many tokens the input embedding has a row for.
    #[must_use]
    pub fn embedding_rows(&self) -> Option<u64> {
        // The dimension that changes fastest comes first.
        self.header
            .tensors
            .get("token_embd.weight")?
            .shape
            .last()
            .copied()
    }

    /// Bytes that a tensor takes in the file.
    #[must_use]
    pub fn bytes_of(&self, tensor: &str) -> Option<u64> {
        self.header.tensors.get(tensor)?.bytes()
    }

    /// How many numbers the weights are.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.header
            .tensors
            .values()
            .map(|tensor| tensor.shape.iter().product::<u64>())
            .sum()
    }

    /// The tokens that end an answer or a turn.
    #[must_use]
    pub fn end_tokens(&self) -> Vec<u32> {
        ["eos_token_id", "eot_token_id", "eom_token_id"]
            .iter()
            .filter_map(|key| self.token_id(key))
            .collect()
    }

    /// Whether the file has a tokenizer.
    #[must_use]
    pub fn has_tokenizer(&self) -> bool {
        self.header.metadata.contains_key("tokenizer.ggml.tokens")
    }

    /// The tokenizer inside.
    ///
    /// # Errors
    /// When there is none, or it is one that cannot be built exactly; the message says to name another.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        words::tokenizer(&self.header).map_err(|why| {
            Error::Tokenizer(format!("{why} (in `{}`)", self.path.display()))
                .hint("name a folder with the model's own `tokenizer.json`: `tokenizer: DIR`")
        })
    }

    /// Whether a tokenizer of elsewhere has the tokens of this file under the same ids, as far as the file lists them, and none
    /// that the embedding has no row for.
    ///
    /// # Errors
    /// With the first token that differs.
    pub fn check_tokenizer(&self, tokenizer: &Tokenizer) -> Result<()> {
        let place = self.path.display();
        if let (Some((id, token)), Some(rows)) = (tokenizer.largest(), self.embedding_rows())
            && u64::from(id) >= rows
        {
            return Err(Error::Tokenizer(format!(
                "the tokenizer has the token {id} (`{token}`), but the embedding of `{place}` only {rows} rows"
            ))
            .hint("name the tokenizer that the file was made with"));
        }
        let own = self
            .header
            .list("tokenizer.ggml.tokens")
            .unwrap_or_default();
        let spelt = own.iter().filter_map(header::Value::text);
        for (id, own) in (0_u32..).zip(spelt) {
            match tokenizer.id_to_token(id) {
                Some(named) if !is_same_piece(&named, own) && !self.is_unused(id) => {
                    return Err(Error::Tokenizer(format!(
                        "token {id} is `{named}` in the tokenizer that is named, and `{own}` in `{place}`"
                    ))
                    .hint("name the tokenizer that the file was made with, or leave `tokenizer` out"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the file says that no text has a token.
    fn is_unused(&self, id: u32) -> bool {
        const UNUSED: i128 = 5;
        let kinds = self.header.list("tokenizer.ggml.token_type");
        let kind = kinds.and_then(|kinds| kinds.get(id as usize)?.whole());
        kind == Some(UNUSED)
    }

    /// The chat template inside.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.header.text("tokenizer.chat_template")
    }

    /// The chat template inside, or the file `instead` with the special tokens of this one.
    ///
    /// # Errors
    /// When there is none, or it does not parse.
    pub fn template(&self, instead: Option<&Path>) -> Result<ChatTemplate> {
        let place = || format!("`{}`", self.path.display());
        let source = match (instead, self.chat_template()) {
            (Some(path), _) => chat::of_file(path)?,
            (None, Some(own)) => chat::sources::not_empty(own.to_owned(), &place())?,
            (None, None) => {
                return Err(Error::Template(format!(
                    "{} has no `tokenizer.chat_template`",
                    place()
                ))
                .hint("this is a base model without a chat format, give it a template (`chat_template: FILE`)"));
            }
        };
        ChatTemplate::new(&source, self.special_tokens())
    }

    /// The template of a folder whose tokenizer is read with this file, or the one inside where the folder has none.
    ///
    /// # Errors
    /// When there is none, or the one that is meant cannot be taken.
    pub fn template_with(&self, folder: &Path, instead: Option<&Path>) -> Result<ChatTemplate> {
        match instead.is_some() || chat::sources::speaks(folder) {
            true => ChatTemplate::of_model(folder, instead),
            false => self.template(None),
        }
    }

    /// Spelling of a token that is named by its part in the header: `bos`, `eos`, `unknown`, `padding`.
    #[must_use]
    pub fn token(&self, part: &str) -> Option<&str> {
        let id = self.token_id(&format!("{part}_token_id"))?;
        self.header
            .list("tokenizer.ggml.tokens")?
            .get(id as usize)?
            .text()
    }

    /// The special tokens that a chat template may name.
    #[must_use]
    pub fn special_tokens(&self) -> Vec<(String, String)> {
        [
            ("bos_token", "bos"),
            ("eos_token", "eos"),
            ("unk_token", "unknown"),
            ("pad_token", "padding"),
        ]
        .into_iter()
        .filter_map(|(name, part)| Some((name.to_owned(), self.token(part)?.to_owned())))
        .collect()
    }

    fn token_id(&self, key: &str) -> Option<u32> {
        let id = self.header.whole(&format!("tokenizer.ggml.{key}"))?;
        u32::try_from(id).ok()
    }
}

/// Whether two spellings are of the same token: converters write the space of an added one as it is.
fn is_same_piece(left: &str, right: &str) -> bool {
    left.replace('\u{2581}', " ") == right.replace('\u{2581}', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    fn fixtures() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gguf")
    }

    fn json(path: &Path) -> Json {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// Every file of `tests/fixtures/gguf`: 200 texts by its tokenizer, as `tests/python/make_gguf.py` had the families' own files,
    /// SentencePiece and llama.cpp encode them.
    #[test]
    fn the_tokenizer_inside_encodes_as_the_one_that_the_model_was_made_with() {
        let texts = json(&fixtures().join("texts.json"));
        let texts: Vec<&str> = texts
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap())
            .collect();
        assert_eq!(texts.len(), 200);
        let mut files = 0;
        for entry in std::fs::read_dir(fixtures()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "gguf") {
                continue;
            }
            files += 1;
            let tokenizer = GgufFile::open(&path).unwrap().tokenizer().unwrap();
            let reference = json(&path.with_extension("json"));
            for (i, text) in texts.iter().enumerate() {
                let ids = |name: &str| -> Vec<u32> {
                    serde_json::from_value(reference[name][i].clone()).unwrap()
                };
                let place = format!("{} {text:?}", path.display());
                assert_eq!(
                    tokenizer.encode(text, false).unwrap(),
                    ids("ids"),
                    "{place}"
                );
                assert_eq!(
                    tokenizer.encode(text, true).unwrap(),
                    ids("dressed"),
                    "{place}"
                );
                let decoded = tokenizer.decode(&ids("ids"), true).unwrap();
                assert_eq!(
                    decoded,
                    reference["decoded"][i].as_str().unwrap(),
                    "{place}"
                );
            }
        }
        assert!(files >= 10, "{files}");
    }

    #[test]
    fn a_broken_header_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.gguf");
        let sound = std::fs::read(fixtures().join("spm.gguf")).unwrap();
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            GgufFile::open(&path).unwrap_err().to_string()
        };
        assert!(said(b"PK\x03\x04").contains("does not begin with `GGUF`"));
        for length in [5, 30, 200, sound.len() / 2] {
            let said = said(&sound[..length]);
            assert!(said.contains("no sound GGUF file"), "{said}");
        }
        // A text as long as 2^60 bytes.
        let mut long = sound[..24].to_vec();
        long.extend((1_u64 << 60).to_le_bytes());
        assert!(said(&long).contains("its header ends at byte"));
        let mut old = sound.clone();
        old[4] = 1;
        assert!(said(&old).contains("GGUF version 1"));
    }

    /// A file of two tensors of eight numbers, which begin at these bytes of its data.
    fn two_tensors(starts: [u64; 2]) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        for (name, start) in ["a", "b"].into_iter().zip(starts) {
            bytes.extend((name.len() as u64).to_le_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(1_u32.to_le_bytes());
            bytes.extend(8_u64.to_le_bytes());
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend(start.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32) + 128, 0);
        bytes
    }

    #[test]
    fn tensors_that_overlap_or_begin_between_two_places_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.gguf");
        let opened = |starts: [u64; 2]| {
            std::fs::write(&path, two_tensors(starts)).unwrap();
            GgufFile::open(&path).map_err(|error| error.to_string())
        };
        assert!(opened([0, 32]).is_ok() && opened([64, 0]).is_ok());
        let same = opened([32, 32]).unwrap_err();
        assert!(same.contains("the tensors `a` and `b` overlap"), "{same}");
        let between = opened([0, 36]).unwrap_err();
        assert!(
            between.contains("no multiple of the alignment 32"),
            "{between}"
        );
    }
}
