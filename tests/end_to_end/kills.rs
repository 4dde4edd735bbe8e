//! Killed at random moments, or interrupted, a run goes on to the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::planned::Planned;
use crate::support::{Place, copy_folder, journal_lines, smoke_spec, tests_dir, text};

#[test]
fn random_kills_change_no_byte() {
    let straight = Place::new();
    straight.run(&smoke_spec(), "run");
    let place = Place::new();
    // A fixed walk over the run's length: each start is killed a little later than the one before.
    for step in 0..20_u64 {
        let mut child = start(&place, &smoke_spec());
        std::thread::sleep(Duration::from_millis(60 + (step * 7919) % 700));
        kill(&mut child);
    }
    place.run(&smoke_spec(), "run");
    place.assert_same(
        &straight,
        &[
            "results.json",
            "samples/harmfulness.parquet",
            "samples/drift.parquet",
            "models/tuned/adapter_model.safetensors",
        ],
    );
}

#[test]
fn kills_in_every_kind_of_inference_lose_and_double_nothing() {
    let straight = Place::new();
    straight.run(&inference_spec(&straight), "run");
    let place = Place::new();
    let spec = inference_spec(&place);
    let kinds = kinds_of(&place, &spec);
    let mut kept = Journals::new();
    let mut kills = BTreeMap::<&str, usize>::new();
    for step in 0..80_u64 {
        let mut child = start(&place, &spec);
        // Each start finishes a sample or two, and works on the next for another few milliseconds.
        let wanted = 1 + (step as usize) % 2;
        let ended = wait_until(&mut child, || fresh(&journalled(&place), &kept) >= wanted);
        std::thread::sleep(Duration::from_millis(step * 7 % 5));
        kill(&mut child);
        if ended {
            break;
        }
        let now = journalled(&place);
        for (key, before) in &kept {
            // A finished node has its samples in the artifact, and no journal any more.
            if let Some(after) = now.get(key) {
                assert!(
                    before.is_subset(after),
                    "a finished sample of {key} is lost"
                );
            }
        }
        for key in now.keys().filter(|key| now.get(*key) != kept.get(*key)) {
            *kills.entry(&kinds[key]).or_default() += 1;
        }
        kept = now;
    }
    for kind in ["generate", "judge", "score"] {
        assert!(kills.get(kind).is_some_and(|&n| n >= 5), "{kills:?}");
    }
    assert!(kills.values().sum::<usize>() >= 20, "{kills:?}");
    place.run(&spec, "run");
    place.assert_same(
        &straight,
        &[
            "results.json",
            "samples/ask.parquet",
            "samples/choose.parquet",
        ],
    );
    assert_eq!(place.samples("run").len(), 2 * ROWS);
}

#[test]
fn ctrl_c_ends_with_130_and_loses_nothing() {
    let straight = Place::new();
    straight.run(&inference_spec(&straight), "run");
    let place = Place::new();
    let spec = inference_spec(&place);
    let mut child = start(&place, &spec);
    let ended = wait_until(&mut child, || {
        fresh(&journalled(&place), &Journals::new()) >= 2
    });
    assert!(!ended, "the run ended before it could be interrupted");
    let kept = journalled(&place);
    let process = child.id().to_string();
    let status = Command::new("kill").args(["-INT", &process]).status();
    assert!(status.expect("kill").success());
    assert_eq!(child.wait().expect("a status").code(), Some(130));
    let now = journalled(&place);
    for (key, before) in &kept {
        if let Some(after) = now.get(key) {
            assert!(
                before.is_subset(after),
                "a finished sample of {key} is lost"
            );
        }
    }
    place.run(&spec, "run");
    place.assert_same(
        &straight,
        &[
            "results.json",
            "samples/ask.parquet",
            "samples/choose.parquet",
        ],
    );
}

const ROWS: usize = 80;

/// Generation, judging, scoring and divergences of models that are at hand. Prompts are long, so that a sample takes a
/// while.
fn inference_spec(place: &Place) -> std::path::PathBuf {
    copy_folder(&tests_dir().join("golden/llama"), &place.path("model"));
    copy_folder(&tests_dir().join("golden/qwen2"), &place.path("guard"));
    let rows: Vec<String> = (0..ROWS)
        .map(|row| {
            let question = format!("who wrote the river number {row}? ").repeat(9);
            format!(
                "{}\n",
                serde_json::json!({"id": row.to_string(), "q": question})
            )
        })
        .collect();
    place.write("questions.jsonl", &rows.concat());
    place.write(
        "spec.yaml",
        "version: 1
name: kills
models:
  m: {path: model}
  guard: {path: guard}
datasets:
  questions: {jsonl: questions.jsonl, id: id}
metrics:
  asr: {plugin: asr}
  truthfulness: {plugin: truthfulness}
evaluations:
  ask:
    models: [m]
    dataset: questions
    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 24}
    kl: {reference: m}
    judges:
      asked: {prompt: {model: guard, prompt: [{text: \"{{ behavior }}{{ completion }}\"}], parse: {unsafe: 'yes', safe: 'no'}}}
    metrics: [asr]
  choose:
    models: [m]
    dataset: questions
    prompt: [{text: \"{{ q }}\"}]
    score: {choices: [\" a king\", \" the river\", \" nobody\"], correct: 0}
    metrics: [truthfulness]
",
    )
}

/// Kind of each node, by its key.
fn kinds_of(place: &Place, spec: &std::path::Path) -> BTreeMap<String, String> {
    Planned::of(place, spec).fields(["key", "kind"]).collect()
}

/// The finished items in every journal, by node key.
type Journals = BTreeMap<String, BTreeSet<u64>>;

/// How many items of `now` were not there before.
fn fresh(now: &Journals, before: &Journals) -> usize {
    let fresh = |(key, items): (&String, &BTreeSet<u64>)| match before.get(key) {
        Some(before) => items.difference(before).count(),
        None => items.len(),
    };
    now.iter().map(fresh).sum()
}

/// Reads every journal. No item may be in one twice.
fn journalled(place: &Place) -> Journals {
    let mut journals = Journals::new();
    let Ok(folders) = std::fs::read_dir(place.path("store/partial")) else {
        return journals;
    };
    for folder in folders.flatten() {
        let mut items = BTreeSet::new();
        for line in journal_lines(&folder.path()) {
            // The last line may be torn, or being written.
            if let Ok((_, (item, _))) = serde_json::from_str::<(String, (u64, Value))>(&line) {
                assert!(items.insert(item), "item {item} is journalled twice");
            }
        }
        if !items.is_empty() {
            journals.insert(folder.file_name().to_string_lossy().into_owned(), items);
        }
    }
    journals
}

fn start(place: &Place, spec: &std::path::Path) -> Child {
    place
        .command(&["run", text(spec), "--out", "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

/// Waits for a condition; says whether the process ended before it held.
fn wait_until(child: &mut Child, condition: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(120) {
        if child.try_wait().expect("a status").is_some() {
            return true;
        }
        if condition() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the run makes no progress");
}

/// SIGKILL: nothing can be tidied up.
fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
