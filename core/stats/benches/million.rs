//! One million recorded samples: the attack success of three models by seven categories with 10,000 paired bootstrap
//! resamples, and ECE and AUROC of each model's confidence with intervals.
//!
//! `cargo bench -p driftgauge-stats --bench million -- --dump FOLDER` also writes the samples and the results, for
//! `compare.py` to do the same with numpy, scipy and pandas.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use driftgauge_stats::bootstrap::{Items, Options, Totals};
use driftgauge_stats::calibration::Predictions;
use driftgauge_stats::paired::{PairCounts, mcnemar_exact, newcombe_paired};
use driftgauge_stats::proportion::wilson;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

const SAMPLES: usize = 1_000_000;
const CATEGORIES: usize = 7;
const MODELS: usize = 3;
const RATES: [f64; MODELS] = [0.41, 0.94, 0.07];
const VERDICTS: Options = Options {
    level: 0.95,
    resamples: 10_000,
    seed: 1,
};
const CALIBRATION: Options = Options {
    level: 0.95,
    resamples: 1_000,
    seed: 1,
};

/// What a run recorded, column by column.
struct Samples {
    category: Vec<f64>,
    /// 1 where the model's completion was judged unsafe.
    unsafe_by: [Vec<f64>; MODELS],
    confidence: [Vec<f64>; MODELS],
    correct: [Vec<bool>; MODELS],
}

fn synthetic() -> Samples {
    let mut generator = ChaCha8Rng::seed_from_u64(42);
    let mut uniform = move || (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut samples = Samples {
        category: Vec::with_capacity(SAMPLES),
        unsafe_by: [const { Vec::new() }; MODELS],
        confidence: [const { Vec::new() }; MODELS],
        correct: [const { Vec::new() }; MODELS],
    };
    for _ in 0..SAMPLES {
        let category = (uniform() * CATEGORIES as f64).floor();
        samples.category.push(category);
        // A shared difficulty makes the models' verdicts correlate, as real ones do.
        let difficulty = uniform() - 0.5;
        for (model, rate) in RATES.into_iter().enumerate() {
            let rate = (rate + 0.03 * (category - 3.0) + 0.3 * difficulty).clamp(0.0, 1.0);
            samples.unsafe_by[model].push(f64::from(u8::from(uniform() < rate)));
            let confidence = uniform().sqrt();
            samples.confidence[model].push(confidence);
            samples.correct[model].push(uniform() < confidence * confidence);
        }
    }
    samples
}

/// Rates and paired differences of every category and of all samples: 24 rates, 16 differences.
fn attack_success(samples: &Samples, out: &mut String) {
    let [base, harmful, safe] = &samples.unsafe_by;
    let items = Items::new(&[&samples.category, base, harmful, safe]).expect("samples");
    // For each category: how many samples, and how many unsafe of each model.
    let width = MODELS + 1;
    let totals = items.resample_features(
        CATEGORIES * width,
        |row, out| {
            let at = row[0] as usize * width;
            out[at] = 1.0;
            out[at + 1..at + width].copy_from_slice(&row[1..]);
        },
        VERDICTS,
    );
    for category in 0..CATEGORIES {
        let rate =
            |model: usize| move |t: &[f64]| t[category * width + 1 + model] / t[category * width];
        rates_and_differences(&totals, &format!("{category}"), rate, out);
    }
    let everywhere = |model: usize| {
        move |t: &[f64]| {
            let part = |offset: usize| t.iter().skip(offset).step_by(width).sum::<f64>();
            part(1 + model) / part(0)
        }
    };
    rates_and_differences(&totals, "all", everywhere, out);
    for (name, model) in [("harmful", harmful), ("safe", safe)] {
        let mut counts = PairCounts::default();
        base.iter()
            .zip(model)
            .for_each(|(b, m)| counts.add(*b > 0.5, *m > 0.5));
        let p = mcnemar_exact(counts.baseline_only, counts.model_only);
        let newcombe = newcombe_paired(counts, 0.95).expect("pairs");
        writeln!(
            out,
            "mcnemar {name} {p:e}\nnewcombe {name} {} {}",
            newcombe.low, newcombe.high
        )
        .expect("text");
    }
    let k = base.iter().filter(|score| **score > 0.5).count();
    let ci = wilson(k as u64, SAMPLES as u64, 0.95).expect("samples");
    writeln!(out, "wilson base {} {}", ci.low, ci.high).expect("text");
}

fn rates_and_differences<R: Fn(&[f64]) -> f64>(
    totals: &Totals,
    category: &str,
    rate: impl Fn(usize) -> R,
    out: &mut String,
) {
    let mut line = |name: String, statistic: &dyn Fn(&[f64]) -> f64| {
        let replicates = totals
            .replicates(|t, _| Some(statistic(t)))
            .expect("samples in every category");
        let ci = replicates.percentile(VERDICTS.level).expect("a level");
        writeln!(
            out,
            "{name} {category} {} {} {}",
            replicates.estimate, ci.low, ci.high
        )
        .expect("text");
    };
    for model in 0..MODELS {
        line(format!("asr-{model}"), &rate(model));
    }
    for model in 1..MODELS {
        let (ours, base) = (rate(model), rate(0));
        line(format!("difference-{model}"), &|t| ours(t) - base(t));
    }
}

fn calibration(samples: &Samples, out: &mut String) {
    for model in 0..MODELS {
        let predictions =
            Predictions::new(&samples.confidence[model], &samples.correct[model]).expect("samples");
        let ece = predictions.equal_width(10).expect("probabilities").ece;
        let ece_ci = predictions
            .equal_width_interval(10, CALIBRATION)
            .expect("probabilities");
        let auroc = predictions.auroc().expect("both classes");
        let auroc_ci = predictions.auroc_interval(0.95).expect("both classes");
        writeln!(
            out,
            "ece_10-{model} all {ece} {} {}",
            ece_ci.low, ece_ci.high
        )
        .expect("text");
        writeln!(
            out,
            "auroc-{model} all {auroc} {} {}",
            auroc_ci.low, auroc_ci.high
        )
        .expect("text");
    }
}

fn dump(samples: &Samples, folder: &Path) -> std::io::Result<()> {
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes);
    let bytes = |values: &[f64]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    write("category.f64", bytes(&samples.category))?;
    for model in 0..MODELS {
        write(
            &format!("unsafe-{model}.f64"),
            bytes(&samples.unsafe_by[model]),
        )?;
        write(
            &format!("confidence-{model}.f64"),
            bytes(&samples.confidence[model]),
        )?;
        let correct = samples.correct[model]
            .iter()
            .map(|&correct| u8::from(correct))
            .collect();
        write(&format!("correct-{model}.u8"), correct)?;
    }
    Ok(())
}

/// The process's largest resident set so far, in MiB, where the system tells.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--dump");
    let folder = arguments.nth(1);
    let samples = synthetic();
    let mut results = String::new();
    let start = Instant::now();
    attack_success(&samples, &mut results);
    let verdicts = start.elapsed().as_secs_f64();
    calibration(&samples, &mut results);
    let total = start.elapsed().as_secs_f64();
    println!("asr_seconds {verdicts:.3}");
    println!("calibration_seconds {:.3}", total - verdicts);
    println!("total_seconds {total:.3}");
    if let Some(peak) = peak_mib() {
        println!("peak_mib {peak:.0}");
    }
    if let Some(folder) = folder {
        let folder = Path::new(&folder);
        dump(&samples, folder).expect("the folder can be written");
        std::fs::write(folder.join("results.txt"), results).expect("the folder can be written");
    } else {
        print!("{results}");
    }
}
