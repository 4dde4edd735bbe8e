//! The smoke spec: everything real, nothing twice.

use crate::support::{Place, smoke_spec, text};

#[test]
fn a_run_makes_everything_and_a_second_one_nothing() {
    let place = Place::new();
    let first = place.run(&smoke_spec(), "run");
    assert_eq!(first["failed"], 0);
    for file in [
        "spec.yaml",
        "resolved.json",
        "lock.json",
        "events.jsonl",
        "results.json",
        "plan.json",
        "metrics.json",
        "report.html",
        "report.json",
        "provenance.json",
        "samples/harmfulness.parquet",
        "samples/drift.parquet",
        "models/tuned/adapter_model.safetensors",
        "models/tuned/adapter_config.json",
        "models/tuned/train_log.jsonl",
        "models/base/config.json",
        "models/base/tokenizer.json",
    ] {
        assert!(place.path("run").join(file).is_file(), "{file} is missing");
    }
    let results = place.read("run/results.json");
    let second = place.run(&smoke_spec(), "run");
    assert_eq!(second["ran"], 0, "a second run ran something");
    assert_eq!(results, place.read("run/results.json"));
    // From another folder, with the same store: the same bytes again.
    place.run(&smoke_spec(), "elsewhere");
    assert_eq!(results, place.read("elsewhere/results.json"));
    assert_eq!(
        place.read("run/samples/drift.parquet"),
        place.read("elsewhere/samples/drift.parquet")
    );

    // The run folder's own spec runs again as it is, and finds everything made.
    let own = place.run(&place.path("run/spec.yaml"), "again");
    assert_eq!(own["ran"], 0, "the run folder's spec is another experiment");

    // The report is drawn again from the folder alone, to the same bytes.
    let report = place.read("run/report.html");
    let output = place.output(&["report", "run"]);
    assert!(output.status.success());
    assert_eq!(report, place.read("run/report.html"));

    let samples = place.samples("run");
    assert_eq!(samples.len(), 2 * 10 + 2 * 2 * 10);
    for sample in &samples {
        let tokens = sample["completion_token_ids"]
            .as_array()
            .expect("tokens")
            .len();
        for list in ["token_logprob", "token_entropy", "token_top10_entropy"] {
            assert_eq!(sample[list].as_array().expect("a list").len(), tokens);
        }
        assert!(
            !sample["prompt_token_ids"]
                .as_array()
                .expect("tokens")
                .is_empty()
        );
    }
    let harmful = samples
        .iter()
        .find(|sample| sample["evaluation"] == "harmfulness")
        .expect("a sample");
    assert_eq!(harmful["verdicts"].as_object().expect("verdicts").len(), 2);
}

#[test]
fn one_changed_setting_repeats_only_what_depends_on_it() {
    let place = Place::new();
    place.run(&smoke_spec(), "run");
    let spec = std::fs::read_to_string(smoke_spec()).expect("the spec");
    let folder = crate::support::tests_dir().join("fixtures/smoke");
    let changed = spec
        .replace("learning_rate: 1.0e-2", "learning_rate: 2.0e-2 # twice")
        .replace("jsonl: ", &format!("jsonl: {}/", folder.display()))
        .replace(
            "../../../specs",
            &format!("{}/../../../specs", folder.display()),
        );
    let path = place.write("changed.yaml", &changed);
    let output = place.output(&["plan", text(&path)]);
    let plan = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        plan.contains("changed: settings.learning_rate 0.01 -> 0.02"),
        "{plan}"
    );
    let line = |id: &str| {
        plan.lines()
            .find(|line| line.contains(id))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(line("pretrain base").contains("ready"), "{plan}");
    assert!(
        line("generate drift/plain/base").contains("ready"),
        "{plan}"
    );
    assert!(line("generate drift/plain/tuned").contains("run"), "{plan}");
    let again = place.output(&["plan", text(&path)]);
    assert_eq!(plan.as_bytes(), again.stdout, "two plans differ");
}

#[test]
fn the_plan_reads_well() {
    let place = Place::new();
    let output = place.output(&["plan", text(&smoke_spec())]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let plan = String::from_utf8(output.stdout).expect("UTF-8");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(crate::support::tests_dir().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    // Keys of metrics hold the digest of the plugin library, which changes with every build.
    settings.add_filter(
        r"(run|ready)( +)[0-9a-f]{12}( +)(metric|compare)",
        "$1$2[key]       $3$4",
    );
    // Guesses go by the cores of the machine.
    settings.add_filter(r" *[0-9.]+ (s|min|h)\b([?*])?", " [time]$2");
    settings.bind(|| insta::assert_snapshot!("plan_of_the_smoke_spec", plan));
}
