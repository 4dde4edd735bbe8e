//! Sources of the hub: fetched from a server with the hub's interface, pinned, and used again without it.

use std::path::PathBuf;
use std::process::Command;

use driftgauge_tests::server::Server;
use serde_json::{Value, json};

use crate::support::{Place, copy_folder, files_with, tests_dir, text};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TUNED: &str = "89abcdef0123456789abcdef0123456789abcdef";
const TOKEN: &str = "hf_0123456789abcdef";

/// A hub with the golden Llama and a dataset of one file for each split.
fn hub(place: &Place, token: Option<&str>) -> Server {
    let rows = place.path("repository/data/test-00000-of-00001.jsonl");
    place.write(
        "repository/data/train-00000-of-00001.jsonl",
        "{\"id\": \"other\", \"q\": \"no\"}\n",
    );
    place.write(
        "repository/data/test-00000-of-00001.jsonl",
        "{\"id\": \"a\", \"q\": \"what is the capital of the island?\"}\n",
    );
    assert!(rows.is_file());
    Server::hub(&json!({
        "models": {
            "org/golden": { "folder": tests_dir().join("golden/llama"), "commit": COMMIT, "token": token },
            "org/sharded": { "folder": tests_dir().join("golden/mistral"), "commit": COMMIT },
            "org/tuned": { "folder": tests_dir().join("golden/llama/loads/dora"), "commit": TUNED, "token": token },
            "org/pissa": { "folder": place.path("pissa"), "commit": TUNED },
        },
        "datasets": { "org/rows": { "folder": place.path("repository"), "commit": COMMIT } },
    }))
}

fn spec(place: &Place, model: &str) -> PathBuf {
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: fetched
models:
  m: {{{model}}}
datasets:
  rows: {{hub: org/rows, split: test, id: id}}
metrics:
  uncertainty: {{plugin: uncertainty}}
evaluations:
  ask:
    models: [m]
    dataset: rows
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 8}}
    metrics: [uncertainty]
"
        ),
    )
}

/// `driftgauge` with a cache of the hub of its own, and that hub.
fn command(place: &Place, url: &str, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(name);
    }
    command
        .env("HF_HOME", place.path("hf"))
        .env("HF_ENDPOINT", url);
    command
}

fn said(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    (output.status.code(), text)
}

#[test]
fn a_model_and_a_dataset_are_fetched_pinned_and_used_offline() {
    let place = Place::new();
    let server = hub(&place, None);
    let spec = spec(&place, "hub: org/golden");
    let url = server.url();
    // Planning asks nothing.
    let (code, plan) = said(command(&place, &url, &["plan", text(&spec)]));
    assert_eq!(code, Some(0), "{plan}");
    assert!(
        plan.contains("a source of the hub, pinned when it is fetched"),
        "{plan}"
    );
    assert!(server.requests().is_empty());
    let (code, log) = said(command(&place, &url, &["run", text(&spec), "--out", "run"]));
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("model.safetensors"), "{log}");
    assert!(
        log.contains(&format!("org/golden at `main` to commit {COMMIT}")),
        "{log}"
    );
    let lock: Value = serde_json::from_slice(&place.read("run/lock.json")).expect("JSON");
    for pinned in [&lock["models"]["m"], &lock["datasets"]["rows"]] {
        assert_eq!(pinned["hub"]["commit"], COMMIT, "{lock:#}");
        assert_eq!(pinned["hub"]["revision"], "main");
        let digest = pinned["blake3"].get(0).unwrap_or(&pinned["blake3"]);
        assert!(digest.is_string(), "{lock:#}");
    }
    // The model is the one that was fetched: it says what its folder says.
    let local = Place::new();
    local.write(
        "rows.jsonl",
        "{\"id\": \"a\", \"q\": \"what is the capital of the island?\"}\n",
    );
    let golden = tests_dir().join("golden/llama");
    let from_folder = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace("hub: org/golden", &format!("path: {}", text(&golden)))
        .replace("hub: org/rows, split: test", "jsonl: rows.jsonl");
    let from_folder = local.write("spec.yaml", &from_folder);
    local.run(&from_folder, "run");
    let tokens = |place: &Place| place.samples("run")[0]["completion_token_ids"].clone();
    assert_eq!(tokens(&place), tokens(&local));
    assert_ne!(tokens(&place), json!([]));
    // Without the hub, and with an empty store: the cache is enough.
    let asked = server.requests().len();
    drop(server);
    let (code, log) = said(command(
        &place,
        &url,
        &[
            "run",
            text(&spec),
            "--out",
            "again",
            "--offline",
            "--store",
            "another",
        ],
    ));
    assert_eq!(code, Some(0), "{log}");
    assert!(asked > 0);
    assert_eq!(
        place.read("run/results.json"),
        place.read("again/results.json")
    );
    // What is in the cache is not asked for again either.
    let (code, log) = said(command(&place, &url, &["run", text(&spec), "--out", "run"]));
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_commit_can_be_named_and_weights_may_lie_in_shards() {
    let place = Place::new();
    let server = hub(&place, None);
    let spec = spec(&place, &format!("hub: org/sharded, revision: {COMMIT}"));
    let (code, log) = said(command(
        &place,
        &server.url(),
        &["run", text(&spec), "--out", "run"],
    ));
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_gated_model_wants_a_token_and_takes_one() {
    let place = Place::new();
    let server = hub(&place, Some(TOKEN));
    let spec = spec(&place, "hub: org/golden");
    let url = server.url();
    let (code, log) = said(command(&place, &url, &["run", text(&spec), "--out", "run"]));
    assert_eq!(code, Some(1), "{log}");
    for part in [
        "`org/golden`",
        "gated",
        "`HF_TOKEN`",
        &format!("{url}/org/golden"),
    ] {
        assert!(log.contains(part), "no `{part}` in:\n{log}");
    }
    let mut with_token = command(&place, &url, &["run", text(&spec), "--out", "run"]);
    with_token.env("HF_TOKEN", TOKEN);
    let (code, log) = said(with_token);
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(TOKEN));
    assert_eq!(files_with(place.dir.path(), TOKEN), Vec::<PathBuf>::new());
    let sent: Vec<_> = server
        .requests()
        .iter()
        .map(|request| {
            (
                request["path"].to_string(),
                request["authorization"].to_string(),
            )
        })
        .collect();
    assert!(
        sent.iter()
            .any(|(path, token)| path.contains("/resolve/") && token.contains(TOKEN))
    );
}

