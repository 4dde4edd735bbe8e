//! Trainings that cannot work: refused before anything runs, or stopped with the step.

use serde_json::json;

use super::{holds_an_adapter, newest_checkpoint, read_json, spec_of};
use crate::support::{Place, copy_folder, tests_dir, text};

#[test]
fn a_diverging_training_says_where_and_keeps_its_checkpoint() {
    let place = Place::new();
    let settings = "{lora: {rank: 4}, learning_rate: 1.0e+3, max_grad_norm: 0, lr_scheduler: constant, max_steps: 40, \
                    per_device_batch_size: 2, save_steps: 1}";
    let spec = spec_of(&place, "llama3-rope", settings, None);
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "FAILED  finetune tuned: training diverged at step",
        "loss",
        "learning_rate",
        "the last checkpoint is",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(newest_checkpoint(&place.path("store")).is_some());
    assert!(!holds_an_adapter(&place.path("store/artifacts")));
}

/// A spec with one change is refused before anything runs, with these words.
fn refused(change: (&str, &str), expected: &[&str]) {
    let place = Place::new();
    let settings = "{lora: {rank: 4, target_modules: [q_proj]}, learning_rate: 1.0e-3, max_steps: 2, per_device_batch_size: 2}";
    let path = spec_of(&place, "llama", settings, None);
    let spec = std::fs::read_to_string(&path).expect("the spec");
    assert!(spec.contains(change.0), "{spec}");
    place.write("spec.yaml", &spec.replacen(change.0, change.1, 1));
    let output = place.output(&["run", text(&path), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in expected.iter().chain(&["spec.yaml:"]) {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(!place.path("run").exists(), "something ran");
}

#[test]
fn settings_that_make_no_sense_are_refused_before_anything_runs() {
    refused(
        ("[q_proj]", "[q_porj]"),
        &["there is no module `q_porj`", "did you mean `q_proj`?"],
    );
    refused(
        ("[q_proj]", "[q_proj], modules_to_save: [zzz]"),
        &[
            "error[unknown-module]",
            "has no module `zzz`",
            "embed_tokens",
        ],
    );
    refused(
        ("[q_proj]", "[q_proj], rank_pattern: {\"q_(proj\": 2}"),
        &["`rank_pattern` has the pattern", "q_(proj"],
    );
    refused(
        ("[q_proj]", "[q_proj], rank_pattern: {q_porj: 2}"),
        &["error[unknown-module]", "has no module `q_porj`"],
    );
    refused(
        ("[q_proj]", "[q_proj], alpha_pattern: {v_proj: 2}"),
        &[
            "error[unknown-module]",
            "`v_proj` of `alpha_pattern` fits",
            "no module that `target_modules` names",
        ],
    );
    refused(
        ("max_steps: 2", "max_steps: 2, max_seq_length: 100000"),
        &[
            "error[out-of-range]",
            "`max_seq_length: 100000` is longer than the 512 tokens",
            "leave it out",
        ],
    );
    refused(("rank: 4", "rank: 0"), &["`rank` is 0", "from 1 to 65536"]);
    refused(
        ("per_device_batch_size: 2", "per_device_batch_size: 49"),
        &["takes 49 examples", "only 48"],
    );
}

#[test]
fn a_base_that_the_trainer_does_not_compute_is_refused_by_name() {
    let place = Place::new();
    let settings = "{lora: {rank: 4}, learning_rate: 1.0e-3, max_steps: 2}";
    let path = spec_of(&place, "llama", settings, None);
    let golden = tests_dir().join("golden/llama");
    let base = place.path("base");
    copy_folder(&golden, &base);
    let mut config = read_json(&base.join("config.json"));
    config["architectures"] = json!(["GPT2LMHeadModel"]);
    std::fs::write(base.join("config.json"), config.to_string()).expect("a file");
    let spec = std::fs::read_to_string(&path).expect("the spec");
    let folder = format!("{{path: {}}}", text(&golden));
    place.write(
        "spec.yaml",
        &spec.replace(&folder, &format!("{{path: {}}}", text(&base))),
    );
    for arguments in [
        &["plan", text(&path)][..],
        &["run", text(&path), "--out", "run"],
    ] {
        let output = place.output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for part in [
            "not-trainable",
            "`GPT2LMHeadModel`",
            "config.json",
            "LlamaForCausalLM",
            "spec.yaml:6:22",
        ] {
            assert!(said.contains(part), "no `{part}` in:\n{said}");
        }
    }
    assert!(!place.path("run").exists(), "something ran");
}

#[test]
fn data_that_cannot_be_learnt_from_is_refused_before_anything_runs() {
    refused(
        ("{{ answer }}", "{{ answer | replace(answer, ' ') }}"),
        &["row `0` of `rows` gives an empty answer", "filter"],
    );
    refused(("{{ answer }}", "{{ anwser }}"), &["anwser", "`answer`"]);
    let part = "dataset: rows, mix: [{dataset: rows, count: 49}]";
    refused(
        ("dataset: rows", part),
        &["49 rows of `rows` are asked for, but only 48"],
    );
}
