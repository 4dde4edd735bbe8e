//! Decides what runs next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftgauge_problem::Problem;
use driftgauge_store::{Claim, Claimed, StoreError};
use tokio::task::JoinSet;

use super::executor::{Executor, Here};
use super::healed::Healed;
use super::serve;
use super::slots::Slots;
use crate::context::{Context, Finished, NodeOutcome};
use crate::event::{Event, Outcome};
use crate::nodes;
use crate::plan::Kind;

/// How often is looked whether another run has made what this one waits for.
const LOOK: Duration = Duration::from_millis(500);

/// Nodes that this process computes at a time, for each core: more would wait for each other, each with its samples in memory.
const MOST_PER_CORE: usize = 2;

struct Scheduler {
    context: Arc<Context>,
    /// Makes what loads or trains a model.
    executor: Arc<dyn Executor>,
    /// The nodes to make; all where nothing is said.
    wanted: Option<HashSet<usize>>,
    outcomes: Vec<Option<NodeOutcome>>,
    started: Vec<Option<Instant>>,
    running: JoinSet<(usize, Finished)>,
    /// Held by heavy jobs; a job too big to share the machine holds all of them.
    slots: Arc<Slots>,
    /// What is being made here, so that no other run makes it too.
    claims: HashMap<usize, Claim>,
    /// Nodes that another run is making.
    elsewhere: HashSet<usize>,
    /// What damaged artifacts held that are made anew, where their manifests still tell.
    healed: Healed,
    /// Nodes that were looked for in the store, and are not there.
    missing: HashSet<usize>,
    /// Whether a node ended while others were being started, so that there may be more to start.
    again: bool,
}

/// Runs the plan. The result has one outcome per node; nodes that never started because of an interruption are `None`.
pub async fn execute(
    context: Arc<Context>,
    executor: Arc<dyn Executor>,
) -> Vec<Option<NodeOutcome>> {
    run(context, executor, None).await
}

/// Makes some nodes of the plan on this machine, from what the store holds; the others stay `None`.
pub async fn execute_only(
    context: Arc<Context>,
    executor: Arc<dyn Executor>,
    wanted: HashSet<usize>,
) -> Vec<Option<NodeOutcome>> {
    run(context, executor, Some(wanted)).await
}

async fn run(
    context: Arc<Context>,
    executor: Arc<dyn Executor>,
    wanted: Option<HashSet<usize>>,
) -> Vec<Option<NodeOutcome>> {
    let nodes = context.plan.nodes.len();
    let slots = Arc::new(Slots::new(context.jobs));
    let mut scheduler = Scheduler {
        context,
        executor,
        wanted,
        outcomes: vec![None; nodes],
        started: vec![None; nodes],
        running: JoinSet::new(),
        slots,
        claims: HashMap::new(),
        elsewhere: HashSet::new(),
        healed: Healed::default(),
        missing: HashSet::new(),
        again: false,
    };
    loop {
        scheduler.again = true;
        while scheduler.again && !scheduler.context.cancelled() {
            scheduler.again = false;
            scheduler.start_what_can();
        }
        let slots = Arc::clone(&scheduler.slots);
        let waits = !scheduler.elsewhere.is_empty() && !scheduler.context.cancelled();
        let runs = !scheduler.running.is_empty();
        let ended = tokio::select! {
            ended = scheduler.running.join_next(), if runs || !waits => ended,
            // A session needs fewer workers than before.
            () = slots.given() => continue,
            () = tokio::time::sleep(LOOK), if waits => continue,
        };
        match ended {
            None => return scheduler.outcomes,
            Some(Ok((slots, finished))) => {
                scheduler.slots.give(slots);
                for (node, result) in finished {
                    scheduler.finish(node, result);
                }
            }
            Some(Err(error)) => {
                // A panic in our own code: say so, and stop everything that was in the air.
                let error = Problem::failed(format!("internal error: {error}"));
                scheduler.context.cancel.raise();
                for node in 0..nodes {
                    if scheduler.started[node].is_some() && scheduler.outcomes[node].is_none() {
                        scheduler.finish(node, Err(error.clone()));
                    }
                }
            }
        }
    }
}

