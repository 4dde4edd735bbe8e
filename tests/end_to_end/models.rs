//! Models that are not what they claim to be: the node stops, and the message names the file, the reason and the next
//! step.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Place, copy_folder, files_with, tests_dir, text, wait_until};

/// A copy of a golden model in the place, under `m`.
fn copied(place: &Place) -> PathBuf {
    let folder = place.path("m");
    copy_folder(&tests_dir().join("golden/llama"), &folder);
    folder
}

/// One question to the model `m`.
const SPEC: &str = "version: 1
name: broken
models:
  m: {path: m}
datasets:
  questions: {jsonl: questions.jsonl, id: id}
metrics:
  uncertainty: {plugin: uncertainty}
evaluations:
  ask:
    models: [m]
    dataset: questions
    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 4}
    metrics: [uncertainty]
";

fn ask(place: &Place) -> (Option<i32>, String) {
    place.write(
        "questions.jsonl",
        "{\"id\": \"a\", \"q\": \"who is the king?\"}\n",
    );
    let spec = place.write("spec.yaml", SPEC);
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), message)
}

/// Breaks a copy of a sound model and expects its node to fail with all of these words.
#[track_caller]
fn fails(breaking: impl Fn(&Path), expected: &[&str]) {
    let place = Place::new();
    breaking(&copied(&place));
    let (code, message) = ask(&place);
    assert_eq!(code, Some(1), "{message}");
    assert!(
        message.contains("FAILED  generate ask/default/m"),
        "{message}"
    );
    for part in expected {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
    assert!(place.path("run/report.html").is_file(), "no report");
}

/// The same where the files' headers tell it, before anything runs.
#[track_caller]
fn refused(breaking: impl Fn(&Path), expected: &[&str]) {
    let place = Place::new();
    breaking(&copied(&place));
    let (code, message) = ask(&place);
    assert_eq!(code, Some(2), "{message}");
    for part in expected {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
}

fn edit_json(path: &Path, edit: impl Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
    edit(&mut value);
    std::fs::write(path, value.to_string()).expect("written");
}

/// The header of a safetensors file as text, and the bytes behind it.
fn open_weights(path: &Path) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).expect("weights");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).expect("UTF-8");
    (header, bytes[8 + length..].to_vec())
}

fn write_weights(path: &Path, header: &str, data: &[u8]) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn truncated_weights_are_named() {
    refused(
        |m| {
            let (header, data) = open_weights(&m.join("model.safetensors"));
            write_weights(
                &m.join("model.safetensors"),
                &header,
                &data[..data.len() / 2],
            );
        },
        &[
            "model.safetensors",
            "is truncated",
            "copy or download it again",
        ],
    );
}

#[test]
fn a_header_that_lies_about_a_shape_is_named() {
    refused(
        |m| {
            let path = m.join("model.safetensors");
            let (header, data) = open_weights(&path);
            let mut parsed: Value = serde_json::from_str(&header).expect("JSON");
            parsed["model.norm.weight"]["shape"] = json!([65]);
            write_weights(&path, &parsed.to_string(), &data);
        },
        &[
            "model.safetensors",
            "`model.norm.weight`",
            "[65]",
            "do not agree",
        ],
    );
}

#[test]
fn weights_of_another_shape_than_the_configuration_says_are_named() {
    refused(
        |m| {
            edit_json(&m.join("config.json"), |config| {
                config["intermediate_size"] = json!(160);
            });
        },
        &["not-generable", "has shape", "144", "160"],
    );
}

