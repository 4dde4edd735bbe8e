//! The example plugin in C, compiled as its own comment says and run as the harness runs plugins.
#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;

use driftgauge_plugin_host::{
    PluginError, PluginLibrary, Source, WorkerOptions, run_metric, run_metric_in_worker,
};
use driftgauge_plugin_protocol::rows::Batches;
use driftgauge_record::{Sample, SampleBatches};
use serde_json::{Value, json};

fn compile(folder: &Path) -> PathBuf {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let library = folder.join("libanswer_length.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args([
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-shared",
            "-fPIC",
            "-I",
        ])
        .arg(plugins.join("protocol/include"))
        .arg("-o")
        .arg(&library)
        .arg(plugins.join("examples/answer_length.c"))
        .output()
        .expect("a C compiler is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    library
}

fn sample(condition: &str, id: usize, text: &str, reason: &str) -> Result<Sample, Infallible> {
    let sample = json!({
        "evaluation": "e", "condition": condition, "model": "m", "sample_id": format!("s{id}"), "sample_index": 0,
        "messages": [],
        "completion": {"prompt_token_ids": [], "completion_token_ids": [], "text": text, "finish_reason": reason,
            "ends_with_eos": true, "token_logprob": [], "token_top1_logprob": [], "token_margin": [],
            "token_top10_entropy": [], "token_top10_mass": [], "token_entropy": []},
    });
    Ok(serde_json::from_value(sample).unwrap())
}

fn samples() -> impl Batches {
    let samples = vec![
        sample("plain", 1, "It is Paris.", "stop"),
        sample("plain", 2, "  Rome\n", "stop"),
        sample("plain", 3, "", "error"),
        sample("false \"context\"", 1, "I do not know that", "stop"),
        sample("silent", 1, "", "error"),
    ];
    SampleBatches::new(samples.into_iter(), 512)
}

#[test]
fn the_c_plugin_counts_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = compile(folder.path());
    let library = PluginLibrary::load(&path).unwrap();
    assert_eq!(library.manifests()[0].id, "answer_length");
    let output = run_metric(&library, "answer_length", &Value::Null, &mut samples()).unwrap();
    let found: Vec<_> = output
        .scalars
        .iter()
        .map(|scalar| (scalar.condition.as_str(), scalar.value, scalar.n))
        .collect();
    let expected = [
        ("plain", Some(2.0), 2),
        ("false \"context\"", Some(5.0), 1),
        ("silent", None, 0),
    ];
    assert_eq!(found, expected);
    let found: Vec<_> = output
        .scores
        .iter()
        .map(|scores| {
            let ids: Vec<&str> = scores.sample_ids.iter().collect();
            (ids, scores.values.iter().collect::<Vec<_>>())
        })
        .collect();
    let expected = [
        (vec!["s1", "s2", "s3"], vec![Some(3.0), Some(1.0), None]),
        (vec!["s1"], vec![Some(5.0)]),
        (vec!["s1"], vec![None]),
    ];
    assert_eq!(found, expected);

    // The same in a process of its own.
    let test = std::env::current_exe().unwrap();
    let worker = test
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/plugin-worker");
    let apart = run_metric_in_worker(
        &worker,
        &Source::Library(path),
        "answer_length",
        &Value::Null,
        &mut samples(),
        &WorkerOptions::default(),
    )
    .unwrap();
    assert_eq!(apart, output);
}

#[test]
fn the_c_plugin_refuses_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let library = PluginLibrary::load(&compile(folder.path())).unwrap();
    let config = json!({"unit": "characters"});
    let error = run_metric(&library, "answer_length", &config, &mut samples()).unwrap_err();
    assert!(matches!(error, PluginError::Metric { .. }));
    let (message, hint) = (error.to_string(), error.hint());
    assert!(message.contains("nothing to configure"), "{message}");
    assert_eq!(hint.as_deref(), Some("remove `config`"));
}
