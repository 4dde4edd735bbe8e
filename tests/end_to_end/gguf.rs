//! GGUF files through `driftgauge run`: the tokenizer that the spec names is the one that is read, and part of the key.

use std::path::{Path, PathBuf};

use driftgauge_tests::gguf::{Metadata, Number, Tensors, tensor, write_edited, write_qwen2};
use serde_json::Value;

use crate::planned::Planned;
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
    let plan = Planned::of(place, spec);
    plan.node("generate ask/default/file")["key"].to_string()
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
    place.write(
        "words/chat_template.jinja",
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}",
    );
    assert_ne!(key_of_the_file(&place, &spec), before);
}

/// No other decoder reads the weights of a file, so nothing proves what is computed of them.
#[test]
fn a_file_is_unproven_and_strict_refuses_it() {
    let place = Place::new();
    write_qwen2(&qwen2(), &place.path("model.gguf"), true);
    let spec = spec(&place, "gguf: model.gguf");
    let plan = Planned::of(&place, &spec);
    let unproven = plan.0["unproven"].as_array().expect("a list");
    assert_eq!((unproven.len(), &unproven[0]["model"]), (1, &"file".into()));
    let output = place.output(&["run", text(&spec), "--out", "run", "--strict"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("`logits-agree` of `file` cannot be proven"),
        "{said}"
    );
    // Without the flag it runs, and the head of the report says so.
    place.run(&spec, "run");
    let output = place.output(&["show", "run"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains("- file, logits-agree: a GGUF file"),
        "{shown}"
    );
}

/// Our own decoder reads the weights twice, by kernels and readers of its own each time, and says what its folder says.
#[test]
fn the_native_decoder_answers_a_file_and_proves_it() {
    let place = Place::new();
    write_qwen2(&qwen2(), &place.path("model.gguf"), true);
    let by_mistralrs = key_of_the_file(&place, &spec(&place, "gguf: model.gguf"));
    let spec = spec(&place, "gguf: model.gguf, engine: native");
    assert_ne!(key_of_the_file(&place, &spec), by_mistralrs);
    let plan = place.output(&["plan", text(&spec)]);
    let said = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        said.contains("`file` (`engine: native`) takes at most"),
        "{said}"
    );
    assert!(!said.contains("will not be proven"), "{said}");
    let output = place.output(&["run", text(&spec), "--out", "strict", "--strict"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_same_answers(&place, &spec);
    let provenance = std::fs::read(place.path("run/provenance.json")).expect("a file");
    let provenance: Value = serde_json::from_slice(&provenance).expect("JSON");
    let told = provenance.to_string();
    assert!(
        told.contains("those of an independent forward pass"),
        "{told}"
    );
}

#[test]
fn what_the_native_decoder_does_not_compute_of_a_file_is_refused_while_planning() {
    let place = Place::new();
    write_edited(&qwen2(), &place.path("model.gguf"), true, |keys, _| {
        let name = Number::String("phi3".to_owned());
        drop(keys.insert("general.architecture".to_owned(), name));
    });
    let spec = spec(&place, "gguf: model.gguf, engine: native");
    let output = place.output(&["plan", text(&spec)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [
        "native decoder cannot run GGUF files of the architecture `phi3`",
        "llama, qwen2, qwen3",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
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
    place.write(
        "chat_template.jinja",
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}",
    );
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
    let nowhere = [
        "`model.gguf` cannot be run",
        "has no tokenizer",
        "`tokenizer: DIR`",
    ];
    refused("gguf: model.gguf", 2, &nowhere);

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
    let larger = ["not-runnable", "<|more|>", "rows", "help: "];
    refused("gguf: model.gguf, tokenizer: large", 2, &larger);

    // The same number of tokens, two of them the other way round.
    write_qwen2(&qwen2(), &place.path("model.gguf"), true);
    tokenizer(&place, "turned");
    let file = place.path("turned/tokenizer.json");
    let read = std::fs::read(&file).expect("a tokenizer");
    let mut turned: Value = serde_json::from_slice(&read).expect("JSON");
    let vocabulary = turned["model"]["vocab"]
        .as_object_mut()
        .expect("a vocabulary");
    for (token, id) in [("A", "B"), ("B", "A")].map(|(to, from)| (to, vocabulary[from].clone())) {
        vocabulary.insert(token.to_owned(), id);
    }
    place.write("turned/tokenizer.json", &turned.to_string());
    let turned = [
        "not-runnable",
        "in the tokenizer that is named",
        "model.gguf",
    ];
    refused("gguf: model.gguf, tokenizer: turned", 2, &turned);
}

/// What an edit of the header or the tensors makes `plan` say.
fn plan_says(edit: impl FnOnce(&mut Metadata, &mut Tensors)) -> (Option<i32>, String) {
    let place = Place::new();
    write_edited(&qwen2(), &place.path("model.gguf"), true, edit);
    let spec = spec(&place, "gguf: model.gguf");
    let output = place.output(&["plan", text(&spec)]);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// The same model as a Llama without biases.
fn as_llama(keys: &mut Metadata, tensors: &mut Tensors) {
    let names: Vec<String> = keys.keys().cloned().collect();
    for name in names {
        if let Some(short) = name.strip_prefix("qwen2.")
            && let Some(value) = keys.remove(&name)
        {
            keys.insert(format!("llama.{short}"), value);
        }
    }
    keys.insert(
        "general.architecture".to_owned(),
        Number::String("llama".to_owned()),
    );
    keys.insert("llama.rope.dimension_count".to_owned(), Number::U32(16));
    tensors.retain(|name, _| !name.ends_with(".bias"));
}

#[test]
fn a_llama_has_one_mlp_or_the_experts_that_its_keys_count() {
    let (code, said) = plan_says(as_llama);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = plan_says(|keys, tensors| {
        as_llama(keys, tensors);
        for (key, count) in [("expert_count", 4), ("expert_used_count", 2)] {
            keys.insert(format!("llama.{key}"), Number::U32(count));
        }
    });
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("`blk.0.ffn_gate_exps.weight` is missing"),
        "{said}"
    );
    let (code, said) = plan_says(|keys, tensors| {
        as_llama(keys, tensors);
        tensors.insert("blk.0.ffn_gate_inp.weight".to_owned(), tensor(&[1.0; 8]));
    });
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("`blk.0.ffn_gate_inp.weight` is read by no one"),
        "{said}"
    );
}

#[test]
fn what_mistral_rs_would_pass_over_is_refused_while_planning() {
    type Edit = fn(&mut Metadata, &mut Tensors);
    let set = |key: &'static str, number: Number| {
        move |keys: &mut Metadata, _: &mut Tensors| drop(keys.insert(key.to_owned(), number))
    };
    let refused = |edit: Edit, parts: &[&str]| {
        let (code, said) = plan_says(edit);
        assert_eq!(code, Some(2), "{said}");
        for part in parts.iter().chain(&["model.gguf", "spec.yaml:5"]) {
            assert!(said.contains(part), "no `{part}` in:\n{said}");
        }
    };
    // What changes nothing is passed.
    for number in [
        ("qwen2.rope.scaling.factor", Number::F32(1.0)),
        ("qwen2.attention.sliding_window", Number::U32(1 << 20)),
    ] {
        let (code, said) = plan_says(set(number.0, number.1));
        assert_eq!(code, Some(0), "{said}");
    }
    let (code, said) = plan_says(|_, tensors| {
        drop(tensors.insert("rope_freqs.weight".to_owned(), tensor(&[1.0; 8])));
    });
    assert_eq!(code, Some(0), "{said}");

    refused(
        |keys, _| {
            drop(keys.insert(
                "qwen2.rope.scaling.type".to_owned(),
                Number::String("yarn".to_owned()),
            ));
        },
        &[
            "`qwen2.rope.scaling.type: yarn` is not honoured",
            "docs/gguf.md",
        ],
    );
    refused(
        |keys, _| drop(keys.insert("qwen2.attention.sliding_window".to_owned(), Number::U32(64))),
        &["`qwen2.attention.sliding_window: 64`"],
    );
    refused(
        |keys, _| drop(keys.insert("qwen2.unheard_of".to_owned(), Number::U32(1))),
        &["`qwen2.unheard_of: 1` is not honoured"],
    );
    refused(
        |keys, _| drop(keys.insert("qwen2.rope.freq_base".to_owned(), Number::F64(5e5))),
        &["`qwen2.rope.freq_base: 500000` is a F64, and only a F32 is read"],
    );
    refused(
        |keys, _| {
            drop(keys.insert(
                "general.architecture".to_owned(),
                Number::String("gemma2".to_owned()),
            ));
        },
        &["the architecture `gemma2`", "qwen3moe"],
    );
    refused(
        |keys, _| drop(keys.remove("qwen2.context_length")),
        &["`qwen2.context_length` is missing"],
    );
    refused(
        |_, tensors| drop(tensors.insert("rope_freqs.weight".to_owned(), tensor(&[1.0, 2.0]))),
        &["`rope_freqs.weight` is read by no one"],
    );
    refused(
        |_, tensors| drop(tensors.insert("blk.0.attn_output.bias".to_owned(), tensor(&[0.5]))),
        &["`blk.0.attn_output.bias` is read by no one"],
    );
    refused(
        |_, tensors| drop(tensors.remove("blk.1.ffn_up.weight")),
        &["`blk.1.ffn_up.weight` is missing"],
    );
    // What says how words are split, or nothing.
    refused(
        |keys, _| drop(keys.remove("tokenizer.ggml.pre")),
        &["`tokenizer.ggml.pre`", "`tokenizer: DIR`"],
    );
    refused(
        |keys, _| {
            drop(keys.insert(
                "tokenizer.ggml.pre".to_owned(),
                Number::String("kimi-k2".to_owned()),
            ));
        },
        &["`tokenizer.ggml.pre: kimi-k2`", "`tokenizer: DIR`"],
    );
    refused(
        |keys, _| {
            drop(keys.insert(
                "tokenizer.ggml.model".to_owned(),
                Number::String("t5".to_owned()),
            ));
        },
        &["of the kind `t5`", "`tokenizer: DIR`"],
    );
}

/// Sizes and numbers by which a model is none, and tokens that it does not have.
#[test]
fn a_header_that_no_model_can_have_is_refused_while_planning() {
    let set = |key: &'static str, number: Number, told: &str| {
        let (code, said) = plan_says(move |keys, _| drop(keys.insert(key.to_owned(), number)));
        assert_eq!(code, Some(2), "{said}");
        for part in [told, key, "spec.yaml:5"] {
            assert!(said.contains(part), "no `{part}` in:\n{said}");
        }
    };
    for number in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
        for key in [
            "qwen2.rope.freq_base",
            "qwen2.attention.layer_norm_rms_epsilon",
        ] {
            set(key, Number::F32(number), "is no number above 0");
        }
    }
    for key in [
        "qwen2.block_count",
        "qwen2.embedding_length",
        "qwen2.attention.head_count_kv",
    ] {
        set(key, Number::U32(0), "counts nothing");
    }
    let context = "qwen2.context_length";
    set(context, Number::U32(4_000_000_000), "is no context of 1 to");
    set(context, Number::U32(0), "is no context of 1 to");
    for key in [
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.padding_token_id",
    ] {
        set(key, Number::U32(100_000), "is none of the");
        set(key, Number::I32(-1), "is none of the");
    }
    let (code, said) = plan_says(|keys, _| drop(keys.remove("tokenizer.ggml.token_type")));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("which of its tokens are special"), "{said}");
}

/// What mistral.rs reads is of the shape that the keys ask for.
#[test]
fn tensors_of_other_shapes_are_refused_while_planning() {
    for (name, numbers) in [
        ("output_norm.weight", 65),
        ("blk.0.attn_q.bias", 3),
        ("blk.1.ffn_down.weight", 144),
    ] {
        let (code, said) = plan_says(|_, tensors| {
            drop(tensors.insert(name.to_owned(), tensor(&vec![1.0; numbers])));
        });
        assert_eq!(code, Some(2), "{said}");
        for part in [name, "has shape", "ask for", "spec.yaml:5"] {
            assert!(said.contains(part), "no `{part}` in:\n{said}");
        }
    }
    let (code, said) = plan_says(|keys, _| {
        drop(keys.insert("qwen2.feed_forward_length".to_owned(), Number::U32(96)));
    });
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`blk.0.ffn_down.weight` has shape"), "{said}");
}
