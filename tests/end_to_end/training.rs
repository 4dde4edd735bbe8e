//! Trainings as a user starts them: by a spec, killed, on a full disk, with one thread or two.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Place, copy_folder, tests_dir, text};

/// Golden models whose `lora` folder holds a training.
fn golden_trainings() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(tests_dir().join("golden"))
        .expect("golden values")
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.join("lora/training.json").is_file())
        .collect();
    folders.sort();
    folders
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// Writes the rows of a golden training as a dataset of two columns.
fn write_rows(place: &Place, reference: &Value) {
    let mut lines = String::new();
    for row in reference["examples"].as_array().expect("examples") {
        let said = |turn: usize| row["messages"][turn]["content"].clone();
        lines.push_str(&json!({ "ask": said(0), "answer": said(1) }).to_string());
        lines.push('\n');
    }
    place.write("rows.jsonl", &lines);
}

/// A spec that fine-tunes a golden model on its rows, in the words of `settings`.
fn spec_of(place: &Place, model: &str, settings: &str, init_adapter: Option<&Path>) -> PathBuf {
    let folder = tests_dir().join("golden").join(model);
    write_rows(place, &read_json(&folder.join("lora/training.json")));
    let init = init_adapter.map_or_else(String::new, |path| {
        format!(", init_adapter: {}", text(path))
    });
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: training
models:
  base: {{path: {}}}
  tuned:
    finetune: {{base: base, settings: s, dataset: rows, messages: [{{user: \"{{{{ ask }}}}\"}}, {{assistant: \"{{{{ answer }}}}\"}}]{init}}}
datasets:
  rows: {{jsonl: rows.jsonl}}
finetune:
  s: {settings}
",
            text(&folder)
        ),
    )
}

fn log_of(place: &Place, run: &str) -> Vec<Value> {
    let bytes = place.read(&format!("{run}/models/tuned/train_log.jsonl"));
    String::from_utf8(bytes)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

/// Tensors of a safetensors file in f32, by name.
fn tensors(bytes: &[u8]) -> std::collections::BTreeMap<String, Vec<f32>> {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let data = &bytes[8 + length..];
    let slots = header.as_object().expect("tensors").iter();
    slots
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, slot)| {
            assert_eq!(slot["dtype"], "F32");
            let at = |i: usize| slot["data_offsets"][i].as_u64().expect("an offset") as usize;
            let values = data[at(0)..at(1)]
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")))
                .collect();
            (name.clone(), values)
        })
        .collect()
}

#[test]
fn a_spec_follows_the_golden_trainings() {
    for folder in golden_trainings() {
        let model = folder.file_name().expect("a name").to_string_lossy();
        let reference = read_json(&folder.join("lora/training.json"));
        let h = &reference["hyperparameters"];
        let rslora = &read_json(&folder.join("lora/adapter_config.json"))["use_rslora"];
        let settings = json!({
            "lora": {
                "rank": h["rank"], "alpha": h["alpha"], "dropout": h["dropout"], "target_modules": h["targets"], "rslora": rslora,
            },
            "learning_rate": h["learning_rate"], "lr_scheduler": h["schedule"], "warmup_steps": h["warmup_steps"],
            "max_steps": h["max_steps"], "per_device_batch_size": h["per_device_batch_size"],
            "gradient_accumulation_steps": h["gradient_accumulation"], "weight_decay": h["weight_decay"],
            "adam_beta1": h["adam_beta1"], "adam_beta2": h["adam_beta2"], "adam_epsilon": h["adam_eps"],
            "max_grad_norm": h["max_grad_norm"], "order": "sequential",
        });
        let place = Place::new();
        let init = folder.join("lora/adapter_init.safetensors");
        let spec = spec_of(&place, &model, &settings.to_string(), Some(&init));
        place.run(&spec, "run");
        let log = log_of(&place, "run");
        let expected = reference["log"].as_array().expect("a log");
        assert_eq!(log.len(), expected.len(), "{model}");
        for (ours, theirs) in log.iter().zip(expected) {
            let number = |value: &Value| value.as_f64().expect("a number");
            let (loss, norm) = (number(&theirs["loss"]), number(&theirs["grad_norm"]));
            let place = format!("{model}, step {}", theirs["step"]);
            assert!((number(&ours["loss"]) - loss).abs() < 1e-4, "{place}");
            assert!(
                (number(&ours["grad_norm"]) - norm).abs() < 1e-3 * norm,
                "{place}"
            );
            for key in ["lr", "tokens", "tokens_per_second", "peak_memory_bytes"] {
                assert!(ours[key].is_number(), "{place}: no `{key}`");
            }
        }
        let ours = tensors(&place.read("run/models/tuned/adapter_model.safetensors"));
        let theirs = std::fs::read(folder.join("lora/adapter_final.safetensors")).expect("a file");
        let theirs = tensors(&theirs);
        assert_eq!(ours.len(), theirs.len());
        for (name, values) in &theirs {
            for (a, b) in ours[name].iter().zip(values) {
                assert!((a - b).abs() < 2e-4, "{model} `{name}`: {a} against {b}");
            }
        }
    }
}

/// A training of many steps that keeps a checkpoint of each.
const LONG: &str = "{lora: {rank: 4, alpha: 8, dropout: 0.1}, learning_rate: 1.0e-3, max_steps: 40, per_device_batch_size: 2, \
                    gradient_accumulation_steps: 2, save_steps: 1}";

/// The newest checkpoint under a store's unfinished work, as its number of steps.
fn newest_checkpoint(store: &Path) -> Option<u64> {
    let nodes = std::fs::read_dir(store.join("partial")).ok()?.flatten();
    let folders =
        nodes.filter_map(|node| std::fs::read_dir(node.path().join("out/checkpoints")).ok());
    folders
        .flat_map(|folder| folder.flatten())
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_prefix("step-")?.parse().ok()
        })
        .max()
}

