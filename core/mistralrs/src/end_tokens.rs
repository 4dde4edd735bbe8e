//! Which tokens end an answer.

use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::recorder::Ending;

/// Every end token that the model folder declares, in increasing order: `eos_token_id` of `generation_config.json` and
/// of `config.json` (a number or a list), and `eos_token` of the tokenizer's configuration.
///
/// # Errors
/// When `generation_config.json` is there and is no JSON.
pub(crate) fn declared(
    folder: &Path,
    config: &Value,
    tokenizer: &Tokenizer,
    eos_token: Option<&str>,
) -> Result<Vec<u32>, String> {
    let mut tokens = ids(&config["eos_token_id"]);
    let path = folder.join("generation_config.json");
    if let Ok(text) = std::fs::read(&path) {
        let generation: Value = serde_json::from_slice(&text)
            .map_err(|e| format!("`{}` is no JSON: {e}", path.display()))?;
        tokens.extend(ids(&generation["eos_token_id"]));
    }
    tokens.extend(eos_token.and_then(|t| tokenizer.token_to_id(t)));
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

fn ids(value: &Value) -> Vec<u32> {
    let one = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

/// How mistral.rs is told that an answer has ended: with the first end token that it accepts as a stop token.
///
/// It refuses a token that is the beginning of another. It marks special tokens apart, so one of those is safe when no
/// other special token begins with it.
pub(crate) fn ending(end_tokens: &[u32], tokenizer: &Tokenizer) -> Ending {
    let added = tokenizer.get_added_tokens_decoder();
    let safe = |id: &&u32| {
        let Some(token) = added.get(id).filter(|t| t.special) else {
            return false;
        };
        let begins_another = |(other, t): (&u32, &tokenizers::AddedToken)| {
            other != *id && t.special && t.content.starts_with(&token.content)
        };
        !added.iter().any(begins_another)
    };
    match end_tokens.iter().find(safe) {
        Some(&id) => Ending::Token(id),
        None => Ending::Failure,
    }
}
