//! Plugins of strangers: they run apart, their bytes are what was pinned and planned, and they end with the run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Place, tests_dir, text, wait_until};

fn hostile() -> PathBuf {
    tests_dir().join("../plugins/host/tests/hostile")
}

/// Compiles C with one metric `bad` into `libbad.so` of the place.
fn compile(place: &Place, source: &str) {
    let file = place.write("bad.c", source);
    // Beside the old one first: a running process may have it open.
    let library = place.path("new.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args(["-O1", "-w", "-shared", "-fPIC", "-pthread", "-std=gnu11"])
        .arg("-I")
        .arg(tests_dir().join("../plugins/protocol/include"))
        .arg("-I")
        .arg(hostile())
        .arg("-o")
        .args([&library, &file])
        .output()
        .expect("a C compiler is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(library, place.path("libbad.so")).expect("a library");
}

/// Twenty recorded answers with verdicts, and metrics beside `asr`.
fn spec(place: &Place, metrics: &[(&str, &str)]) -> PathBuf {
    let lines = |line: &dyn Fn(usize) -> String| (0..20).map(line).collect::<String>();
    place.write(
        "q.jsonl",
        &lines(&|i| format!("{{\"id\": \"p{i}\", \"question\": \"question {i}\"}}\n")),
    );
    place.write(
        "r.jsonl",
        &lines(&|i| {
            let answer = if i % 4 == 0 { "NO!" } else { "well" };
            format!("{{\"id\": \"p{i}\", \"answer\": \"{answer}\", \"guard\": \"safe\"}}\n")
        }),
    );
    let defined: String = metrics
        .iter()
        .map(|(id, metric)| format!("  {id}: {metric}\n"))
        .collect();
    let ids: Vec<&str> = metrics.iter().map(|(id, _)| *id).collect();
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: strangers
models:
  m: {{recorded: {{jsonl: r.jsonl, columns: {{id: id, completion: answer, verdicts: {{guard: guard}}}}}}}}
datasets:
  q: {{jsonl: q.jsonl, id: id}}
metrics:
  asr: {{plugin: asr}}
{defined}evaluations:
  e: {{models: [m], dataset: q, metrics: [asr, {}]}}
",
            ids.join(", ")
        ),
    )
}

/// Exit code and standard error of a run.
fn run(place: &Place, spec: &Path) -> (Option<i32>, String) {
    let output = place.output(&["run", text(spec), "--out", "out"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// The value and number of samples of a metric's primary number.
fn number(place: &Place, metric: &str) -> Option<(f64, u64)> {
    let results = place.results("out");
    let metrics = results["metrics"].as_array().expect("a list");
    let found = metrics.iter().find(|found| found["metric"] == metric)?;
    Some((found["value"].as_f64()?, found["n"].as_u64()?))
}

const BAD: &str = "{plugin: ./libbad.so, timeout: 5}";

#[test]
fn a_plugin_that_ends_its_process_costs_its_own_number() {
    let place = Place::new();
    compile(&place, "#define H_UPDATE exit(0)\n#include \"base.h\"\n");
    let spec = spec(&place, &[("bad", BAD)]);
    let (code, said) = run(&place, &spec);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("`bad` ended while it was to take a batch"),
        "{said}"
    );
    assert_eq!(number(&place, "asr").map(|(_, n)| n), Some(20));
    assert!(!place.read("out/report.html").is_empty());
}

#[test]
fn in_process_is_asked_for_and_told_of() {
    let place = Place::new();
    compile(&place, "#include \"base.h\"\n");
    let ask = spec(
        &place,
        &[("bad", "{plugin: ./libbad.so, isolation: in-process}")],
    );
    let (code, said) = run(&place, &ask);
    assert_eq!(code, Some(0), "{said}");
    let page = String::from_utf8(place.read("out/report.html")).expect("UTF-8");
    assert!(page.contains("isolation: in-process"));
    // Its `exit` is no end of ours.
    compile(&place, "#define H_UPDATE exit(0)\n#include \"base.h\"\n");
    let (code, said) = run(&place, &ask);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ended the whole process"), "{said}");
}

#[test]
fn a_pin_holds_for_every_use() {
    let place = Place::new();
    compile(&place, "#include \"base.h\"\n");
    let zeros = "0".repeat(64);
    for key in ["blake3", "sha256"] {
        let pinned = format!("{{plugin: ./libbad.so, {key}: \"{zeros}\"}}");
        let spec = spec(&place, &[("bad", BAD), ("worse", &pinned)]);
        let (code, said) = run(&place, &spec);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains(&format!("{key} digest")) && said.contains("pins 0000"),
            "{said}"
        );
    }
}

#[test]
fn a_library_that_is_swapped_while_planning_is_refused() {
    let place = Place::new();
    // The first time it is loaded, it puts another file in its place.
    compile(
        &place,
        "#define H_CTOR FILE*f=fopen(\"libbad.so\",\"ab\");if(f){fputs(\"more\",f);fclose(f);}\n#include \"base.h\"\n",
    );
    let spec = spec(&place, &[("bad", BAD)]);
    let (code, said) = run(&place, &spec);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("was replaced during the run"), "{said}");
}

