//! Wrong input: one clear message with place and next step, the right exit code, and nothing lost.

use std::path::Path;

use crate::support::{Place, copy_folder, smoke_spec, tests_dir, text};

/// The smoke spec with one change, in the smoke folder's terms.
fn changed(place: &Place, from: &str, to: &str) -> std::path::PathBuf {
    let folder = tests_dir().join("fixtures/smoke");
    let spec = std::fs::read_to_string(smoke_spec()).expect("the spec");
    assert!(spec.contains(from), "the smoke spec has no `{from}`");
    let spec = spec
        .replacen(from, to, 1)
        .replace("jsonl: ", &format!("jsonl: {}/", folder.display()))
        .replace(
            "../../../specs",
            &format!("{}/../../../specs", folder.display()),
        );
    place.write("spec.yaml", &spec)
}

/// Runs a spec that has to be refused before anything runs, and checks what is said.
fn refused(place: &Place, spec: &Path, expected: &[&str]) {
    let output = place.output(&["run", text(spec), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in expected {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
    assert!(!place.path("run").exists(), "something ran");
}

#[test]
fn options_that_ask_for_nothing_or_for_two_things_are_refused() {
    let place = Place::new();
    let spec = place.write("spec.yaml", "version: 1\nname: x\nvars: {n: 1}\n");
    for (options, said) in [
        (&["--limit", "0"][..], "--limit"),
        (
            &["--set", "n=1", "--set", "n=2"],
            "`--set n` is given twice, as `1` and as `2`",
        ),
    ] {
        let output = place.output(&[&["plan", text(&spec)], options].concat());
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(words.contains(said), "{words}");
    }
}

#[test]
fn a_misspelt_key_is_pointed_at() {
    let place = Place::new();
    let spec = changed(&place, "    metrics: [asr]", "    metrcs: [asr]");
    refused(&place, &spec, &["metrcs", "spec.yaml:", "metrics"]);
}

#[test]
fn an_undeclared_model_is_named() {
    let place = Place::new();
    let spec = changed(
        &place,
        "    models: [tuned, base]",
        "    models: [tunned, base]",
    );
    refused(&place, &spec, &["`tunned`", "spec.yaml:", "tuned"]);
}

#[test]
fn a_cycle_is_shown() {
    let place = Place::new();
    let spec = changed(&place, "finetune: {base: base,", "finetune: {base: tuned,");
    refused(&place, &spec, &["tuned", "spec.yaml:"]);
}

#[test]
fn a_missing_dataset_file_is_named() {
    let place = Place::new();
    let spec = changed(&place, "jsonl: requests.jsonl", "jsonl: nothing.jsonl");
    refused(&place, &spec, &["nothing.jsonl", "spec.yaml:"]);
}

#[test]
fn a_bad_line_is_named() {
    let place = Place::new();
    place.write(
        "bad.jsonl",
        "{\"id\": \"1\", \"request\": \"x\", \"category\": \"c\"}\n{\"id\": \n",
    );
    let bad = place.path("bad.jsonl");
    let spec = changed(
        &place,
        "  requests: {jsonl: requests.jsonl",
        &format!("  requests: {{json{}: {}", "l", text(&bad)),
    );
    let folder = tests_dir().join("fixtures/smoke");
    let fixed = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace(&format!("{}/{}", folder.display(), text(&bad)), text(&bad));
    let spec = place.write("spec.yaml", &fixed);
    refused(&place, &spec, &["bad.jsonl:2", "spec.yaml:"]);
}

#[test]
fn a_template_of_an_unknown_column_is_pointed_at() {
    let place = Place::new();
    let spec = changed(
        &place,
        "{{ request }}\"}]\n    generate",
        "{{ reqest }}\"}]\n    generate",
    );
    refused(&place, &spec, &["reqest", "spec.yaml:", "`request`"]);
}

#[test]
fn a_plugin_that_is_not_found_is_named_with_the_places() {
    let place = Place::new();
    let spec = changed(&place, "asr: {plugin: asr}", "asr: {plugin: arsr}");
    refused(&place, &spec, &["arsr", "spec.yaml:", "asr"]);
}

#[test]
fn a_folder_of_another_experiment_is_left_alone() {
    let place = Place::new();
    place.write("run/resolved.json", "{\"name\": \"another\"}");
    place.write("run/results.json", "precious");
    let output = place.output(&["run", text(&smoke_spec()), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("another experiment, `another`"),
        "{message}"
    );
    assert_eq!(place.read("run/results.json"), b"precious");
    // A folder with files of someone else is no run folder either.
    place.write("home/thesis.tex", "years of work");
    let output = place.output(&["run", text(&smoke_spec()), "--out", "home"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!place.path("home/results.json").exists());
}

#[test]
fn a_failing_node_stops_only_what_needs_it() {
    let place = Place::new();
    place.write(
        "questions.jsonl",
        "{\"id\": \"a\", \"q\": \"what is the capital of the island?\"}\n",
    );
    copy_folder(&tests_dir().join("golden/llama"), &place.path("good"));
    copy_folder(&tests_dir().join("golden/llama"), &place.path("broken"));
    let weights = place.path("broken/model.safetensors");
    let bytes = std::fs::read(&weights).expect("weights");
    // Weights that are no numbers are found only when the model is loaded.
    let mut torn = bytes.clone();
    torn[bytes.len() / 2..].fill(0xff);
    std::fs::write(&weights, &torn).expect("torn");
    let spec = place.write(
        "spec.yaml",
        "version: 1
name: half
models:
  good: {path: good}
  broken: {path: broken}
datasets:
  questions: {jsonl: questions.jsonl, id: id}
metrics:
  uncertainty: {plugin: uncertainty}
evaluations:
  ask:
    models: [broken, good]
    dataset: questions
    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 8}
    metrics: [uncertainty]
compare: {baseline: good, family: [ask/uncertainty]}
",
    );
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("FAILED  generate ask/default/broken"),
        "{message}"
    );
    assert!(
        message.contains("skipped metric ask/uncertainty/broken"),
        "{message}"
    );
    let results: serde_json::Value =
        serde_json::from_slice(&place.read("run/results.json")).expect("results");
    let models: Vec<_> = results["metrics"]
        .as_array()
        .expect("metrics")
        .iter()
        .map(|m| m["model"].as_str())
        .collect();
    assert!(
        models.contains(&Some("good")) && !models.contains(&Some("broken")),
        "{models:?}"
    );
    assert!(place.path("run/report.html").is_file());
    // Mended, only what is missing runs.
    std::fs::write(&weights, bytes).expect("mended");
    let mended = place.run(&spec, "run");
    assert_eq!(mended["failed"], 0);
}

/// Where a training computes, and in which type and how many bits: refused before anything runs.
#[test]
fn devices_types_and_roundings_that_are_not_there_are_refused_with_the_reason() {
    let place = Place::new();
    let rate = "    learning_rate: 1.0e-2";
    for (line, expected) in [
        (
            "    dtype: bf16",
            ["`lora` asks for `dtype: bf16`", "no bf16 kernel"],
        ),
        ("    base_quantization: nf4", ["`nf4`", "`q4k`"]),
        (
            "    load_in_4bit: true",
            ["`load_in_4bit`", "`base_quantization: q4k`"],
        ),
    ] {
        let spec = changed(&place, rate, &format!("{line}\n{rate}"));
        refused(&place, &spec, &expected);
    }
    let spec = changed(&place, rate, rate);
    for (device, expected) in [("gpu", "cuda:N"), ("cuda", "--features cuda")] {
        if cfg!(feature = "cuda") && device == "cuda" {
            continue;
        }
        let output = place.output(&["run", text(&spec), "--out", "run", "--device", device]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

/// A base rounded to blocks of 256 where rows have 32 elements.
#[test]
fn a_rounding_that_the_rows_do_not_fit_names_the_weight_and_one_that_fits() {
    let place = Place::new();
    let rate = "    learning_rate: 1.0e-2";
    let spec = changed(&place, rate, &format!("    base_quantization: q4k\n{rate}"));
    let output = place.output(&["plan", text(&spec)]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["blocks of 256", "layers.0.mlp.down_proj.weight", "`q8_0`"] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
}
