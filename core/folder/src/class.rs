//! The class of a model: `architectures` names it, and `model_type` does so again.

use serde_json::Value;

use crate::error::Refusal;

/// Classes that are known here, with the `model_type` by which transformers finds them.
const CLASSES: [(&str, &str); 16] = [
    ("Gemma2ForCausalLM", "gemma2"),
    ("Gemma3ForCausalLM", "gemma3_text"),
    ("GemmaForCausalLM", "gemma"),
    ("Glm4ForCausalLM", "glm4"),
    ("Glm4MoeForCausalLM", "glm4_moe"),
    ("GlmForCausalLM", "glm"),
    ("GptOssForCausalLM", "gpt_oss"),
    ("LlamaForCausalLM", "llama"),
    ("MistralForCausalLM", "mistral"),
    ("MixtralForCausalLM", "mixtral"),
    ("Phi3ForCausalLM", "phi3"),
    ("Qwen2ForCausalLM", "qwen2"),
    ("Qwen3ForCausalLM", "qwen3"),
    ("Qwen3MoeForCausalLM", "qwen3_moe"),
    ("SmolLM3ForCausalLM", "smollm3"),
    ("Starcoder2ForCausalLM", "starcoder2"),
];

/// Whether the `model_type` of a configuration, where it has one, is that of its class: transformers computes what the former says,
/// and engines read the latter.
///
/// # Errors
/// With both.
pub fn check_type(config: &Value, class: &str) -> Result<(), Refusal> {
    let known = CLASSES.iter().find(|(known, _)| *known == class);
    let said = &config["model_type"];
    match known {
        Some((_, of_class)) if !said.is_null() && said != of_class => Err(Refusal::new(
            format!("`model_type: {said}` is not that of `{class}`, which is \"{of_class}\""),
            "transformers goes by `model_type`: keep the two that the weights belong to",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_of_another_class_is_refused() {
        for (said, class, sound) in [
            (json!("llama"), "LlamaForCausalLM", true),
            (json!(null), "LlamaForCausalLM", true),
            (json!("llama"), "MistralForCausalLM", false),
            (json!("gemma3"), "Gemma3ForCausalLM", false),
            (json!(7), "LlamaForCausalLM", false),
            (json!("foo"), "FooForCausalLM", true),
        ] {
            let checked = check_type(&json!({ "model_type": said }), class);
            assert_eq!(checked.is_ok(), sound, "{said} {class}");
        }
    }
}
