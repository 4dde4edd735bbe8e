//! The commands beside the main job: a spec to start from, plugins, the store, and the machine.

use std::process::Command;

use serde_json::Value;

use crate::support::{Place, smoke_spec, tests_dir, text};

fn said(place: &Place, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = place.output(arguments);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_new_experiment_runs_as_it_is() {
    let place = Place::new();
    let (code, written, next) = said(&place, &["init", "study"]);
    assert_eq!(code, Some(0), "{next}");
    assert!(written.contains("spec.yaml") && next.contains("--set base=MODEL"));
    let schema = String::from_utf8(place.read("study/experiment.schema.json")).expect("UTF-8");
    assert_eq!(schema, driftgauge_spec::schema_json());

    // What has no value is told once: the path that it stands in is not looked at.
    let (code, _, problems) = said(&place, &["check", "study/spec.yaml"]);
    assert_eq!(code, Some(2), "{problems}");
    assert!(
        problems.contains("the variable `base` has no value") && problems.ends_with("1 error\n"),
        "{problems}"
    );
    let (code, _, problems) = said(&place, &["check", "study/spec.yaml", "--set", "base=m"]);
    assert_eq!(code, Some(0), "{problems}");
    // The shapes of the golden model are small, and so is its context.
    let base = tests_dir()
        .join("golden/llama")
        .canonicalize()
        .expect("a folder");
    let set = format!("base={}", text(&base));
    let spec = String::from_utf8(place.read("study/spec.yaml")).expect("UTF-8");
    place.write(
        "study/spec.yaml",
        &spec.replace("max_tokens: 128", "max_tokens: 8"),
    );
    let (code, _, problems) = said(
        &place,
        &[
            "run",
            "study/spec.yaml",
            "--set",
            &set,
            "--out",
            "study/runs/first",
        ],
    );
    assert_eq!(code, Some(0), "{problems}");
    let results: Value =
        serde_json::from_slice(&place.read("study/runs/first/results.json")).expect("JSON");
    for metric in ["asr", "truthfulness", "uncertainty"] {
        let metrics = results["metrics"].as_array().expect("metrics");
        assert!(
            metrics.iter().any(|found| found["metric"] == metric),
            "{metric}"
        );
    }

    // Nothing is written over.
    let (code, _, problems) = said(&place, &["init", "study"]);
    assert_eq!(code, Some(2));
    assert!(
        problems.contains("spec.yaml` is there already"),
        "{problems}"
    );
}

#[test]
fn plugins_are_listed_described_and_checked() {
    let place = Place::new();
    let (code, list, problems) = said(&place, &["plugin", "list", "--format", "json"]);
    assert_eq!(code, Some(0), "{problems}");
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let ids: Vec<&str> = list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|plugin| plugin["metrics"][0]["id"].as_str())
        .collect();
    assert_eq!(ids, ["asr", "drift", "truthfulness", "uncertainty"]);

    let (code, shown, _) = said(&place, &["plugin", "show", "uncertainty"]);
    assert_eq!(code, Some(0));
    assert!(
        shown.contains("top_k (default 10)\n") && shown.contains("eos: keep | drop | drop-last\n"),
        "{shown}"
    );

    for id in ids {
        let (code, checks, problems) = said(&place, &["plugin", "check", id]);
        assert_eq!(code, Some(0), "{checks}{problems}");
        assert_eq!(checks.matches("passed  ").count(), 5, "{checks}");
    }
    let (code, checks, _) = said(
        &place,
        &[
            "plugin",
            "check",
            "truthfulness",
            "--config",
            "{\"match\": \"nearly\"}",
        ],
    );
    assert_eq!(code, Some(1));
    assert!(
        checks.contains("FAILED  truthfulness: no sample at all gives a result"),
        "{checks}"
    );
    assert!(checks.contains("nearly"), "{checks}");
    let (code, _, problems) = said(&place, &["plugin", "show", "truthfullness"]);
    assert_eq!(code, Some(2));
    assert!(problems.contains("`truthfulness`"), "{problems}");
}

