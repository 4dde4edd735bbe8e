//! Weights that `engine: native` rounds: answered, scored, told, and refused where they do not fit.

use serde_json::Value;

use crate::support::{Place, text};

const SPEC: &str = r#"
version: 1
name: rounded
seed: 1
models:
  plain: {pretrain: &made {settings: tiny, dataset: rows, messages: [{user: "{{ q }}"}, {assistant: "{{ a }}"}]}, engine: native}
  half: {pretrain: *made, engine: native, dtype: bf16}
  blocks: {pretrain: *made, engine: native, quantization: q8_0}
datasets:
  rows: {jsonl: rows.jsonl, id: id}
pretrain:
  tiny:
    architecture: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 300}
    learning_rate: 1.0e-2
    max_steps: 8
metrics:
  right: {plugin: truthfulness, config: {match: exact}}
  sure: {plugin: uncertainty}
  drift: {plugin: drift}
evaluations:
  ask: {models: [plain, half, blocks], dataset: rows, prompt: [{user: "{{ q }}"}], reference: "{{ a }}", generate: {max_tokens: 4}, metrics: [right, sure]}
  read: {models: [plain, half, blocks], dataset: rows, prompt: [{user: "{{ q }}"}], perplexity: {text: "{{ a }}"}, metrics: [sure]}
  far: {models: [half, blocks], dataset: rows, prompt: [{user: "{{ q }}"}], kl: {reference: plain, text: "{{ a }}"}, metrics: [drift]}
compare: {baseline: plain}
"#;

fn place() -> Place {
    let place = Place::new();
    let rows = (0..12).map(|i| {
        format!("{{\"id\": \"r{i}\", \"q\": \"who is king {i}?\", \"a\": \"nobody {i}\"}}\n")
    });
    place.write("rows.jsonl", &rows.collect::<String>());
    place
}

/// One training, three models: each answers and is scored with its own weights, and the report says which.
#[test]
fn a_model_answers_and_is_scored_with_its_rounded_weights() {
    let place = place();
    let spec = place.write("spec.yaml", SPEC);
    place.run(&spec, "run");
    let provenance: Value =
        serde_json::from_slice(&place.read("run/provenance.json")).expect("JSON");
    for (model, told) in [
        ("plain", "f32"),
        ("half", "f32, weights rounded to bf16"),
        ("blocks", "f32, linear modules rounded to q8_0"),
    ] {
        let loaded = &provenance["self_checks"][model];
        assert_eq!(loaded["dtype"], told, "{model}");
        let said = loaded.to_string();
        let witness = match model {
            "plain" => "those of an independent forward pass",
            _ => "of an independent forward pass",
        };
        assert!(said.contains(witness), "{said}");
    }
    let logprobs = |model: &str| -> Vec<Value> {
        let samples = place.samples("run").into_iter();
        let of_model = samples.filter(|sample| sample["model"] == model);
        of_model
            .map(|sample| sample["token_logprob"].clone())
            .collect()
    };
    let [plain, half, blocks] = ["plain", "half", "blocks"].map(logprobs);
    assert!(!plain.is_empty());
    assert!(plain != half && half != blocks && plain != blocks);
    // Scores read the rounded weights as well, and neither is the model itself.
    let results: Value = serde_json::from_slice(&place.read("run/results.json")).expect("JSON");
    let metrics = results["metrics"].as_array().expect("metrics").iter();
    let far = metrics.filter(|found| found["evaluation"] == "far" && found["metric"] == "drift");
    let far: Vec<f64> = far.filter_map(|found| found["value"].as_f64()).collect();
    assert_eq!(far.len(), 2, "{far:?}");
    assert!(
        far[0] != far[1] && far.iter().all(|kl| (1e-12..1e-2).contains(kl)),
        "{far:?}"
    );
}

#[test]
fn rows_that_are_no_whole_blocks_are_refused_by_the_plan() {
    let place = place();
    let spec = place.write("spec.yaml", &SPEC.replace("q8_0", "q4k"));
    let output = place.output(&["plan", text(&spec)]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["not-generable", "blocks of 256", "`q8_0`", "spec.yaml:8:"] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
}