impl Scheduler {
    fn start_what_can(&mut self) {
        // Settling a node (reused, skipped) can free others, which come later in the plan.
        let mut heavy = Vec::new();
        let mut plugin_waits = false;
        let mut light = (0..self.outcomes.len())
            .filter(|&node| self.is_running(node) && self.is_light(node))
            .count();
        let mut keys_in_the_air: HashSet<String> = (0..self.outcomes.len())
            .filter(|&node| self.is_running(node))
            .filter_map(|node| self.key(node))
            .collect();
        for node in 0..self.outcomes.len() {
            if self.outcomes[node].is_some()
                || self.started[node].is_some()
                || !self.is_wanted(node)
            {
                continue;
            }
            let inputs = &self.context.plan.nodes[node].inputs;
            if let Some(failed) = inputs.iter().find(|&&input| self.has_failed(input)) {
                let failed = self.context.plan.nodes[*failed].id.clone();
                self.end(
                    node,
                    Outcome::Skipped,
                    Some(format!("needs `{failed}`, which did not finish").into()),
                );
                continue;
            }
            let mut unsettled = inputs
                .iter()
                .filter(|&&input| self.outcomes[input].is_none());
            if let Some(missing) = unsettled.clone().find(|&&input| !self.is_there(input)) {
                let missing = self.context.plan.nodes[*missing].id.clone();
                let text = format!("needs `{missing}`, which is not in the store");
                self.end(node, Outcome::Failed, Some(text.into()));
                continue;
            }
            if unsettled.any(|&input| self.is_wanted(input)) {
                continue;
            }
            let Some(key) = self.key(node) else {
                self.end(
                    node,
                    Outcome::Failed,
                    Some("its source is not pinned".into()),
                );
                continue;
            };
            if self.context.plan.nodes[node].kind == Kind::Model {
                self.end(node, Outcome::Reused, None);
                continue;
            }
            if keys_in_the_air.contains(&key) {
                continue;
            }
            match self.looked_for(node) {
                Ok(true) => self.end(node, Outcome::Reused, None),
                Ok(false) if self.is_heavy(node) => {
                    keys_in_the_air.insert(key);
                    heavy.push(node);
                }
                Ok(false) if self.takes_place(node) => {
                    if self.slots.taken() >= self.context.jobs {
                        plugin_waits = true;
                    } else if self.is_ours(node) {
                        keys_in_the_air.insert(key);
                        self.slots.take(1);
                        self.start_light(node, 1);
                    }
                }
                Ok(false) => {
                    if light < MOST_PER_CORE * self.context.cores && self.is_ours(node) {
                        light += 1;
                        keys_in_the_air.insert(key);
                        self.start_light(node, 0);
                    }
                }
                Err(error) => self.end(node, Outcome::Failed, Some(error)),
            }
        }
        self.start_heavy(heavy, plugin_waits);
    }

    /// Starts what there are places for, and says whether something waits for one.
    fn start_heavy(&mut self, ready: Vec<usize>, plugin_waits: bool) {
        // What waited before may have its place now.
        self.slots.want(false);
        let waits = self.fill_places(ready);
        self.slots.want(waits || plugin_waits);
    }

