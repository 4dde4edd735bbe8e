//! Worker processes: how many loads a run makes, how many share the prompts, and what happens when one dies.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Place, copy_folder, journal_lines, tests_dir, text};

const ROWS: usize = 40;

/// Two models, and two evaluations of which one has two conditions.
fn spec(place: &Place) -> PathBuf {
    spec_of(place, "[llama, qwen2]")
}

fn spec_of(place: &Place, models: &str) -> PathBuf {
    copy_folder(&tests_dir().join("golden/llama"), &place.path("llama"));
    copy_folder(&tests_dir().join("golden/qwen2"), &place.path("qwen2"));
    let rows: Vec<String> = (0..ROWS)
        .map(|row| format!("{{\"id\": \"{row}\", \"q\": \"who wrote the river number {row}?\"}}\n"))
        .collect();
    place.write("questions.jsonl", &rows.concat());
    let spec = "version: 1
name: workers
models:
  llama: {path: llama, engine: mistralrs}
  qwen2: {path: qwen2, engine: mistralrs}
datasets:
  questions: {jsonl: questions.jsonl, id: id}
metrics:
  uncertainty: {plugin: uncertainty}
evaluations:
  first:
    models: [llama, qwen2]
    dataset: questions
    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 24}
    metrics: [uncertainty]
  second:
    models: [llama, qwen2]
    dataset: questions
    conditions:
      plain: {prompt: [{user: \"{{ q }} Be brief.\"}]}
      drawn: {prompt: [{user: \"Well: {{ q }}\"}]}
    generate: {max_tokens: 16, temperature: 0.9, top_p: 0.95, samples: 2}
    metrics: [uncertainty]
  third:
    models: [llama, qwen2]
    dataset: questions
    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 1, temperature: 1}
    metrics: [uncertainty]
";
    place.write("spec.yaml", &spec.replace("[llama, qwen2]", models))
}

fn events(place: &Place, name: &str) -> Vec<Value> {
    let text = String::from_utf8(place.read("run/events.jsonl")).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event"))
        .filter(|event| event["event"] == name)
        .collect()
}

#[test]
fn one_load_serves_every_dataset_and_condition_of_a_model() {
    let place = Place::new();
    let spec = spec(&place);
    let run = place.output(&["run", text(&spec), "--out", "run", "--jobs", "1"]);
    assert!(run.status.success());
    let loads = events(&place, "loaded");
    let served: Vec<usize> = loads
        .iter()
        .map(|load| load["nodes"].as_array().expect("nodes").len())
        .collect();
    assert_eq!(served, [4, 4], "{loads:?}");
}

#[test]
fn the_number_of_workers_changes_no_byte() {
    let places = ["1", "2", "3"].map(|jobs| {
        let place = Place::new();
        let spec = spec_of(&place, "[llama]");
        let run = place.output(&["run", text(&spec), "--out", "run", "--jobs", jobs]);
        assert!(run.status.success());
        // Every worker loads the model once, and every load serves every dataset and condition.
        let loads = events(&place, "loaded");
        assert_eq!(loads.len().to_string(), jobs, "{loads:?}");
        for load in &loads {
            assert_eq!(load["nodes"].as_array().map(Vec::len), Some(4), "{load}");
        }
        place
    });
    for file in [
        "results.json",
        "samples/first.parquet",
        "samples/second.parquet",
        "samples/third.parquet",
    ] {
        let [one, two, three] =
            [0, 1, 2].map(|index: usize| places[index].read(&format!("run/{file}")));
        assert!(
            one == two && two == three,
            "{file} depends on the number of workers"
        );
    }
}

/// One process answers many prompts of all evaluations side by side; with how many threads, and how many at a time, is not seen.
#[test]
fn the_native_engine_answers_side_by_side_and_threads_change_no_byte() {
    let places = ["1", "2"].map(|jobs| {
        let place = Place::new();
        let spec = spec_of(&place, "[llama]");
        let native = String::from_utf8(place.read("spec.yaml")).expect("UTF-8");
        let native = native.replace(
            "llama: {path: llama, engine: mistralrs}",
            "llama: {path: llama, engine: native}",
        );
        place.write("spec.yaml", &native);
        let run = place.output(&["run", text(&spec), "--out", "run", "--jobs", jobs]);
        assert!(run.status.success());
        assert_eq!(events(&place, "loaded").len(), 1);
        let provenance: Value =
            serde_json::from_slice(&place.read("run/provenance.json")).expect("JSON");
        let loaded = &provenance["self_checks"]["llama"];
        assert_eq!(loaded["engine"], driftgauge_lm::DECODER);
        assert!(loaded["max_in_flight"].as_u64() > Some(60), "{loaded}");
        place
    });
    let files = [
        "results.json",
        "samples/first.parquet",
        "samples/second.parquet",
        "samples/third.parquet",
    ];
    places[0].assert_same(&places[1], &files);
    // The tokens are those of mistral.rs, the statistics but for rounding.
    let place = Place::new();
    let spec = spec_of(&place, "[llama]");
    let samples = |place: &Place| place.samples("run");
    place.run(&spec, "run");
    let (ours, theirs) = (samples(&places[0]), samples(&place));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        for field in ["sample_id", "completion_token_ids", "text", "finish_reason"] {
            assert_eq!(ours[field], theirs[field]);
        }
    }
}

/// Where the spec leaves the engine open, a processor takes the native one after mistral.rs said the same; what was proven is remembered.
#[test]
fn the_native_engine_is_taken_once_mistralrs_agrees() {
    let place = Place::new();
    let spec = spec_of(&place, "[llama]");
    let text_of = |engine: &str, tokens: &str| {
        let spec = String::from_utf8(place.read("spec.yaml")).expect("UTF-8");
        let spec = spec.replace(", engine: mistralrs", engine);
        spec.replace("max_tokens: 24", tokens)
    };
    let checked = |spec: &str| {
        place.write("auto.yaml", spec);
        place.run(&place.path("auto.yaml"), "run");
        let provenance: Value =
            serde_json::from_slice(&place.read("run/provenance.json")).expect("JSON");
        assert!(
            provenance["host"]["vectors"]
                .as_str()
                .is_some_and(|v| v.contains("bits"))
        );
        let loaded = &provenance["self_checks"]["llama"];
        assert_eq!(loaded["engine"], driftgauge_lm::DECODER);
        let resolved: Value =
            serde_json::from_slice(&place.read("run/resolved.json")).expect("JSON");
        assert_eq!(resolved["models"]["llama"]["engine"], "native");
        let checks = loaded["checks"].as_array().expect("checks").iter();
        let mut agreed = checks.filter(|check| check["name"] == "logits-agree");
        let detail = agreed.next().expect("it was checked")["detail"].clone();
        detail.as_str().expect("text").to_owned()
    };
    assert!(spec.exists());
    let first = checked(&text_of("", "max_tokens: 24"));
    assert!(first.contains("are those of mistral.rs"), "{first}");
    let second = checked(&text_of("", "max_tokens: 20"));
    assert!(second.contains("proven before"), "{second}");
    // A longer answer reaches further than was proven.
    let third = checked(&text_of("", "max_tokens: 60"));
    assert!(!third.contains("proven before"), "{third}");
    // The same answers as those that the spec asks the native engine for: nothing is made again.
    place.write(
        "native.yaml",
        &text_of(", engine: native", "max_tokens: 60"),
    );
    let again = place.run(&place.path("native.yaml"), "run");
    assert_eq!(again["ran"], 0, "{again}");
}

/// Places that no node wants are taken by further workers while a session runs.
#[test]
fn workers_that_join_later_change_no_byte() {
    let [alone, together] = ["1", "4"].map(|jobs| {
        let place = Place::new();
        let spec = spec(&place);
        let run = place.output(&["run", text(&spec), "--out", "run", "--jobs", jobs]);
        assert!(run.status.success());
        let loads = events(&place, "loaded").len();
        assert!((2..=8).contains(&loads), "{loads} loads of two models");
        place
    });
    alone.assert_same(
        &together,
        &[
            "results.json",
            "samples/first.parquet",
            "samples/second.parquet",
            "samples/third.parquet",
        ],
    );
}

/// A worker that the system kills, for want of memory for example, takes one node with it.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_worker_fails_its_node_alone() {
    let straight = Place::new();
    straight.run(&spec(&straight), "run");

    let place = Place::new();
    let spec = spec(&place);
    let child = place.start(&["run", text(&spec), "--out", "run", "--jobs", "1"]);
    kill_worker_of(&place, child.id());
    let output = child.wait_with_output().expect("the run ends");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in [
        "FAILED  generate first/default/llama: the worker process was killed (signal 9; the system does this when memory \
         runs out)",
        "the end of its log:\n  generation with",
        "skipped metric first/uncertainty/llama",
        "done    generate second/plain/llama",
        "done    generate second/drawn/llama",
        "done    generate first/default/qwen2",
        "done    metric second/uncertainty/llama",
    ] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
    // The same model was loaded once more, for its other nodes.
    let loads: Vec<usize> = events(&place, "loaded")
        .iter()
        .map(|load| load["nodes"].as_array().expect("nodes").len())
        .collect();
    assert_eq!(loads.len(), 3, "{loads:?}");

    // The next run makes what is missing: one generation, its metric and what compares it.
    let mended = place.run(&spec, "run");
    assert_eq!(mended["failed"], 0);
    assert_eq!(
        mended["reused"].as_u64().map(|n| n > 5),
        Some(true),
        "{mended}"
    );
    place.assert_same(
        &straight,
        &[
            "results.json",
            "samples/first.parquet",
            "samples/second.parquet",
            "samples/third.parquet",
        ],
    );
}

/// Kills the worker of a run as soon as it has finished its first samples.
#[cfg(target_os = "linux")]
fn kill_worker_of(place: &Place, run: u32) {
    let some_are_done = || {
        let folders = std::fs::read_dir(place.path("store/partial"))
            .into_iter()
            .flatten();
        folders
            .flatten()
            .any(|folder| journal_lines(&folder.path()).len() > 2)
    };
    for _ in 0..60_000 {
        if some_are_done() {
            let worker = child_of(run).expect("a worker runs");
            let killed = std::process::Command::new("kill")
                .args(["-9", &worker.to_string()])
                .status();
            assert!(killed.is_ok_and(|status| status.success()));
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("no sample was finished");
}

/// The process whose parent is `run`.
#[cfg(target_os = "linux")]
fn child_of(run: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name in parentheses may hold spaces; state and parent follow it.
            let parent = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
            parent == Some(run)
        })
}

#[test]
#[cfg(target_os = "linux")]
fn where_memory_runs_out_the_kernel_takes_a_worker_first() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    let score = |process: u32| {
        let path = format!("/proc/{process}/oom_score_adj");
        std::fs::read_to_string(path)
            .expect("a score")
            .trim()
            .parse::<i32>()
            .expect("a number")
    };
    let place = Place::new();
    let mut worker = place
        .command(&["worker"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let (own, began) = (score(std::process::id()), Instant::now());
    // It waits for its job.
    while score(worker.id()) <= own && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(score(worker.id()) > own);
    worker.kill().expect("it can be killed");
    worker.wait().expect("a status");
}
