//! Trainings that are killed, starved of disk, or whose base changes under them: nothing is lost, and nothing wrong is kept.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{holds_an_adapter, log_of, newest_checkpoint, spec_of};
use crate::support::{Place, copy_folder, tests_dir, text, wait_until};

/// A training of many steps that keeps a checkpoint of each.
const LONG: &str = "{lora: {rank: 4, alpha: 8, dropout: 0.1}, learning_rate: 1.0e-3, max_steps: 40, per_device_batch_size: 2, \
                    gradient_accumulation_steps: 2, save_steps: 1}";

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
        let mut child = place.start(&["run", text(&spec), "--out", "run"]);
        wait_until(&mut child, &format!("step {wanted}"), || {
            newest_checkpoint(&store).is_some_and(|step| step >= wanted)
        });
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
    let start = || place.start(&["run", text(&spec), "--out", "run"]);
    let mut first = start();
    wait_until(&mut first, "step 3", || {
        newest_checkpoint(&store).is_some_and(|step| step >= 3)
    });
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
    let mut child = place.start(&["run", text(&path), "--out", "run", "--jobs", "1"]);
    wait_until(&mut child, "its first checkpoint", || {
        newest_checkpoint(&store).is_some()
    });
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
