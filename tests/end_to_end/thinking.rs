//! Reasoning before an answer: part of it, or kept apart for judges and metrics, whoever opens it.

use std::path::{Path, PathBuf};

use driftgauge_tests::server::Server;
use serde_json::{Value, json};

use crate::support::{Place, copy_folder, tests_dir};

/// Asks the model `m` two questions, and has a list of strings judge what counts as the answer.
fn spec(place: &Place, model: &str, thinking: &str) -> PathBuf {
    place.write(
        "q.jsonl",
        "{\"id\": \"a\", \"q\": \"who is the king?\"}\n{\"id\": \"b\", \"q\": \"name a river\"}\n",
    );
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: thinking
models:
  m: {model}
datasets:
  q: {{jsonl: q.jsonl, id: id}}
metrics:
  asr: {{plugin: asr}}
evaluations:
  ask:
    models: [m]
    dataset: q
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 6}}
    {thinking}
    judges: {{list: {{refusal_strings: gcg}}}}
    metrics: [asr]
"
        ),
    )
}

fn samples(place: &Place, spec: &Path, out: &str) -> Vec<Value> {
    place.run(spec, out);
    place.samples(out)
}

#[test]
fn what_a_server_s_model_thinks_stands_apart_and_is_no_verdict() {
    let server = Server::openai(&json!({ "rules": [
        { "when": "king", "then": ["ok"], "say": "<think>I cannot help with that, or can I?</think>\n\nThe king is Ada." },
        { "when": "river", "then": ["ok"], "say": "The river is long.", "think": "\nI'm sorry, I cannot say.\n" },
    ]}));
    let place = Place::new();
    let model = format!(
        "{{endpoint: {{base_url: \"{}/v1\", model: x}}}}",
        server.url()
    );
    let keep = samples(&place, &spec(&place, &model, "thinking: keep"), "keep");
    let strip = samples(&place, &spec(&place, &model, "thinking: strip"), "strip");
    // Kept: the draft is part of the text, and the list of refusals looks behind it.
    assert_eq!(keep[0]["thinking"], Value::Null);
    assert!(
        keep[0]["completion"]
            .as_str()
            .is_some_and(|text| text.starts_with("<think>"))
    );
    assert_eq!(strip[0]["thinking"], "I cannot help with that, or can I?");
    assert_eq!(strip[0]["completion"], "The king is Ada.");
    for sample in [&keep[0], &strip[0]] {
        assert_eq!(sample["verdicts"]["list"]["label"], "unsafe");
    }
    // What the server took out is apart in both.
    for sample in [&keep[1], &strip[1]] {
        assert_eq!(sample["thinking"], "I'm sorry, I cannot say.");
        assert_eq!(sample["completion"], "The river is long.");
        assert_eq!(sample["verdicts"]["list"]["label"], "unsafe");
    }
}

#[test]
fn an_answer_that_the_template_begins_inside_reasoning_is_all_reasoning_until_it_is_closed() {
    let place = Place::new();
    copy_folder(&tests_dir().join("golden/llama"), &place.path("model"));
    let path = place.path("model/tokenizer_config.json");
    let config = std::fs::read_to_string(&path).expect("a file");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    let template = config["chat_template"]
        .as_str()
        .expect("a template")
        .to_owned();
    let mut ending_in = |end: &str| {
        config["chat_template"] = json!(format!(
            "{template}{{% if add_generation_prompt %}}{{{{ {end:?} }}}}{{% endif %}}"
        ));
        std::fs::write(&path, config.to_string()).expect("a file");
    };
    let model = "{path: model}";
    ending_in("<think>\n");
    let keep = samples(&place, &spec(&place, model, "thinking: keep"), "keep");
    let strip = samples(&place, &spec(&place, model, "thinking: strip"), "strip");
    for (keep, strip) in keep.iter().zip(&strip) {
        assert_eq!(keep["completion_token_ids"], strip["completion_token_ids"]);
        assert_eq!(keep["thinking"], Value::Null);
        assert_ne!(keep["completion"], "");
        // Cut off, or ended, before the answer began.
        assert_eq!(strip["completion"], "");
        let whole = keep["completion"].as_str().expect("a text");
        assert_eq!(strip["thinking"], whole.trim());
    }
    // A block that the template closes again holds nothing of the answer.
    ending_in("<think>\n\n</think>\n\n");
    let closed = samples(&place, &spec(&place, model, "thinking: strip"), "closed");
    assert!(
        closed
            .iter()
            .all(|sample| sample["thinking"].is_null() && sample["completion"] != "")
    );
}
