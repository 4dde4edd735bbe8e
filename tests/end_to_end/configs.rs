//! What a model folder says is what runs, or it is refused by name before anything runs.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::planned::Planned;
use crate::support::{Place, copy_folder, tests_dir, text};

const SPEC: &str = r#"version: 1
name: configs
models:
  m: {path: model, engine: mistralrs}
datasets:
  q: {jsonl: q.jsonl, id: id}
metrics:
  uncertainty: {plugin: uncertainty}
evaluations:
  ask:
    models: [m]
    dataset: q
    prompt: [{user: "{{ q }}"}]
    generate: {max_tokens: 6}
    metrics: [uncertainty]
"#;

/// A golden model whose configuration has some keys more, and a spec that asks it.
fn asked(place: &Place, golden: &str, more: &Value) -> PathBuf {
    copy_folder(
        &tests_dir().join("golden").join(golden),
        &place.path("model"),
    );
    let config = place.read("model/config.json");
    let mut config: Value = serde_json::from_slice(&config).expect("JSON");
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    place.write("model/config.json", &config.to_string());
    place.write(
        "q.jsonl",
        "{\"id\": \"1\", \"q\": \"what is the capital of the island?\"}\n",
    );
    place.write("spec.yaml", SPEC)
}

#[test]
fn what_the_engine_would_ignore_is_refused_by_the_plan() {
    for (golden, more, names) in [
        ("llama", json!({"attention_bias": true}), "attention_bias"),
        ("llama", json!({"mlp_bias": true}), "mlp_bias"),
        (
            "llama",
            json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}),
            "yarn",
        ),
        (
            "llama",
            json!({"rope_scaling": {"type": "dynamic", "factor": 4.0}}),
            "dynamic",
        ),
        (
            "llama",
            json!({"partial_rotary_factor": 0.5}),
            "partial_rotary_factor",
        ),
        ("llama", json!({"head_dim": 24}), "head_dim"),
        ("llama", json!({"logit_scale": 0.5}), "logit_scale"),
        ("llama", json!({"sliding_window": 16}), "sliding_window"),
        (
            "llama",
            json!({"tie_word_embeddings": true}),
            "tie_word_embeddings",
        ),
        (
            "llama",
            json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4},
                   "rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
            "contradict",
        ),
        ("llama", json!({"num_hidden_layers": 2}), "model.layers.2."),
        ("llama", json!({"num_hidden_layers": 4}), "model.layers.3."),
        (
            "qwen2",
            json!({"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
            "linear",
        ),
        ("qwen3", json!({"attention_bias": true}), "attention_bias"),
        (
            "mistral",
            json!({"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
            "linear",
        ),
        (
            "llama",
            json!({"quantization_config": {"quant_method": "hqq", "bits": 4}}),
            "the method `hqq`",
        ),
        (
            "llama",
            json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}),
            "stored as they are",
        ),
        // Contradictory to our own decoder, which knows the architecture.
        (
            "qwen2",
            json!({"layer_types": ["sliding_attention", "full_attention", "full_attention"], "use_sliding_window": false}),
            "sliding_attention",
        ),
        (
            "llama",
            json!({"architectures": ["PhiMoEForCausalLM"]}),
            "PhiMoEForCausalLM",
        ),
    ] {
        let place = Place::new();
        let spec = asked(&place, golden, &more);
        let output = place.output(&["plan", text(&spec)]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{more}: {said}");
        assert!(said.contains(names), "no `{names}` in:\n{said}");
    }
}

#[test]
fn an_answer_beyond_a_window_is_refused_by_the_plan() {
    let place = Place::new();
    let spec = asked(&place, "mistral", &json!({"sliding_window": 8}));
    for command in [
        &["plan", text(&spec)][..],
        &["run", text(&spec), "--out", "run"],
    ] {
        let output = place.output(command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in [
            "prompt-too-long",
            "sliding_window: 8",
            "sample `1` has",
            "an answer of up to 6",
        ] {
            assert!(said.contains(part), "no `{part}` in:\n{said}");
        }
    }
    // A window that no layer has is none.
    let place = Place::new();
    let none = json!({"sliding_window": 8, "use_sliding_window": true, "max_window_layers": 28});
    let spec = asked(&place, "qwen2", &none);
    place.run(&spec, "run");
}

#[test]
fn what_was_not_proven_stands_in_the_report_and_strict_refuses_it() {
    let place = Place::new();
    let spec = asked(&place, "llama", &json!({}));
    let quantised = SPEC.replace("engine: mistralrs", "quantization: q8_0");
    place.write("spec.yaml", &quantised);
    // Planning tells it, in words and for machines.
    let plan = place.output(&["plan", text(&spec)]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        plan.contains(
            "`logits-agree` of `m` will not be proven: the weights are quantised to `q8_0`"
        ),
        "{plan}"
    );
    let plan = Planned::of(&place, &spec);
    assert_eq!(plan.0["unproven"][0]["model"], "m");
    place.run(&spec, "run");
    let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    assert!(page.contains("not held against an independent computation"));
    // Where the answers are there already, and where they are not.
    for store in ["store", "another"] {
        let output = place
            .command(&["run", text(&spec), "--out", "run", "--strict"])
            .env("DRIFTGAUGE_STORE", place.path(store))
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("`logits-agree`"), "{said}");
    }
    // Without quantisation everything is proven.
    place.write("spec.yaml", SPEC);
    let output = place.output(&["run", text(&spec), "--out", "whole", "--strict"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
