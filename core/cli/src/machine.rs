//! What machine this is, for provenance.

use std::fs;

use driftgauge_cluster::Machine;
use driftgauge_store::Process;

/// Variables in which queues tell a job its id.
const JOB_IDS: [&str; 4] = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"];

/// This machine; its GPUs only where models compute on them.
pub(crate) fn this(device: &str) -> Machine {
    let on_gpu = device.starts_with("cuda") || (device == "auto" && cfg!(feature = "cuda"));
    Machine {
        host: Process::this().host.clone(),
        processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        vectors: driftgauge_lm::vectors(),
        gpus: if on_gpu { gpus() } else { Vec::new() },
        driver: driver().filter(|_| on_gpu),
        job: JOB_IDS.iter().find_map(|name| std::env::var(name).ok()),
    }
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn gpus() -> Vec<String> {
    let cards = fs::read_dir("/proc/driver/nvidia/gpus");
    let texts = cards
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|card| fs::read_to_string(card.path().join("information")).ok());
    let models = texts.filter_map(|text| {
        let line = text.lines().find(|line| line.starts_with("Model:"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let mut models: Vec<String> = models.collect();
    models.sort();
    models
}

fn driver() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let mut words = text.lines().next()?.split_whitespace();
    let version = words
        .find(|word| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.'))?;
    Some(version.to_owned())
}
