//! The tokenizer inside a GGUF file, built as llama.cpp builds it, or refused.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use super::header::{Header, Value};
use crate::tokenize::{Piece, SentencePiece, Tokenizer};

type Built<T> = Result<T, String>;

/// Keys under `tokenizer.` that are read here, or that change nothing of what a text becomes.
const KNOWN: [&str; 33] = [
    "ggml.model",
    "ggml.pre",
    "ggml.tokens",
    "ggml.token_type",
    "ggml.token_type_count",
    "ggml.scores",
    "ggml.merges",
    "ggml.added_tokens",
    "ggml.add_bos_token",
    "ggml.add_eos_token",
    "ggml.add_space_prefix",
    "ggml.bos_token_id",
    "ggml.eos_token_id",
    "ggml.eot_token_id",
    "ggml.eom_token_id",
    "ggml.unknown_token_id",
    "ggml.padding_token_id",
    "ggml.separator_token_id",
    "ggml.seperator_token_id",
    "ggml.cls_token_id",
    "ggml.mask_token_id",
    "ggml.prefix_token_id",
    "ggml.suffix_token_id",
    "ggml.middle_token_id",
    "ggml.fim_pre_token_id",
    "ggml.fim_suf_token_id",
    "ggml.fim_mid_token_id",
    "ggml.fim_pad_token_id",
    "ggml.fim_rep_token_id",
    "ggml.fim_sep_token_id",
    "huggingface.json",
    "chat_template",
    "chat_templates",
];

/// A vocabulary's kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Byte,
    /// Unused, or not said.
    Other,
}

/// What stands in the header of every tokenizer.
struct Words<'a> {
    header: &'a Header,
    tokens: Vec<String>,
    kinds: Vec<Kind>,
}

pub(super) fn tokenizer(header: &Header) -> Built<Tokenizer> {
    let model = header.text("tokenizer.ggml.model").unwrap_or_default();
    if !header.metadata.contains_key("tokenizer.ggml.tokens") {
        return Err("the file has no tokenizer".to_owned());
    }
    known_keys(header)?;
    // mistral.rs does not load a file without one.
    if header.whole("tokenizer.ggml.eos_token_id").is_none() {
        return Err(
            "the file's tokenizer names no end token (`tokenizer.ggml.eos_token_id`)".to_owned(),
        );
    }
    let words = Words::read(header)?;
    match model {
        "gpt2" => words.byte_level(),
        "llama" => words.sentencepiece(),
        other => Err(format!(
            "the file's tokenizer is of the kind `{other}`, which is not built here"
        )),
    }
}

fn known_keys(header: &Header) -> Built<()> {
    for (key, value) in &header.metadata {
        let Some(short) = key.strip_prefix("tokenizer.") else {
            continue;
        };
        let neutral = match short {
            // Of Unigram and WordPiece models alone.
            "ggml.remove_extra_whitespaces" | "ggml.precompiled_charsmap" => {
                header.text("tokenizer.ggml.model") == Some("llama")
            }
            "ggml.add_sep_token" => *value == Value::Flag(false),
            _ => KNOWN.contains(&short) || short.starts_with("chat_template."),
        };
        if !neutral {
            return Err(format!(
                "the key `{key}` of the file's tokenizer is not known here"
            ));
        }
    }
    Ok(())
}