/// A plugin of a user's own: sound, and then one that gives another result for every batch.
#[test]
fn a_plugin_whose_result_depends_on_batches_is_told() {
    let place = Place::new();
    let plugins = tests_dir().join("../plugins");
    let source = std::fs::read_to_string(plugins.join("examples/answer_length.c")).expect("C");
    let library = |name: &str, source: &str| {
        let file = place.write(&format!("{name}.c"), source);
        let library = place.path(&format!("lib{name}.so"));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-I"])
            .arg(plugins.join("protocol/include"))
            .arg("-o")
            .arg(&library)
            .arg(&file)
            .status()
            .expect("a C compiler is installed");
        assert!(compiled.success());
    };
    library("sound", &source);
    let forgetful = source.replacen(
        "size_t samples = host->len(batch);",
        "size_t samples = host->len(batch);\n  for (size_t i = 0; i < metric->n; i++) metric->conditions[i].n = 0;",
        1,
    );
    assert_ne!(forgetful, source, "the example begins otherwise now");
    library("forgetful", &forgetful);
    let (code, checks, problems) = said(&place, &["plugin", "check", "./libsound.so"]);
    assert_eq!(code, Some(0), "{checks}{problems}");
    let (code, checks, _) = said(&place, &["plugin", "check", "./libforgetful.so"]);
    assert_eq!(code, Some(1), "{checks}");
    assert!(
        checks.contains("a result does not depend on batches: one by one"),
        "{checks}"
    );
}

#[test]
fn the_store_is_listed_verified_and_pruned() {
    let place = Place::new();
    let spec = smoke_spec();
    place.run(&spec, "one");
    let listed = |place: &Place| -> Vec<Value> {
        let (code, list, problems) = said(place, &["cache", "list", "--format", "json"]);
        assert_eq!(code, Some(0), "{problems}");
        let list: Value = serde_json::from_str(&list).expect("JSON");
        list["entries"].as_array().expect("entries").clone()
    };
    let before = listed(&place);
    let named = |wanted: &str| {
        before.iter().any(|entry| {
            let nodes = entry["nodes"].as_array().expect("nodes");
            nodes
                .iter()
                .any(|node| node.as_str().is_some_and(|node| node.starts_with(wanted)))
        })
    };
    assert!(named("pretrain ") && named("generate ") && named("metric "));

    let (code, checked, problems) = said(&place, &["cache", "verify"]);
    assert_eq!(code, Some(0), "{problems}");
    assert!(checked.contains(" 0 damaged"), "{checked}");

    // All of it is needed by the run, and none of it by nothing.
    let (code, gone, problems) = said(&place, &["cache", "prune", "--keep", "one", "--dry-run"]);
    assert_eq!(code, Some(0), "{problems}");
    assert!(gone.contains("in 0 entries would be removed"), "{gone}");
    let (code, _, problems) = said(&place, &["cache", "prune"]);
    assert_eq!(code, Some(2));
    assert!(problems.contains("--keep DIR"), "{problems}");
    let (code, _, problems) = said(&place, &["cache", "prune", "--keep", "nowhere"]);
    assert_eq!(code, Some(2));
    assert!(problems.contains("nowhere"), "{problems}");
    assert_eq!(listed(&place).len(), before.len());

    // What is damaged is named; what is removed is made again.
    let weights = crate::support::files_with(&place.path("store/artifacts"), "__metadata__");
    let file = weights
        .first()
        .map_or_else(|| panic!("no weights in the store"), Clone::clone);
    let mut bytes = std::fs::read(&file).expect("weights");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let (code, checked, problems) = said(&place, &["cache", "verify"]);
    assert_eq!(code, Some(1), "{checked}");
    assert!(
        problems.contains("is damaged") && problems.contains("run again"),
        "{problems}"
    );
    let (code, gone, problems) = said(&place, &["cache", "prune", "--older-than", "0"]);
    assert_eq!(code, Some(0), "{problems}");
    assert!(gone.contains("removed from"), "{gone}");
    assert!(listed(&place).is_empty());
    let first = place.read("one/results.json");
    place.run(&spec, "one");
    assert_eq!(place.read("one/results.json"), first);
}

#[test]
fn the_doctor_looks_at_everything_a_run_needs() {
    let place = Place::new();
    let (code, found, problems) = said(&place, &["doctor", "--format", "json"]);
    assert_eq!(code, Some(0), "{found}{problems}");
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let whats: Vec<&str> = found
        .as_array()
        .expect("findings")
        .iter()
        .filter_map(|finding| finding["what"].as_str())
        .collect();
    assert_eq!(
        whats,
        [
            "version",
            "processor",
            "memory",
            "device",
            "store",
            "plugins",
            "hub"
        ]
    );
    // A store in use, and a device that is not there.
    let (code, found, _) = said(&place, &["doctor", "--device", "gpu"]);
    assert_eq!(code, Some(1), "{found}");
    assert!(found.contains("FAIL  device"), "{found}");
}
