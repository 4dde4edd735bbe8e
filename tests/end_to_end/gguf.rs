//! GGUF files through `driftgauge run`: the tokenizer that the spec names is the one that is read, and part of the key.

use std::path::{Path, PathBuf};

use driftgauge_tests::gguf::write_qwen2;
use serde_json::Value;

use crate::support::{Place, tests_dir, text};

fn qwen2() -> PathBuf {
    tests_dir().join("golden/qwen2")
}

/// The golden model as a folder and as a GGUF file, asked the same.
fn spec(place: &Place, gguf: &str) -> PathBuf {
    place.write(
        "questions.jsonl",
        "{\"id\": \"a\", \"q\": \"what is the capital of the island?\"}\n{\"id\": \"b\", \"q\": \"name a king\"}\n",
    );
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: gguf
models:
  folder: {{path: {}}}
  file: {{{gguf}}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  uncertainty: {{plugin: uncertainty}}
evaluations:
  ask:
    models: [folder, file]
    dataset: questions
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 16}}
    metrics: [uncertainty]
",
            qwen2().display()
        ),
    )
}

/// Copies the tokenizer's files.
fn tokenizer(place: &Place, to: &str) {
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let text = std::fs::read_to_string(qwen2().join(name)).expect("a file");
        place.write(&format!("{to}/{name}"), &text);
    }
}

/// Runs the spec, and compares each sample of the file with that of the folder.
fn assert_same_answers(place: &Place, spec: &Path) {
    place.run(spec, "run");
    let samples = place.samples("run");
    let of = |model: &'static str| {
        samples
            .iter()
            .filter(move |sample| sample["model"] == model)
    };
    assert_eq!(of("folder").count(), 2);
    assert_eq!(of("file").count(), 2);
    for (folder, file) in of("folder").zip(of("file")) {
        for field in ["prompt_token_ids", "completion_token_ids", "completion"] {
            assert_eq!(folder[field], file[field], "{field}");
        }
        for field in ["token_logprob", "token_entropy"] {
            let numbers = |sample: &Value| -> Vec<f64> {
                let list = sample[field].as_array().expect("a list").iter();
                list.filter_map(Value::as_f64).collect()
            };
            let pairs = numbers(folder).into_iter().zip(numbers(file));
            for (folder, file) in pairs {
                assert!((folder - file).abs() < 1e-4, "{field}: {folder} {file}");
            }
        }
    }
}

fn key_of_the_file(place: &Place, spec: &Path) -> String {
    let output = place.output(&["plan", text(spec), "--format", "json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).expect("a plan");
    let mut nodes = plan["nodes"].as_array().expect("nodes").iter();
    let node = nodes.find(|node| node["id"] == "generate ask/default/file");
    node.expect("a node")["key"].to_string()
}

#[test]
fn the_named_tokenizer_is_read_and_no_other() {
    let place = Place::new();
    write_qwen2(&qwen2(), &place.path("model.gguf"), false);
    tokenizer(&place, "words");
    // A tokenizer beside the file is not the one that the spec names.
    place.write("tokenizer.json", "{}");
    let spec = spec(&place, "gguf: model.gguf, tokenizer: words");
    assert_same_answers(&place, &spec);

    let before = key_of_the_file(&place, &spec);
    place.write("tokenizer.json", "{\"other\": 1}");
    place.write("words/README.md", "no part of it");
    assert_eq!(key_of_the_file(&place, &spec), before);
    place.write("words/chat_template.jinja", "{{ bos_token }}");
    assert_ne!(key_of_the_file(&place, &spec), before);
}

#[test]
fn a_file_brings_its_tokenizer_along_or_has_it_beside() {
    let place = Place::new();
    write_qwen2(&qwen2(), &place.path("model.gguf"), true);
    place.write("tokenizer.json", "{}");
    assert_same_answers(&place, &spec(&place, "gguf: model.gguf"));

    let place = Place::new();
    write_qwen2(&qwen2(), &place.path("model.gguf"), false);
    tokenizer(&place, ".");
    let spec = spec(&place, "gguf: model.gguf");
    assert_same_answers(&place, &spec);
    let before = key_of_the_file(&place, &spec);
    place.write("chat_template.jinja", "{{ bos_token }}");
    assert_ne!(key_of_the_file(&place, &spec), before);
}

#[test]
fn a_tokenizer_that_is_none_or_does_not_fit_is_refused() {
    let place = Place::new();
    write_qwen2(&qwen2(), &place.path("model.gguf"), false);
    std::fs::create_dir(place.path("empty")).expect("a folder");
    let refused = |gguf: &str, code: i32, parts: &[&str]| {
        let spec = spec(&place, gguf);
        let output = place.output(&["run", text(&spec), "--out", "run"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message}");
        for part in parts {
            assert!(message.contains(part), "no `{part}` in:\n{message}");
        }
    };
    let none = ["bad-model", "`empty` is no tokenizer folder", "spec.yaml:5"];
    refused("gguf: model.gguf, tokenizer: empty", 2, &none);
    let alone = ["`tokenizer` goes with `gguf` only", "spec.yaml:5"];
    refused("path: empty, tokenizer: empty", 2, &alone);
    let nowhere = ["cannot load `model.gguf`", "`tokenizer: DIR`"];
    refused("gguf: model.gguf", 1, &nowhere);

    tokenizer(&place, "large");
    let file = place.path("large/tokenizer.json");
    let read = std::fs::read(&file).expect("a tokenizer");
    let mut larger: Value = serde_json::from_slice(&read).expect("JSON");
    let added = larger["added_tokens"].as_array_mut().expect("a list");
    let mut one_more = added[0].clone();
    one_more["id"] = 5000.into();
    one_more["content"] = "<|more|>".into();
    added.push(one_more);
    place.write("large/tokenizer.json", &larger.to_string());
    let larger = ["`tokenizer-fits` failed", "5000", "<|more|>", "hint: "];
    refused("gguf: model.gguf, tokenizer: large", 1, &larger);
}