impl<'a> Words<'a> {
    fn read(header: &'a Header) -> Built<Self> {
        let tokens = header.list("tokenizer.ggml.tokens").unwrap_or_default();
        let tokens: Vec<String> = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| match token.text() {
                // As llama.cpp names it.
                Some("") => Ok(format!("[EMPTY_{id}]")),
                Some(text) => Ok(text.to_owned()),
                None => Err(format!("token {id} of the file is no text")),
            })
            .collect::<Built<_>>()?;
        let kinds = match header.list("tokenizer.ggml.token_type") {
            None => {
                return Err("the file does not say which of its tokens are special (`tokenizer.ggml.token_type`)".to_owned());
            }
            Some(kinds) if kinds.len() == tokens.len() => kinds
                .iter()
                .map(|value| {
                    kind(value).ok_or_else(|| {
                        format!("`tokenizer.ggml.token_type` has {value}, which is no type of a token that is known here")
                    })
                })
                .collect::<Built<_>>()?,
            Some(kinds) => {
                return Err(format!(
                    "the file has {} tokens and the types of {}",
                    tokens.len(),
                    kinds.len()
                ));
            }
        };
        let mut seen = HashMap::new();
        for (id, token) in tokens.iter().enumerate() {
            if let Some(other) = seen.insert(token, id) {
                return Err(format!(
                    "the tokens {other} and {id} of the file are both `{token}`"
                ));
            }
        }
        Ok(Self {
            header,
            tokens,
            kinds,
        })
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.header
            .flag(&format!("tokenizer.ggml.{key}"))
            .unwrap_or(default)
    }

    /// The token that is put before or after every text.
    fn added(&self, part: &str, default: bool) -> Built<Option<u32>> {
        if !self.flag(&format!("add_{part}_token"), default) {
            return Ok(None);
        }
        let key = format!("tokenizer.ggml.{part}_token_id");
        let id = self
            .header
            .whole(&key)
            .and_then(|id| u32::try_from(id).ok());
        match id.filter(|&id| (id as usize) < self.tokens.len()) {
            Some(id) => Ok(Some(id)),
            None => Err(format!(
                "the file adds a token to every text, and `{key}` names none"
            )),
        }
    }

    /// Special tokens whose following white space belongs to them: those of Phi-3, as llama.cpp knows by the model's name.
    fn takes_space(&self, token: &str, kind: Kind) -> bool {
        let name = self
            .header
            .text("general.name")
            .unwrap_or_default()
            .to_lowercase();
        let phi3 = name.contains("phi-3") || name.contains("phi3");
        phi3 && (matches!(kind, Kind::Control | Kind::UserDefined | Kind::Unknown)
            || token == "</s>")
            && !matches!(token, "<unk>" | "<s>" | "<|endoftext|>")
    }

    /// Byte-level BPE.
    fn byte_level(&self) -> Built<Tokenizer> {
        let name = self.header.text("tokenizer.ggml.pre").unwrap_or_default();
        let split = Split::named(name).ok_or_else(|| match name {
            "" | "default" => "the file does not say how its tokenizer splits words (`tokenizer.ggml.pre`)".to_owned(),
            name => format!("the file's tokenizer splits words by `tokenizer.ggml.pre: {name}`, which is not known here"),
        })?;
        let ids: HashMap<&str, usize> = self
            .tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.as_str(), id))
            .collect();
        // What a tokenizer has no token for, it leaves out of a text: other bytes than these are missing in families in use.
        if let Some(byte) = (b'!'..=b'~')
            .map(char::from)
            .find(|c| !ids.contains_key(c.to_string().as_str()))
        {
            return Err(format!("the file's tokenizer has no token for `{byte}`"));
        }
        let merges = self
            .header
            .list("tokenizer.ggml.merges")
            .ok_or("the file's tokenizer has no merges")?;
        let merges: Vec<Json> = merges
            .iter()
            .map(|merge| {
                let text = merge.text().unwrap_or_default();
                let mut from = text.char_indices().skip(1);
                let cut = from.find(|(_, c)| *c == ' ').map(|(at, _)| at);
                let (a, b) = cut
                    .map(|at| (&text[..at], &text[at + 1..]))
                    .ok_or_else(|| format!("`{text}` is no merge of two tokens"))?;
                Ok(json!([a, b]))
            })
            .collect::<Built<_>>()?;
        let vocab: Map<String, Json> = self
            .tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.clone(), json!(id)))
            .collect();
        let added: Vec<Json> = self
            .tokens
            .iter()
            .zip(&self.kinds)
            .enumerate()
            .filter(|(_, (_, kind))| matches!(kind, Kind::Control | Kind::Unknown | Kind::UserDefined))
            .map(|(id, (token, kind))| {
                json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": self.takes_space(token, *kind),
                    "normalized": false, "special": *kind != Kind::UserDefined,
                })
            })
            .collect();
        let mut steps: Vec<Json> = split
            .regexes
            .iter()
            .map(|regex| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false}))
            .collect();
        steps.push(json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}));
        let file = json!({
            "version": "1.0",
            "added_tokens": added,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
            "post_processor": self.template(self.added("bos", split.begins)?, self.added("eos", false)?),
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "ignore_merges": split.ignores_merges, "vocab": vocab, "merges": merges},
        });
        Tokenizer::from_bytes(file.to_string().as_bytes())
            .map_err(|error| format!("the file's tokenizer cannot be built: {error}"))
    }

    fn template(&self, bos: Option<u32>, eos: Option<u32>) -> Json {
        let token = |id: u32| &self.tokens[id as usize];
        let special = |id: u32| json!({"SpecialToken": {"id": token(id), "type_id": 0}});
        let around = |name: &str| -> Vec<Json> {
            let text = json!({"Sequence": {"id": name, "type_id": 0}});
            bos.map(special)
                .into_iter()
                .chain([text])
                .chain(eos.map(special))
                .collect()
        };
        if bos.is_none() && eos.is_none() {
            return Json::Null;
        }
        let tokens: Map<String, Json> = bos
            .into_iter()
            .chain(eos)
            .map(|id| {
                (
                    token(id).clone(),
                    json!({"id": token(id), "ids": [id], "tokens": [token(id)]}),
                )
            })
            .collect();
        json!({
            "type": "TemplateProcessing",
            "single": around("A"),
            "pair": around("A").into_iter().chain(around("B")).collect::<Vec<_>>(),
            "special_tokens": tokens,
        })
    }

    /// SentencePiece's BPE: pieces with scores, and pieces for bytes.
    fn sentencepiece(&self) -> Built<Tokenizer> {
        let scores = self
            .header
            .list("tokenizer.ggml.scores")
            .ok_or("the file's tokenizer has no scores")?;
        if scores.len() != self.tokens.len() {
            return Err(format!(
                "the file has {} tokens and the scores of {}",
                self.tokens.len(),
                scores.len()
            ));
        }
        let pieces = self
            .tokens
            .iter()
            .zip(&self.kinds)
            .zip(scores)
            .map(|((token, kind), score)| {
                let piece = match kind {
                    Kind::Byte => {
                        Piece::Byte(byte(token).ok_or_else(|| format!("`{token}` is no byte"))?)
                    }
                    Kind::Control | Kind::Unknown => Piece::Special,
                    Kind::UserDefined => Piece::UserDefined,
                    Kind::Normal | Kind::Other => Piece::Normal,
                };
                let score = score
                    .real()
                    .ok_or_else(|| format!("the score of `{token}` is no number"))?;
                Ok((token.clone(), score, piece, self.takes_space(token, *kind)))
            })
            .collect::<Built<Vec<_>>>()?;
        let bos = self.added("bos", true)?;
        let eos = self.added("eos", false)?;
        let space = self.flag("add_space_prefix", true);
        SentencePiece::new(pieces, bos, eos, space).map(Tokenizer::from)
    }
}