    /// Starts trainings first, then generation, and judging last, so that a judge is loaded once for many completions.
    fn fill_places(&mut self, mut ready: Vec<usize>) -> bool {
        let rank = |scheduler: &Self, node: usize| match scheduler.context.plan.nodes[node].kind {
            Kind::Pretrain | Kind::Finetune | Kind::Checkpoint => 0,
            Kind::Merge => 1,
            Kind::Generate | Kind::Score => 2,
            _ => 3,
        };
        ready.sort_by_key(|&node| (rank(self, node), node));
        let here = Here {
            context: Arc::clone(&self.context),
            slots: Arc::clone(&self.slots),
        };
        while let Some(&first) = ready.first() {
            if rank(self, first) == 3 && self.executor.judges_last() && self.generation_pending() {
                return false;
            }
            let Some(place) = self.executor.place(&here, first) else {
                return true;
            };
            let mut group = self.executor.group(&self.context, first, &ready);
            ready.retain(|node| !group.contains(node));
            group.retain(|&node| self.is_ours(node));
            if group.is_empty() {
                continue;
            }
            let alone = ready.is_empty() && self.slots.taken() == 0;
            for &node in &group {
                self.mark_started(node);
            }
            self.slots.take(place.slots);
            let making = self.executor.make(&here, group, place, alone);
            self.running
                .spawn(async move { (place.slots, making.await) });
        }
        false
    }

    /// Claims a node that is about to start. Nothing of it is ours when another run makes it, or just has.
    fn is_ours(&mut self, node: usize) -> bool {
        let planned = &self.context.plan.nodes[node];
        let Some(key) = &planned.key.clone() else {
            return true;
        };
        let name = match self.is_heavy(node) {
            true => self.executor.claim(&self.context, node, key),
            false => key.clone(),
        };
        let claim = match self.context.writer.claim(&name) {
            Ok(Claimed::Mine(claim)) => claim,
            Ok(Claimed::Theirs(process)) => {
                if self.elsewhere.insert(node) {
                    let text = format!("waiting: {process} makes it");
                    self.context.note(&planned.id, text);
                }
                return false;
            }
            Err(error) => {
                self.again = true;
                self.end(node, Outcome::Failed, Some(error.into()));
                return false;
            }
        };
        // What another run finished between our look and our claim.
        match self.stored(node) {
            Ok(false) => {
                self.elsewhere.remove(&node);
                // Now that nobody else makes it, what is not to be used goes.
                if self.healed.has(key)
                    && let Err(error) = self.context.store.discard(key)
                {
                    self.again = true;
                    self.end(node, Outcome::Failed, Some(error.into()));
                    return false;
                }
                self.claims.insert(node, claim);
                true
            }
            Ok(true) => {
                self.again = true;
                self.end(node, Outcome::Reused, None);
                false
            }
            Err(error) => {
                self.again = true;
                self.end(node, Outcome::Failed, Some(error));
                false
            }
        }
    }

    /// Whether completions that someone may want judged are still being made.
    fn generation_pending(&self) -> bool {
        (0..self.outcomes.len()).any(|node| {
            self.outcomes[node].is_none()
                && self.is_wanted(node)
                && matches!(
                    self.context.plan.nodes[node].kind,
                    Kind::Pretrain
                        | Kind::Finetune
                        | Kind::Checkpoint
                        | Kind::Merge
                        | Kind::Generate
                )
        })
    }

    /// Starts what needs no worker of ours; `taken` is the place that its plugin's process has.
    fn start_light(&mut self, node: usize, taken: usize) {
        self.mark_started(node);
        let context = Arc::clone(&self.context);
        self.running.spawn(async move {
            let result = tokio::task::spawn_blocking(move || nodes::make(&context, node))
                .await
                .unwrap_or_else(|error| Err(format!("internal error: {error}").into()));
            (taken, vec![(node, result)])
        });
    }

