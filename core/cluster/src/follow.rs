//! Brings one piece of work to its end, through as many jobs as that takes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use driftgauge_problem::Problem;
use tokio::sync::Mutex;

use crate::end::Stop;
use crate::profile::Profile;
use crate::queue::{Array, JobId, Listed, Queue, Refusal, Submission};
use crate::resources::Resources;
use crate::state::{End, State};
use crate::tries::{Next, TryEnd, next};

/// How often things are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often the queue is asked, at most.
    pub poll: Duration,
    /// How often a job's own files are looked at.
    pub look: Duration,
    /// How long what a job wrote may stay unseen.
    pub grace: Duration,
    /// How long a submission waits that the queue did not take.
    pub patience: Duration,
}

impl Pace {
    /// As a profile wants it.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let poll = profile.poll();
        Self {
            poll,
            look: poll.min(Duration::from_secs(2)),
            grace: profile.grace(),
            patience: poll,
        }
    }
}

/// One driver's view of a queue, shared by all that it follows: so the queue is asked once for all of them.
pub struct Desk {
    queue: Box<dyn Queue>,
    pace: Pace,
    listing: Mutex<Option<Arc<Listing>>>,
    /// One submission at a time; where the queue takes none, all wait behind the first.
    submitting: Mutex<()>,
    asked: AtomicU64,
}

/// What the queue said at a moment.
struct Listing {
    asked: Instant,
    jobs: Result<HashMap<JobId, Listed>, Problem>,
}

impl Desk {
    /// A desk before a queue.
    #[must_use]
    pub fn new(queue: Box<dyn Queue>, pace: Pace) -> Self {
        Self {
            queue,
            pace,
            listing: Mutex::new(None),
            submitting: Mutex::new(()),
            asked: AtomicU64::new(0),
        }
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &dyn Queue {
        self.queue.as_ref()
    }

    /// How often it is asked.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// How many requests were made so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// What the queue lists, not older than a poll; an answer that failed is no older either.
    async fn listing(&self) -> Arc<Listing> {
        let mut last = self.listing.lock().await;
        if let Some(listing) = last.as_ref()
            && listing.asked.elapsed() < self.pace.poll
        {
            return Arc::clone(listing);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        let jobs = self.queue.list().await;
        let jobs = jobs.map(|jobs| jobs.into_iter().map(|job| (job.id.clone(), job)).collect());
        // What follows is counted from the answer on, which may have taken its time; what it says is as old as the question.
        let listing = Arc::new(Listing { asked, jobs });
        *last = Some(Arc::clone(&listing));
        listing
    }

    /// The job of that name, over or not, where the queue lists one; waits until the queue answers.
    pub async fn find(&self, name: &str) -> Option<JobId> {
        let since = Instant::now();
        loop {
            let listing = self.listing().await;
            if let Ok(jobs) = &listing.jobs {
                let named = |job: &&Listed| job.name.as_deref() == Some(name);
                if let Some(job) = jobs.values().find(named) {
                    return Some(job.id.clone());
                }
                if listing.asked >= since {
                    return None;
                }
            }
            tokio::time::sleep(self.pace.look).await;
        }
    }
}

/// What a job says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Everything was made, or failed for a reason of its own.
    Ended,
    /// A process of it was killed, as the system does when memory runs out.
    OutOfMemory,
    /// It was told to stop.
    Stopped(Stop),
}

/// A job about to be submitted.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Number of the try, from 1.
    pub number: u32,
    /// Name of the job.
    pub name: String,
    /// Its script.
    pub script: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// What it may use.
    pub resources: Resources,
    /// Its tasks, where it is an array of them.
    pub array: Option<Array>,
}

/// A piece of work that jobs bring to its end.
pub trait Work: Send + Sync {
    /// Whether everything is there, whoever made it.
    fn is_done(&self) -> bool;

    /// A number that changes when something is saved that the next try goes on from.
    fn progress(&self) -> u64;

    /// How earlier tries ended, since it was last given up.
    fn tries(&self) -> Vec<TryEnd>;

