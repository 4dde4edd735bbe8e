//! Special and added tokens, merged from a tokenizer's files as transformers 5 merges them.
//!
//! `tokenizer.json` has the vocabulary and most added tokens; `tokenizer_config.json` may have further ones
//! (`added_tokens_decoder`) and names the special tokens. Only where it has no `added_tokens_decoder`, `special_tokens_map.json`
//! overrides those names and `added_tokens.json` is read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Refusal, Result, optional_json};

/// Special tokens that every tokenizer may have, by the name that chat templates use.
const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// A token that a file adds to the vocabulary, or marks in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Added {
    /// Its spelling.
    pub content: String,
    /// Whether white space before it belongs to it.
    #[serde(default)]
    pub lstrip: bool,
    /// Whether white space after it belongs to it.
    #[serde(default)]
    pub rstrip: bool,
    /// Whether it is found between words only.
    #[serde(default)]
    pub single_word: bool,
    /// Whether it is looked for in the normalised text; what is special is not, unless the file says otherwise.
    #[serde(default)]
    pub normalized: Option<bool>,
    /// Whether it is left out of answers.
    #[serde(default)]
    pub special: bool,
    /// The id that the file gives it.
    #[serde(skip)]
    pub id: Option<u32>,
    /// Whether its flags count where `tokenizer.json` has others for it: those of `added_tokens_decoder` do.
    #[serde(skip)]
    pub settles: bool,
}

impl Added {
    fn special(content: &str) -> Self {
        Self {
            content: content.to_owned(),
            lstrip: false,
            rstrip: false,
            single_word: false,
            normalized: None,
            special: true,
            id: None,
            settles: false,
        }
    }
}

/// What a folder says of its tokenizer beside `tokenizer.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Spellings by the names that chat templates use: `bos_token`, `eos_token`, ...
    pub named: BTreeMap<String, String>,
    /// Tokens to be added to what `tokenizer.json` has, in this order. Those that it has already become special where they are here,
    /// and have other flags where this file settles them.
    pub added: Vec<Added>,
}

impl SpecialTokens {
    /// Reads a tokenizer's folder.
    ///
    /// # Errors
    /// When a file is no JSON, or an entry cannot be understood.
    pub fn read(folder: &Path) -> Result<Self> {
        let config_path = folder.join("tokenizer_config.json");
        let config = optional_json(&config_path)?;
        let splits = config["split_special_tokens"] == true;
        let other = &config["model_specific_special_tokens"];
        if splits || other.as_object().is_some_and(|tokens| !tokens.is_empty()) {
            let key = match splits {
                true => "split_special_tokens",
                false => "model_specific_special_tokens",
            };
            let refusal = Refusal::new(
                format!(
                    "`{key}` makes transformers find other tokens in a text than are found here"
                ),
                "take it out, or save the tokenizer again without it",
            );
            return Err(Error::content(&config_path, refusal));
        }
        let decoder = &config["added_tokens_decoder"];
        if let Value::Object(entries) = decoder {
            let mut found = Found::of(&config, &config_path)?;
            let mut added = BTreeMap::new();
            for (id, entry) in entries {
                let token = found_token(entry).filter(|_| entry.is_object());
                let (Ok(id), Some(token)) = (id.parse::<u32>(), token) else {
                    return Err(Error::content(
                        &config_path,
                        format!("the entry `{id}` of `added_tokens_decoder` is no token"),
                    ));
                };
                added.insert(
                    id,
                    Added {
                        id: Some(id),
                        settles: true,
                        ..token
                    },
                );
            }
            found.added = added.into_values().collect();
            return Ok(found.merged());
        }
        let map_path = folder.join("special_tokens_map.json");
        let mut all = match config {
            Value::Object(entries) => entries,
            _ => serde_json::Map::new(),
        };
        if let Value::Object(map) = optional_json(&map_path)? {
            all.extend(map);
        }
        let mut found = Found::of(&Value::Object(all), &map_path)?;
        let added_path = folder.join("added_tokens.json");
        if let Value::Object(ids) = optional_json(&added_path)? {
            for (content, id) in ids {
                let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
                let id = id.ok_or_else(|| {
                    Error::content(&added_path, format!("`{content}` has no number"))
                })?;
                let special = found.is_named(&content)
                    || found.extra.iter().any(|token| token.content == content);
                found.added.push(Added {
                    special,
                    id: Some(id),
                    ..Added::special(&content)
                });
            }
            found.added.sort_by_key(|token| token.id);
        }
        Ok(found.merged())
    }

    /// Spelling of a named token.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }
}

