//! One model, loaded once, serving every node that waits for it; several worker processes share the prompts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftgauge_engine::Loaded;
use driftgauge_engine::worker::{Answer, Answered, Ask, Job, Reply, Request};
use driftgauge_problem::Problem;
use driftgauge_store::Digest;
use driftgauge_store::Journal;
use tokio::sync::Mutex;

use super::process::Worker;
use super::shared::{Lost, Shared, Speed};
use super::slots::{Share, available_memory};
use crate::context::{Context, Spent};
use crate::event::Event;
use crate::nodes::inference::Inference;

/// One node's share of a session. Items keep their places between runs, so that the journal of an earlier run holds.
pub(super) struct Task {
    /// Node id, for events.
    pub(super) node: String,
    /// Node key, for the journal.
    pub(super) key: Digest,
    /// What is asked, and what becomes of the answers.
    pub(super) work: Box<dyn Inference>,
    /// The items that need an answer.
    items: Vec<u64>,
}

impl Task {
    pub(super) fn new(node: String, key: Digest, work: Box<dyn Inference>) -> Self {
        let items = (0..work.len()).filter(|&item| work.ask(item).is_some());
        Self {
            node,
            key,
            items: items.map(|item| item as u64).collect(),
            work,
        }
    }

    /// What is asked.
    pub(super) fn asks(&self) -> impl Iterator<Item = Ask> {
        self.items.iter().filter_map(|&item| self.ask(item))
    }

    fn ask(&self, item: u64) -> Option<Ask> {
        self.work.ask(usize::try_from(item).ok()?)
    }
}

/// What a session needs to know of its model.
pub(super) struct SessionModel {
    /// What the workers load, and what for.
    pub(super) job: Job,
    /// Bytes of memory that one worker needs.
    pub(super) bytes: u64,
    /// Whether more than one worker may be started.
    pub(super) divisible: bool,
    /// Whether one worker makes the most of all threads: it reads the weights once for many answers.
    pub(super) batched: bool,
    /// What the workers may use of the machine.
    pub(super) share: Share,
}

/// Fewer items than this per worker are not worth another load at the start.
const FEWEST_ITEMS: usize = 8;

/// How often a session looks whether another worker would help.
const LOOK: Duration = Duration::from_millis(200);

impl SessionModel {
    /// Workers to start with, more than one only when nothing else wants the machine. Their slots are taken.
    fn first_workers(&self, items: usize) -> usize {
        let wanted = match self.share.alone {
            true if !self.batched => items.div_ceil(FEWEST_ITEMS),
            _ => items.min(1),
        };
        let mut workers = wanted.min(1);
        while workers < wanted && self.take_slot(workers as u64 + 1) {
            workers += 1;
        }
        workers
    }

    /// Takes a slot for a further worker when there is one, and memory for so many workers that are still to be loaded.
    fn take_slot(&self, unloaded: u64) -> bool {
        let fits = available_memory().is_none_or(|bytes| bytes > self.bytes * unloaded);
        self.divisible && fits && self.share.slots.try_take()
    }
}

/// What became of the items of a task.
pub(super) struct Answers {
    /// Of every item; `None` where nothing was asked.
    pub(super) answers: Vec<Option<Answer>>,
    /// How many of them got no answer in this run and will be asked again in the next.
    pub(super) unanswered: u64,
}

/// The outcome of a session: answers per task, or why a task is unfinished.
pub(super) struct SessionOutcome {
    /// Per task, in their order; `None` where its own part is done, and others still make theirs.
    pub(super) answers: Vec<Result<Option<Answers>, Problem>>,
    /// What the engine said of the model.
    pub(super) loaded: Option<Loaded>,
    /// How fast it was, when it made a completion.
    pub(super) speed: Option<Speed>,
    /// Per task, in their order.
    pub(super) spent: Vec<Spent>,
}

