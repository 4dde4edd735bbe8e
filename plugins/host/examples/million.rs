//! A million recorded samples through the metric plugins: attack success by seven categories of three models with 10,000 paired
//! bootstrap resamples, and calibration error and AUROC of each model's confidence.
//!
//! `cargo run --release -p driftgauge-plugin-host --example million -- FOLDER [SAMPLES] [few | drawn | all]`
//!
//! The first run writes the samples to FOLDER as the tables that a run writes; then they are read, streamed through the
//! plugins `asr` and `uncertainty`, paired and resampled. `million.py` beside this file does the same with numpy, scipy and
//! pandas. Seconds and peak memory go to standard output, the results to FOLDER/results.txt.
//!
//! `few` (unless another word is given) asks the plugins for what is written there alone: rates by category, AUROC and calibration
//! error, no interval drawn for the latter. `drawn` draws it as well. `all` leaves the plugins everything that they return of themselves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use driftgauge_plugin_host::wire::{MetricOutput, Scores};
use driftgauge_plugin_host::{Locator, PluginLibrary, run_metric};
use driftgauge_record::{Sample, TableRows, write_samples};
use driftgauge_stats::bootstrap::{Items, Options};
use driftgauge_stats::paired::{PairCounts, mcnemar_exact, newcombe_paired};
use rayon::prelude::*;
use serde_json::{Value, json};

const MODELS: [(&str, f64); 3] = [("base", 0.41), ("harmful", 0.94), ("safe", 0.07)];
const CATEGORIES: usize = 7;
const OPTIONS: Options = Options {
    level: 0.95,
    resamples: 10_000,
    seed: 1,
};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A number in [0, 1) from what it stands for: the same samples however they are made.
fn uniform(what: &[u64]) -> f64 {
    let mixed = what.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, &part| {
        let x = (state ^ part).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 32)
    });
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

fn sample(template: &Sample, model: usize, prompt: u64) -> Sample {
    let draw = |purpose: u64| uniform(&[purpose, model as u64, prompt]);
    let shared = |purpose: u64| uniform(&[purpose, prompt]);
    let category = (shared(10) * CATEGORIES as f64).floor();
    // A shared difficulty makes the models' verdicts correlate, as real ones do.
    let rate = MODELS[model].1 + 0.03 * (category - 3.0) + 0.3 * (shared(11) - 0.5);
    let verdict = if draw(1) < rate { "unsafe" } else { "safe" };
    let confidence = draw(2).sqrt();
    let correct = f64::from(u8::from(draw(3) < confidence * confidence));
    let mut sample = template.clone();
    sample.model = MODELS[model].0.to_owned();
    sample.sample_id = format!("prompt-{prompt}");
    sample.category = Some(format!("category-{category}"));
    sample.completion.text = format!("answer {prompt}");
    // Four equally likely tokens, so that their mean probability is the confidence.
    sample.completion.token_logprob = vec![confidence.ln() as f32; 4];
    if let Some(found) = sample.verdicts.get_mut("guard") {
        found.label = driftgauge_record::VerdictLabel::parse(verdict).unwrap_or(found.label);
    }
    sample.values.insert("correct".to_owned(), vec![correct]);
    sample
}

fn template() -> Result<Sample, Failure> {
    Ok(serde_json::from_value(json!({
        "evaluation": "million", "condition": "default", "model": "", "sample_id": "", "sample_index": 0, "messages": [],
        "completion": {"prompt_token_ids": [], "completion_token_ids": [], "text": "", "finish_reason": "stop",
            "ends_with_eos": false, "token_logprob": [], "token_top1_logprob": [], "token_margin": [],
            "token_top10_entropy": [], "token_top10_mass": [], "token_entropy": []},
        "verdicts": {"guard": {"label": "safe", "output": "safe"}},
    }))?)
}

/// How much the plugins are asked for.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Few,
    Drawn,
    All,
}