    /// Writes what the next job needs; its memory is doubled so many times.
    ///
    /// # Errors
    /// When it cannot be written.
    fn prepare(&self, doubled: u32) -> Result<Prepared, Problem>;

    /// Takes down that the queue has the job.
    ///
    /// # Errors
    /// When it cannot be written.
    fn submitted(&self, number: u32, id: &JobId) -> Result<(), Problem>;

    /// What the job of a try says of its own end, where it says something.
    fn said(&self, number: u32) -> Option<Said>;

    /// Whether the log of a try tells that it was ended for the memory that it took: some queues call that a failure.
    fn lacked_memory(&self, number: u32) -> bool;

    /// Takes down how a try ended, and whether it was the last.
    ///
    /// # Errors
    /// When it cannot be written.
    fn over(&self, number: u32, end: TryEnd, given_up: bool) -> Result<(), Problem>;

    /// Tells a person.
    fn tell(&self, text: String);
}

/// A job that was submitted.
#[derive(Debug, Clone)]
pub struct Live {
    /// Number of its try.
    pub number: u32,
    /// The queue's id of it.
    pub id: JobId,
    /// Since when the queue has to list it.
    pub since: Instant,
    /// Progress when it was submitted.
    pub progress: u64,
}

/// What came of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// It was there before anything was submitted.
    There,
    /// It is there, or the job of that try says what became of it.
    Ended(u32),
    /// It was given up after that try.
    GivenUp(u32, Problem),
    /// It could not even be submitted.
    Refused(Problem),
}

/// Follows work from the job that has it, or from none, to its end.
pub async fn follow(desk: &Desk, work: &dyn Work, live: Option<Live>) -> Followed {
    let mut tries = work.tries();
    let mut live = live;
    loop {
        let job = match live.take() {
            Some(job) => job,
            None if work.is_done() => return Followed::There,
            None => match submit(desk, work, &tries).await {
                Ok(job) => job,
                Err(problem) => return Followed::Refused(problem),
            },
        };
        let Some(end) = watch(desk, work, &job).await else {
            return Followed::Ended(job.number);
        };
        let end = TryEnd {
            end,
            progress: work.progress() != job.progress,
        };
        tries.push(end);
        let next = next(&tries);
        let given_up = matches!(next, Next::GiveUp(_));
        if let Err(problem) = work.over(job.number, end, given_up) {
            return Followed::Refused(problem);
        }
        match next {
            Next::Again { doubled } => {
                let more = match (end.end, doubled) {
                    (End::OutOfMemory, _) => ", with twice the memory",
                    _ if end.progress => ", from what it saved",
                    _ => "",
                };
                work.tell(format!(
                    "job {} ended ({}): another try{more}",
                    job.id, end.end
                ));
            }
            Next::GiveUp(why) => {
                let message = format!("job {} ended ({}), and {why}", job.id, end.end);
                return Followed::GivenUp(job.number, Problem::new("job-lost", message));
            }
        }
    }
}

/// Hands the next job to the queue, waiting for one that takes none.
async fn submit(desk: &Desk, work: &dyn Work, tries: &[TryEnd]) -> Result<Live, Problem> {
    let _turn = desk.submitting.lock().await;
    let doubled = match next(tries) {
        Next::Again { doubled } => doubled,
        Next::GiveUp(why) => return Err(Problem::new("job-lost", why)),
    };
    let prepared = work.prepare(doubled)?;
    let progress = work.progress();
    let job = Submission {
        name: &prepared.name,
        script: &prepared.script,
        log: &prepared.log,
        resources: &prepared.resources,
        array: prepared.array.as_ref(),
    };
    let mut told = false;
    loop {
        desk.asked.fetch_add(1, Ordering::Relaxed);
        let id = match desk.queue.submit(job).await {
            Ok(id) => Some(id),
            Err(Refusal::Never(problem)) => return Err(problem),
            Err(Refusal::Later(problem)) => {
                if !told {
                    work.tell(format!("waiting to submit: {}", problem.message));
                    told = true;
                }
                tokio::time::sleep(desk.pace.patience).await;
                // An answer may have been lost on its way, with the job taken.
                desk.find(&prepared.name).await
            }
        };
        if let Some(id) = id {
            work.submitted(prepared.number, &id)?;
            return Ok(Live {
                number: prepared.number,
                id,
                since: Instant::now(),
                progress,
            });
        }
    }
}