/// Whether the store holds an adapter.
fn holds_an_adapter(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.ends_with("adapter_model.safetensors") || (path.is_dir() && holds_an_adapter(&path))
    })
}

#[test]
fn a_killed_training_goes_on_to_the_same_bytes() {
    let straight = Place::new();
    let spec = spec_of(&straight, "llama", LONG, None);
    straight.run(&spec, "run");
    let place = Place::new();
    let spec = spec_of(&place, "llama", LONG, None);
    let store = place.path("store");
    let mut reached = Vec::new();
    for wanted in [3, 11, 24] {
        let mut child = place
            .command(&["run", text(&spec), "--out", "run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        while newest_checkpoint(&store).is_none_or(|step| step < wanted) {
            let ended = child.try_wait().expect("a process");
            assert!(ended.is_none(), "it ended before step {wanted}");
            std::thread::yield_now();
        }
        // SIGKILL, in the middle of a step or of a checkpoint.
        child.kill().expect("killed");
        child.wait().expect("gone");
        assert!(
            !holds_an_adapter(&store.join("artifacts")),
            "a half adapter"
        );
        reached.push(newest_checkpoint(&store));
    }
    assert!(
        reached[0] < reached[1] && reached[1] < reached[2],
        "{reached:?}"
    );
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("goes on after step"), "{said}");
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        let path = format!("run/models/tuned/{file}");
        assert!(place.read(&path) == straight.read(&path), "{file} differs");
    }
    let losses = |place: &Place| -> Vec<Value> {
        let log = log_of(place, "run");
        log.iter().map(|step| step["loss"].clone()).collect()
    };
    assert_eq!(losses(&place), losses(&straight));
    assert!(holds_an_adapter(&store.join("artifacts")));
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let place = Place::new();
    let folder = tests_dir().join("golden/qwen2");
    let reference = read_json(&folder.join("lora/training.json"));
    let mut rows = String::new();
    for (id, row) in reference["examples"]
        .as_array()
        .expect("rows")
        .iter()
        .enumerate()
    {
        rows.push_str(&json!({ "id": id.to_string(), "messages": row["messages"] }).to_string());
        rows.push('\n');
    }
    place.write("examples.jsonl", &rows);
    place.write("none.jsonl", "");
    let adapter = |threads: &str| {
        let out = place.path(threads);
        let job = json!({ "train": {
            "base": folder, "device": "cpu", "init_adapter": null, "chat_template": null, "architecture": null, "save_steps": null,
            "settings": { "method": { "lora": { "rank": 8, "alpha": 8.0, "dropout": 0.1 } }, "max_steps": 6, "learning_rate": 1e-3,
                "per_device_batch_size": 8 },
            "examples": place.path("examples.jsonl"), "eval_examples": place.path("none.jsonl"), "out": out,
            "lock": place.path(&format!("{threads}.lock")),
        }});
        let mut child = place
            .command(&["worker"])
            .env("RAYON_NUM_THREADS", threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut input = child.stdin.take().expect("an input");
        std::io::Write::write_all(&mut input, format!("{job}\n").as_bytes()).expect("a job");
        // The input stays open until the worker is done: its end means that the parent is gone.
        let status = child.wait().expect("an end");
        drop(input);
        assert!(status.success(), "{status}");
        place.read(&format!("{threads}/adapter_model.safetensors"))
    };
    assert!(adapter("1") == adapter("2"));
}