impl Asked {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "few" => Self::Few,
            "drawn" => Self::Drawn,
            "all" => Self::All,
            _ => return None,
        })
    }

    /// The configurations of `asr` and `uncertainty`.
    fn configs(self) -> [Value; 2] {
        let confidence = "mean_token_probability";
        let mut asked = json!({"confidence": confidence, "statistics": ["auroc", "ece10"]});
        match self {
            Self::All => {
                let measures = json!({"measures": [confidence], "primary": confidence});
                return [json!({}), measures];
            }
            Self::Few => asked["resamples"] = json!(0),
            Self::Drawn => {}
        }
        [json!({"statistics": ["category.*"]}), asked]
    }
}

/// A metric and its configuration.
struct Measured {
    library: PluginLibrary,
    id: &'static str,
    config: Value,
}

/// The metrics of each model. As in a run, each is a node of its own, and as many are at work as there are cores.
fn measure(paths: &[PathBuf], metrics: &[Measured]) -> Result<Vec<Vec<MetricOutput>>, Failure> {
    let run = |path: &PathBuf, metric: &Measured| -> Result<MetricOutput, Failure> {
        let mut samples = TableRows::open(path)?;
        let Measured {
            library,
            id,
            config,
        } = metric;
        Ok(run_metric(library, id, config, &mut samples)?)
    };
    paths
        .par_iter()
        .map(|path| metrics.par_iter().map(|metric| run(path, metric)).collect())
        .collect()
}

fn scores<'a>(output: &'a MetricOutput, id: &str) -> Result<&'a Scores, Failure> {
    let found = output.scores.iter().find(|scores| scores.id == id);
    found.ok_or_else(|| format!("no scores `{id}`").into())
}

/// Rates and paired differences by category and overall, one resample of prompts shared by all.
fn compare(outputs: &[Vec<MetricOutput>], results: &mut String) -> Result<(), Failure> {
    let base = scores(&outputs[0][0], "asr")?;
    let known = |row: Option<u32>| -> Result<usize, Failure> {
        let row = row.ok_or("the models have different samples")?;
        Ok(row as usize)
    };
    let mut columns = vec![vec![f64::NAN; base.values.len()]; MODELS.len() + 1];
    for category in 0..CATEGORIES {
        let of_category = scores(&outputs[0][0], &format!("category.category-{category}"))?;
        for row in of_category.sample_ids.rows_in(&base.sample_ids) {
            columns[0][known(row)?] = category as f64;
        }
    }
    for (column, output) in columns[1..].iter_mut().zip(outputs) {
        let of_model = scores(&output[0], "asr")?;
        let rows = of_model.sample_ids.rows_in(&base.sample_ids);
        for (row, value) in rows.zip(of_model.values.iter()) {
            column[known(row)?] = value.ok_or("a sample has no verdict")?;
        }
    }
    let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let width = MODELS.len() + 1;
    let totals = Items::new(&slices).ok_or("no samples")?.resample_features(
        CATEGORIES * width,
        |row, out| {
            let at = row[0] as usize * width;
            out[at] = 1.0;
            out[at + 1..at + width].copy_from_slice(&row[1..]);
        },
        OPTIONS,
    );
    // The last one is all categories together.
    for category in 0..=CATEGORIES {
        let rate = |t: &[f64], model: usize| {
            let part = |offset: usize| -> f64 {
                if category < CATEGORIES {
                    t[category * width + offset]
                } else {
                    t.iter().skip(offset).step_by(width).sum()
                }
            };
            part(model + 1) / part(0)
        };
        for model in 0..MODELS.len() {
            let ci = totals
                .percentile(|t, _| Some(rate(t, model)))
                .ok_or("no rate")?;
            writeln!(
                results,
                "asr-{model} {category} {} {} {}",
                rate(totals.observed(), model),
                ci.low,
                ci.high
            )?;
        }
        for model in 1..MODELS.len() {
            let delta = |t: &[f64]| rate(t, model) - rate(t, 0);
            let ci = totals
                .percentile(|t, _| Some(delta(t)))
                .ok_or("no difference")?;
            writeln!(
                results,
                "difference-{model} {category} {} {} {}",
                delta(totals.observed()),
                ci.low,
                ci.high
            )?;
        }
    }
    for model in 1..MODELS.len() {
        let mut counts = PairCounts::default();
        let pairs = columns[1].iter().zip(&columns[model + 1]);
        pairs.for_each(|(baseline, model)| counts.add(*baseline > 0.5, *model > 0.5));
        let p = mcnemar_exact(counts.baseline_only, counts.model_only);
        let ci = newcombe_paired(counts, OPTIONS.level).ok_or("no pairs")?;
        writeln!(results, "paired-{model} all {p:e} {} {}", ci.low, ci.high)?;
    }
    Ok(())
}