/// The largest token id of a tokenizer's folder, with the token's spelling.
///
/// # Errors
/// When a file cannot be read or is no tokenizer.
pub fn largest_token(folder: &Path) -> Result<(u32, String)> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        added_tokens: Vec<Numbered>,
        model: Model,
    }
    #[derive(Deserialize)]
    struct Numbered {
        id: u32,
        content: String,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: Ids,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ids {
        /// BPE, WordPiece, WordLevel.
        Named(BTreeMap<String, u32>),
        /// Unigram: pieces with their scores, in the order of their ids.
        Listed(Vec<(String, f64)>),
    }
    let path = folder.join("tokenizer.json");
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    let file: File = serde_json::from_slice(&bytes)
        .map_err(|e| Error::content(&path, format!("is no tokenizer: {e}")))?;
    let special = SpecialTokens::read(folder)?.added;
    let (numbered, named): (Vec<Added>, Vec<Added>) = special
        .into_iter()
        .filter(|token| !token.content.trim().is_empty())
        .partition(|token| token.id.is_some());
    let listed: Vec<(u32, String)> = numbered
        .into_iter()
        .filter_map(|token| Some((token.id?, token.content)))
        .chain(file.added_tokens.into_iter().map(|t| (t.id, t.content)))
        .collect();
    // A special token that no file gives a number gets the next one, in transformers as here.
    let unknown = |vocabulary: &dyn Fn(&str) -> bool| {
        let known = |content: &str| {
            vocabulary(content) || listed.iter().any(|(_, listed)| listed == content)
        };
        let mut new = named.iter().map(|token| token.content.clone());
        new.rfind(|content| !known(content))
    };
    let (largest, new) = match file.model.vocab {
        Ids::Named(ids) => {
            let new = unknown(&|content| ids.contains_key(content));
            (ids.into_iter().map(|(s, id)| (id, s)).max(), new)
        }
        Ids::Listed(pieces) => {
            let new = unknown(&|content| pieces.iter().any(|piece| piece.0 == content));
            ((0_u32..).zip(pieces).map(|(id, p)| (id, p.0)).last(), new)
        }
    };
    let largest = listed.into_iter().chain(largest).max().unwrap_or_default();
    Ok(match new {
        Some(content) => (largest.0 + 1, content),
        None => largest,
    })
}

/// What was found in the files, before it is merged.
#[derive(Default)]
struct Found {
    /// In the order of the files, in which transformers gives new ones their ids.
    named: Vec<(String, Added)>,
    extra: Vec<Added>,
    added: Vec<Added>,
}

/// The lists of further special tokens, of which transformers reads one.
const FURTHER: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

