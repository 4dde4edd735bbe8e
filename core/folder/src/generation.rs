//! What a folder's generation settings ask for beyond what a spec decides.

use std::path::Path;

use serde_json::Value;

use crate::ends::GENERATION;
use crate::error::{Result, optional_json};

const CONFIG: &str = "config.json";

/// Settings that a spec has of its own (`generate`), ends and other tokens that are read elsewhere, and what changes no answer.
const DECIDED: [&str; 26] = [
    "_from_model_config",
    "assistant_token_id",
    "bos_token_id",
    "cache_implementation",
    "chat_format",
    "decoder_start_token_id",
    "do_sample",
    "eos_token_id",
    "max_length",
    "max_new_tokens",
    "max_window_size",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "return_dict_in_generate",
    "temperature",
    "top_k",
    "top_p",
    "transformers_version",
    "trust_remote_code",
    "unk_token_id",
    "use_cache",
    "user_token_id",
    "is_encoder_decoder",
];

/// Values by which a setting changes nothing.
const NEUTRAL: [(&str, f64); 13] = [
    ("diversity_penalty", 0.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("guidance_scale", 1.0),
    ("length_penalty", 1.0),
    ("min_length", 0.0),
    ("no_repeat_ngram_size", 0.0),
    ("num_beam_groups", 1.0),
    ("num_beams", 1.0),
    ("repetition_penalty", 1.0),
    ("typical_p", 1.0),
];

/// Further keys by which a `config.json` without a `generation_config.json` beside it settles answers.
const OF_CONFIG: [&str; 10] = [
    "bad_words_ids",
    "begin_suppress_tokens",
    "early_stopping",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_decoder_ids",
    "forced_eos_token_id",
    "remove_invalid_values",
    "sequence_bias",
    "suppress_tokens",
];

/// Settings of a folder by which transformers would write other answers and which nobody here applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    /// The file that they stand in.
    pub file: &'static str,
    /// The settings as they stand there.
    pub settings: Vec<String>,
}

/// The settings that a folder asks for and that nobody here applies: a penalty on repetition, tokens that may not come, several
/// beams. As transformers does, they are looked for in `generation_config.json`, and in `config.json` where there is no such file.
///
/// # Errors
/// When a file is there and is no JSON.
pub fn not_applied(folder: &Path) -> Result<Option<NotApplied>> {
    let own = optional_json(&folder.join(GENERATION))?;
    let (file, content) = match own.is_null() {
        false => (GENERATION, own),
        true => (CONFIG, optional_json(&folder.join(CONFIG))?),
    };
    let settles = |key: &str| match file {
        GENERATION => !DECIDED.contains(&key),
        _ => OF_CONFIG.contains(&key) || NEUTRAL.iter().any(|(known, _)| *known == key),
    };
    let all = content.as_object().into_iter().flatten();
    let told = all.filter(|(key, value)| settles(key) && !is_neutral(key, value));
    let settings: Vec<String> = told
        .map(|(key, value)| format!("`{key}: {value}`"))
        .collect();
    Ok((!settings.is_empty()).then_some(NotApplied { file, settings }))
}

fn is_neutral(key: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Number(number) => {
            let neutral = NEUTRAL.iter().find(|(known, _)| *known == key);
            neutral.is_some_and(|(_, neutral)| number.as_f64() == Some(*neutral))
        }
        Value::Bool(true) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(folder: &Path, file: &str, content: &str) -> Vec<String> {
        std::fs::write(folder.join(file), content).unwrap();
        match not_applied(folder).unwrap() {
            Some(found) => {
                assert_eq!(found.file, file);
                found.settings
            }
            None => Vec::new(),
        }
    }

    #[test]
    fn what_would_change_answers_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let told = |content: &str| told(dir.path(), GENERATION, content);
        assert!(
            told(r#"{"eos_token_id": [2], "temperature": 0.6, "top_p": 0.9, "do_sample": true}"#)
                .is_empty()
        );
        assert!(told(r#"{"repetition_penalty": 1.0, "num_beams": 1, "suppress_tokens": [], "bad_words_ids": null}"#).is_empty());
        assert_eq!(
            told(r#"{"repetition_penalty": 1.05, "suppress_tokens": [3], "unheard_of": 0}"#),
            [
                "`repetition_penalty: 1.05`",
                "`suppress_tokens: [3]`",
                "`unheard_of: 0`"
            ]
        );
    }

    #[test]
    fn what_stands_in_the_configuration_counts_where_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let config = r#"{"hidden_size": 64, "temperature": 0.6, "repetition_penalty": 1.3, "num_beams": 1,
            "suppress_tokens": [5]}"#;
        let found = told(dir.path(), CONFIG, config);
        assert_eq!(
            found,
            ["`repetition_penalty: 1.3`", "`suppress_tokens: [5]`"]
        );
        std::fs::write(dir.path().join(GENERATION), "{}").unwrap();
        assert_eq!(not_applied(dir.path()).unwrap(), None);
    }
}