/// Waits until a job is over. `None` when its work is there or it says itself what became of it, else how it was lost.
async fn watch(desk: &Desk, work: &dyn Work, job: &Live) -> Option<End> {
    let mut told = State::Waiting;
    let mut reasons = HashSet::new();
    let mut silent = false;
    let mut gone: Option<Instant> = None;
    let mut seen: Option<Instant> = None;
    loop {
        tokio::time::sleep(desk.pace.look).await;
        if work.said(job.number) == Some(Said::Ended) {
            return None;
        }
        let listing = desk.listing().await;
        let jobs = match &listing.jobs {
            Ok(jobs) => jobs,
            Err(problem) => {
                // A queue that does not answer says nothing of its jobs.
                if !std::mem::replace(&mut silent, true) {
                    work.tell(format!(
                        "the queue does not answer: {}; waiting",
                        problem.message
                    ));
                }
                continue;
            }
        };
        silent = false;
        if seen != Some(listing.asked) {
            seen = Some(listing.asked);
            if work.is_done() {
                // Someone else made it.
                return None;
            }
        }
        if listing.asked <= job.since {
            continue;
        }
        let listed = jobs.get(&job.id);
        let end = match listed.map(|listed| &listed.state) {
            None => End::Forgotten,
            Some(State::Over(end)) => *end,
            Some(state) => {
                if let Some(listed) = listed
                    && (*state != told || is_stuck(listed) && !reasons.contains(&listed.reason))
                {
                    work.tell(news(listed));
                    told = state.clone();
                    reasons.insert(listed.reason.clone());
                }
                gone = None;
                continue;
            }
        };
        let since = *gone.get_or_insert_with(Instant::now);
        let said = work.said(job.number);
        if said == Some(Said::Ended) || work.is_done() {
            return None;
        }
        // What it wrote may stay unseen for a while, and a queue may begin again what it took from a job.
        let is_sure = said.is_some() && !matches!(end, End::Preempted | End::NodeLost);
        if !is_sure && since.elapsed() < desk.pace.grace {
            continue;
        }
        let end = match end {
            End::Forgotten => {
                desk.asked.fetch_add(1, Ordering::Relaxed);
                desk.queue.ended(&job.id).await.unwrap_or(end)
            }
            end => end,
        };
        return Some(match (said, end) {
            (Some(Said::OutOfMemory), _) => End::OutOfMemory,
            (Some(Said::Stopped(Stop::Time)), _) => End::TimedOut,
            // Why it was asked, the queue may know better.
            (Some(Said::Stopped(Stop::Asked)), End::Completed | End::Failed | End::Forgotten) => {
                End::Preempted
            }
            (None, End::Failed | End::Cancelled | End::Forgotten)
                if work.lacked_memory(job.number) =>
            {
                End::OutOfMemory
            }
            _ => end,
        });
    }
}

/// Whether a job waits for something that does not come by itself.
fn is_stuck(job: &Listed) -> bool {
    let reason = job.reason.to_lowercase();
    let stuck = [
        "held",
        "neversatisfied",
        "badconstraints",
        "reqnodenotavail",
    ];
    job.state == State::Waiting && stuck.iter().any(|word| reason.contains(word))
}

fn news(job: &Listed) -> String {
    let reason = match job.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    match &job.state {
        State::Unknown(word) => format!(
            "job {} is `{word}`, which is not known; waiting{reason}",
            job.id
        ),
        State::Waiting if is_stuck(job) => format!(
            "job {} waits for something that does not come by itself{reason}; `scontrol show job {}` says more",
            job.id, job.id
        ),
        State::Waiting => format!("job {} waits again{reason}", job.id),
        state => format!("job {} is {state}{reason}", job.id),
    }
}