/// The process's largest resident set so far, in MiB, where the system tells.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Seconds of processor time of all threads so far, to a hundredth, where the system tells: what another process does changes less of
/// them than of the time that passes.
fn processor_seconds() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = status.rsplit_once(')')?;
    let ticks = |place| fields.split_whitespace().nth(place)?.parse::<f64>().ok();
    // Linux counts in hundredths of a second: those of the process itself, and those of the system for it.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

fn main() -> Result<(), Failure> {
    let (mut folder, mut samples, mut asked) = (None, 1_000_000_u64, Asked::Few);
    for argument in std::env::args().skip(1) {
        if let Some(found) = Asked::parse(&argument) {
            asked = found;
        } else if let (Some(_), Ok(found)) = (&folder, argument.parse()) {
            samples = found;
        } else {
            folder = Some(PathBuf::from(argument));
        }
    }
    let folder = folder.ok_or("usage: million FOLDER [SAMPLES] [few | drawn | all]")?;
    let prompts = samples.div_ceil(MODELS.len() as u64);
    let paths = MODELS.map(|(model, _)| folder.join(format!("{model}-{prompts}.parquet")));
    for (model, path) in paths.iter().enumerate() {
        if !path.exists() {
            let template = template()?;
            write_samples(
                path,
                (0..prompts).map(|prompt| sample(&template, model, prompt)),
            )?;
        }
    }
    let executable = std::env::current_exe()?;
    let target = executable.ancestors().nth(2).ok_or("no target folder")?;
    let locator = Locator::new(vec![target.join("deps"), target.to_owned()]);
    let load = |name: &str| -> Result<PluginLibrary, Failure> {
        Ok(PluginLibrary::load(&locator.locate(name, Path::new("."))?)?)
    };
    let [rates, sureness] = asked.configs();
    let metrics = [
        Measured {
            library: load("asr")?,
            id: "asr",
            config: rates,
        },
        Measured {
            library: load("uncertainty")?,
            id: "uncertainty",
            config: sureness,
        },
    ];

    let processor = processor_seconds();
    let start = Instant::now();
    let outputs = measure(&paths, &metrics)?;
    let measured = start.elapsed().as_secs_f64();
    let mut results = String::new();
    compare(&outputs, &mut results)?;
    let total = start.elapsed().as_secs_f64();
    let mut most_drawn = 0;
    for (model, output) in outputs.iter().enumerate() {
        for id in ["ece10", "auroc"] {
            let scalar = output[1].scalars.iter().find(|scalar| scalar.id == id);
            let scalar = scalar.ok_or("no such number")?;
            let value = scalar.value.ok_or("no value")?;
            write!(results, "{id}-{model} all {value}")?;
            match &scalar.ci {
                Some(ci) => writeln!(results, " {} {}", ci.low, ci.high)?,
                None if asked == Asked::Few => results.push('\n'),
                None => return Err("no interval".into()),
            }
            let draws = scalar.ci.as_ref().and_then(|ci| ci.draws);
            most_drawn = most_drawn.max(draws.map_or(0, |draws| draws.resamples));
        }
    }
    std::fs::write(folder.join("results.txt"), results)?;
    println!("samples {}", prompts * MODELS.len() as u64);
    println!("metrics_seconds {measured:.3}");
    println!("statistics_seconds {:.3}", total - measured);
    println!("total_seconds {total:.3}");
    println!("drawn_of_ece {most_drawn}");
    if let Some((before, after)) = processor.zip(processor_seconds()) {
        println!("processor_seconds {:.2}", after - before);
    }
    if let Some(peak) = peak_mib() {
        println!("peak_mib {peak:.0}");
    }
    Ok(())
}
