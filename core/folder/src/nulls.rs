//! Null in a `config.json`: some keys say by it that there is none of a thing, and of the others it is no value. transformers 5 holds them
//! against the types of its configurations, and stops.

use crate::Refusal;

/// Keys that may be null, as of the classes that are computed here.
const MAY_BE_NULL: [&str; 20] = [
    "attention_factor",
    "attn_logit_softcapping",
    "beta_fast",
    "beta_slow",
    "final_logit_softcapping",
    "head_dim",
    "hidden_activation",
    "layer_types",
    "mlp_only_layers",
    "mscale",
    "mscale_all_dim",
    "no_rope_layers",
    "num_key_value_heads",
    "original_max_position_embeddings",
    "quantization_config",
    "rope_parameters",
    "rope_scaling",
    "sliding_window",
    "truncate",
    "use_bidirectional_attention",
];

/// Refuses a null of a key that is read, where it is no value of it. `name` is the key with its place.
///
/// # Errors
/// With the key.
pub fn check(key: &str, name: &str) -> Result<(), Refusal> {
    match MAY_BE_NULL.contains(&key) {
        true => Ok(()),
        false => Err(Refusal::new(
            format!("`{name}` is null, which is no value of it"),
            "write the value that the model was trained with, or take the key out where it is the usual one",
        )),
    }
}
