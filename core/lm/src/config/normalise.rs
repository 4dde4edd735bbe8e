//! A `config.json` as mistral.rs 0.8.1 reads it.

use serde_json::{Map, Value, json};

use super::{Architecture, DecoderConfig};

/// Rewrites a `config.json` so that mistral.rs 0.8.1 reads from it what transformers reads: every value it needs at the top
/// level (`rope_theta`, which transformers 5 nests), defaults written out, and a sliding window only where it is used.
/// Architectures this crate does not know keep their file, but for the place of `rope_theta`.
#[must_use]
pub fn normalise_config_json(config: &Value) -> Value {
    let mut out = config.clone();
    let Some(fields) = out.as_object_mut() else {
        return out;
    };
    lift_rope_parameters(fields);
    if let Ok(decoder) = DecoderConfig::from_json(config) {
        write_defaults(&decoder, fields);
    }
    out
}

fn lift_rope_parameters(fields: &mut Map<String, Value>) {
    let Some(Value::Object(mut parameters)) = fields.remove("rope_parameters") else {
        return;
    };
    if let Some(theta) = parameters.remove("rope_theta") {
        fields.entry("rope_theta").or_insert(theta);
    }
    let is_default = parameters
        .get("rope_type")
        .is_none_or(|kind| kind == "default");
    if !is_default {
        fields
            .entry("rope_scaling")
            .or_insert(Value::Object(parameters));
    }
}

fn write_defaults(decoder: &DecoderConfig, fields: &mut Map<String, Value>) {
    for (key, value) in [
        ("hidden_act", json!("silu")),
        ("num_key_value_heads", json!(decoder.num_key_value_heads)),
        ("head_dim", json!(decoder.head_dim)),
        (
            "max_position_embeddings",
            json!(decoder.max_position_embeddings),
        ),
        ("rms_norm_eps", json!(decoder.rms_norm_eps)),
        ("rope_theta", json!(decoder.rope_theta)),
        ("tie_word_embeddings", json!(decoder.tie_word_embeddings)),
        ("sliding_window", json!(decoder.sliding_window)),
    ] {
        fields.insert(key.to_owned(), value);
    }
    if decoder.rope_scaling.is_none() {
        fields.remove("rope_scaling");
    }
    if matches!(
        decoder.architecture,
        Architecture::Qwen2 | Architecture::Qwen3
    ) {
        fields.insert("use_sliding_window".to_owned(), json!(false));
        fields
            .entry("max_window_layers")
            .or_insert(json!(decoder.num_hidden_layers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_rope_parameters_move_to_the_top() {
        let config = json!({
            "architectures": ["Qwen2ForCausalLM"], "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
            "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}, "use_sliding_window": false,
            "sliding_window": 128, "unknown": 1,
        });
        let normal = normalise_config_json(&config);
        assert_eq!(normal["rope_theta"], 1e6);
        assert_eq!(normal["unknown"], 1);
        assert!(normal.get("rope_parameters").is_none() && normal.get("rope_scaling").is_none());
        assert!(normal["sliding_window"].is_null(), "unused, so not applied");
        assert_eq!(
            DecoderConfig::from_json(&config).unwrap(),
            DecoderConfig::from_json(&normal).unwrap()
        );
        assert_eq!(normalise_config_json(&normal), normal);
    }

    #[test]
    fn llama3_scaling_stays() {
        let config = json!({"architectures": ["SomethingElse"],
            "rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0}});
        let normal = normalise_config_json(&config);
        assert_eq!(normal["rope_theta"], 5e5);
        assert_eq!(
            normal["rope_scaling"],
            json!({"rope_type": "llama3", "factor": 8.0})
        );
    }
}