    fn is_wanted(&self, node: usize) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_none_or(|wanted| wanted.contains(&node))
    }

    /// Whether a node that is not made here can be read.
    fn is_there(&self, node: usize) -> bool {
        let planned = &self.context.plan.nodes[node];
        self.is_wanted(node)
            || planned.kind == Kind::Model
            || planned.key.as_ref().is_some_and(|key| {
                // Another machine may just have made it.
                self.context.store.contains(key)
                    || self
                        .context
                        .store
                        .get_fresh(key)
                        .is_ok_and(|found| found.is_some())
            })
    }

    fn is_heavy(&self, node: usize) -> bool {
        self.context.plan.nodes[node].kind.is_heavy() && !serve::is_light(&self.context, node)
    }

    /// Whether a plugin in a process of its own makes the node.
    fn takes_place(&self, node: usize) -> bool {
        let plugin = self.context.plugin_of(node);
        plugin.is_some_and(|plugin| self.context.metrics.takes_place(plugin))
    }

    /// Whether a node is computed in this process.
    fn is_light(&self, node: usize) -> bool {
        !self.is_heavy(node) && !self.takes_place(node)
    }

    fn is_running(&self, node: usize) -> bool {
        self.started[node].is_some() && self.outcomes[node].is_none()
    }

    fn has_failed(&self, node: usize) -> bool {
        self.outcomes[node]
            .as_ref()
            .is_some_and(|end| matches!(end.outcome, Outcome::Failed | Outcome::Skipped))
    }

    fn key(&self, node: usize) -> Option<String> {
        let key = self.context.plan.nodes[node].key.as_ref()?;
        Some(key.as_str().to_owned())
    }

    /// As [`Self::stored`], once for a node that nobody else makes: who starts it looks again.
    fn looked_for(&mut self, node: usize) -> Result<bool, Problem> {
        if self.missing.contains(&node) && !self.elsewhere.contains(&node) {
            return Ok(false);
        }
        let stored = self.stored(node);
        if matches!(stored, Ok(false)) {
            self.missing.insert(node);
        }
        stored
    }

    /// Whether the node's artifact is there, undamaged and finished. A damaged one makes room, with a note.
    fn stored(&mut self, node: usize) -> Result<bool, Problem> {
        let planned = &self.context.plan.nodes[node];
        let Some(key) = &planned.key else {
            return Ok(false);
        };
        let store = &self.context.store;
        let found = if self.elsewhere.contains(&node) {
            store.get_fresh(key)
        } else {
            store.get(key)
        };
        let why = match found {
            Ok(Some(_)) if !store.is_finished(key) => return Ok(false),
            Ok(Some(_)) => match self.healed.other_input(&self.context, node) {
                None => return Ok(true),
                Some(input) => format!("`{input}` came out otherwise than when this was made"),
            },
            Ok(None) => return Ok(false),
            Err(error @ StoreError::Damaged { .. }) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        if self.healed.begins(&self.context, key) {
            let text = format!("{why}; it is made again");
            self.context.note(&planned.id, text);
        }
        Ok(false)
    }

    fn mark_started(&mut self, node: usize) {
        self.started[node] = Some(Instant::now());
        self.context.observer.observe(&Event::Started {
            node: self.context.plan.nodes[node].id.clone(),
        });
    }

    fn finish(&mut self, node: usize, result: Result<(), Problem>) {
        self.claims.remove(&node);
        match result {
            Ok(()) => self.end(node, Outcome::Ran, None),
            // An interrupted node did not fail: it goes on in the next run.
            Err(_) if self.context.cancelled() => {}
            Err(error) => self.end(node, Outcome::Failed, Some(error)),
        }
    }

    fn end(&mut self, node: usize, outcome: Outcome, error: Option<Problem>) {
        self.elsewhere.remove(&node);
        if let Some(key) = &self.context.plan.nodes[node].key
            && matches!(outcome, Outcome::Ran | Outcome::Reused)
        {
            self.healed.ends(&self.context, key);
        }
        // A node's time is its own, not its session's.
        let seconds = match (self.context.spent_on(node), self.started[node]) {
            (Some(spent), Some(_)) => spent.seconds + spent.loading,
            (_, started) => started.map_or(0.0, |start| start.elapsed().as_secs_f64()),
        };
        self.context.observer.observe(&Event::Ended {
            node: self.context.plan.nodes[node].id.clone(),
            outcome,
            seconds,
            error: error.as_ref().map(ToString::to_string),
        });
        self.outcomes[node] = Some(NodeOutcome {
            outcome,
            seconds,
            error,
        });
    }
}