#[test]
fn what_the_hub_does_not_have_is_named() {
    let place = Place::new();
    let server = hub(&place, None);
    for (model, parts) in [
        (
            "hub: org/nothing",
            vec!["knows no model `org/nothing`", "spelling"],
        ),
        (
            "hub: org/golden, revision: v9",
            vec!["`org/golden`", "no branch, tag or commit `v9`"],
        ),
    ] {
        let spec = spec(&place, model);
        let (code, log) = said(command(
            &place,
            &server.url(),
            &["run", text(&spec), "--out", "run"],
        ));
        assert_eq!(code, Some(1), "{log}");
        for part in parts {
            assert!(log.contains(part), "no `{part}` in:\n{log}");
        }
        assert!(!place.path("run").exists());
    }
}

#[test]
fn a_split_that_is_not_there_is_named() {
    let place = Place::new();
    let server = hub(&place, None);
    let spec = spec(&place, "hub: org/golden");
    let changed = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace("split: test", "split: validation");
    let spec = place.write("spec.yaml", &changed);
    let (code, log) = said(command(
        &place,
        &server.url(),
        &["run", text(&spec), "--out", "run"],
    ));
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("dataset `org/rows`") && log.contains("`validation`"),
        "{log}"
    );
}

#[test]
fn a_hub_that_is_not_there_and_an_empty_cache_say_what_to_do() {
    let place = Place::new();
    let url = hub(&place, None).url();
    let spec = spec(&place, "hub: org/golden");
    let (code, log) = said(command(&place, &url, &["run", text(&spec), "--out", "run"]));
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("cannot reach the hub") && log.contains("`--offline`"),
        "{log}"
    );
    let (code, log) = said(command(
        &place,
        &url,
        &["run", text(&spec), "--out", "run", "--offline"],
    ));
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("is not whole in the local cache"), "{log}");
    assert!(!place.path("run").exists());
}

#[test]
fn a_cache_with_half_a_model_is_not_taken_for_a_model() {
    let place = Place::new();
    let server = hub(&place, None);
    let spec = spec(&place, "hub: org/golden");
    let cached = place.path("hf/hub/models--org--golden");
    copy_folder(
        &tests_dir().join("golden/llama"),
        &cached.join("snapshots").join(COMMIT),
    );
    place.write("hf/hub/models--org--golden/refs/main", COMMIT);
    std::fs::remove_file(cached.join("snapshots").join(COMMIT).join("tokenizer.json"))
        .expect("removed");
    let url = server.url();
    let (code, log) = said(command(
        &place,
        &url,
        &["run", text(&spec), "--out", "run", "--offline"],
    ));
    assert_eq!(code, Some(2), "{log}");
    let (code, log) = said(command(&place, &url, &["run", text(&spec), "--out", "run"]));
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("tokenizer.json"), "{log}");
}