/// Runs all tasks on one model. Every finished item is journalled at once, so that a killed run loses only the items in
/// flight.
pub(super) async fn run(
    context: &Arc<Context>,
    model: SessionModel,
    tasks: &Arc<Vec<Task>>,
) -> SessionOutcome {
    let began = Instant::now();
    let own = own_items(context, tasks);
    let mut journals = Vec::new();
    let mut queue = VecDeque::new();
    for (index, task) in tasks.iter().enumerate() {
        match Journal::<Answer>::open(&context.store.partial_dir(&task.key)) {
            Ok(journal) => {
                let missing = own[index].iter().copied();
                let missing = missing.filter(|&item| !journal.contains(item));
                queue.extend(missing.map(|item| (index, item)));
                journals.push(journal);
            }
            Err(error) => {
                let error = Problem::from(error);
                return SessionOutcome {
                    answers: tasks.iter().map(|_| Err(error.clone())).collect(),
                    loaded: None,
                    speed: None,
                    spent: vec![Spent::default(); tasks.len()],
                };
            }
        }
    }
    let mut workers = model.first_workers(queue.len());
    let model = Arc::new(SessionModel {
        share: Share {
            threads: (model.share.threads / workers.max(1)).max(1),
            ..model.share
        },
        ..model
    });
    let shared = Arc::new(Mutex::new(Shared {
        queue,
        journals,
        unanswered: vec![BTreeMap::new(); tasks.len()],
        active: workers,
        loading: workers,
        unloadable: false,
        answered: 0,
        failures: vec![None; tasks.len()],
        loaded: None,
        ready: None,
        completions: 0,
        tokens: 0,
        spent: vec![Spent::default(); tasks.len()],
        shared_out: None,
    }));
    let mut running = tokio::task::JoinSet::new();
    let staff = |slots: usize| {
        let (context, model, tasks, shared) = (
            Arc::clone(context),
            Arc::clone(&model),
            Arc::clone(tasks),
            Arc::clone(&shared),
        );
        async move {
            // A process that dies takes its node with it; the other nodes go on in another process.
            while let Err(lost) = work(&context, &model, slots > 0, &tasks, &shared).await {
                if !shared.lock().await.lose(lost) || context.cancelled() {
                    break;
                }
            }
            model.share.slots.give(slots);
        }
    };
    for worker in 0..workers {
        // The first worker's slot is the scheduler's to give back.
        running.spawn(staff(worker.min(1)));
    }
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            ended = running.join_next() => if ended.is_none() { break },
            // A session that was alone has had its share from the start.
            _ = looks.tick(), if !model.share.alone => {
                let mut shared = shared.lock().await;
                if !context.cancelled() && shared.wants_help(began) && model.take_slot(1) {
                    workers += 1;
                    shared.enter();
                    running.spawn(staff(1));
                }
            }
        }
    }
    let mut shared = shared.lock().await;
    let speed = shared.speed(workers, began);
    let spent = shared.shares(began);
    let failures = std::mem::take(&mut shared.failures);
    let loaded = shared.loaded.take();
    let unanswered = std::mem::take(&mut shared.unanswered);
    let journals = shared.journals.iter_mut().zip(tasks.iter());
    let answers = journals
        .zip(own)
        .zip(unanswered.iter().zip(failures))
        .map(|(((journal, task), own), (unanswered, failure))| {
            if context.shard.is_some() && own.iter().all(|&item| journal.contains(item)) {
                return Ok(match journal.refresh() {
                    Ok(()) => gather(task, journal, unanswered),
                    // Whoever put the parts together has cleared them away.
                    Err(_) if context.store.is_finished(&task.key) => None,
                    Err(error) => return Err(error.into()),
                });
            }
            let answers = gather(task, journal, unanswered);
            answers
                .map(Some)
                .ok_or_else(|| failure.unwrap_or_else(|| "interrupted".into()))
        })
        .collect();
    SessionOutcome {
        answers,
        loaded,
        speed,
        spent,
    }
}

/// Per task, the items that are asked here: all of them, or those in this shard's range. Each task is divided for itself, since which
/// others are left is not the same for all shards.
fn own_items(context: &Context, tasks: &[Task]) -> Vec<Vec<u64>> {
    let own = tasks.iter().map(|task| match context.shard {
        Some(shard) => task.items[shard.range(task.items.len())].to_vec(),
        None => task.items.clone(),
    });
    own.collect()
}

/// The answers of a task; `None` when an item was not even asked.
fn gather(
    task: &Task,
    journal: &Journal<Answer>,
    unanswered: &BTreeMap<u64, Problem>,
) -> Option<Answers> {
    let mut answers = vec![None; task.work.len()];
    for &item in &task.items {
        let answer = match journal.done().get(&item) {
            Some(answer) => answer.clone(),
            None => Err(unanswered.get(&item)?.clone()),
        };
        *answers.get_mut(usize::try_from(item).ok()?)? = Some(answer);
    }
    Some(Answers {
        answers,
        unanswered: unanswered.len() as u64,
    })
}

/// Drives one worker process until the queue is empty, or, when the worker is a further one, until its place is wanted.
async fn work(
    context: &Context,
    model: &SessionModel,
    is_further: bool,
    tasks: &[Task],
    shared: &Mutex<Shared>,
) -> Result<(), Lost> {
    let mut desk = Desk {
        in_flight: BTreeMap::new(),
        at_once: None,
        is_further,
        has_left: false,
    };
    let driven = drive(context, model, tasks, shared, &mut desk).await;
    driven.map_err(|error| desk.lost(error))
}

