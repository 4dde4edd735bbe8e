//! Tokens per second of `driftgauge run` against a bare loop over mistral.rs: the same weights, the same prompts as token
//! ids, greedy, one request in flight, the same threads and allocator, each in a process of its own.
//!
//! ```sh
//! cargo build
//! cargo bench -p driftgauge-mistralrs --bench tokens_per_second --profile dev             # both models
//! cargo bench -p driftgauge-mistralrs --bench tokens_per_second --profile dev -- 2M 9     # one model, nine rounds
//! ```
//!
//! The two take turns within each round, and the ratio is the median over the rounds, since other programs may use the
//! machine. Loading is left out on both sides; templates, tokenising, statistics, the pipe between the processes and the
//! journal are inside.

mod bare;
mod model;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use model::Shape;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One model and what is asked of it.
struct Load {
    name: &'static str,
    shape: Shape,
    prompts: usize,
    max_tokens: usize,
}

const LOADS: [Load; 2] = [
    Load {
        name: "2M",
        shape: Shape {
            hidden: 128,
            intermediate: 384,
            layers: 4,
            heads: 4,
            vocabulary: 8192,
        },
        prompts: 64,
        max_tokens: 64,
    },
    Load {
        name: "125M",
        shape: Shape {
            hidden: 768,
            intermediate: 2048,
            layers: 12,
            heads: 12,
            vocabulary: 50_304,
        },
        prompts: 8,
        max_tokens: 32,
    },
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [mode, folder, prompts, max_tokens] = arguments.as_slice()
        && mode == "bare"
    {
        let speed = bare::run(folder, Path::new(prompts), max_tokens.parse()?)?;
        println!("{speed}");
        return Ok(());
    }
    let only = arguments.first();
    let rounds: usize = arguments.get(1).map_or(Ok(5), |text| text.parse())?;
    for load in &LOADS {
        if only.is_none_or(|name| name == load.name) {
            compare(load, rounds)?;
        }
    }
    Ok(())
}

/// Measures one model and prints a table.
fn compare(load: &Load, rounds: usize) -> Result<()> {
    let place = tempfile::tempdir()?;
    let parameters = model::write(&place.path().join("model"), &load.shape)?;
    write_experiment(place.path(), load)?;
    let cores = std::thread::available_parallelism()?.get();
    println!(
        "{}: {parameters} parameters, {} prompts, {} new tokens each, {cores} cores",
        load.name, load.prompts, load.max_tokens
    );
    println!("  round   bare tok/s   driftgauge tok/s   ratio   {cores} workers tok/s");
    driftgauge(place.path(), "first", 1)?;
    let prompts = place.path().join("prompts.json");
    write_prompts(place.path(), &prompts)?;
    let (mut ratios, mut gains) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let bare = bare(&place.path().join("model"), &prompts, load.max_tokens)?;
        let ours = driftgauge(place.path(), &format!("one-{round}"), 1)?;
        let several = driftgauge(place.path(), &format!("several-{round}"), cores)?;
        println!(
            "  {round:>5}   {bare:>10.1}   {ours:>16.1}   {:>5.3}   {several:.1}",
            ours / bare
        );
        ratios.push(ours / bare);
        gains.push(several / ours);
    }
    println!(
        "  median: driftgauge keeps {:.1} % of the bare loop's tokens per second; {cores} workers make {:.2} times those of one",
        100.0 * median(&mut ratios),
        median(&mut gains)
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 if middle > 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values.get(middle).copied().unwrap_or(f64::NAN),
    }
}

/// The spec and the dataset. Prompts differ from their first letter on, so that no cache of prefixes helps either side.
fn write_experiment(place: &Path, load: &Load) -> Result<()> {
    let rows: Vec<String> = (0..load.prompts)
        .map(|row| {
            let first = char::from(b'A' + u8::try_from(row % 26).unwrap_or_default());
            format!(
                "{{\"id\": \"{row}\", \"q\": \"{first}{row} is the number of a question that is asked here\"}}\n"
            )
        })
        .collect();
    fs::write(place.join("questions.jsonl"), rows.concat())?;
    let spec = format!(
        "version: 1
name: tokens-per-second
models:
  m: {{path: model}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  uncertainty: {{plugin: uncertainty}}
evaluations:
  ask:
    models: [m]
    dataset: questions
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: {}, temperature: 0}}
    metrics: [uncertainty]
",
        load.max_tokens
    );
    fs::write(place.join("spec.yaml"), spec)?;
    Ok(())
}

/// Runs the experiment with a store of its own and gives the tokens per second of its generation.
fn driftgauge(place: &Path, name: &str, jobs: usize) -> Result<f64> {
    let output = Command::new(binary()?)
        .args(["run", "spec.yaml", "--out", name, "--jobs"])
        .arg(jobs.to_string())
        .arg("--store")
        .arg(place.join(format!("{name}.store")))
        .current_dir(place)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let provenance: Value =
        serde_json::from_slice(&fs::read(place.join(name).join("provenance.json"))?)?;
    let speed = &provenance["generation"]["m"]["tokens_per_second"];
    fs::remove_dir_all(place.join(format!("{name}.store")))?;
    speed
        .as_f64()
        .ok_or_else(|| "provenance.json does not tell how fast the generation was".into())
}

/// The prompts as token ids, as driftgauge rendered them.
fn write_prompts(place: &Path, to: &Path) -> Result<()> {
    let output = Command::new(binary()?)
        .args(["export", "first"])
        .current_dir(place)
        .output()?;
    let prompts = String::from_utf8(output.stdout)?
        .lines()
        .map(|line| Ok(serde_json::from_str::<Value>(line)?["prompt_token_ids"].take()))
        .collect::<Result<Vec<Value>>>()?;
    fs::write(to, serde_json::to_vec(&prompts)?)?;
    Ok(())
}

/// The bare loop in a process of its own.
fn bare(model: &Path, prompts: &Path, max_tokens: usize) -> Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .arg("bare")
        .args([model, prompts])
        .arg(max_tokens.to_string())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .last()
        .and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into())
}

/// `driftgauge` of the same profile.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    let binary =
        folder.map(|folder| folder.join(format!("driftgauge{}", std::env::consts::EXE_SUFFIX)));
    match binary {
        Some(path) if path.is_file() => Ok(path),
        _ => {
            Err("there is no `driftgauge` beside this benchmark; hint: `cargo build` first".into())
        }
    }
}
