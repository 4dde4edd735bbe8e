//! Which tokens end an answer, as a folder declares them.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Result, optional_json};

/// The file of a model's generation settings.
pub const GENERATION: &str = "generation_config.json";

/// Every end token that a model folder declares, in increasing order: `eos_token_id` of `config.json` and of
/// `generation_config.json` (a number or a list), and `eos_token` of the tokenizer. transformers takes the first two only, the
/// second where both are there; an answer that goes on behind one of the others is no answer of the model's makers.
///
/// # Errors
/// When `generation_config.json` is there and is no JSON.
pub fn declared(folder: &Path, config: &Value, eos_token: Option<u32>) -> Result<Vec<u32>> {
    let mut tokens = ids(&config["eos_token_id"]);
    let generation = optional_json(&folder.join(GENERATION))?;
    tokens.extend(ids(&generation["eos_token_id"]));
    tokens.extend(eos_token);
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// The content of a `generation_config.json` whose end tokens are those declared so far and `further` ones.
#[must_use]
pub fn with_further(generation: &Value, declared: &[u32], further: &[u32]) -> Value {
    let mut all = [declared, further].concat();
    all.sort_unstable();
    all.dedup();
    let mut content = match generation {
        Value::Object(_) => generation.clone(),
        _ => json!({}),
    };
    content["eos_token_id"] = match all.as_slice() {
        [one] => json!(one),
        several => json!(several),
    };
    content
}

/// The ids of a number or of a list of numbers.
fn ids(value: &Value) -> Vec<u32> {
    let one = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_end_token_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = json!({"eos_token_id": 2});
        assert_eq!(declared(dir.path(), &config, Some(7)).unwrap(), [2, 7]);
        let generation = dir.path().join(GENERATION);
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
    fn further_ends_stand_beside_what_was_there() {
        let generation = json!({"temperature": 0.6, "eos_token_id": 3});
        let content = with_further(&generation, &[3, 1], &[9]);
        assert_eq!(
            content,
            json!({"temperature": 0.6, "eos_token_id": [1, 3, 9]})
        );
        assert_eq!(
            with_further(&Value::Null, &[], &[4]),
            json!({"eos_token_id": 4})
        );
    }
}
