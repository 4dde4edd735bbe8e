//! What the host makes of plugins that misbehave: one small C file each, compiled here.
#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use driftgauge_plugin_host::{
    Pins, PluginError, PluginFile, PluginLibrary, Program, RunOptions, Source, WorkerOptions,
    describe_in_worker, run_metric, run_metric_in_worker, run_metric_with,
};
use driftgauge_plugin_protocol::rows::Batches;
use driftgauge_plugin_protocol::wire::MetricOutput;
use driftgauge_record::{Sample, SampleBatches};
use serde_json::{Value, json};

/// The worker, which is built with the tests as an example beside them.
static WORKER: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    let test = std::env::current_exe().expect("this test's own file");
    let target = test.ancestors().nth(2).expect("the target folder");
    let worker = target
        .join("examples")
        .join(format!("plugin-worker{}", std::env::consts::EXE_SUFFIX));
    worker.to_str().expect("a UTF-8 path").to_owned()
});

/// Compiles `tests/fixtures/<name>.c`; the folder lives as long as the result.
fn compile(name: &str) -> (tempfile::TempDir, PathBuf) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join(format!("lib{name}.so"));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args(["-std=gnu99", "-shared", "-fPIC", "-Wall", "-I"])
        .arg(here.join("../protocol/include"))
        .arg("-o")
        .arg(&library)
        .arg(here.join(format!("tests/fixtures/{name}.c")))
        .output()
        .expect("a C compiler is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (folder, library)
}

fn samples(n: usize) -> impl Batches {
    batches(n, 512)
}

fn batches(n: usize, size: usize) -> impl Batches {
    let sample: Sample = serde_json::from_value(json!({
        "evaluation": "e", "condition": "default", "model": "m", "sample_id": "s", "sample_index": 0, "messages": [],
        "completion": {"prompt_token_ids": [], "completion_token_ids": [], "text": "t", "finish_reason": "stop",
            "ends_with_eos": true, "token_logprob": [], "token_top1_logprob": [], "token_margin": [],
            "token_top10_entropy": [], "token_top10_mass": [], "token_entropy": []},
    }))
    .unwrap();
    let samples = (0..n).map(move |index| {
        let sample_id = format!("s{index}");
        Ok::<_, Infallible>(Sample {
            sample_id,
            ..sample.clone()
        })
    });
    SampleBatches::new(samples, size)
}

fn load(name: &str) -> Result<PluginLibrary, PluginError> {
    let (_folder, library) = compile(name);
    PluginLibrary::load(&library)
}

fn run(name: &str) -> Result<MetricOutput, PluginError> {
    run_metric(
        &load(name).unwrap(),
        "fixture",
        &Value::Null,
        &mut samples(3),
    )
}

fn run_apart(name: &str, options: &WorkerOptions) -> Result<MetricOutput, PluginError> {
    let (_folder, library) = compile(name);
    run_metric_in_worker(
        Path::new(WORKER.as_str()),
        &Source::Library(library),
        "fixture",
        &Value::Null,
        &mut samples(3),
        options,
    )
}

#[track_caller]
fn assert_says(error: PluginError, words: &[&str]) {
    let message = format!("{error}\nhint: {}", error.hint().unwrap_or_default());
    for word in words {
        assert!(message.contains(word), "`{word}` in: {message}");
    }
}

#[test]
fn a_sound_plugin_runs() {
    let (_folder, path) = compile("sound");
    let library = PluginLibrary::load(&path).unwrap();
    assert_eq!(library.manifests()[0].version, "1.2.3");
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(library.digest(), blake3::hash(&bytes).to_hex().as_str());

    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let options = RunOptions {
        log: Arc::new(move |level, text| log.lock().unwrap().push(format!("{level} {text}"))),
        ..RunOptions::default()
    };
    let output = run_metric_with(
        &library,
        "fixture",
        &json!({}),
        &mut batches(5, 2),
        &options,
    )
    .unwrap();
    assert_eq!(output.scalars[0].value, Some(5.0));
    assert_eq!(*lines.lock().unwrap(), ["2 made"]);
}

