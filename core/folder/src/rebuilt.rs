//! Tokenizers that transformers 5 does not take from `tokenizer.json` as it stands: some classes build theirs anew from its
//! vocabulary, with a normaliser and a way of splitting words of their own.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result, optional_json};

/// What transformers 5 makes of a folder's tokenizer where that is not what `tokenizer.json` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The class that builds it.
    pub class: String,
    /// Parts of `tokenizer.json` that it has otherwise; none where it is not known here what it builds.
    pub parts: Vec<&'static str>,
}

/// Classes of decoders' tokenizers that build theirs anew in a way that is not known here.
const UNKNOWN: [&str; 13] = [
    "AlbertTokenizer",
    "BertTokenizer",
    "BlenderbotTokenizer",
    "CodeGenTokenizer",
    "CodeLlamaTokenizer",
    "CohereTokenizer",
    "DebertaV2Tokenizer",
    "GPTNeoXTokenizer",
    "OpenAIGPTTokenizer",
    "Qwen3_5Tokenizer",
    "RobertaTokenizer",
    "T5Tokenizer",
    "XLNetTokenizer",
];

/// Words as Qwen 2 splits them.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Stands for a space in pieces.
const SPACE: &str = "\u{2581}";

/// The parts of a `tokenizer.json` that a class may have otherwise.
#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    model: Model,
}

#[derive(Debug, Default, Deserialize)]
struct Model {
    #[serde(default)]
    ignore_merges: Option<bool>,
    #[serde(default)]
    byte_fallback: Option<bool>,
    #[serde(default)]
    fuse_unk: Option<bool>,
}

/// What transformers 5 builds of the tokenizer of a folder, where it is another one than `tokenizer.json` describes.
///
/// # Errors
/// When a file cannot be read.
pub fn rebuilt(folder: &Path) -> Result<Option<Rebuilt>> {
    let path = folder.join("tokenizer.json");
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    let file: File = serde_json::from_slice(&bytes)
        .map_err(|e| Error::content(&path, format!("is no tokenizer: {e}")))?;
    let settings = optional_json(&folder.join("tokenizer_config.json"))?;
    let config = optional_json(&folder.join("config.json"))?;
    let Some(class) = class_of(&settings, &config, &file) else {
        return Ok(None);
    };
    let parts = match class.as_str() {
        "Qwen2Tokenizer" => file.unlike(&json!({"type": "NFC"}), &qwen2(&settings), Flags::NONE),
        "GPT2Tokenizer" => {
            let bytes = byte_level(&settings, true);
            file.unlike(&Value::Null, &bytes, Flags::NONE)
        }
        "LlamaTokenizer" => file.unlike_pieces(prepend(&settings)),
        "GemmaTokenizer" => file.unlike_pieces("never"),
        class if UNKNOWN.contains(&class) => Vec::new(),
        _ => return Ok(None),
    };
    let known = !UNKNOWN.contains(&class.as_str());
    Ok((!known || !parts.is_empty()).then_some(Rebuilt { class, parts }))
}

/// The class of an architecture whatever its folder says, where transformers has one.
fn registered(model_type: &str) -> Option<&'static str> {
    match model_type {
        "qwen2" | "qwen3" | "qwen3_moe" | "qwen3_next" => Some("Qwen2Tokenizer"),
        "gemma" | "gemma2" | "gemma3_text" => Some("GemmaTokenizer"),
        "phi" | "starcoder2" => Some("GPT2Tokenizer"),
        "glm" | "glm4" | "glm4_moe" | "glm4_moe_lite" | "granitemoehybrid" | "mistral"
        | "mixtral" | "phi3" | "phimoe" => Some("TokenizersBackend"),
        _ => None,
    }
}

/// The class that `AutoTokenizer` of transformers 5.24 settles on; `None` for the one that takes `tokenizer.json` as it stands.
fn class_of(settings: &Value, config: &Value, file: &File) -> Option<String> {
    // Code of the folder, which nobody runs here.
    if !settings["auto_map"].is_null() {
        return None;
    }
    let model_type = config["model_type"].as_str().unwrap_or_default();
    let declared = [settings, config].map(|file| file["tokenizer_class"].as_str());
    let declared = declared.into_iter().flatten().next();
    let declared = declared.map(|class| class.strip_suffix("Fast").unwrap_or(class));
    let registered = registered(model_type);
    let mistrusted = ["qwen2", "phi3", "phimoe"].contains(&model_type);
    let class = match (declared, registered) {
        (Some("LlamaTokenizer"), _) if !mistrusted && file.is_byte_level() => return None,
        (Some(_), Some("TokenizersBackend")) => return None,
        (Some(_), Some(registered)) if mistrusted => registered,
        (Some(declared), _) => declared,
        (None, registered) => registered?,
    };
    Some(class.to_owned())
}

