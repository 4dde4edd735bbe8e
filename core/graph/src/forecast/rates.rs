//! What nodes took on this machine, kept in the store for the next plan.

use std::collections::{BTreeMap, BTreeSet};

use driftgauge_store::Store;
use serde::{Deserialize, Serialize};

use super::work::{Machine, Work};
use super::{Basis, Estimate, Forecast, Works};
use crate::context::{Context, NodeOutcome};
use crate::event::Outcome;

/// Name of the fact in the store.
const NAME: &str = "rates";
/// As many measurements are kept, the newest.
const KEPT: usize = 400;
/// Floating-point operations of one core in a second, where nothing was measured.
const OPERATIONS_OF_A_CORE: f64 = 4e9;
/// The same of a GPU.
const OPERATIONS_OF_A_GPU: f64 = 2e13;
/// Seconds to start a process and load a model, where nothing was measured.
const LOADING: f64 = 1.0;
/// Seconds of an item where no model is asked.
const OF_AN_ITEM: f64 = 1e-4;
/// Seconds of any node.
const OF_A_NODE: f64 = 0.02;

/// What a node took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    kind: String,
    engine: String,
    /// Processor and device.
    machine: String,
    /// Cores that there were.
    #[serde(default)]
    cores: Option<usize>,
    parameters: u64,
    /// Tokens as they were foreseen from the texts alone.
    planned: u64,
    items: u64,
    /// Tokens that there were.
    tokens: u64,
    /// Seconds of its own, its share of loading a model not among them.
    seconds: f64,
    loading: f64,
    /// Peak of a training.
    #[serde(default)]
    memory: Option<u64>,
    disk: u64,
}

/// What was foreseen of the last run of an experiment, and what it took: seconds of nodes, each its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Foreseen {
    /// Foreseen.
    pub foreseen: f64,
    /// Of these, from measurements.
    pub measured: f64,
    /// Taken.
    pub took: f64,
    /// Both by kind.
    pub kinds: BTreeMap<String, [f64; 2]>,
}

/// What is known of the speed of this machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    measured: Vec<Measured>,
    /// By experiment.
    runs: BTreeMap<String, Foreseen>,
}

impl Rates {
    /// What the store knows; nothing where it knows nothing.
    #[must_use]
    pub fn load(store: &Store) -> Self {
        let fact = store.recall_named(NAME);
        fact.and_then(|fact| serde_json::from_value(fact).ok())
            .unwrap_or_default()
    }

    /// How far the last run of an experiment was from what had been foreseen.
    #[must_use]
    pub fn last(&self, experiment: &str) -> Option<&Foreseen> {
        self.runs.get(experiment)
    }

    pub(super) fn estimate(&self, work: &Work, machine: &Machine) -> Estimate {
        self.estimate_on(work, machine, &name(machine))
    }

    /// What work takes on the slowest kind of machine that was measured at its like: which one a job gets, nobody knows before.
    pub(crate) fn slowest(&self, work: &Work, machine: &Machine) -> Estimate {
        let device = format!(", {}", machine.engine.device);
        let kinds = self.measured.iter().map(|known| known.machine.as_str());
        let kinds: BTreeSet<&str> = kinds.filter(|kind| kind.ends_with(&device)).collect();
        kinds
            .into_iter()
            .map(|kind| self.estimate_on(work, machine, kind))
            .filter(|estimate| estimate.basis != Basis::Guessed)
            .max_by(|a, b| a.seconds.total_cmp(&b.seconds))
            .unwrap_or_else(|| guess(work, machine))
    }

    fn estimate_on(&self, work: &Work, machine: &Machine, here: &str) -> Estimate {
        let like: Vec<&Measured> = self
            .measured
            .iter()
            .filter(|known| {
                known.kind == work.kind
                    && known.engine == work.engine
                    && known.machine == here
                    && (known.parameters == 0) == (work.parameters == 0)
            })
            .collect();
        let distance = |known: &Measured| ratio(work.parameters, known.parameters).ln().abs();
        let nearest = like
            .iter()
            .map(|known| distance(known))
            .min_by(f64::total_cmp);
        let Some(nearest) = nearest else {
            return guess(work, machine);
        };
        let near: Vec<&Measured> = like
            .into_iter()
            .filter(|known| distance(known) <= nearest)
            .collect();
        let sum = |of: fn(&Measured) -> f64| near.iter().map(|known| of(known)).sum::<f64>();
        // Fewer cores than there were take longer; more may not help.
        let slower = |known: &Measured| match known.cores {
            Some(cores) if machine.engine.device == "cpu" => {
                (cores as f64 / machine.cores.max(1) as f64).max(1.0)
            }
            _ => 1.0,
        };
        let working = near.iter().map(|known| known.seconds * slower(known));
        let working: f64 = working.sum();
        let share = size(work.tokens, work.items) / sum(|known| size(known.planned, known.items));
        let larger = ratio(work.parameters, near[0].parameters);
        let memory = near.iter().filter_map(|known| known.memory).max();
        let whole = |value: f64| value.round().max(0.0);
        Estimate {
            tokens: to_u64(whole(sum(|known| known.tokens as f64) * share)),
            seconds: (working * share + sum(|known| known.loading) / near.len() as f64) * larger,
            memory: memory.map_or(work.memory, |memory| to_u64(memory as f64 * larger)),
            disk: to_u64(whole(sum(|known| known.disk as f64) * share * larger)),
            download: (!work.is_fetched).then_some(0),
            basis: if nearest > 0.0 {
                Basis::Scaled
            } else {
                Basis::Measured
            },
        }
    }
}

