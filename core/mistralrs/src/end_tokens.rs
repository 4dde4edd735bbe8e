//! Which tokens end an answer.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::recorder::Ending;

/// Every end token that a model folder declares, in increasing order: `eos_token_id` of `config.json` and of
/// `generation_config.json` (a number or a list), and `eos_token` of the tokenizer's configuration.
///
/// # Errors
/// When `generation_config.json` is there and is no JSON.
pub(crate) fn declared(
    folder: &Path,
    config: &Value,
    eos_token: Option<u32>,
) -> Result<Vec<u32>, String> {
    let mut tokens = ids(&config["eos_token_id"]);
    let path = folder.join("generation_config.json");
    if let Ok(text) = std::fs::read(&path) {
        let generation: Value = serde_json::from_slice(&text)
            .map_err(|e| format!("`{}` is no JSON: {e}", path.display()))?;
        tokens.extend(ids(&generation["eos_token_id"]));
    }
    tokens.extend(eos_token);
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// The ids of a number or of a list of numbers.
fn ids(value: &Value) -> Vec<u32> {
    let one = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

/// How mistral.rs is told that an answer has ended: with the first end token that it accepts as a stop token.
///
/// It refuses a token that another one begins with. It keeps special tokens apart from text, so a special token is
/// safe when no other special token begins with it.
pub(crate) fn ending(end_tokens: &[u32], special: &BTreeMap<u32, String>) -> Ending {
    let safe = |id: &&u32| {
        special.get(id).is_some_and(|spelling| {
            !special
                .iter()
                .any(|(other, s)| other != *id && s.starts_with(spelling.as_str()))
        })
    };
    match end_tokens.iter().find(safe) {
        Some(&id) => Ending::Token(id),
        None => Ending::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_declared_end_token_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = json!({"eos_token_id": 2});
        assert_eq!(declared(dir.path(), &config, Some(7)).unwrap(), [2, 7]);
        let generation = dir.path().join("generation_config.json");
        std::fs::write(&generation, r#"{"eos_token_id": [9, 2, 5]}"#).unwrap();
        assert_eq!(declared(dir.path(), &config, None).unwrap(), [2, 5, 9]);
        std::fs::write(&generation, r#"{"eos_token_id": 3}"#).unwrap();
        assert_eq!(
            declared(dir.path(), &json!({"eos_token_id": null}), None).unwrap(),
            [3]
        );
        std::fs::write(&generation, "{").unwrap();
        assert!(declared(dir.path(), &config, None).is_err());
    }

    #[test]
    fn an_end_token_that_another_begins_with_is_not_given_to_mistral_rs() {
        let special = BTreeMap::from([
            (1, "<|end|>".to_owned()),
            (2, "<|end|>2".to_owned()),
            (3, "<|stop|>".to_owned()),
        ]);
        assert_eq!(ending(&[1, 2], &special), Ending::Token(2));
        assert_eq!(ending(&[1, 3], &special), Ending::Token(3));
        assert_eq!(ending(&[1, 300], &special), Ending::Failure);
        assert_eq!(ending(&[], &special), Ending::Failure);
    }
}
