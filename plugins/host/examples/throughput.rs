//! How many samples a second of one core's time go through a plugin, in process and in a worker: read from a table as a run
//! does, held against the rules afterwards.
//!
//! `cargo run -p driftgauge-plugin-host --example throughput -- FOLDER [SAMPLES]` (build the example `plugin-worker` first); it
//! compiles `throughput.c` beside this file. Processor time counts, that of the worker included, so that what else runs on
//! the machine matters little.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use driftgauge_plugin_host::{
    PluginLibrary, Source, WorkerOptions, run_metric, run_metric_in_worker,
};
use driftgauge_record::{Sample, TableRows, write_samples};
use serde_json::{Value, json};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn write(path: &Path, samples: u64) -> Result<(), Failure> {
    let template: Sample = serde_json::from_value(json!({
        "evaluation": "speed", "condition": "default", "model": "m", "sample_id": "", "sample_index": 0, "messages": [],
        "completion": {"prompt_token_ids": [], "completion_token_ids": [], "text": "", "finish_reason": "stop",
            "ends_with_eos": false, "token_logprob": [], "token_top1_logprob": [], "token_margin": [],
            "token_top10_entropy": [], "token_top10_mass": [], "token_entropy": []},
    }))?;
    let samples = (0..samples).map(|i| {
        let mut sample = template.clone();
        sample.sample_id = format!("prompt-{i}");
        sample.completion.text = format!("The answer to question {i} is not known to anyone here.");
        sample
    });
    Ok(write_samples(path, samples)?)
}

fn compile(folder: &Path) -> Result<PathBuf, Failure> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = folder.join("libthroughput.so");
    let done = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-I"])
        .arg(here.join("../protocol/include"))
        .arg("-o")
        .arg(&library)
        .arg(here.join("examples/throughput.c"))
        .status()?;
    if done.success() {
        Ok(library)
    } else {
        Err("throughput.c does not compile".into())
    }
}

/// Seconds of processor time that this process and its children have used.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may hold anything: utime, stime, cutime and cstime are the 12th to the 15th.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields
        .get(11..15)?
        .iter()
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    Some(ticks / 100.0)
}

/// Largest resident set so far, in MiB.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn measure(
    what: &str,
    samples: u64,
    mut run: impl FnMut() -> Result<Option<f64>, Failure>,
) -> Result<(), Failure> {
    let (mut best, mut wall) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        let (start, begin) = (processor_seconds().ok_or("no /proc")?, Instant::now());
        let value = run()?;
        if value.is_none() {
            return Err("no value".into());
        }
        best = best.min(processor_seconds().ok_or("no /proc")? - start);
        wall = wall.min(begin.elapsed().as_secs_f64());
    }
    let million = samples as f64 / 1e6;
    println!(
        "{what}: {:.2} million samples a second of processor time, {:.2} of wall time, peak {:.0} MiB",
        million / best,
        million / wall,
        peak_mib().unwrap_or_default()
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(
        arguments
            .next()
            .ok_or("usage: throughput FOLDER [SAMPLES]")?,
    );
    let samples: u64 = arguments.next().map_or(Ok(2_000_000), |n| n.parse())?;
    std::fs::create_dir_all(&folder)?;
    let table = folder.join(format!("samples-{samples}.parquet"));
    if !table.exists() {
        write(&table, samples)?;
    }
    let path = compile(&folder)?;
    let executable = std::env::current_exe()?;
    let worker = executable.with_file_name("plugin-worker");
    let library = PluginLibrary::load(&path)?;
    measure("in process", samples, || {
        let output = run_metric(
            &library,
            "throughput",
            &Value::Null,
            &mut TableRows::open(&table)?,
        )?;
        Ok(output.scalars[0].value)
    })?;
    let source = Source::Library(path);
    let options = WorkerOptions::default();
    measure("in a worker", samples, || {
        let rows = &mut TableRows::open(&table)?;
        let output =
            run_metric_in_worker(&worker, &source, "throughput", &Value::Null, rows, &options)?;
        Ok(output.scalars[0].value)
    })
}
