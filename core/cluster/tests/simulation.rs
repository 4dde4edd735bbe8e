//! Ten thousand jobs through a queue that loses them: nothing is lost, and nothing is done twice but tries that were lost.

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use driftgauge_cluster::{
    Answer, Desk, End, Followed, JobId, Listed, Live, Pace, Prepared, Queue, Refusal, Said, State,
    Submission, TryEnd, Work, follow,
};
use driftgauge_problem::Problem;

use common::{draw, prepared};

/// A job of the simulated cluster.
struct Job {
    name: String,
    ends: Instant,
    fate: Fate,
    counted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Lost(End),
    /// Lost, and forgotten by the queue at once.
    Forgotten,
}

#[derive(Default)]
struct Held {
    jobs: HashMap<String, Job>,
    /// How often each piece of work was done to its end.
    done: HashMap<String, u32>,
    submitted: u64,
    lists: u64,
    cancelled: u64,
}

#[derive(Clone, Default)]
struct Cluster {
    state: Arc<Mutex<Held>>,
    /// The controller is away.
    away: Arc<AtomicBool>,
}

impl Cluster {
    fn state(&self) -> MutexGuard<'_, Held> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass: what ended is done, or lost.
    fn pass(state: &mut Held) {
        let now = Instant::now();
        let Held { jobs, done, .. } = state;
        for job in jobs.values_mut() {
            if !job.counted && job.ends <= now {
                job.counted = true;
                if job.fate == Fate::Done {
                    let work = job.name.split('.').next().unwrap_or_default();
                    *done.entry(work.to_owned()).or_default() += 1;
                }
            }
        }
    }

    fn is_done(&self, work: &str) -> bool {
        self.state().done.contains_key(work)
    }
}

impl Queue for Cluster {
    fn check(&self) -> Answer<'_, Result<(), Problem>> {
        Box::pin(async { Ok(()) })
    }

    fn submit<'a>(&'a self, job: Submission<'a>) -> Answer<'a, Result<JobId, Refusal>> {
        Box::pin(async move {
            let mut state = self.state();
            state.submitted += 1;
            let chance = draw(state.submitted);
            if self.away.load(Ordering::SeqCst) || chance.is_multiple_of(100) {
                return Err(Refusal::Later(Problem::failed("no answer")));
            }
            let id = state.submitted.to_string();
            let fate = match (chance >> 8) % 100 {
                0..10 => Fate::Lost(End::NodeLost),
                10..14 => Fate::Lost(End::Preempted),
                14..17 => Fate::Forgotten,
                _ => Fate::Done,
            };
            let runs = Duration::from_millis(5 + (chance >> 16) % 200);
            let job = Job {
                name: job.name.to_owned(),
                ends: Instant::now() + runs,
                fate,
                counted: false,
            };
            state.jobs.insert(id.clone(), job);
            // The job was taken, and the answer never came.
            if (chance >> 32).is_multiple_of(200) {
                return Err(Refusal::Later(Problem::failed("socket timed out")));
            }
            Ok(JobId(id))
        })
    }

    fn test<'a>(&'a self, _job: Submission<'a>) -> Answer<'a, Result<String, Problem>> {
        Box::pin(async { Ok(String::new()) })
    }

    fn list(&self) -> Answer<'_, Result<Vec<Listed>, Problem>> {
        Box::pin(async move {
            let mut state = self.state();
            state.lists += 1;
            if self.away.load(Ordering::SeqCst) {
                return Err(Problem::failed("no answer"));
            }
            Self::pass(&mut state);
            let now = Instant::now();
            let jobs = state.jobs.iter().filter_map(|(id, job)| {
                let state = match (job.ends > now, job.fate) {
                    (true, _) => State::Running,
                    (false, Fate::Done) => State::Over(End::Completed),
                    (false, Fate::Lost(end)) => State::Over(end),
                    (false, Fate::Forgotten) => return None,
                };
                Some(Listed {
                    id: JobId(id.clone()),
                    name: Some(job.name.clone()),
                    state,
                    reason: String::new(),
                })
            });
            Ok(jobs.collect())
        })
    }

    fn ended<'a>(&'a self, _id: &'a JobId) -> Answer<'a, Option<End>> {
        Box::pin(async { None })
    }

    fn cancel<'a>(&'a self, ids: &'a [JobId]) -> Answer<'a, Result<(), Problem>> {
        Box::pin(async move {
            self.state().cancelled += ids.len() as u64;
            Ok(())
        })
    }
}

/// A piece of work on that cluster.
struct Piece {
    name: String,
    cluster: Cluster,
    tries: AtomicU64,
    /// Ids that were taken down, as a driver's files would have them.
    ids: Mutex<Vec<(u32, JobId)>>,
}