/// A fine-tune from the hub, which may be a base from the hub too.
fn tuned(place: &Place, base: &str, adapter: &str) -> PathBuf {
    let expected = expected();
    place.write(
        "repository/data/test-00000-of-00001.jsonl",
        &json!({ "id": "a", "q": expected["messages"][0]["content"] }).to_string(),
    );
    let spec = spec(place, base);
    let text = std::fs::read_to_string(&spec).expect("the spec");
    let text = text
        .replace(
            "\ndatasets:",
            &format!("\n  tuned: {{adapter: {{base: m, {adapter}}}}}\ndatasets:"),
        )
        .replace("models: [m]", "models: [tuned]")
        .replace("max_tokens: 8", "max_tokens: 6");
    place.write("spec.yaml", &text)
}

/// What PEFT answers with the adapter.
fn expected() -> Value {
    let path = tests_dir().join("golden/llama/loads/dora/expected.json");
    let expected: Value =
        serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
    expected["greedy"].clone()
}

#[test]
fn an_adapter_is_fetched_pinned_merged_and_used_offline() {
    let place = Place::new();
    let server = hub(&place, Some(TOKEN));
    let spec = tuned(&place, "hub: org/golden", "hub: org/tuned");
    let url = server.url();
    let with_token = |arguments: &[&str]| {
        let mut command = command(&place, &url, arguments);
        command.env("HF_TOKEN", TOKEN);
        said(command)
    };
    let (code, plan) = with_token(&["plan", text(&spec)]);
    assert_eq!(code, Some(0), "{plan}");
    assert!(server.requests().is_empty(), "planning asks nothing");
    // Without a token the gate is told, with the adapter's name where the base may be had.
    let (code, log) = said(command(&place, &url, &["run", text(&spec), "--out", "run"]));
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("gated") && log.contains("`HF_TOKEN`"), "{log}");
    let (code, log) = with_token(&["run", text(&spec), "--out", "run"]);
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains(&format!("org/tuned at `main` to commit {TUNED}")),
        "{log}"
    );
    let lock: Value = serde_json::from_slice(&place.read("run/lock.json")).expect("JSON");
    assert_eq!(lock["models"]["tuned"]["hub"]["commit"], TUNED, "{lock:#}");
    // It answers as in PEFT.
    let (sample, expected) = (place.samples("run")[0].clone(), expected());
    assert_eq!(sample["prompt_token_ids"], expected["prompt"]);
    assert_eq!(sample["completion_token_ids"], expected["new"]);
    let lp = |value: &Value| serde_json::from_value::<Vec<f64>>(value.clone()).expect("ln p");
    for (ours, theirs) in lp(&sample["token_logprob"]).iter().zip(lp(&expected["lp"])) {
        assert!((ours - theirs).abs() < 1e-4, "{ours} against {theirs}");
    }
    drop(server);
    let again = [
        "run",
        text(&spec),
        "--out",
        "again",
        "--offline",
        "--store",
        "another",
    ];
    let (code, log) = with_token(&again);
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(
        place.read("run/results.json"),
        place.read("again/results.json")
    );
}

#[test]
fn an_adapter_of_the_hub_that_is_more_than_its_factors_is_refused_before_anything_runs() {
    let place = Place::new();
    copy_folder(
        &tests_dir().join("golden/llama/loads/gaussian"),
        &place.path("pissa"),
    );
    let settings = place.path("pissa/adapter_config.json");
    let changed = std::fs::read_to_string(&settings)
        .expect("the settings")
        .replace("\"gaussian\"", "\"pissa_niter_16\"");
    std::fs::write(&settings, changed).expect("the settings");
    let server = hub(&place, None);
    let base = format!("path: {}", text(&tests_dir().join("golden/llama")));
    let spec = tuned(&place, &base, "hub: org/pissa");
    let (code, log) = said(command(
        &place,
        &server.url(),
        &["run", text(&spec), "--out", "run"],
    ));
    assert_eq!(code, Some(2), "{log}");
    for part in ["error[bad-adapter]", "pissa_niter_16", "spec.yaml:"] {
        assert!(log.contains(part), "no `{part}` in:\n{log}");
    }
    assert!(!place.path("run").exists());
}
