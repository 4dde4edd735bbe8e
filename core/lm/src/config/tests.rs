use serde_json::{Value, json};

use super::*;

fn with(architecture: &str, extra: Value) -> Value {
    let mut config = json!({
        "architectures": [architecture], "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    });
    for (key, value) in extra.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn read(architecture: &str, extra: Value) -> DecoderConfig {
    DecoderConfig::from_json(&with(architecture, extra)).unwrap()
}

fn refusal(architecture: &str, extra: Value) -> String {
    let error = DecoderConfig::from_json(&with(architecture, extra)).unwrap_err();
    assert!(error.is_unsupported(), "{error}");
    error.to_string()
}

#[test]
fn llama_3_scaling_reads_from_transformers_4_and_5() {
    let scaling = json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3"});
    let four = read(
        "LlamaForCausalLM",
        json!({"rope_theta": 5e5, "rope_scaling": scaling}),
    );
    let mut parameters = scaling.clone();
    parameters["rope_theta"] = json!(5e5);
    let five = read("LlamaForCausalLM", json!({"rope_parameters": parameters}));
    assert_eq!(four, five);
    let expected = RopeScaling::Llama3 {
        factor: 8.0,
        low: 1.0,
        high: 4.0,
        original: 8192,
    };
    assert_eq!(
        (four.ropes[0].theta, &four.ropes[0].scaling),
        (5e5, &expected)
    );
    // Both at once, where they say the same.
    let mut both =
        json!({"rope_theta": 5e5, "rope_scaling": scaling, "rope_parameters": parameters});
    assert_eq!(read("LlamaForCausalLM", both.clone()), five);
    both["rope_scaling"]["factor"] = json!(4.0);
    assert!(refusal("LlamaForCausalLM", both).contains("contradict"));
}

#[test]
fn defaults_are_those_of_the_family() {
    let qwen3 = read("Qwen3ForCausalLM", json!({}));
    assert_eq!((qwen3.head_dim, qwen3.attention.qk_norm), (128, true));
    let mistral = read(
        "MistralForCausalLM",
        json!({"max_position_embeddings": 32768}),
    );
    assert_eq!(mistral.layers[1].window, Some(4096));
    let open = read("MistralForCausalLM", json!({"sliding_window": null}));
    assert_eq!(open.layers[1].window, None);
    let gemma = read("Gemma2ForCausalLM", json!({}));
    assert_eq!(
        gemma.layers.iter().map(|l| l.window).collect::<Vec<_>>(),
        [Some(4096), None]
    );
    assert_eq!(
        (gemma.attention.softcap, gemma.logit_softcap),
        (Some(50.0), Some(30.0))
    );
    let uncapped = json!({"attn_logit_softcapping": null, "final_logit_softcapping": null});
    assert_eq!(read("Gemma2ForCausalLM", uncapped).logit_softcap, None);
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    for (architecture, extra, name) in [
        ("BloomForCausalLM", json!({}), "BloomForCausalLM"),
        ("LlamaForCausalLM", json!({"hidden_act": "relu"}), "`relu`"),
        (
            "LlamaForCausalLM",
            json!({"rope_scaling": {"type": "spiral", "factor": 2}}),
            "`spiral`",
        ),
        (
            "LlamaForCausalLM",
            json!({"quantization_config": {"quant_method": "gptq"}}),
            "`gptq`",
        ),
        (
            "Qwen3ForCausalLM",
            json!({"layer_types": ["full_attention", "sliding_attention"]}),
            "sliding_attention",
        ),
        (
            "Qwen3ForCausalLM",
            json!({"layer_types": ["full_attention", "linear_attention"]}),
            "linear_attention",
        ),
        // Keys that nobody reads: of other families, of later ones, of nobody.
        (
            "LlamaForCausalLM",
            json!({"sliding_window": 64}),
            "`sliding_window: 64`",
        ),
        (
            "MistralForCausalLM",
            json!({"attention_bias": true}),
            "`attention_bias: true`",
        ),
        (
            "Qwen2ForCausalLM",
            json!({"logits_scaling": 8.0}),
            "`logits_scaling: 8.0`",
        ),
        (
            "LlamaForCausalLM",
            json!({"residual_multiplier": 0.5}),
            "residual_multiplier",
        ),
        (
            "LlamaForCausalLM",
            json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "beta_fast": 3}}),
            "`rope_scaling.beta_fast: 3`",
        ),
        (
            "LlamaForCausalLM",
            json!({"rope_theta": 5e5, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}),
            "`rope_parameters.rope_theta: 10000`",
        ),
        (
            "LlamaForCausalLM",
            json!({"rope_scaling": {"rope_type": "linear", "type": "yarn", "factor": 2.0}}),
            "`rope_scaling.type: yarn`",
        ),
        (
            "Qwen3MoeForCausalLM",
            json!({"num_experts": 4, "num_local_experts": 8}),
            "num_local_experts: 8",
        ),
    ] {
        let said = refusal(architecture, extra);
        assert!(said.contains(name), "{said}");
    }
    let error =
        DecoderConfig::from_json(&with("LlamaForCausalLM", json!({"vocab_size": -3}))).unwrap_err();
    assert!(error.to_string().contains("`vocab_size`"), "{error}");
}

