//! Plugins that crash, hang, lie or flood, each in a worker: a file in `tests/hostile` whose first line says what becomes of it,
//! `/* says: words; words */` for an error that says them, `/* runs */` for a result over all samples, `/* anything */` for a race. The same for results
//! in `tests/hostile/results`, where `outcomes.txt` says it, and for programs in `tests/hostile/programs`, in a comment of theirs. Whatever a plugin does, it ends, and nothing of it is left.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use driftgauge_plugin_host::{
    PluginError, PluginLibrary, Program, RunOptions, Source, WorkerOptions, has_control_groups,
    run_metric, run_metric_in_worker,
};
use driftgauge_plugin_protocol::wire::MetricOutput;
use driftgauge_record::{Sample, SampleBatches};
use serde_json::{Value, json};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile")
}

/// The worker, which is built with the tests as an example beside them. `mark` stands in the environment of all its processes.
fn worker(folder: &Path, mark: &str, answer: &Path) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let worker = test
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/plugin-worker");
    let script = folder.join("worker");
    let text = format!(
        "#!/bin/sh\nexport PYTHONDONTWRITEBYTECODE=1 DG_HOSTILE={mark} HOSTILE_JSON='{}'\nexec '{}' \"$@\"\n",
        answer.display(),
        worker.display()
    );
    std::fs::write(&script, text).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn compile(source: &Path, folder: &Path) -> PathBuf {
    let cpp = source
        .extension()
        .is_some_and(|extension| extension == "cpp");
    let (variable, compiler) = if cpp { ("CXX", "c++") } else { ("CC", "cc") };
    let compiler = std::env::var(variable).unwrap_or_else(|_| compiler.to_owned());
    let library = folder.join("libbad.so");
    let flag = if cpp { "-fpermissive" } else { "-std=gnu11" };
    let output = Command::new(compiler)
        .args(["-O1", "-w", "-shared", "-fPIC", "-pthread", flag, "-I"])
        .arg(here().join("../../../protocol/include"))
        .arg("-o")
        .args([&library, source])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    library
}

fn samples() -> impl Iterator<Item = Result<Sample, Infallible>> {
    let sample: Sample = serde_json::from_value(json!({
        "evaluation": "e", "condition": "default", "model": "m", "sample_id": "s", "sample_index": 0, "messages": [],
        "completion": {"prompt_token_ids": [], "completion_token_ids": [], "text": "an answer", "finish_reason": "stop",
            "ends_with_eos": true, "token_logprob": [], "token_top1_logprob": [], "token_margin": [],
            "token_top10_entropy": [], "token_top10_mass": [], "token_entropy": []},
    }))
    .unwrap();
    (0..20).map(move |index| {
        Ok(Sample {
            sample_id: format!("p{index}"),
            ..sample.clone()
        })
    })
}

/// A run of a hostile plugin.
struct Trial {
    mark: String,
    outcome: Result<MetricOutput, PluginError>,
    seconds: f64,
}

/// Runs a library from its source, or a program in Python.
fn run(source: &Path, answer: &Path, options: &WorkerOptions) -> Trial {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let folder = tempfile::tempdir().unwrap();
    let mark = format!(
        "{}-{}",
        std::process::id(),
        RUNS.fetch_add(1, Ordering::Relaxed)
    );
    let executable = worker(folder.path(), &mark, answer);
    let plugin = if source
        .extension()
        .is_some_and(|extension| extension == "py")
    {
        let words = ["python3".to_owned(), name(source)];
        Source::Program(Program::new(&words, &[], source.parent().unwrap()).unwrap())
    } else {
        Source::Library(compile(source, folder.path()))
    };
    let start = Instant::now();
    let outcome = run_metric_in_worker(
        &executable,
        &plugin,
        "bad",
        &Value::Null,
        &mut SampleBatches::new(samples(), 7),
        options,
    );
    Trial {
        mark,
        outcome,
        seconds: start.elapsed().as_secs_f64(),
    }
}

fn limits() -> WorkerOptions {
    WorkerOptions {
        timeout: Duration::from_secs(8),
        memory: Some(1 << 30),
        ..WorkerOptions::default()
    }
}

/// Processes with the mark in their environment.
fn left(mark: &str) -> usize {
    if mark.is_empty() {
        return 0;
    }
    let needle = format!("DG_HOSTILE={mark}\0");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("environ")).ok())
        .filter(|environment| {
            environment
                .windows(needle.len())
                .any(|part| part == needle.as_bytes())
        })
        .count()
}

/// What is wrong with a trial, given what it should come to.
fn judge(trial: &Trial, expected: &str) -> Option<String> {
    if trial.seconds > 30.0 {
        return Some(format!("took {:.1} s", trial.seconds));
    }
    if left(&trial.mark) > 0 {
        return Some("a process is left".to_owned());
    }
    let said = match &trial.outcome {
        // What happens to it is a race; that it ends is not.
        _ if expected == "anything" => return None,
        Ok(output) => {
            let n = output.scalars.first().map(|scalar| scalar.n);
            return (expected != "runs" || n != Some(20)).then(|| format!("ran, n {n:?}"));
        }
        Err(error) => error.to_string(),
    };
    if said.chars().any(|c| c.is_control() && c != '\n') {
        return Some(format!("control characters in {said:?}"));
    }
    if said.len() > 16 << 10 {
        return Some(format!("an error of {} bytes", said.len()));
    }
    let words = expected.strip_prefix("says: ");
    let lacks = words.is_none_or(|words| words.split("; ").any(|word| !said.contains(word)));
    lacks.then(|| format!("said: {said}"))
}