impl Piece {
    fn new(number: u64, cluster: &Cluster) -> Self {
        Self {
            name: format!("work-{number}"),
            cluster: cluster.clone(),
            tries: AtomicU64::new(0),
            ids: Mutex::default(),
        }
    }

    fn last(&self) -> Option<(u32, JobId)> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.last().cloned()
    }
}

impl Work for Piece {
    fn is_done(&self) -> bool {
        self.cluster.is_done(&self.name)
    }

    fn progress(&self) -> u64 {
        // Something is saved in every try.
        self.tries.load(Ordering::SeqCst)
    }

    fn tries(&self) -> Vec<TryEnd> {
        Vec::new()
    }

    fn prepare(&self, _doubled: u32) -> Result<Prepared, Problem> {
        let number = self.tries.fetch_add(1, Ordering::SeqCst) as u32 + 1;
        Ok(prepared(&self.name, number, None))
    }

    fn submitted(&self, number: u32, id: &JobId) -> Result<(), Problem> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.push((number, id.clone()));
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

fn pace() -> Pace {
    Pace {
        poll: Duration::from_millis(100),
        look: Duration::from_millis(50),
        grace: Duration::from_millis(150),
        patience: Duration::from_millis(5),
    }
}

/// Follows all pieces by a new driver, from the jobs that an earlier one left.
async fn drive(pieces: &[Arc<Piece>], cluster: &Cluster, time: Duration) -> (Vec<Followed>, u64) {
    let desk = Arc::new(Desk::new(Box::new(cluster.clone()), pace()));
    let mut running = tokio::task::JoinSet::new();
    for piece in pieces {
        let (desk, piece) = (Arc::clone(&desk), Arc::clone(piece));
        running.spawn(async move {
            let begun = piece.tries.load(Ordering::SeqCst) as u32;
            let known = piece.last().filter(|(number, _)| *number == begun);
            // A driver may have died between its decision and the queue's answer.
            let found = match known {
                None if begun > 0 => {
                    let id = desk.find(&format!("{}.{begun}", piece.name)).await;
                    id.map(|id| (begun, id))
                }
                known => known,
            };
            let live = found.map(|(number, id)| Live {
                number,
                id,
                since: Instant::now(),
                progress: 0,
            });
            follow(&desk, piece.as_ref(), live).await
        });
    }
    let mut ended = Vec::new();
    // A driver that is killed leaves its jobs.
    let _ = tokio::time::timeout(time, async {
        while let Some(followed) = running.join_next().await {
            ended.push(followed.expect("no panic"));
        }
    })
    .await;
    (ended, desk.requests())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_jobs_are_lost_now_and_then_and_all_work_is_done_once() {
    let cluster = Cluster::default();
    let pieces: Vec<Arc<Piece>> = (0..10_000)
        .map(|number| Arc::new(Piece::new(number, &cluster)))
        .collect();
    // The driver is killed five times, and the controller is away in between.
    for _ in 0..5 {
        drive(&pieces, &cluster, Duration::from_millis(700)).await;
        cluster.away.store(true, Ordering::SeqCst);
        drive(&pieces, &cluster, Duration::from_millis(200)).await;
        cluster.away.store(false, Ordering::SeqCst);
    }
    let (ended, _) = drive(&pieces, &cluster, Duration::from_secs(300)).await;
    assert_eq!(ended.len(), pieces.len());
    let bad: Vec<_> = ended
        .iter()
        .filter(|followed| !matches!(followed, Followed::Ended(_) | Followed::There))
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
    let state = cluster.state();
    assert_eq!(state.done.len(), pieces.len(), "nothing is lost");
    let twice = state.done.values().filter(|&&times| times > 1).count();
    assert_eq!(twice, 0, "nothing is done twice");
    let lost = state
        .jobs
        .values()
        .filter(|job| job.fate != Fate::Done)
        .count();
    assert!(lost > 1000, "{lost} jobs were lost");
    assert_eq!(
        state.jobs.len(),
        pieces.len() + lost,
        "one job for each, and one for each that was lost"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_asked_once_a_poll_whatever_is_followed() {
    let cluster = Cluster::default();
    let pieces: Vec<Arc<Piece>> = (0..300)
        .map(|number| Arc::new(Piece::new(number, &cluster)))
        .collect();
    let began = Instant::now();
    let (ended, requests) = drive(&pieces, &cluster, Duration::from_secs(60)).await;
    assert_eq!(ended.len(), pieces.len());
    let state = cluster.state();
    let polls = began.elapsed().as_millis() as u64 / pace().poll.as_millis() as u64 + 1;
    assert!(
        state.lists <= polls,
        "{} lists in {polls} polls",
        state.lists
    );
    // Besides, one for each submission, and one for the end of each that the queue forgot.
    assert!(requests <= polls + 2 * state.submitted, "{requests}");
}