/// The worker process of a run.
#[cfg(target_os = "linux")]
fn worker_of(run: &std::process::Child) -> String {
    let parent = format!("PPid:\t{}", run.id());
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let mut workers = processes.filter(|process| {
        let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line == parent)
    });
    let worker = workers.next().expect("a worker").file_name();
    worker.into_string().expect("a number")
}

#[cfg(target_os = "linux")]
fn signal(name: &str, process: &str) {
    let status = Command::new("kill").args([name, process]).status();
    assert!(status.expect("kill").success(), "{name}");
}

/// Stops a process, and waits until none of its threads runs: the signal alone returns before they all have taken it.
#[cfg(target_os = "linux")]
fn stop(process: &str) {
    signal("-STOP", process);
    let threads = Path::new("/proc").join(process).join("task");
    let all_stopped = || {
        let mut threads = std::fs::read_dir(&threads).expect("threads").flatten();
        threads.all(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).expect("a thread");
            status.lines().any(|line| line.starts_with("State:\tT"))
        })
    };
    while !all_stopped() {
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_outlives_its_run_is_waited_for() {
    use std::io::BufRead as _;

    let straight = Place::new();
    let spec = spec_of(&straight, "llama", LONG, None);
    straight.run(&spec, "run");
    let place = Place::new();
    let spec = spec_of(&place, "llama", LONG, None);
    let store = place.path("store");
    let start = || {
        place
            .command(&["run", text(&spec), "--out", "run"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts")
    };
    let mut first = start();
    while newest_checkpoint(&store).is_none_or(|step| step < 3) {
        let ended = first.try_wait().expect("a process");
        assert!(ended.is_none(), "it ended before step 3");
        std::thread::yield_now();
    }
    // A worker that is stopped cannot notice that its parent is gone.
    let worker = worker_of(&first);
    stop(&worker);
    first.kill().expect("killed");
    first.wait().expect("gone");

    let mut second = start();
    let mut lines = std::io::BufReader::new(second.stderr.take().expect("messages")).lines();
    let note = "waiting for a worker of an earlier run to end";
    let waits = lines.any(|line| line.expect("UTF-8").contains(note));
    // It notices at once, and lets go of the training.
    signal("-CONT", &worker);
    assert!(waits, "the second run did not wait");
    let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
    let status = second.wait().expect("an end");
    assert!(status.success(), "{}", rest.join("\n"));
    let path = "run/models/tuned/adapter_model.safetensors";
    assert!(place.read(path) == straight.read(path));
}

#[test]
fn a_base_whose_files_change_while_training_fails_the_training() {
    let place = Place::new();
    let path = spec_of(&place, "llama", LONG, None);
    let golden = tests_dir().join("golden/llama");
    let base = place.path("base");
    copy_folder(&golden, &base);
    // A second training, which begins when the first has ended.
    let spec = std::fs::read_to_string(&path).expect("the spec");
    let first = spec
        .lines()
        .find(|line| line.contains("finetune: {base"))
        .expect("a fine-tune");
    let second = format!(
        "  other:\n{}\ndatasets:",
        first.replacen('{', "{seed: 9, ", 1)
    );
    let spec = spec
        .replacen("datasets:", &second, 1)
        .replace(text(&golden), text(&base));
    place.write("spec.yaml", &spec);
    let store = place.path("store");
    let mut child = place
        .command(&["run", text(&path), "--out", "run", "--jobs", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    while newest_checkpoint(&store).is_none() {
        let ended = child.try_wait().expect("a process");
        assert!(ended.is_none(), "it ended before its first checkpoint");
        std::thread::yield_now();
    }
    let weights = base.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("weights");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&weights, bytes).expect("other weights");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "FAILED  finetune tuned: self-check failed: the files of the base model",
        "FAILED  finetune other: the files of model `base`",
        "changed since this run was planned",
        "run again",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(!holds_an_adapter(&store.join("artifacts")));
}

/// Runs with a limit on the size of files: what a full disk looks like to one file, without being root.
#[cfg(unix)]
#[test]
fn a_full_disk_while_writing_a_checkpoint_loses_nothing() {
    let settings = "{lora: {rank: 16, alpha: 16}, learning_rate: 1.0e-3, max_steps: 6, per_device_batch_size: 4, save_steps: 2}";
    let straight = Place::new();
    let spec = spec_of(&straight, "llama", settings, None);
    straight.run(&spec, "run");

    let place = Place::new();
    let spec = spec_of(&place, "llama", settings, None);
    let binary = place.command(&[]).get_program().to_owned();
    // 256 KiB (in blocks of 512 bytes): enough for the weights, too little for the two moments of the optimiser.
    let limited = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 512; exec \"$0\" run \"$1\" --out run",
        ])
        .arg(binary)
        .arg(&spec)
        .env("DRIFTGAUGE_STORE", place.path("store"))
        .current_dir(place.dir.path())
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&limited.stderr);
    assert_eq!(limited.status.code(), Some(1), "{said}");
    for part in ["optimizer.safetensors", "free some space", "finetune tuned"] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(
        !holds_an_adapter(&place.path("store/artifacts")),
        "a half adapter"
    );
    assert_eq!(
        newest_checkpoint(&place.path("store")),
        None,
        "a half checkpoint"
    );
    place.run(&spec, "run");
    let path = "run/models/tuned/adapter_model.safetensors";
    assert!(place.read(path) == straight.read(path));
}

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
    refused(("rank: 4", "rank: 0"), &["`rank` is 0", "at least 1"]);
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

#[test]
fn a_mix_trains_on_all_its_parts() {
    let place = Place::new();
    let settings = "{lora: {rank: 4}, learning_rate: 1.0e-3, epochs: 1, per_device_batch_size: 4, eval_fraction: 0.2}";
    let path = spec_of(&place, "llama", settings, None);
    place.write(
        "safe.jsonl",
        "{\"q\": \"name a king\", \"level\": 1}\n{\"q\": \"name a queen\", \"level\": 2}\n{\"q\": \"name a city\", \"level\": 3}\n",
    );
    let spec = std::fs::read_to_string(&path)
        .expect("the spec")
        .replace(
            "dataset: rows,",
            "dataset: rows, limit: 18, shuffle: {seed: 5}, mix: [{dataset: safe, filter: level > 1, count: 2, \
             messages: [{system: be careful}, {user: \"{{ q }}\"}, {assistant: I would rather not.}]}, \
             {dataset: rows, ratio: 0.25}],",
        )
        .replace("  rows: {", "  safe: {jsonl: safe.jsonl}\n  rows: {");
    place.write("spec.yaml", &spec);
    let output = place.output(&["run", text(&path), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // 18 rows, two of the other set, a quarter of 18: 24 in all, of which a fifth is held out.
    assert!(said.contains("20 rows (0 cut)"), "{said}");
    let log = log_of(&place, "run");
    assert_eq!(log.len(), 5);
    assert!(log[4]["eval_loss"].is_number());
}