fn guess(work: &Work, machine: &Machine) -> Estimate {
    let speed = match machine.engine.device.as_str() {
        "cpu" => OPERATIONS_OF_A_CORE * machine.cores as f64,
        _ => OPERATIONS_OF_A_GPU,
    };
    let operations = work.operations as f64 * work.parameters as f64 * work.tokens as f64;
    let loading = if work.parameters > 0 { LOADING } else { 0.0 };
    Estimate {
        tokens: work.tokens,
        seconds: OF_A_NODE + loading + operations / speed + OF_AN_ITEM * work.items as f64,
        memory: work.memory,
        disk: work.disk,
        download: (!work.is_fetched).then_some(0),
        basis: Basis::Guessed,
    }
}

/// What seconds grow with.
fn size(tokens: u64, items: u64) -> f64 {
    tokens.max(items).max(1) as f64
}

fn ratio(a: u64, b: u64) -> f64 {
    a.max(1) as f64 / b.max(1) as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, never below 0"
)]
fn to_u64(value: f64) -> u64 {
    value as u64
}

fn name(machine: &Machine) -> String {
    format!("{}, {}", machine.processor, machine.engine.device)
}

/// What the nodes of a run that ran took.
#[must_use]
pub fn measured(
    context: &Context,
    machine: &Machine,
    outcomes: &[Option<NodeOutcome>],
) -> Vec<(usize, Measured)> {
    let mut works = Works::new(&context.experiment, &context.plan, machine);
    let mut found = Vec::new();
    for (node, outcome) in outcomes.iter().enumerate() {
        let Some(outcome) = outcome.as_ref().filter(|end| end.outcome == Outcome::Ran) else {
            continue;
        };
        let Some(key) = &context.plan.nodes[node].key else {
            continue;
        };
        let work = works.of(node);
        let spent = context.spent_on(node);
        let fact = context.store.recall(key).unwrap_or_default();
        let peaks = fact["timing"].as_array().into_iter().flatten();
        let memory = peaks
            .filter_map(|step| step["peak_memory_bytes"].as_u64())
            .max();
        let files = context.store.manifest(key).map(|manifest| manifest.files);
        let (loading, items) =
            spent.map_or((0.0, work.items), |spent| (spent.loading, spent.items));
        // What an earlier, interrupted run did is not in these seconds.
        let part = items.min(work.items) as f64 / work.items.max(1) as f64;
        let planned = to_u64(work.tokens as f64 * part);
        found.push((
            node,
            Measured {
                kind: work.kind,
                engine: work.engine,
                machine: name(machine),
                cores: Some(machine.cores),
                parameters: work.parameters,
                planned,
                items,
                tokens: fact["training"]["tokens"]
                    .as_u64()
                    .or(spent.map(|spent| spent.tokens))
                    .unwrap_or(planned),
                seconds: (outcome.seconds - loading).max(0.0),
                loading,
                memory,
                disk: files.into_iter().flatten().map(|file| file.size).sum(),
            },
        ));
    }
    found
}

/// Keeps what a run took for the next plan. Gives what had been foreseen of it; nothing where no node ran.
#[must_use]
pub fn keep(
    context: &Context,
    machine: &Machine,
    forecast: &Forecast,
    outcomes: &[Option<NodeOutcome>],
) -> Option<Foreseen> {
    let new = measured(context, machine, outcomes);
    if new.is_empty() {
        return None;
    }
    let mut run = Foreseen::default();
    for (node, measured) in &new {
        let took = measured.seconds + measured.loading;
        run.took += took;
        let kind = run.kinds.entry(measured.kind.clone()).or_default();
        kind[1] += took;
        if let Some(estimate) = forecast.nodes.get(*node).and_then(Option::as_ref) {
            run.foreseen += estimate.seconds;
            kind[0] += estimate.seconds;
            if estimate.basis == Basis::Measured {
                run.measured += estimate.seconds;
            }
        }
    }
    add(context, new, Some(&run));
    Some(run)
}