#[test]
fn another_metric_than_it_has_is_named() {
    let library = load("sound").unwrap();
    let error = run_metric(&library, "asr", &Value::Null, &mut samples(0)).unwrap_err();
    assert_says(error, &["no metric `asr`", "`fixture`"]);
}

#[test]
fn a_refused_configuration_carries_its_hint() {
    let library = load("sound").unwrap();
    let error = run_metric(&library, "fixture", &json!({"a": 1}), &mut samples(0)).unwrap_err();
    assert_says(
        error,
        &[
            "metric `fixture` 1.2.3 does not accept its configuration",
            "hint: remove `config`",
        ],
    );
}

#[test]
fn other_versions_of_the_abi_are_named() {
    assert_says(
        load("wrong_abi").unwrap_err(),
        &[
            "speaks ABI 2",
            "this harness speaks ABI 1",
            "upgrade the harness",
        ],
    );
    assert_says(
        load("no_plugin").unwrap_err(),
        &["is no metric plugin", "export_metrics!"],
    );
}

#[test]
fn short_structures_lack_what_they_lack() {
    assert_says(load("short_struct").unwrap_err(), &["lacks `finish`"]);
    assert_says(load("short_plugin").unwrap_err(), &["names 0 metrics"]);
    let output = run("long_struct").unwrap();
    assert_eq!(output.scalars[0].n, 3);
}

#[test]
fn a_manifest_is_checked() {
    assert_says(
        load("bad_manifest").unwrap_err(),
        &["manifest of metric 0", "`completions`"],
    );
}

#[test]
fn bad_results_are_refused() {
    assert_says(run("bad_json").unwrap_err(), &["not the JSON of an output"]);
    assert_says(run("nan").unwrap_err(), &["number out of range"]);
    assert_says(
        run("wrong_lengths").unwrap_err(),
        &["`schema` is 2", "2 sample ids and 1 values"],
    );
}

#[test]
fn a_panic_is_an_error_with_its_sample() {
    assert_says(
        run("panics").unwrap_err(),
        &["crashed", "index out of bounds", "sample `s0`"],
    );
    let options = WorkerOptions::default();
    assert_says(
        run_apart("panics", &options).unwrap_err(),
        &["crashed", "index out of bounds", "sample `s0`", "1.2.3"],
    );
}

#[test]
fn samples_that_cannot_be_read_are_their_own_error() {
    let library = load("sound").unwrap();
    let broken = [Err::<Sample, _>(std::io::Error::other("disk on fire"))];
    let mut broken = SampleBatches::new(broken.into_iter(), 2);
    let error = run_metric(&library, "fixture", &Value::Null, &mut broken).unwrap_err();
    assert_says(error, &["cannot read the samples: disk on fire"]);
}

#[test]
fn pins_must_match() {
    let (_folder, path) = compile("sound");
    let file = PluginFile::read(&path).unwrap();
    let sha256 = Command::new("sha256sum")
        .arg(&path)
        .output()
        .unwrap()
        .stdout;
    let sha256 = String::from_utf8(sha256).unwrap()[..64].to_owned();
    let zeros = "0".repeat(64);
    let pins = |blake3: Option<&str>, sha256: Option<&str>| Pins {
        blake3: blake3.map(str::to_owned),
        sha256: sha256.map(str::to_owned),
    };
    let prefixed = format!("blake3:{}", file.digest());
    file.check(&pins(Some(&prefixed), Some(&sha256.to_uppercase())))
        .unwrap();
    let error = file.check(&pins(Some(&zeros), None)).unwrap_err();
    assert_says(
        error,
        &["blake3 digest", "but the spec pins 0000", file.digest()],
    );
    let error = file.check(&pins(None, Some(&zeros))).unwrap_err();
    assert_says(error, &["sha256 digest", "but the spec pins 0000", &sha256]);
}