#[test]
fn weights_that_are_not_numbers_are_found_before_anything_is_measured() {
    fails(
        |m| {
            let path = m.join("model.safetensors");
            let (header, mut data) = open_weights(&path);
            let parsed: Value = serde_json::from_str(&header).expect("JSON");
            let begin = parsed["model.norm.weight"]["data_offsets"][0]
                .as_u64()
                .expect("an offset");
            data[begin as usize..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
            write_weights(&path, &header, &data);
        },
        &["NaN", "hint: look for NaN in the weights"],
    );
}

/// One row of the embedding is no number: only what holds that token is spoilt, and no number comes of it.
#[test]
fn a_sample_whose_logits_are_not_numbers_is_an_error_by_name() {
    let place = Place::new();
    let path = copied(&place).join("model.safetensors");
    let (header, mut data) = open_weights(&path);
    let parsed: Value = serde_json::from_str(&header).expect("JSON");
    let embedding = &parsed["model.embed_tokens.weight"];
    let begin = embedding["data_offsets"][0].as_u64().expect("an offset");
    // The token of `king`, in rows of 64 numbers of four bytes.
    let row = begin as usize + 329 * 64 * 4;
    data[row..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    write_weights(&path, &header, &data);
    place.write(
        "questions.jsonl",
        "{\"id\": \"sound\", \"q\": \"who wrote the river?\"}\n{\"id\": \"spoilt\", \"q\": \"name a king\"}\n",
    );
    let spec = format!(
        "{SPEC}  choose:
    models: [m]
    dataset: questions
    prompt: [{{text: \"{{{{ q }}}}\"}}]
    score: {{choices: [\" a river\", \" nobody\"], correct: 0}}
    metrics: [uncertainty]
"
    );
    let spec = place.write("spec.yaml", &spec);
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(message.contains("sample `spoilt`: "), "{message}");
    let samples = place.samples("run");
    assert_eq!(samples.len(), 4);
    for sample in samples {
        if sample["sample_id"] == "sound" {
            assert!(sample["error"].is_null(), "{sample}");
            continue;
        }
        let error = sample["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{sample}"));
        assert!(error.contains("NaN") && error.contains("hint: "), "{error}");
        assert_eq!(sample["finish_reason"], "error");
        assert_eq!(sample["values"], json!({}), "{sample}");
    }
}

#[test]
fn a_tokenizer_that_does_not_fit_the_embedding_is_named() {
    refused(
        |m| {
            edit_json(&m.join("tokenizer.json"), |tokenizer| {
                let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
                let mut token = added[0].clone();
                (token["id"], token["content"]) = (json!(357), json!("<|new|>"));
                added.push(token);
            });
        },
        &[
            "error[bad-model]",
            "`<|new|>`",
            "357 rows",
            "resize_token_embeddings",
        ],
    );
}

#[test]
fn what_engines_would_read_in_two_ways_is_named() {
    refused(
        |m| {
            edit_json(&m.join("config.json"), |config| {
                config["model_type"] = json!("mistral");
            });
        },
        &["`model_type: \"mistral\"`", "`LlamaForCausalLM`"],
    );
    refused(
        |m| {
            edit_json(&m.join("config.json"), |config| {
                config["eos_token_id"] = json!("2");
            });
        },
        &["`eos_token_id: \"2\"`", "`[2, 7]`"],
    );
    refused(
        |m| {
            edit_json(&m.join("config.json"), |config| {
                config["eos_token_id"] = json!([2, 9999]);
            });
        },
        &["token 9999 ends an answer", "357 rows"],
    );
    refused(
        |m| {
            edit_json(&m.join("tokenizer_config.json"), |config| {
                config["eos_token"] = json!("</s>");
            });
        },
        &["the token 357 (`</s>`)", "357 rows"],
    );
    refused(
        |m| {
            edit_json(&m.join("tokenizer_config.json"), |config| {
                config["split_special_tokens"] = json!(true);
            });
        },
        &["`split_special_tokens`"],
    );
}

#[test]
fn generation_settings_that_are_not_applied_are_told() {
    let place = Place::new();
    let settings = json!({"repetition_penalty": 1.05, "temperature": 0.6, "top_p": 0.9});
    let path = copied(&place).join("generation_config.json");
    std::fs::write(path, settings.to_string()).expect("a file");
    let (code, message) = ask(&place);
    assert_eq!(code, Some(0), "{message}");
    let resolved = String::from_utf8(place.read("run/resolved.json")).expect("text");
    assert!(
        resolved.contains("asks for `repetition_penalty: 1.05`, which is not applied"),
        "{resolved}"
    );
    // Without that file transformers looks for them in `config.json`.
    let place = Place::new();
    edit_json(&copied(&place).join("config.json"), |config| {
        config["suppress_tokens"] = json!([9]);
    });
    let (code, message) = ask(&place);
    assert_eq!(code, Some(0), "{message}");
    let resolved = String::from_utf8(place.read("run/resolved.json")).expect("text");
    assert!(
        resolved.contains("`config.json` of `m` asks for `suppress_tokens: [9]`"),
        "{resolved}"
    );
}

#[test]
fn a_model_whose_answers_nothing_ends_is_told() {
    let place = Place::new();
    let folder = copied(&place);
    edit_json(&folder.join("config.json"), |config| {
        config["eos_token_id"] = Value::Null;
    });
    edit_json(&folder.join("tokenizer_config.json"), |config| {
        config["eos_token"] = Value::Null;
    });
    let (code, message) = ask(&place);
    assert_eq!(code, Some(0), "{message}");
    let resolved = String::from_utf8(place.read("run/resolved.json")).expect("text");
    assert!(resolved.contains("every answer goes on to"), "{resolved}");
}

#[test]
fn a_tokenizer_that_transformers_builds_anew_is_told() {
    let place = Place::new();
    let folder = copied(&place);
    edit_json(&folder.join("tokenizer_config.json"), |config| {
        config["tokenizer_class"] = json!("Qwen2Tokenizer");
    });
    let (code, message) = ask(&place);
    assert_eq!(code, Some(0), "{message}");
    let resolved = String::from_utf8(place.read("run/resolved.json")).expect("text");
    let note = "anew as a `Qwen2Tokenizer`, with another `normalizer`, `pre_tokenizer`";
    assert!(resolved.contains(note), "{resolved}");
}

#[test]
fn a_template_that_writes_bos_twice_is_named() {
    fails(
        |m| {
            edit_json(&m.join("tokenizer_config.json"), |config| {
                let template = config["chat_template"].as_str().expect("a template");
                config["chat_template"] = json!(format!("{{{{ bos_token }}}}{template}"));
            });
        },
        &[
            "`single-bos` failed",
            "2 BOS tokens",
            "the chat template writes BOS more than once",
        ],
    );
}

#[test]
fn a_tokenizer_that_cannot_be_used_is_refused_by_the_plan() {
    let edit = |edit: fn(&mut Value)| {
        refused(
            |m: &Path| edit_json(&m.join("tokenizer.json"), edit),
            &[
                "error[bad-model]",
                "tokenizer.json",
                "save the tokenizer again",
            ],
        );
    };
    edit(|file| file["normalizer"] = json!({"type": "Unheard"}));
    // The library panics on it.
    edit(|file| file["model"]["continuing_subword_prefix"] = json!("############"));
}

#[test]
fn a_missing_template_is_named_when_there_is_a_conversation_to_render() {
    let without = |m: &Path| {
        edit_json(&m.join("tokenizer_config.json"), |config| {
            config
                .as_object_mut()
                .expect("an object")
                .remove("chat_template");
        });
    };
    refused(
        without,
        &[
            "error[no-template]",
            "has no chat template",
            "`chat_template: FILE`",
        ],
    );
    // Plain text needs none.
    let place = Place::new();
    without(&copied(&place));
    place.write(
        "questions.jsonl",
        "{\"id\": \"a\", \"q\": \"who is the king?\"}\n",
    );
    let spec = SPEC.replace("{user: ", "{text: ");
    let spec = place.write("spec.yaml", &spec);
    place.run(&spec, "run");
    let sample = &place.samples("run")[0];
    assert!(sample["error"].is_null(), "{sample}");
    let tokens = sample["completion_token_ids"].as_array();
    assert!(tokens.is_some_and(|t| !t.is_empty()), "{sample}");
}

#[test]
fn a_model_that_cannot_be_scored_is_refused_by_the_plan() {
    let place = Place::new();
    let folder = copied(&place);
    edit_json(&folder.join("config.json"), |config| {
        config["architectures"] = json!(["BloomForCausalLM"]);
    });
    place.write("questions.jsonl", "{\"id\": \"a\", \"q\": \"who?\"}\n");
    let refused = |from: &str, to: &str, expected: &[&str]| {
        let spec = place.write("spec.yaml", &SPEC.replace(from, to));
        let output = place.output(&["plan", text(&spec)]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        for part in expected {
            assert!(message.contains(part), "no `{part}` in:\n{message}");
        }
    };
    let scored = "score: {choices: [\"a\", \"b\"], correct: 0}\n    generate:";
    refused(
        "generate:",
        scored,
        &[
            "not-scorable",
            "spec.yaml:",
            "`BloomForCausalLM`",
            "LlamaForCausalLM",
        ],
    );
    refused(
        "generate:",
        "kl: {reference: m}\n    generate:",
        &["not-scorable", "(`kl`)"],
    );
    let spec = SPEC.replace("{path: m}", "{path: m, quantization: q8_0}");
    let spec = place.write("spec.yaml", &spec.replace("generate:", scored));
    let output = place.output(&["plan", text(&spec)]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains("mistral.rs quantises its weights to `q8_0`"),
        "{message}"
    );
}

#[test]
fn a_model_whose_files_change_while_it_answers_fails_and_keeps_no_answer() {
    let place = Place::new();
    let folder = copied(&place);
    let rows: String = (0..2000)
        .map(|index| format!("{{\"id\": \"r{index}\", \"q\": \"who is king {index}?\"}}\n"))
        .collect();
    place.write("questions.jsonl", &rows);
    let spec = place.write(
        "spec.yaml",
        &SPEC.replace("max_tokens: 4", "max_tokens: 32"),
    );
    let mut child = place.start(&["run", text(&spec), "--out", "run"]);
    let partial = place.path("store/partial");
    let answered = || partial.is_dir() && !files_with(&partial, "completion_token_ids").is_empty();
    wait_until(&mut child, "its first answer", answered);
    let weights = folder.join("model.safetensors");
    let sound = std::fs::read(&weights).expect("weights");
    let mut bytes = sound.clone();
    *bytes.last_mut().expect("bytes") ^= 1;
    // A new file under the old name: the loaded one stays what it was.
    let replace = |bytes: &[u8]| {
        let other = place.path("other");
        std::fs::write(&other, bytes).expect("weights");
        std::fs::rename(&other, &weights).expect("a replaced file");
    };
    replace(&bytes);
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "FAILED  generate ask/default/m: the files of model `m`",
        "changed since this run was planned",
        "run again",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(!answered(), "answers of the changed model are kept");

    replace(&sound);
    place.run(&spec, "run");
    assert_eq!(place.samples("run").len(), 2000);
}
