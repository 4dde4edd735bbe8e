//! One model, loaded once, serving every node that waits for it; several worker processes share the prompts.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::Context;
use super::process::Worker;
use crate::digest::Digest;
use crate::engine::Loaded;
use crate::event::Event;
use crate::store::Journal;
use crate::worker::{Ask, Job, Reply, Request};

/// What one item of a node came to: the answer of the engine, or why there is none.
pub(crate) type Answer = Result<serde_json::Value, String>;

/// One node's share of a session.
pub(super) struct Task {
    /// Node id, for events.
    pub(super) node: String,
    /// Node key, for the journal.
    pub(super) key: Digest,
    /// What is asked, item by item; `None` for an item that needs no answer. Items keep their places between runs, so
    /// that the journal of an earlier run holds.
    asks: Vec<Option<Ask>>,
    asked: u64,
}

impl Task {
    pub(super) fn new(node: String, key: Digest, asks: Vec<Option<Ask>>) -> Self {
        let asked = asks.iter().flatten().count() as u64;
        Self {
            node,
            key,
            asks,
            asked,
        }
    }

    /// What is asked.
    pub(super) fn asks(&self) -> impl Iterator<Item = &Ask> {
        self.asks.iter().flatten()
    }

    /// Items that need an answer.
    fn items(&self) -> impl Iterator<Item = u64> {
        let items = self.asks.iter().zip(0..);
        items.filter_map(|(ask, item)| ask.is_some().then_some(item))
    }
}

/// What a session needs to know of its model.
pub(super) struct SessionModel {
    /// What the workers load, and what for.
    pub(super) job: Job,
    /// Worker processes.
    pub(super) workers: usize,
    /// Threads of each.
    pub(super) threads: usize,
}

struct Shared {
    queue: VecDeque<(usize, u64)>,
    journals: Vec<Journal<Answer>>,
    /// Per task: why items got no answer in this run. They stay out of the journal.
    unanswered: Vec<BTreeMap<u64, String>>,
    failure: Option<String>,
    loaded: Option<Loaded>,
}

/// What became of the items of a task.
pub(super) struct Answers {
    /// Of every item that was asked, in order.
    pub(super) answers: Vec<Answer>,
    /// How many of them got no answer in this run and will be asked again in the next.
    pub(super) unanswered: u64,
}

/// The outcome of a session: answers per task, or why a task is unfinished.
pub(super) struct SessionOutcome {
    /// Per task.
    pub(super) answers: Vec<Result<Answers, String>>,
    /// What the engine said of the model.
    pub(super) loaded: Option<Loaded>,
}

/// Runs all tasks on one model. Every finished item is journalled at once, so that a killed run loses only the items in
/// flight.
pub(super) async fn run(
    context: &Arc<Context>,
    model: SessionModel,
    tasks: Vec<Task>,
) -> SessionOutcome {
    let mut journals = Vec::new();
    let mut queue = VecDeque::new();
    for (index, task) in tasks.iter().enumerate() {
        match Journal::<Answer>::open(&context.store.partial_dir(&task.key)) {
            Ok(journal) => {
                let missing = task.items().filter(|&item| !journal.contains(item));
                queue.extend(missing.map(|item| (index, item)));
                journals.push(journal);
            }
            Err(error) => {
                let error = error.to_string();
                return SessionOutcome {
                    answers: tasks.iter().map(|_| Err(error.clone())).collect(),
                    loaded: None,
                };
            }
        }
    }
    let workers = model.workers.min(queue.len());
    let shared = Arc::new(Mutex::new(Shared {
        queue,
        journals,
        unanswered: vec![BTreeMap::new(); tasks.len()],
        failure: None,
        loaded: None,
    }));
    let tasks = Arc::new(tasks);
    let model = Arc::new(model);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (context, model, tasks, shared) = (
            Arc::clone(context),
            Arc::clone(&model),
            Arc::clone(&tasks),
            Arc::clone(&shared),
        );
        running.spawn(async move {
            if let Err(error) = work(&context, &model, &tasks, &shared).await {
                shared.lock().await.failure.get_or_insert(error);
            }
        });
    }
    while running.join_next().await.is_some() {}
    let mut shared = shared.lock().await;
    let failure = shared.failure.take();
    let loaded = shared.loaded.take();
    let answers = shared
        .journals
        .iter()
        .zip(tasks.iter())
        .zip(&shared.unanswered)
        .map(|((journal, task), unanswered)| {
            gather(task, journal, unanswered)
                .ok_or_else(|| failure.clone().unwrap_or_else(|| "interrupted".to_owned()))
        })
        .collect();
    SessionOutcome { answers, loaded }
}

/// The answers of a task; `None` when an item was not even asked.
fn gather(
    task: &Task,
    journal: &Journal<Answer>,
    unanswered: &BTreeMap<u64, String>,
) -> Option<Answers> {
    let answers = task
        .items()
        .map(|item| match journal.done().get(&item) {
            Some(answer) => Some(answer.clone()),
            None => unanswered.get(&item).cloned().map(Err),
        })
        .collect::<Option<Vec<Answer>>>()?;
    Some(Answers {
        answers,
        unanswered: unanswered.len() as u64,
    })
}

/// Drives one worker process until the queue is empty.
async fn work(
    context: &Context,
    model: &SessionModel,
    tasks: &[Task],
    shared: &Mutex<Shared>,
) -> Result<(), String> {
    let mut worker = Worker::start(&context.worker_exe, &model.job, model.threads).await?;
    let mut in_flight: HashMap<u64, (usize, u64)> = HashMap::new();
    let mut next_id = 0;
    // One request waits while another is worked on, so that the engine never idles.
    let mut window = 2;
    let mut ready = false;
    loop {
        while ready && in_flight.len() < window && !context.cancelled() {
            let Some((task, item)) = shared.lock().await.queue.pop_front() else {
                break;
            };
            let ask = usize::try_from(item)
                .ok()
                .and_then(|item| tasks[task].asks.get(item))
                .cloned()
                .flatten()
                .ok_or("an item is out of range")?;
            worker.send(&Request { id: next_id, ask }).await?;
            in_flight.insert(next_id, (task, item));
            next_id += 1;
        }
        if ready && in_flight.is_empty() {
            worker.finish().await;
            return Ok(());
        }
        let reply = tokio::select! {
            reply = worker.reply() => reply?,
            () = context.cancel.wait() => return Err("interrupted".to_owned()),
        };
        let (id, answer) = match reply {
            Reply::Ready(loaded) => {
                window = loaded.max_in_flight.max(1) + 1;
                ready = true;
                shared.lock().await.loaded = Some(loaded);
                continue;
            }
            Reply::Completed { id, completion } => (
                id,
                serde_json::to_value(completion).map_err(|e| e.to_string()),
            ),
            Reply::Scored { id, response } => (
                id,
                serde_json::to_value(response).map_err(|e| e.to_string()),
            ),
            Reply::Diverged { id, response } => (
                id,
                serde_json::to_value(response).map_err(|e| e.to_string()),
            ),
            Reply::Failed {
                id,
                error,
                unanswered: true,
            } => {
                if let Some((task, item)) = in_flight.remove(&id) {
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
        if let Some((task, item)) = in_flight.remove(&id) {
            let mut shared = shared.lock().await;
            let journal = &mut shared.journals[task];
            journal
                .record(item, answer)
                .map_err(|error| error.to_string())?;
            context.observer.observe(&Event::Progress {
                node: tasks[task].node.clone(),
                done: journal.done().len() as u64,
                total: tasks[task].asked,
                detail: String::new(),
            });
        }
    }
}
