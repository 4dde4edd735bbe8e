//! Arrays through a queue that loses tasks of them: every part of every piece of work is done, and what was done is not begun again.

mod common;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use driftgauge_cluster::{
    Answer, Array, Desk, End, Followed, JobId, Listed, Pace, Prepared, Queue, Refusal, Said, State,
    Submission, TryEnd, Work, follow,
};
use driftgauge_problem::Problem;

use common::{draw, prepared};

/// Parts of a piece of work.
const PARTS: u32 = 12;
/// Pieces of work.
const PIECES: u32 = 150;

/// A task of an array in the simulated queue.
struct Task {
    ends: Instant,
    end: End,
}

/// What a piece of work left on the shared disk.
#[derive(Default)]
struct Disk {
    /// Parts that are made, and how often each was.
    made: HashMap<(String, u32), u32>,
    /// Tasks by the id of their array.
    arrays: HashMap<String, Vec<(u32, Task)>>,
    names: HashMap<String, String>,
    counted: BTreeSet<(String, u32)>,
    submitted: u64,
    lost: u32,
}

#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<Disk>>);

impl Cluster {
    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        let mut disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let Disk {
            made,
            arrays,
            names,
            counted,
            lost,
            ..
        } = &mut *disk;
        for (id, tasks) in arrays {
            for (task, state) in tasks {
                if state.ends <= now && counted.insert((id.clone(), *task)) {
                    if state.end == End::Completed {
                        *made.entry((names[id].clone(), *task)).or_default() += 1;
                    } else {
                        *lost += 1;
                    }
                }
            }
        }
        disk
    }
}

impl Queue for Cluster {
    fn check(&self) -> Answer<'_, Result<(), Problem>> {
        Box::pin(async { Ok(()) })
    }

    fn submit<'a>(&'a self, job: Submission<'a>) -> Answer<'a, Result<JobId, Refusal>> {
        Box::pin(async move {
            let mut disk = self.disk();
            disk.submitted += 1;
            let id = disk.submitted.to_string();
            let whole = Array {
                tasks: (0..PARTS).collect(),
            };
            // A job that is no array makes all that is left.
            let tasks = job.array.unwrap_or(&whole).tasks.iter().map(|&task| {
                let chance = draw(disk.submitted * 1000 + u64::from(task));
                let end = match (job.array.is_some(), chance % 100) {
                    (true, 0..12) => End::NodeLost,
                    (true, 12..16) => End::Preempted,
                    _ => End::Completed,
                };
                let ends = Instant::now() + Duration::from_millis(5 + (chance >> 16) % 120);
                (task, Task { ends, end })
            });
            let tasks = tasks.collect();
            let work = job.name.split('.').next().unwrap_or_default().to_owned();
            disk.arrays.insert(id.clone(), tasks);
            disk.names.insert(id.clone(), work);
            Ok(JobId(id))
        })
    }

    fn test<'a>(&'a self, _job: Submission<'a>) -> Answer<'a, Result<String, Problem>> {
        Box::pin(async { Ok(String::new()) })
    }

    fn list(&self) -> Answer<'_, Result<Vec<Listed>, Problem>> {
        Box::pin(async move {
            let disk = self.disk();
            let now = Instant::now();
            let jobs = disk.arrays.iter().map(|(id, tasks)| {
                let states = tasks.iter().map(|(_, task)| match task.ends > now {
                    true => State::Running,
                    false => State::Over(task.end),
                });
                Listed {
                    id: JobId(id.clone()),
                    name: None,
                    state: states.reduce(State::with).expect("a task"),
                    reason: String::new(),
                }
            });
            Ok(jobs.collect())
        })
    }

    fn ended<'a>(&'a self, _id: &'a JobId) -> Answer<'a, Option<End>> {
        Box::pin(async { None })
    }

    fn cancel<'a>(&'a self, _ids: &'a [JobId]) -> Answer<'a, Result<(), Problem>> {
        Box::pin(async { Ok(()) })
    }
}

/// A piece of work in parts.
struct Piece {
    name: String,
    cluster: Cluster,
    tries: AtomicU32,
    /// Tasks that were begun.
    begun: AtomicU64,
}

impl Piece {
    fn left(&self) -> Vec<u32> {
        let disk = self.cluster.disk();
        let missing = |task: &u32| !disk.made.contains_key(&(self.name.clone(), *task));
        (0..PARTS).filter(missing).collect()
    }
}

impl Work for Piece {
    fn is_done(&self) -> bool {
        self.left().is_empty()
    }

    fn progress(&self) -> u64 {
        u64::from(PARTS) - self.left().len() as u64
    }

    fn tries(&self) -> Vec<TryEnd> {
        Vec::new()
    }

    fn prepare(&self, _doubled: u32) -> Result<Prepared, Problem> {
        let number = self.tries.fetch_add(1, Ordering::SeqCst) + 1;
        let tasks = self.left();
        self.begun.fetch_add(tasks.len() as u64, Ordering::SeqCst);
        Ok(prepared(&self.name, number, Some(Array { tasks })))
    }

    fn submitted(&self, _number: u32, _id: &JobId) -> Result<(), Problem> {
        Ok(())
    }

    fn said(&self, _number: u32) -> Option<Said> {
        self.is_done().then_some(Said::Ended)
    }

    fn lacked_memory(&self, _number: u32) -> bool {
        false
    }

    fn over(&self, _number: u32, _end: TryEnd, _given_up: bool) -> Result<(), Problem> {
        Ok(())
    }

    fn tell(&self, _text: String) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_tasks_are_begun_again_and_what_is_made_is_not() {
    let cluster = Cluster::default();
    let pace = Pace {
        poll: Duration::from_millis(60),
        look: Duration::from_millis(20),
        grace: Duration::from_millis(100),
        patience: Duration::from_millis(5),
    };
    let desk = Arc::new(Desk::new(Box::new(cluster.clone()), pace));
    let pieces: Vec<Arc<Piece>> = (0..PIECES)
        .map(|number| {
            Arc::new(Piece {
                name: format!("work-{number}"),
                cluster: cluster.clone(),
                tries: AtomicU32::new(0),
                begun: AtomicU64::new(0),
            })
        })
        .collect();
    let mut running = tokio::task::JoinSet::new();
    for piece in &pieces {
        let (desk, piece) = (Arc::clone(&desk), Arc::clone(piece));
        running.spawn(async move { follow(&desk, piece.as_ref(), None).await });
    }
    while let Some(followed) = running.join_next().await {
        let followed = followed.expect("no panic");
        assert!(matches!(followed, Followed::Ended(_)), "{followed:?}");
    }
    let disk = cluster.disk();
    assert_eq!(disk.made.len() as u32, PIECES * PARTS, "every part is made");
    assert!(
        disk.made.values().all(|&times| times == 1),
        "and none of them twice"
    );
    assert!(disk.lost > 200, "{} tasks were lost", disk.lost);
    let begun = pieces
        .iter()
        .map(|piece| piece.begun.load(Ordering::SeqCst));
    assert_eq!(
        begun.sum::<u64>(),
        u64::from(PIECES * PARTS + disk.lost),
        "a task for each part, and one for each that was lost"
    );
    let tries = pieces
        .iter()
        .map(|piece| piece.tries.load(Ordering::SeqCst));
    assert!(tries.sum::<u32>() < PIECES * 6, "arrays, not single jobs");
}