/// Keeps what the nodes of a job took on its machine.
pub fn keep_rates(context: &Context, machine: &Machine, outcomes: &[Option<NodeOutcome>]) {
    let new = measured(context, machine, outcomes);
    if !new.is_empty() {
        add(context, new, None);
    }
}

fn add(context: &Context, new: Vec<(usize, Measured)>, run: Option<&Foreseen>) {
    // Another run may have written meanwhile: of two, one's measurements may be lost, which costs a better guess.
    let mut rates = Rates::load(&context.store);
    rates
        .measured
        .extend(new.into_iter().map(|(_, measured)| measured));
    let too_many = rates.measured.len().saturating_sub(KEPT);
    rates.measured.drain(..too_many);
    if let Some(run) = run {
        let name = context.experiment.name.clone();
        rates.runs.insert(name, run.clone());
    }
    if let Ok(fact) = serde_json::to_value(&rates) {
        context.store.remember_named(NAME, &fact);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::EngineIdentity;

    fn machine() -> Machine {
        Machine {
            engine: EngineIdentity {
                generation: "g 1".to_owned(),
                native: "n 1".to_owned(),
                scoring: "s 1".to_owned(),
                training: "t 1".to_owned(),
                device: "cpu".to_owned(),
            },
            processor: "p".to_owned(),
            cores: 2,
        }
    }

    fn generation(parameters: u64, tokens: u64) -> Work {
        Work {
            kind: "generate".to_owned(),
            engine: "n 1".to_owned(),
            parameters,
            tokens,
            items: 10,
            operations: 2,
            memory: 7,
            disk: 100,
            is_fetched: false,
        }
    }

    fn rates() -> Rates {
        Rates {
            measured: vec![Measured {
                kind: "generate".to_owned(),
                engine: "n 1".to_owned(),
                machine: name(&machine()),
                cores: Some(2),
                parameters: 1000,
                planned: 500,
                items: 10,
                tokens: 250,
                seconds: 4.0,
                loading: 1.0,
                memory: None,
                disk: 2000,
            }],
            runs: BTreeMap::new(),
        }
    }

    #[test]
    fn what_was_measured_is_scaled_to_what_is_to_do() {
        let same = rates().estimate(&generation(1000, 1000), &machine());
        assert_eq!(same.basis, Basis::Measured);
        // Twice the tokens, one load.
        assert!((same.seconds - 9.0).abs() < 1e-9, "{same:?}");
        assert_eq!((same.tokens, same.disk, same.memory), (500, 4000, 7));
        let larger = rates().estimate(&generation(3000, 500), &machine());
        assert_eq!(larger.basis, Basis::Scaled);
        assert!((larger.seconds - 15.0).abs() < 1e-9, "{larger:?}");
    }

    #[test]
    fn a_job_is_foreseen_on_the_slowest_machine_with_its_cores() {
        let mut rates = rates();
        let mut slow = rates.measured[0].clone();
        slow.machine = "an older processor, cpu".to_owned();
        slow.cores = Some(8);
        slow.seconds = 40.0;
        rates.measured.push(slow.clone());
        slow.machine = "a card, cuda".to_owned();
        slow.seconds = 4000.0;
        rates.measured.push(slow);
        let on = |cores| {
            let machine = Machine {
                processor: "the login node's".to_owned(),
                cores,
                ..machine()
            };
            rates.slowest(&generation(1000, 500), &machine).seconds
        };
        // 40 s with 8 cores and 1 s for the load; four times as long with 2 cores, and no less with 64.
        assert!((on(8) - 41.0).abs() < 1e-9, "{}", on(8));
        assert!((on(2) - 161.0).abs() < 1e-9, "{}", on(2));
        assert!((on(64) - 41.0).abs() < 1e-9, "{}", on(64));
    }

    #[test]
    fn what_never_ran_here_is_guessed() {
        let mut other = machine();
        other.processor = "q".to_owned();
        let guessed = rates().estimate(&generation(1000, 1000), &other);
        assert_eq!(guessed.basis, Basis::Guessed);
        assert_eq!(guessed.tokens, 1000);
        let judged = Work {
            kind: "judge".to_owned(),
            ..generation(1000, 1000)
        };
        assert_eq!(rates().estimate(&judged, &machine()).basis, Basis::Guessed);
    }
}
