use super::*;
use serde_json::json;

fn with(extra: Value) -> Result<AdapterSettings, Refusal> {
    let mut config = json!({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "mlp.up_proj"]});
    for (key, value) in extra.as_object().unwrap() {
        config[key] = value.clone();
    }
    AdapterSettings::from_json(&config)
}

const Q0: &str = "model.layers.0.self_attn.q_proj";
const Q11: &str = "model.layers.11.self_attn.q_proj";

#[test]
fn modules_are_found_as_peft_finds_them() {
    let plain = with(json!({})).unwrap();
    assert!(plain.targets(Q0) && plain.targets("model.layers.3.mlp.up_proj"));
    assert!(!plain.targets("model.layers.0.self_attn.k_proj"));
    assert!(!plain.targets("model.layers.0.self_attn.xq_proj"));
    let pattern = with(json!({"target_modules": r".*layers\.[01]\.self_attn\.[qv]_proj"})).unwrap();
    assert!(pattern.targets(Q0) && !pattern.targets(Q11));
    let all = with(json!({"target_modules": "all-linear"})).unwrap();
    assert!(all.targets(Q11) && !all.targets("lm_head"));
    let excluded = with(json!({"exclude_modules": ["layers.0.self_attn.q_proj"]})).unwrap();
    assert!(!excluded.targets(Q0) && excluded.targets(Q11));
    let layers = with(json!({"layers_to_transform": [1, 11]})).unwrap();
    assert!(!layers.targets(Q0) && layers.targets(Q11));
    let layers = with(json!({"layers_to_transform": 0, "layers_pattern": "layers"})).unwrap();
    assert!(layers.targets(Q0) && !layers.targets(Q11));
    let saved = with(json!({"modules_to_save": ["embed_tokens", "self_attn.q_proj"]})).unwrap();
    assert!(!saved.targets(Q0) && saved.saves(Q0) && saved.saves("model.embed_tokens"));
}

/// `tests/python/make_adapters.py` asked PEFT.
#[test]
fn modules_ranks_and_scales_are_those_of_peft() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/peft-modules.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = cases[0]["names"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(cases.len() > 10 && names.len() > 10);
    for case in &cases[1..] {
        let settings = AdapterSettings::from_json(&case["config"]).unwrap();
        for name in &names {
            let expected = case["changed"].get(*name);
            assert_eq!(
                settings.targets(name),
                expected.is_some(),
                "{name}: {}",
                case["config"]
            );
            if let Some(expected) = expected {
                assert_eq!(
                    json!(settings.rank_of(name)),
                    expected[0],
                    "{name}: {}",
                    case["config"]
                );
                let scale = expected[1].as_f64().unwrap();
                assert!(
                    (settings.scale_of(name) - scale).abs() < 1e-12,
                    "{name}: {}",
                    case["config"]
                );
            }
        }
    }
}

#[test]
fn patterns_give_ranks_and_alphas() {
    let settings = with(json!({
        "rank_pattern": {r"layers\.0\..*q_proj": 2, "q_proj": 16}, "alpha_pattern": {"^model.layers.11.self_attn.q_proj": 32},
    }))
    .unwrap();
    assert_eq!((settings.rank_of(Q0), settings.rank_of(Q11)), (2, 16));
    assert_eq!((settings.scale_of(Q0), settings.scale_of(Q11)), (4.0, 2.0));
    assert_eq!(settings.scale_of("model.layers.3.mlp.up_proj"), 2.0);
    let rslora = with(json!({"use_rslora": true})).unwrap();
    assert_eq!(rslora.scale_of(Q0), 4.0);
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    for (extra, name) in [
        (json!({"peft_type": "LOHA"}), "LOHA"),
        (json!({"init_lora_weights": "pissa"}), "pissa"),
        (
            json!({"init_lora_weights": "pissa_niter_4"}),
            "pissa_niter_4",
        ),
        (json!({"init_lora_weights": "OLoRA"}), "OLoRA"),
        (json!({"init_lora_weights": "loftq"}), "loftq"),
        (json!({"init_lora_weights": "corda"}), "corda"),
        (json!({"init_lora_weights": "lora_ga"}), "lora_ga"),
        (json!({"init_lora_weights": "mica"}), "mica"),
        (json!({"init_lora_weights": "of-tomorrow"}), "of-tomorrow"),
        (
            json!({"alora_invocation_tokens": [3, 4]}),
            "alora_invocation_tokens",
        ),
        (
            json!({"alora_invocation_tokens": []}),
            "alora_invocation_tokens",
        ),
        (json!({"use_bdlora": {}}), "use_bdlora"),
        (json!({"bias": "all"}), "bias"),
        (json!({"lora_bias": true}), "lora_bias"),
        (json!({"layer_replication": [[0, 2]]}), "layer_replication"),
        (json!({"target_parameters": ["x"]}), "target_parameters"),
        (
            json!({"trainable_token_indices": [1]}),
            "trainable_token_indices",
        ),
        (json!({"use_qalora": true}), "use_qalora"),
        (json!({"use_bdlora": {"nblocks": 2}}), "use_bdlora"),
        (json!({"ensure_weight_tying": true}), "ensure_weight_tying"),
        (json!({"megatron_config": {"a": 1}}), "megatron_config"),
        (json!({"a_key_of_tomorrow": 3}), "a_key_of_tomorrow"),
        (json!({"target_modules": null}), "target_modules"),
        (json!({"target_modules": "(?=x)y"}), "(?=x)y"),
        (json!({"r": 0}), "`r: 0`"),
        (json!({"use_rslora": "yes"}), "use_rslora"),
        (json!({"lora_dropout": 1.0}), "lora_dropout"),
    ] {
        let error = with(extra).unwrap_err().reason;
        assert!(error.contains(name), "{name}: {error}");
    }
    for extra in [
        json!({"init_lora_weights": "gaussian"}),
        json!({"init_lora_weights": "eva", "eva_config": {"rho": 2.0}}),
        json!({"init_lora_weights": "orthogonal"}),
        json!({"init_lora_weights": false}),
        json!({"a_key_of_tomorrow": null, "another": false, "loftq_config": {}, "megatron_core": "megatron.core"}),
        json!({"use_dora": true, "modules_to_save": ["lm_head"], "qalora_group_size": 16}),
    ] {
        assert!(with(extra.clone()).is_ok(), "{extra}");
    }
}

/// PEFT stops at each of them.
#[test]
fn null_is_no_number() {
    for key in NO_NULLS {
        let said = with(json!({key: null})).unwrap_err().reason;
        assert!(said.contains(&format!("`{key}` is null")), "{said}");
    }
    for key in [
        "use_rslora",
        "use_dora",
        "modules_to_save",
        "init_lora_weights",
    ] {
        assert!(with(json!({key: null})).is_ok(), "{key}");
    }
}