/// The files of a folder with one of the extensions, in order.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let fits = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension))
    };
    let mut files: Vec<_> = folder
        .read_dir()
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.retain(fits);
    files.sort();
    files
}

/// Looks at several at a time: most of a trial is waiting.
fn each(files: &[PathBuf], look: impl Fn(&Path) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(look(file));
        }
        wrong
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// What a source says that becomes of it.
fn expected(source: &Path) -> String {
    let text = std::fs::read_to_string(source).unwrap();
    let first = text.lines().next().unwrap_or_default();
    let first = first.trim_start_matches("/* ").trim_start_matches("# ");
    first.trim_end_matches(" */").to_owned()
}

/// Runs each of them in a worker, and says which came to something else.
fn judge_each(sources: &[PathBuf], limits: &WorkerOptions) {
    let wrong = each(sources, |source| {
        let expected = expected(source);
        let problem = judge(&run(source, Path::new(""), limits), &expected)?;
        Some(format!(
            "{}: {problem}\n   expected {expected}",
            name(source)
        ))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_plugins_cost_nothing_but_themselves() {
    judge_each(&files(&here(), &["c", "cpp"]), &limits());
}

#[test]
fn programs_that_break_the_frames_are_told() {
    let mut programs = files(&here().join("programs"), &["py"]);
    programs.retain(|path| name(path) != "frames.py");
    let patient = WorkerOptions {
        timeout: Duration::from_secs(25),
        ..limits()
    };
    judge_each(&programs, &patient);
}

/// Its children are orphans of nobody who watches them; only their control group holds them, and the pipe that they keep open.
#[test]
fn a_plugin_that_kills_its_supervisor_leaves_nothing() {
    if has_control_groups() {
        judge_each(&files(&here().join("groups"), &["c"]), &limits());
    } else {
        eprintln!("not tested: no control group can be made here");
    }
}

/// Arrays in this process: what can be known of them is known before they are read.
#[test]
fn hostile_arrays_are_refused_in_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut sources = files(&here(), &["c"]);
    sources.retain(|path| name(path).starts_with("scores_"));
    assert!(sources.len() > 30);
    for (place, source) in sources.iter().enumerate() {
        let folder = folder.path().join(place.to_string());
        std::fs::create_dir(&folder).unwrap();
        let library = PluginLibrary::load(&compile(source, &folder)).unwrap();
        let samples = &mut SampleBatches::new(samples(), 7);
        let trial = Trial {
            mark: String::new(),
            outcome: run_metric(&library, "bad", &Value::Null, samples),
            seconds: 0.0,
        };
        let problem = judge(&trial, &expected(source));
        assert_eq!(problem, None, "{}: {}", name(source), expected(source));
    }
}

#[test]
fn odd_results_are_refused_by_field() {
    let folder = here().join("results");
    let outcomes = std::fs::read_to_string(folder.join("outcomes.txt")).unwrap_or_default();
    let expected = |name: &str| {
        let mut lines = outcomes.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(file, _)| *file == name)
            .map_or("", |(_, expected)| expected)
    };
    let wrong = each(&files(&folder, &["json"]), |answer| {
        let trial = run(&folder.join("json_env.c"), answer, &limits());
        let expected = expected(&name(answer));
        let problem = judge(&trial, expected)?;
        Some(format!(
            "{}: {problem}\n   expected {expected}",
            name(answer)
        ))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_run_that_is_stopped_ends_its_plugin_and_its_children() {
    for source in ["loop_update.c", "signals_loop.c", "fork_loop.c"] {
        let cancelled = Arc::new(AtomicBool::new(false));
        let options = WorkerOptions {
            run: RunOptions {
                cancelled: Arc::clone(&cancelled),
                ..RunOptions::default()
            },
            timeout: Duration::from_secs(30),
            ..limits()
        };
        let stop = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(1500));
            cancelled.store(true, Ordering::Relaxed);
            Instant::now()
        });
        let trial = run(&here().join(source), Path::new(""), &options);
        let took = stop.join().unwrap().elapsed();
        assert!(
            matches!(trial.outcome, Err(PluginError::Cancelled { .. })),
            "{source}: {:?}",
            trial.outcome
        );
        assert!(took < Duration::from_secs(1), "{source}: {took:?}");
        assert_eq!(left(&trial.mark), 0, "{source}");
    }
}

#[test]
fn a_plugin_hears_that_the_run_is_being_stopped() {
    let cancelled = Arc::new(AtomicBool::new(false));
    let lines = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (flag, log) = (Arc::clone(&cancelled), Arc::clone(&lines));
    let options = WorkerOptions {
        run: RunOptions {
            cancelled,
            log: Arc::new(move |_, line| {
                log.lock().unwrap().push(line.to_owned());
                // Raised once the plugin waits for it.
                flag.store(true, Ordering::Relaxed);
            }),
        },
        timeout: Duration::from_secs(30),
        ..limits()
    };
    let trial = run(&here().join("listening.c"), Path::new(""), &options);
    assert!(matches!(trial.outcome, Err(PluginError::Cancelled { .. })));
    let lines = lines.lock().unwrap();
    assert_eq!(*lines, ["waiting"]);
    assert!(trial.seconds < 5.0);
}

#[test]
fn all_steps_together_have_a_limit() {
    let options = WorkerOptions {
        timeout: Duration::from_secs(5),
        total_timeout: Some(Duration::from_millis(700)),
        ..limits()
    };
    let trial = run(&here().join("slow.c"), Path::new(""), &options);
    let error = trial.outcome.unwrap_err();
    assert!(error.to_string().contains("longer than 0.7 s"), "{error}");
    assert!(error.hint().unwrap().contains("total_timeout"));
}
