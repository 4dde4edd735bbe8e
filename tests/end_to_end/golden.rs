//! Golden values of transformers, through the whole of `driftgauge run`.

use serde_json::Value;

use crate::support::{Place, tests_dir, text};

fn check(name: &str) {
    let folder = tests_dir().join("golden").join(name);
    let golden: Value = serde_json::from_str(
        &std::fs::read_to_string(folder.join("greedy.json")).expect("golden values"),
    )
    .expect("JSON");
    let golden = golden["samples"].as_array().expect("samples");
    let place = Place::new();
    // Conversations differ in their turns, so each one is an evaluation of its own.
    let mut spec = format!(
        "version: 1\nname: golden-{name}\nmodels:\n  m: {{path: {}}}\ndatasets:\n  one: {{jsonl: one.jsonl}}\nmetrics:\n  uncertainty: {{plugin: uncertainty}}\nevaluations:\n",
        text(&folder)
    );
    place.write("one.jsonl", "{\"x\": 0}\n");
    for (index, sample) in golden.iter().enumerate() {
        let turns: Vec<String> = sample["messages"]
            .as_array()
            .expect("messages")
            .iter()
            .map(|message| {
                format!(
                    "{{{}: {}}}",
                    message["role"].as_str().expect("a role"),
                    message["content"]
                )
            })
            .collect();
        spec.push_str(&format!(
            "  e{index}: {{models: [m], dataset: one, prompt: [{}], generate: {{max_tokens: 24}}, metrics: [uncertainty]}}\n",
            turns.join(", ")
        ));
    }
    let path = place.write("spec.yaml", &spec);
    place.run(&path, "run");
    let samples = place.samples("run");
    assert_eq!(samples.len(), golden.len());
    for (index, expected) in golden.iter().enumerate() {
        let sample = samples
            .iter()
            .find(|sample| sample["evaluation"] == format!("e{index}"))
            .expect("a sample");
        assert_eq!(
            sample["prompt_token_ids"], expected["prompt_token_ids"],
            "prompt {index}"
        );
        assert_eq!(
            sample["completion_token_ids"], expected["completion_token_ids"],
            "completion {index}"
        );
        for (ours, theirs) in [
            ("token_logprob", "token_logprob"),
            ("token_top10_entropy", "top10_entropy"),
            ("token_entropy", "full_entropy"),
        ] {
            let numbers = |value: &Value| -> Vec<f64> {
                value
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(|n| n.as_f64().expect("a number"))
                    .collect()
            };
            for (a, b) in numbers(&sample[ours])
                .iter()
                .zip(numbers(&expected[theirs]))
            {
                assert!(
                    (a - b).abs() < 1e-4,
                    "{name} {index} {ours}: {a} against {b}"
                );
            }
        }
    }
}

#[test]
fn llama_matches_transformers() {
    check("llama");
}

#[test]
fn qwen2_matches_transformers() {
    check("qwen2");
}