/// transformers stops at each of them.
#[test]
fn null_is_no_value_of_most_keys() {
    for (extra, name) in [
        (json!({"rope_theta": null}), "`rope_theta`"),
        (json!({"rms_norm_eps": null}), "`rms_norm_eps`"),
        (json!({"hidden_act": null}), "`hidden_act`"),
        (json!({"attention_bias": null}), "`attention_bias`"),
        (
            json!({"rope_parameters": {"rope_theta": null, "rope_type": "default"}}),
            "`rope_parameters.rope_theta`",
        ),
        (
            json!({"rope_scaling": {"rope_type": null, "type": "linear", "factor": 2.0}}),
            "`rope_scaling.rope_type`",
        ),
        (
            json!({"rope_scaling": {"rope_type": "linear", "factor": null}}),
            "`rope_scaling.factor`",
        ),
    ] {
        let error = DecoderConfig::from_json(&with("LlamaForCausalLM", extra)).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(name) && told.contains("is null"), "{told}");
    }
    let none = json!({"rope_scaling": null, "head_dim": null, "num_key_value_heads": null});
    assert!(DecoderConfig::from_json(&with("LlamaForCausalLM", none)).is_ok());
}

#[test]
fn what_changes_nothing_is_let_through() {
    let extra = json!({"unsloth_fixed": true, "use_cache": false, "is_llama_config": true, "rope_interleaved": false,
        "pretraining_tp": 2, "some_new_key": null, "use_sliding_window": false, "_name_or_path": "x/y",
        "transformers.js_config": {"dtype": "q4"}});
    assert_eq!(
        read("LlamaForCausalLM", extra),
        read("LlamaForCausalLM", json!({}))
    );
}

#[test]
fn experts_and_dropouts_are_not_trained() {
    let mixtral = read("MixtralForCausalLM", json!({}));
    assert!(
        mixtral
            .check_trainable()
            .unwrap_err()
            .to_string()
            .contains("experts")
    );
    let dropout = read("LlamaForCausalLM", json!({"attention_dropout": 0.1}));
    assert!(
        dropout
            .check_trainable()
            .unwrap_err()
            .to_string()
            .contains("`attention_dropout: 0.1`")
    );
    assert!(
        read("Gemma2ForCausalLM", json!({}))
            .check_trainable()
            .is_ok()
    );
}

/// Numbers by which positions, normalisations or scores are none.
#[test]
fn numbers_that_make_no_numbers_are_refused() {
    let yarn = |key: &str, value: f64| {
        let mut scaling =
            json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32});
        scaling[key] = json!(value);
        json!({ "rope_scaling": scaling })
    };
    let of =
        |kind: &str, factor: f64| json!({"rope_scaling": {"rope_type": kind, "factor": factor}});
    let llama3 = |low: f64, high: f64, factor: f64| {
        json!({"rope_scaling": {"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": 32}})
    };
    let long = |divisor: f64| {
        json!({"rope_scaling": {"rope_type": "longrope", "factor": 2.0, "original_max_position_embeddings": 32,
            "short_factor": vec![1.0; 8], "long_factor": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, divisor]}})
    };
    for (extra, key) in [
        (of("linear", 0.0), "`rope_scaling.factor` 0"),
        (of("linear", -2.0), "`rope_scaling.factor` -2"),
        (of("linear", 0.5), "`rope_scaling.factor` 0.5 has to be 1"),
        (of("dynamic", 0.0), "`rope_scaling.factor`"),
        (of("dynamic", 1e12), "`rope_scaling.factor`"),
        (llama3(1.0, 4.0, 0.9), "`rope_scaling.factor` 0.9"),
        (llama3(0.0, 4.0, 8.0), "low_freq_factor` 0"),
        (llama3(4.0, 4.0, 8.0), "high_freq_factor` 4 has to be above"),
        (yarn("factor", -1.0), "`rope_scaling.factor` -1"),
        (yarn("attention_factor", 0.0), "attention_factor` 0"),
        (yarn("beta_fast", -1.0), "beta_fast` -1"),
        (
            yarn("original_max_position_embeddings", -32.0),
            "-32 is no number of tokens",
        ),
        (
            yarn("original_max_position_embeddings", 0.5),
            "0.5 is no number of tokens",
        ),
        (long(0.0), "long_factor` has the divisor 0"),
        (json!({"rms_norm_eps": -1e-5}), "`rms_norm_eps`"),
        (
            json!({"rms_norm_eps": 0.0}),
            "`rms_norm_eps` 0 has to be above 0",
        ),
        (json!({"rope_theta": 0.0}), "`rope_theta` 0"),
    ] {
        let error = DecoderConfig::from_json(&with("LlamaForCausalLM", extra)).unwrap_err();
        assert!(error.to_string().contains(key), "{key}: {error}");
    }
    for extra in [
        of("linear", 1.0),
        of("dynamic", 8.0),
        llama3(1.0, 4.0, 8.0),
        long(1.5),
    ] {
        assert!(
            DecoderConfig::from_json(&with("LlamaForCausalLM", extra.clone())).is_ok(),
            "{extra}"
        );
    }
}
