//! Which tokens end an answer, as a folder declares them.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Refusal, Result, optional_json};

/// The file of a model's generation settings.
pub const GENERATION: &str = "generation_config.json";

/// Every end token that a model folder declares, in increasing order: `eos_token_id` of `config.json` and of
/// `generation_config.json` (a number or a list), and `eos_token` of the tokenizer. transformers takes the first two only, the
/// second where both are there; an answer that goes on behind one of the others is no answer of the model's makers.
///
/// # Errors
/// When `generation_config.json` is there and is no JSON object, and when an end token is no number of a token: an answer would go on
/// behind it.
pub fn declared(folder: &Path, config: &Value, eos_token: Option<u32>) -> Result<Vec<u32>> {
    let mut tokens = ids(&folder.join("config.json"), &config["eos_token_id"])?;
    let path = folder.join(GENERATION);
    let generation = optional_json(&path)?;
    if !generation.is_null() && !generation.is_object() {
        return Err(Error::content(&path, "is no JSON object"));
    }
    tokens.extend(ids(&path, &generation["eos_token_id"])?);
    tokens.extend(eos_token);
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// The end tokens that a folder declares by their numbers.
///
/// # Errors
/// As [`declared`].
pub fn of_folder(folder: &Path) -> Result<Vec<u32>> {
    let config = optional_json(&folder.join("config.json"))?;
    declared(folder, &config, None)
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

/// The ids of a number or of a list of numbers. A negative number is no token's, as in transformers.
fn ids(path: &Path, value: &Value) -> Result<Vec<u32>> {
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut found = Vec::new();
    for id in list {
        match id.as_i64().map(u32::try_from) {
            Some(Ok(id)) => found.push(id),
            Some(Err(_)) if id.as_i64() < Some(0) => {}
            _ => {
                let refusal = Refusal::new(
                    format!("`eos_token_id: {value}` is no token's number, and no list of such"),
                    "write the ids of the tokens that end an answer, such as `[2, 7]`",
                );
                return Err(Error::content(path, refusal));
            }
        }
    }
    Ok(found)
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
        for wrong in [
            "{",
            "[1]",
            r#"{"eos_token_id": 241.0}"#,
            r#"{"eos_token_id": "241"}"#,
            r#"{"eos_token_id": [[241]]}"#,
            r#"{"eos_token_id": [2, null]}"#,
            r#"{"eos_token_id": 4294967296}"#,
        ] {
            std::fs::write(&generation, wrong).unwrap();
            assert!(declared(dir.path(), &config, None).is_err(), "{wrong}");
        }
        std::fs::write(&generation, r#"{"eos_token_id": -1}"#).unwrap();
        assert_eq!(declared(dir.path(), &config, None).unwrap(), [2]);
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
