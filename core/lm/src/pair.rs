//! A prompt and the text that is scored after it, as tokens.
//!
//! Both are encoded together and cut behind the prompt, as lm-evaluation-harness does: a tokenizer that puts a sign before
//! every text (SentencePiece) or merges across the boundary would give other tokens to the text alone.

use crate::error::{Error, Result};
use crate::tokenize::Tokenizer;

/// A prompt and what is scored after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Tokens that are given.
    pub prompt: Vec<u32>,
    /// Tokens that are scored.
    pub continuation: Vec<u32>,
    /// Whether the tokenizer, given both at once, has another token where the prompt ends: the text is then cut in the middle of
    /// what it makes one token of.
    pub merged: bool,
}

impl Tokenizer {
    /// `text` after `prompt`. White space at the end of the prompt belongs to the text. `before` are tokens that begin every text,
    /// unless the prompt begins with them itself.
    ///
    /// Where nothing stands before the text, `prompt` comes back empty.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn pair(&self, prompt: &str, text: &str, before: &[u32]) -> Result<Pair> {
        let given = prompt.trim_end();
        let prompt_ids = self.after(before, given)?;
        let mut whole = self.after(before, &format!("{prompt}{text}"))?;
        let cut = prompt_ids.len().min(whole.len());
        let continuation = whole.split_off(cut);
        let merged = whole != prompt_ids;
        if continuation.is_empty() && !text.is_empty() {
            let shown: String = text.chars().take(40).collect();
            return Err(Error::Score(format!(
                "no token is left for `{shown}`: the tokenizer merges it with the end of the prompt"
            )));
        }
        Ok(Pair {
            prompt: prompt_ids,
            continuation,
            merged,
        })
    }

    /// The tokens that the tokenizer itself puts before any text (often one); what it puts after one is left out.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn leading(&self) -> Result<Vec<u32>> {
        let bare = self.encode("a", false)?;
        let mut dressed = self.encode("a", true)?;
        let before = dressed
            .windows(bare.len().max(1))
            .position(|window| window == bare)
            .unwrap_or(0);
        dressed.truncate(before);
        Ok(dressed)
    }

    fn after(&self, before: &[u32], text: &str) -> Result<Vec<u32>> {
        let tokens = match text {
            "" => Vec::new(),
            text => self.encode(text, false)?,
        };
        if tokens.starts_with(before) {
            return Ok(tokens);
        }
        Ok([before, &tokens].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A BPE with byte pieces as SentencePiece's, and `<s>` before every text.
    fn sentencepiece() -> Tokenizer {
        let pieces = [
            "<unk>",
            "<s>",
            "\u{2581}",
            "a",
            "b",
            "c",
            "\u{2581}a",
            "\u{2581}b",
            "ab",
            ":",
        ];
        let vocab: serde_json::Map<_, _> = pieces
            .iter()
            .zip(0..)
            .map(|(p, i)| ((*p).to_owned(), json!(i)))
            .collect();
        let file = json!({
            "added_tokens": [{"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "\u{2581}"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"}]},
            "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": false, "vocab": vocab,
                "merges": [["\u{2581}", "a"], ["\u{2581}", "b"], ["a", "b"]]},
        });
        Tokenizer::from_bytes(file.to_string().as_bytes()).unwrap()
    }

    fn pair(prompt: &str, text: &str) -> Pair {
        let tokenizer = sentencepiece();
        let before = tokenizer.leading().unwrap();
        tokenizer.pair(prompt, text, &before).unwrap()
    }

    #[test]
    fn no_sign_stands_before_a_text_that_follows_another() {
        let together = pair("a:", "b");
        assert_eq!(
            (together.prompt, together.continuation),
            (vec![1, 6, 9], vec![4])
        );
        assert!(!together.merged);
        let spaced = pair("a:", " b");
        assert_eq!(spaced.continuation, [7]);
    }

    #[test]
    fn a_space_at_the_end_of_the_prompt_belongs_to_the_text() {
        assert_eq!(pair("a: ", "b"), pair("a:", " b"));
        assert_eq!(pair("a:  ", "b").continuation, [2, 7]);
    }

    #[test]
    fn a_merge_across_the_boundary_is_told() {
        // Alone the prompt ends with `a`; together `ab` is one token, and what is left of the whole is scored.
        let merged = pair("ca", "bc");
        assert!(merged.merged);
        assert_eq!(
            (merged.prompt, merged.continuation),
            (vec![1, 2, 5, 3], vec![5])
        );
        let tokenizer = sentencepiece();
        let error = tokenizer.pair("ca", "b", &[1]).unwrap_err().to_string();
        assert!(error.contains("no token is left for `b`"), "{error}");
    }

    #[test]
    fn nothing_before_the_text_leaves_what_begins_every_text() {
        assert_eq!(pair("", "a").prompt, [1]);
        assert_eq!(pair("<s>", "a").prompt, [1]);
        assert_eq!(
            sentencepiece().pair("", "a", &[]).unwrap().prompt,
            [0_u32; 0]
        );
    }
}