#[test]
fn what_was_read_is_what_is_loaded() {
    let (_folder, path) = compile("sound");
    let file = PluginFile::read(&path).unwrap();
    // Whatever happens to the file afterwards.
    std::fs::write(&path, "swapped").unwrap();
    let library = PluginLibrary::load_file(&file).unwrap();
    let output = run_metric(&library, "fixture", &Value::Null, &mut samples(1)).unwrap();
    assert_eq!(output.scalars[0].n, 1);
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libtext.so");
    std::fs::write(&path, "text").unwrap();
    assert_says(
        PluginLibrary::load(&path).unwrap_err(),
        &["cannot load plugin", "libtext.so"],
    );
    assert_says(
        PluginLibrary::load(&folder.path().join("gone.so")).unwrap_err(),
        &["cannot read plugin", "gone.so"],
    );
}

#[test]
fn a_worker_gives_the_same_result() {
    let options = WorkerOptions::default();
    assert_eq!(run_apart("sound", &options).unwrap(), run("sound").unwrap());
}

#[test]
fn a_worker_describes_a_library() {
    let (_folder, library) = compile("sound");
    let options = WorkerOptions::default();
    let source = Source::Library(library.clone());
    let description = describe_in_worker(Path::new(WORKER.as_str()), &source, &options).unwrap();
    assert_eq!(description.manifests[0].id, "fixture");
    let digest = PluginLibrary::load(&library).unwrap().digest().to_owned();
    assert_eq!(description.digest, digest);

    let planned = WorkerOptions {
        digest: Some("0".repeat(64)),
        ..WorkerOptions::default()
    };
    let error = describe_in_worker(Path::new(WORKER.as_str()), &source, &planned).unwrap_err();
    assert_says(error, &["was replaced during the run", "run again"]);
}

#[test]
fn printing_does_not_disturb_the_frames() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let options = WorkerOptions {
        run: RunOptions {
            log: Arc::new(move |_, text| log.lock().unwrap().push(text.to_owned())),
            ..RunOptions::default()
        },
        ..WorkerOptions::default()
    };
    let output = run_apart("prints_stdout", &options).unwrap();
    assert_eq!(output.scalars[0].n, 3);
    let deadline = Instant::now() + Duration::from_secs(5);
    while lines.lock().unwrap().len() < 3 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut lines = lines.lock().unwrap().clone();
    lines.sort();
    assert_eq!(lines, ["made", "printed in update", "printed on load"]);
}

#[test]
fn an_abort_costs_the_worker_alone() {
    assert_says(
        run_apart("aborts", &WorkerOptions::default()).unwrap_err(),
        &[
            "ended while it was to take a batch",
            "killed by signal 6",
            "about to abort",
        ],
    );
}

#[test]
fn an_endless_loop_ends_at_the_limit() {
    let options = WorkerOptions {
        timeout: Duration::from_millis(300),
        ..WorkerOptions::default()
    };
    let begin = Instant::now();
    assert_says(
        run_apart("hangs", &options).unwrap_err(),
        &["`fixture` took longer than 0.3 s to take a batch"],
    );
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_worker_that_cannot_start_is_named() {
    let error = run_metric_in_worker(
        Path::new("/nonexistent/harness"),
        &Source::Library("x.so".into()),
        "fixture",
        &Value::Null,
        &mut samples(0),
        &WorkerOptions::default(),
    )
    .unwrap_err();
    assert_says(error, &["cannot be started", "/nonexistent/harness"]);
}

#[test]
fn a_program_that_speaks_no_frames_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("hello.sh"),
        "echo hello, this is no frame at all",
    )
    .unwrap();
    let words = ["sh", "hello.sh"].map(str::to_owned);
    let program = Program::new(&words, &[], folder.path()).unwrap();
    let error = describe_in_worker(
        Path::new(WORKER.as_str()),
        &Source::Program(program),
        &WorkerOptions::default(),
    )
    .unwrap_err();
    assert_says(error, &["does not speak the protocol"]);
}