fn flag(settings: &Value, key: &str) -> Option<bool> {
    settings[key].as_bool()
}

fn byte_level(settings: &Value, splits: bool) -> Value {
    let space = flag(settings, "add_prefix_space").unwrap_or(false);
    json!({"type": "ByteLevel", "add_prefix_space": space, "use_regex": splits})
}

fn qwen2(settings: &Value) -> Value {
    let split = json!({"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": false});
    json!({"type": "Sequence", "pretokenizers": [split, byte_level(settings, false)]})
}

/// Where a Llama's tokenizer puts a space before a text.
fn prepend(settings: &Value) -> &'static str {
    let space = flag(settings, "add_prefix_space").unwrap_or(true);
    let legacy = flag(settings, "legacy").unwrap_or(false);
    match (space, legacy) {
        (false, _) => "never",
        (true, true) => "always",
        (true, false) => "first",
    }
}

/// Switches of a BPE model.
#[derive(Clone, Copy)]
struct Flags {
    byte_fallback: bool,
    fuse_unk: bool,
}

impl Flags {
    const NONE: Self = Self {
        byte_fallback: false,
        fuse_unk: false,
    };
    const PIECES: Self = Self {
        byte_fallback: true,
        fuse_unk: true,
    };
}

impl File {
    fn is_byte_level(&self) -> bool {
        let named = |part: &Value| part.to_string().contains("\"ByteLevel\"");
        named(&self.pre_tokenizer) || named(&self.decoder)
    }

    /// Parts that are not as a class builds them.
    fn unlike(&self, normalizer: &Value, splits: &Value, flags: Flags) -> Vec<&'static str> {
        let mut parts = Vec::new();
        if self.normalizer != *normalizer {
            parts.push("normalizer");
        }
        if without_offsets(&self.pre_tokenizer) != *splits {
            parts.push("pre_tokenizer");
        }
        parts.extend(self.unlike_model(flags));
        parts
    }

    fn unlike_model(&self, flags: Flags) -> Vec<&'static str> {
        let model = &self.model;
        [
            ("model.ignore_merges", model.ignore_merges, false),
            (
                "model.byte_fallback",
                model.byte_fallback,
                flags.byte_fallback,
            ),
            ("model.fuse_unk", model.fuse_unk, flags.fuse_unk),
        ]
        .into_iter()
        .filter(|(_, has, builds)| has.unwrap_or(false) != *builds)
        .map(|(name, ..)| name)
        .collect()
    }

    /// The same of a vocabulary of pieces, before which a space is put so often.
    fn unlike_pieces(&self, prepends: &str) -> Vec<&'static str> {
        let mut parts = Vec::new();
        if self.prepends().as_deref() != Some(prepends) {
            parts.extend(["normalizer", "pre_tokenizer"]);
        }
        parts.extend(self.unlike_model(Flags::PIECES));
        parts
    }

    /// When the file puts a space before a text, in the words of `Metaspace`; `None` where it does more than that.
    fn prepends(&self) -> Option<String> {
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
        let prepend = json!({"type": "Prepend", "prepend": SPACE});
        let both = json!({"type": "Sequence", "normalizers": [prepend, replace]});
        // Spaces are replaced before, so that nothing is split.
        let idle = json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
        match (&self.normalizer, &self.pre_tokenizer) {
            (Value::Null, words) if words["type"] == "Metaspace" && words["split"] == false => {
                words["prepend_scheme"].as_str().map(str::to_owned)
            }
            (normalizer, words) if words.is_null() || *words == idle => match normalizer {
                normalizer if *normalizer == both => Some("always".to_owned()),
                normalizer if *normalizer == replace => Some("never".to_owned()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Without what says where a token stands in its text.
fn without_offsets(words: &Value) -> Value {
    let mut words = words.clone();
    if let Some(Value::Array(parts)) = words.get_mut("pretokenizers") {
        for part in parts {
            *part = without_offsets(part);
        }
    }
    if let Some(object) = words.as_object_mut() {
        object.remove("trim_offsets");
    }
    words
}

#[cfg(test)]
mod tests;