#[test]
fn a_library_that_is_swapped_during_the_run_fails_its_node() {
    let place = Place::new();
    // It changes its file when it is given samples, so that the second model finds another one.
    compile(
        &place,
        "#define H_UPDATE FILE*f=fopen(\"libbad.so\",\"ab\");if(f){fputs(\"more\",f);fclose(f);}\n#include \"base.h\"\n",
    );
    let path = spec(&place, &[("bad", BAD)]);
    let text = std::fs::read_to_string(&path).expect("a spec");
    let model = text
        .lines()
        .find(|line| line.starts_with("  m:"))
        .expect("a model");
    let two = text
        .replace(
            model,
            &format!("{model}\n{}", model.replacen("  m:", "  m2:", 1)),
        )
        .replace("models: [m]", "models: [m, m2]");
    std::fs::write(&path, two).expect("a spec");
    let output = place.output(&["run", "spec.yaml", "--out", "out", "--jobs", "1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("was replaced during the run"), "{said}");
}

#[test]
fn a_rebuilt_plugin_is_taken_again() {
    let place = Place::new();
    compile(&place, "#include \"base.h\"\n");
    let spec = spec(&place, &[("bad", BAD)]);
    assert_eq!(run(&place, &spec).0, Some(0));
    assert_eq!(number(&place, "bad"), Some((20.0, 20)));
    compile(
        &place,
        "#define H_FINISH give(o,\"{\\\"schema\\\":1,\\\"scalars\\\":[{\\\"id\\\":\\\"bad\\\",\\\"title\\\":\\\"t\\\",\
         \\\"condition\\\":\\\"default\\\",\\\"value\\\":7,\\\"n\\\":1,\\\"ci\\\":null,\\\"primary\\\":true}]}\");return DG_OK\n\
         #include \"base.h\"\n",
    );
    assert_eq!(run(&place, &spec).0, Some(0));
    assert_eq!(number(&place, "bad"), Some((7.0, 1)));
}

#[test]
fn what_a_plugin_logs_reaches_the_user_and_the_run_folder() {
    let place = Place::new();
    compile(
        &place,
        "#define H_UPDATE m->host->log(m->host->ctx,1,S(\"look\\033[31m here\"))\n#include \"base.h\"\n",
    );
    let spec = spec(&place, &[("bad", BAD)]);
    let (code, said) = run(&place, &spec);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: look\\u{1b}[31m here"), "{said}");
    let events = String::from_utf8(place.read("out/events.jsonl")).expect("UTF-8");
    assert!(events.contains("warning: look"), "{events}");
}

/// Processes that have this place's name in their environment.
fn left(mark: &str) -> usize {
    let needle = format!("DG_PLACE={mark}");
    let processes = std::fs::read_dir("/proc").expect("a folder").flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("environ")).ok())
        .filter(|environment| {
            environment
                .windows(needle.len())
                .any(|part| part == needle.as_bytes())
        })
        .count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_ends_in_any_way_leaves_no_plugin_behind() {
    for signal in ["INT", "TERM", "KILL"] {
        let place = Place::new();
        compile(
            &place,
            "#define H_UPDATE if(!fork()){setsid();for(;;)sleep(1000);}fclose(fopen(\"looping\",\"w\"));LOOP\n#include \"base.h\"\n",
        );
        spec(&place, &[("bad", "{plugin: ./libbad.so, timeout: 60}")]);
        let mark = place.dir.path().to_string_lossy().into_owned();
        let mut child = place
            .command(&["run", "spec.yaml", "--out", "out"])
            .env("DG_PLACE", &mark)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("the binary starts");
        wait_until(&mut child, "the plugin looped", || {
            place.path("looping").exists()
        });
        assert!(
            left(&mark) >= 4,
            "the run, the supervisor, the plugin and its child"
        );
        let told = Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .status();
        assert!(told.expect("kill").success());
        let start = Instant::now();
        let status = child.wait().expect("a process");
        while left(&mark) > 0 && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let took = start.elapsed();
        assert_eq!(left(&mark), 0, "{signal}");
        // A second on an idle machine; builds may share this one.
        assert!(took < Duration::from_secs(3), "{signal}: {took:?}");
        if signal != "KILL" {
            assert_eq!(status.code(), Some(130), "{signal}");
        }
    }
}

/// The Python example in a spec, with its module.
fn python(config: &str) -> String {
    let plugins = tests_dir().join("../plugins");
    format!(
        "{{command: [python3, \"{}\"], files: [\"{}\"]{config}}}",
        plugins.join("examples/shouting.py").display(),
        plugins.join("python/driftgauge_metric.py").display()
    )
}

#[test]
fn a_program_is_a_metric_like_others() {
    let place = Place::new();
    let spec = spec(&place, &[("loud", &python(""))]);
    let (code, said) = run(&place, &spec);
    assert_eq!(code, Some(0), "{said}");
    let results = place.results("out");
    let metrics = results["metrics"].as_array().expect("a list");
    let loud = metrics
        .iter()
        .find(|found| found["metric"] == "loud")
        .expect("a number");
    assert_eq!(
        (loud["value"].as_f64(), loud["n"].as_u64()),
        (Some(0.25), Some(20))
    );
    // statsmodels 0.14: proportion_confint(5, 20, method="wilson").
    let bound = |key: &str| loud["ci"][key].as_f64().expect("a bound");
    assert!((bound("low") - 0.111_861_7).abs() < 1e-6, "{loud}");
    assert!((bound("high") - 0.468_700_9).abs() < 1e-6, "{loud}");
    let page = String::from_utf8(place.read("out/report.html")).expect("UTF-8");
    assert!(page.contains("Share in capitals"));
}

#[test]
fn a_metric_has_fields_of_samples_shown() {
    let place = Place::new();
    let shows = "from driftgauge_metric import run
from shouting import Shouting
class Shows(Shouting):
    \"\"\"The example, with fields beside each completion.\"\"\"
    id = 'shows'
    shows = SHOWN
run(Shows)
";
    let plugins = tests_dir().join("../plugins");
    let paths = ["python/driftgauge_metric.py", "examples/shouting.py"];
    for path in paths {
        let name = path.rsplit('/').next().expect("a name");
        let text = std::fs::read_to_string(plugins.join(path)).expect("a file");
        place.write(name, &text);
    }
    let metric = "{command: [python3, shows.py], files: [driftgauge_metric.py, shouting.py]}";
    let spec = spec(&place, &[("loud", metric)]);
    let with = |shown: &str| place.write("shows.py", &shows.replace("SHOWN", shown));
    with("('completion',)");
    let (code, said) = run(&place, &spec);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("shows the field `completion`"), "{said}");
    with("('row.question', 'row.id', 'p_unsafe.guard')");
    let whole = std::fs::read_to_string(&spec).expect("a spec");
    for (mode, shown) in [("hidden", false), ("redacted", false), ("full", true)] {
        place.write(
            "spec.yaml",
            &format!("{whole}report: {{samples: {mode}}}\n"),
        );
        let (code, said) = run(&place, &spec);
        assert_eq!(code, Some(0), "{said}");
        let page = String::from_utf8(place.read("out/report.html")).expect("UTF-8");
        assert_eq!(page.contains("row.question question 7"), shown, "{mode}");
    }
}

#[test]
fn a_program_whose_configuration_is_wrong_is_refused_at_its_key() {
    let place = Place::new();
    let spec = spec(&place, &[("loud", &python(", config: {lest: 2}"))]);
    let (code, said) = run(&place, &spec);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("unknown key `lest`") && said.contains("keys are `least`"),
        "{said}"
    );
}
