//! The tensors of a folder against those that mistral.rs reads: it says nothing of others.

use driftgauge_problem::Problem;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::family_of;

/// Every tensor has a place in the model, and every layer what it needs.
///
/// # Errors
/// With the name of the first that has none, or is missing.
pub(crate) fn check_tensors(
    config: &Value,
    shapes: &BTreeMap<String, Vec<u64>>,
) -> Result<(), Problem> {
    let family = family_of(config)?;
    let layers = config["num_hidden_layers"].as_u64().unwrap_or(0);
    let names: Vec<&str> = family.tensors.iter().copied().flatten().copied().collect();
    let patterns: BTreeSet<&str> = names
        .iter()
        .map(|name| name.trim_start_matches('?'))
        .collect();
    for name in shapes.keys() {
        let (pattern, layer) = pattern_of(name);
        let further = layer.is_some_and(|layer| layer >= layers);
        // Tables that older versions of transformers stored, and layers that predict further tokens.
        if name.ends_with("rotary_emb.inv_freq") || (further && predicts(config)) {
            continue;
        }
        if further || !patterns.contains(pattern.as_str()) {
            return Err(Problem::failed(format!(
                "weight `{name}` has no place in `{}`, and mistral.rs 0.8.1 ignores it",
                family.class
            ))
            .help(
                "the weights belong to another model \
                 than `config.json`, or lack a step of their conversion",
            ));
        }
    }
    for pattern in names.iter().filter(|name| !name.starts_with('?')) {
        let missing = |name: String| match shapes.contains_key(&name) {
            true => Ok(()),
            false => Err(Problem::failed(format!(
                "weight `{name}` of `{}` is missing",
                family.class
            ))
            .help("finish the download, or save the whole model again")),
        };
        match pattern.matches('#').count() {
            0 => missing((*pattern).to_owned())?,
            1 => {
                for layer in 0..layers {
                    missing(pattern.replacen('#', &layer.to_string(), 1))?;
                }
            }
            _ => {}
        }
    }
    let tied = config["tie_word_embeddings"].as_bool().unwrap_or(false);
    if !tied && !shapes.contains_key("lm_head.weight") {
        return Err(Problem::failed(format!(
            "weight `lm_head.weight` of `{}` is missing, and `tie_word_embeddings` is not set",
            family.class
        ))
        .help(
            "set it where the embedding is \
             the head too",
        ));
    }
    Ok(())
}

/// Whether the files may hold layers beyond the last, which neither transformers nor mistral.rs reads.
fn predicts(config: &Value) -> bool {
    config["num_nextn_predict_layers"].as_u64().unwrap_or(0) > 0
}

/// A name with `#` for its numbers, and the first of them: the layer.
fn pattern_of(name: &str) -> (String, Option<u64>) {
    let mut layer = None;
    let parts: Vec<&str> = name
        .split('.')
        .map(|part| match part.parse::<u64>() {
            Ok(number) => {
                layer = layer.or(Some(number));
                "#"
            }
            Err(_) => part,
        })
        .collect();
    (parts.join("."), layer)
}