impl Found {
    /// Named and further special tokens of settings.
    fn of(settings: &Value, path: &Path) -> Result<Self> {
        let mut found = Self::default();
        let [older, newer] = FURTHER.map(|key| &settings[key]);
        let has = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
        if has(older) && has(newer) && older != newer {
            let refusal = Refusal::new(
                format!(
                    "`{}` and `{}` are two lists, and transformers reads the second alone",
                    FURTHER[0], FURTHER[1]
                ),
                "put all tokens into one of the two",
            );
            return Err(Error::content(path, refusal));
        }
        let no_token = |what: &str| Error::content(path, format!("{what} is no token"));
        for (key, value) in settings.as_object().into_iter().flatten() {
            let further = FURTHER.contains(&key.as_str());
            match value {
                Value::Null => {}
                Value::Array(tokens) if further => {
                    for token in tokens {
                        let token = found_token(token)
                            .ok_or_else(|| no_token(&format!("an entry of `{key}`")))?;
                        found.extra.push(token);
                    }
                }
                Value::Object(tokens) if further => {
                    for (name, token) in tokens {
                        let token = found_token(token)
                            .ok_or_else(|| no_token(&format!("`{name}` of `{key}`")))?;
                        found.name(name, token);
                    }
                }
                _ if further => return Err(no_token(&format!("`{key}`"))),
                _ if NAMED.contains(&key.as_str())
                    || (key.ends_with("_token") && value.is_string()) =>
                {
                    let token = found_token(value).ok_or_else(|| no_token(&format!("`{key}`")))?;
                    found.name(key, token);
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// A name that is there already keeps its place.
    fn name(&mut self, name: &str, token: Added) {
        match self.named.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = token,
            None => self.named.push((name.to_owned(), token)),
        }
    }

    fn is_named(&self, content: &str) -> bool {
        self.named.iter().any(|(_, token)| token.content == content)
    }

    /// Added tokens first, by their ids, then special ones that are not among them.
    fn merged(self) -> SpecialTokens {
        let mut added = self.added.clone();
        for token in &mut added {
            token.special |= self.is_named(&token.content);
        }
        let of = |name: &&str| self.named.iter().find(|(known, _)| known == name);
        let usual = NAMED.iter().filter_map(of);
        let others = self.named.iter();
        let others = others.filter(|(name, _)| !NAMED.contains(&name.as_str()));
        let named = usual.chain(others).map(|(_, token)| token);
        for token in named.chain(&self.extra) {
            if !added.iter().any(|known| known.content == token.content) {
                added.push(Added {
                    special: true,
                    ..token.clone()
                });
            }
        }
        let named = self.named.into_iter();
        SpecialTokens {
            named: named.map(|(name, token)| (name, token.content)).collect(),
            added,
        }
    }
}

/// A token as a string, or as an object with its spelling in `content`.
fn found_token(value: &Value) -> Option<Added> {
    match value {
        Value::String(content) => Some(Added::special(content)),
        Value::Object(_) => Added::deserialize(value).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(files: &[(&str, Value)]) -> SpecialTokens {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content.to_string()).unwrap();
        }
        SpecialTokens::read(dir.path()).unwrap()
    }

    fn spellings(tokens: &SpecialTokens) -> Vec<(&str, bool, Option<u32>)> {
        let of = |t: &'_ Added| (t.special, t.id);
        tokens
            .added
            .iter()
            .map(|t| (t.content.as_str(), of(t).0, of(t).1))
            .collect()
    }

    #[test]
    fn the_decoder_of_the_configuration_settles_what_the_map_says() {
        let config = json!({
            "bos_token": {"__type": "AddedToken", "content": "<b>", "special": true}, "eos_token": "<e>", "image_token": "<i>",
            "additional_special_tokens": ["<x>"],
            "added_tokens_decoder": {
                "12": {"content": "<e>", "special": false}, "3": {"content": "<t>", "special": false, "normalized": true},
            },
        });
        let map = json!({"eos_token": "<other>"});
        let tokens = read(&[
            ("tokenizer_config.json", config),
            ("special_tokens_map.json", map),
        ]);
        assert_eq!(tokens.get("eos_token"), Some("<e>"));
        assert_eq!(tokens.get("image_token"), Some("<i>"));
        assert_eq!(
            spellings(&tokens),
            [
                ("<t>", false, Some(3)),
                ("<e>", true, Some(12)),
                ("<b>", true, None),
                ("<i>", true, None),
                ("<x>", true, None)
            ]
        );
    }

    #[test]
    fn without_a_decoder_the_older_files_count() {
        let tokens = read(&[
            (
                "tokenizer_config.json",
                json!({"eos_token": "<e>", "pad_token": null}),
            ),
            (
                "special_tokens_map.json",
                json!({"eos_token": {"content": "<end>", "lstrip": false}, "bos_token": "<b>"}),
            ),
            ("added_tokens.json", json!({"<plain>": 9, "<end>": 8})),
        ]);
        assert_eq!(tokens.get("eos_token"), Some("<end>"));
        assert_eq!(tokens.get("pad_token"), None);
        assert_eq!(
            spellings(&tokens),
            [
                ("<end>", true, Some(8)),
                ("<plain>", false, Some(9)),
                ("<b>", true, None)
            ]
        );
        assert_eq!(read(&[]), SpecialTokens::default());
    }

    #[test]
    fn a_named_token_without_a_number_gets_the_next_one() {
        let largest = |config: Value| {
            let dir = tempfile::tempdir().unwrap();
            let file = json!({
                "added_tokens": [{"id": 2, "content": "<e>"}],
                "model": {"vocab": {"a": 0, "b": 1}},
            });
            for (name, content) in [("tokenizer.json", file), ("tokenizer_config.json", config)] {
                std::fs::write(dir.path().join(name), content.to_string()).unwrap();
            }
            largest_token(dir.path()).unwrap()
        };
        for config in [
            json!({}),
            json!({"eos_token": "<e>", "pad_token": "a", "unk_token": ""}),
        ] {
            assert_eq!(largest(config), (2, "<e>".to_owned()));
        }
        let config = json!({"eos_token": "</s>"});
        assert_eq!(largest(config), (3, "</s>".to_owned()));
    }

    #[test]
    fn what_transformers_reads_otherwise_is_refused() {
        for (config, part) in [
            (json!({"eos_token": 5}), "`eos_token` is no token"),
            (json!({"bos_token": ["<s>"]}), "`bos_token` is no token"),
            (
                json!({"extra_special_tokens": {"x": ["<x>"]}}),
                "`x` of `extra_special_tokens`",
            ),
            (
                json!({"additional_special_tokens": "<x>"}),
                "`additional_special_tokens` is no token",
            ),
            (
                json!({"additional_special_tokens": ["<x>"], "extra_special_tokens": ["<y>"]}),
                "are two lists",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
            let said = SpecialTokens::read(dir.path()).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
        let both = json!({"additional_special_tokens": ["<x>"], "extra_special_tokens": ["<x>"]});
        assert_eq!(read(&[("tokenizer_config.json", both)]).added.len(), 1);
    }

    /// `tests/python/make_special_tokens.py` asked transformers.
    #[test]
    fn names_are_those_of_transformers() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/special");
        let mut seen = 0;
        for entry in std::fs::read_dir(root).unwrap().flatten() {
            let text = std::fs::read_to_string(entry.path().join("expected.json")).unwrap();
            let expected: Value = serde_json::from_str(&text).unwrap();
            let ours = SpecialTokens::read(&entry.path()).unwrap().named;
            assert_eq!(json!(ours), expected["named"], "{}", entry.path().display());
            seen += 1;
        }
        assert!(seen >= 8);
    }
}