/// What one worker has before it.
struct Desk {
    /// Task and item by the id of the request, which grows.
    in_flight: BTreeMap<u64, (usize, u64)>,
    /// How many the worker works on at once, as soon as it is ready.
    at_once: Option<usize>,
    /// Whether it is not the first of its session.
    is_further: bool,
    /// Whether it takes nothing more, because its place is wanted.
    has_left: bool,
}

impl Desk {
    /// One request more waits, so that the engine never idles.
    fn has_room(&self) -> bool {
        self.at_once.is_some_and(|n| self.in_flight.len() <= n)
    }

    fn lost(self, error: Problem) -> Lost {
        let mut items: Vec<_> = self.in_flight.into_values().collect();
        let waiting = items.split_off(self.at_once.unwrap_or(0).min(items.len()));
        Lost {
            error,
            was_ready: self.at_once.is_some(),
            has_left: self.has_left,
            working_on: items,
            waiting,
        }
    }
}

async fn drive(
    context: &Context,
    model: &SessionModel,
    tasks: &[Task],
    shared: &Mutex<Shared>,
    desk: &mut Desk,
) -> Result<(), Problem> {
    let began = Instant::now();
    let mut worker = Worker::start(&context.worker_exe, &model.job, model.share.threads).await?;
    let mut next_id = 0;
    loop {
        while desk.has_room() && !desk.has_left && !context.cancelled() {
            let mut shared = shared.lock().await;
            if desk.is_further && model.share.slots.are_wanted() && shared.leave() {
                desk.has_left = true;
                break;
            }
            let Some((task, item)) = shared.queue.pop_front() else {
                break;
            };
            drop(shared);
            let ask = tasks[task].ask(item).ok_or("an item is out of range")?;
            desk.in_flight.insert(next_id, (task, item));
            worker.send(&Request { id: next_id, ask }).await?;
            next_id += 1;
        }
        if desk.at_once.is_some() && desk.in_flight.is_empty() {
            let mut shared = shared.lock().await;
            // A worker that was lost may have given items back.
            if desk.has_left || shared.queue.is_empty() || context.cancelled() {
                shared.active -= usize::from(!desk.has_left);
                drop(shared);
                worker.finish().await;
                return Ok(());
            }
            continue;
        }
        let reply = tokio::select! {
            reply = worker.reply() => reply?,
            () = context.cancel.wait() => return Err("interrupted".into()),
        };
        let (id, answer) = match reply {
            Reply::Ready(loaded) => {
                if desk.at_once.is_none() {
                    context.observer.observe(&Event::Loaded {
                        nodes: tasks.iter().map(|task| task.node.clone()).collect(),
                        seconds: began.elapsed().as_secs_f64(),
                    });
                }
                let is_new = desk.at_once.is_none();
                desk.at_once = Some(loaded.max_in_flight.max(1));
                let mut shared = shared.lock().await;
                shared.loading -= usize::from(is_new);
                shared.ready.get_or_insert_with(Instant::now);
                shared.loaded = Some(loaded);
                continue;
            }
            Reply::Answered { id, answer } => {
                if let Answered::Completion(completion) = &answer {
                    let mut shared = shared.lock().await;
                    shared.completions += 1;
                    shared.tokens += completion.completion_token_ids.len();
                }
                (id, Ok(answer))
            }
            Reply::Failed {
                id,
                error,
                unanswered: true,
            } => {
                if let Some((task, item)) = desk.in_flight.remove(&id) {
                    shared.lock().await.unanswered[task].insert(item, error);
                }
                continue;
            }
            Reply::Failed { id, error, .. } => (id, Err(error)),
            Reply::Fatal(error) => return Err(error),
            Reply::Note(text) => {
                context.note(&tasks[0].node, text);
                continue;
            }
            Reply::Step { .. } | Reply::Done(_) => continue,
        };
        if let Some((task, item)) = desk.in_flight.remove(&id) {
            let mut shared = shared.lock().await;
            shared.answered += 1;
            let tokens = match &answer {
                Ok(Answered::Completion(completion)) => completion.completion_token_ids.len(),
                _ => 0,
            };
            shared.spend(task, tokens);
            let journal = &mut shared.journals[task];
            journal.record(item, answer)?;
            context.observer.observe(&Event::Progress {
                node: tasks[task].node.clone(),
                done: journal.done().len() as u64,
                total: tasks[task].items.len() as u64,
                detail: String::new(),
            });
        }
    }
}