fn kind(value: &Value) -> Option<Kind> {
    Some(match value.whole()? {
        1 => Kind::Normal,
        2 => Kind::Unknown,
        3 => Kind::Control,
        4 => Kind::UserDefined,
        0 | 5 => Kind::Other,
        6 => Kind::Byte,
        _ => return None,
    })
}

/// `<0x0A>` is the byte 10.
fn byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok()
}

/// How a byte-level tokenizer splits a text into words.
struct Split {
    /// Each is applied to what the one before left; what none matches is a word as well.
    regexes: &'static [&'static str],
    /// Whether a word that is a token is one, whatever the merges would make of it.
    ignores_merges: bool,
    /// Whether BOS is put before a text where the file does not say.
    begins: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SEED: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const BAILING: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const NUMBER: &str = r"\p{N}";
const UP_TO_THREE: &str = r"\p{N}{1,3}";
const KANJI_AND_KANA: &str = "[一-龥\u{3040}-ゟ゠-ヿ]+";
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const FALCON: [&str; 3] = [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"];

impl Split {
    /// By its name in `tokenizer.ggml.pre`.
    fn named(name: &str) -> Option<Self> {
        let regexes: &'static [&'static str] = match name {
            "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral"
            | "midm-2.0" | "lfm2" | "dbrx" | "smaug-bpe" | "glm4" | "chatglm-bpe" => &[LLAMA3],
            "qwen2" | "deepseek-r1-qwen" | "kormo" | "megrez" | "stablelm2" | "hunyuan"
            | "solar-open" | "grok-2" => &[QWEN2],
            "qwen35" => &[QWEN35],
            "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "gigachat" | "a.x-4.0" | "mellum"
            | "exaone4" | "mpt" | "olmo" | "jais" | "trillion" => &[GPT2],
            "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone"
            | "minerva-7b" => &[NUMBER, GPT2],
            "deepseek-v3" | "hunyuan-dense" | "joyai-llm" => {
                &[UP_TO_THREE, KANJI_AND_KANA, DEEPSEEK3]
            }
            "deepseek-coder" => &[
                "[\r\n]",
                r"\s?\p{L}+",
                r"\s?\p{P}+",
                "[一-龥ࠀ-一가-\u{d7ff}]+",
                NUMBER,
            ],
            "falcon" => &FALCON,
            "tekken" => &[TEKKEN],
            "gpt-4o" | "llama4" | "kanana2" => &[GPT4O],
            "seed-coder" => &[SEED],
            "bailingmoe" | "bailingmoe2" | "llada-moe" => &[BAILING],
            "poro-chat" | "bloom" | "gpt3-finnish" => &[BLOOM],
            "viking" => &[BLOOM, NUMBER],
            _ => return None,
        };
        let like_llama3 = matches!(
            name,
            "llama3"
                | "llama-v3"
                | "llama-bpe"
                | "falcon3"
                | "falcon-h1"
                | "pixtral"
                | "midm-2.0"
                | "lfm2"
                | "tekken"
        );
        Some(Self {
            regexes,
            ignores_merges: like_llama3,
            begins: like_llama3,
        })
    }
}
