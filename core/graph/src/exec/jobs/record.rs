//! The jobs of a run as its folder has them: `jobs/<name>/try-<n>/`, written before the queue is asked, so that the next driver finds
//! what a dead one left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driftgauge_cluster::{
    JobEnd, JobId, NodeEnd, Stop, TryEnd, WorkOrder, end_file, read_json, write_json,
};
use driftgauge_problem::{Context as _, Problem};
use serde::{Deserialize, Serialize};

/// What a job is told.
pub(super) const WORK: &str = "work.json";
/// What the queue runs.
pub(super) const SCRIPT: &str = "script.sh";
/// What the job says.
pub(super) const LOG: &str = "log.txt";
/// The queue's id of it.
const SUBMITTED: &str = "submitted.json";
/// What its driver made of its end.
const OVER: &str = "over.json";
/// How the folders of tries begin.
const TRY: &str = "try-";

/// That the queue has a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submitted {
    /// The queue's id.
    pub id: JobId,
    /// What was saved of its nodes before it began.
    pub progress: u64,
}

/// What a driver made of the end of a try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Over {
    /// How it was lost; `None` where it said itself what became of its nodes.
    pub lost: Option<TryEnd>,
    /// Whether another run begins anew.
    pub last: bool,
}

/// The newest try of a job, as it was recorded.
#[derive(Debug, Clone)]
pub struct RecordedJob {
    /// Name of the job, without the number of the try.
    pub name: String,
    /// Number of the try.
    pub number: u32,
    /// Its folder.
    pub folder: PathBuf,
    /// What it was told.
    pub order: WorkOrder,
    /// That the queue has it.
    pub submitted: Option<Submitted>,
    /// What its driver made of its end.
    pub over: Option<Over>,
    /// What it said of its end.
    pub end: Option<JobEnd>,
}

impl RecordedJob {
    /// The name under which the queue has it.
    #[must_use]
    pub fn try_name(&self) -> String {
        format!("{}.{}", self.name, self.number)
    }

    /// Whether nothing of it is awaited any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let ended = self.end.as_ref().is_some_and(|end| end.stopped.is_none());
        self.over.is_some() || ended
    }

    /// Where it says what it does; of several tasks the first that has not ended well.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        log(&self.folder, &self.order)
    }

    /// Takes down that nobody waits for it.
    pub(super) fn close(&self) -> Result<(), Problem> {
        match self.over {
            Some(_) => Ok(()),
            None => over(
                &self.folder,
                &Over {
                    lost: None,
                    last: true,
                },
            ),
        }
    }
}

/// The jobs in a run's folder, by name, with the newest try of each.
///
/// # Errors
/// When the folder cannot be read, or a file in it is not as it was written.
pub fn recorded_jobs(folder: &Path) -> Result<Vec<RecordedJob>, Problem> {
    let mut jobs = Vec::new();
    for name in names(folder)? {
        let job = folder.join(&name);
        let Some(number) = tries(&job)?.last().copied() else {
            continue;
        };
        let folder = try_folder(&job, number);
        // A driver died before it had written what the job is told: nothing was submitted.
        let Some(order) = read_json(&folder.join(WORK))? else {
            continue;
        };
        jobs.push(RecordedJob {
            name,
            number,
            submitted: read_json(&folder.join(SUBMITTED))?,
            over: read_json(&folder.join(OVER))?,
            end: end(&folder, &order)?,
            order,
            folder,
        });
    }
    Ok(jobs)
}

/// What the job of a try is told; `None` where its driver died before it was written.
pub(super) fn order(folder: &Path) -> Result<Option<WorkOrder>, Problem> {
    read_json(&folder.join(WORK))
}

/// The tasks of the job of a try; one without a number where it is not divided.
pub(super) fn tasks(order: &WorkOrder) -> Vec<Option<u32>> {
    match &order.shards {
        Some(shards) => shards.tasks.iter().copied().map(Some).collect(),
        None => vec![None],
    }
}

/// What the job of a try says of its end: `None` as long as one of its tasks says nothing.
pub(super) fn end(folder: &Path, order: &WorkOrder) -> Result<Option<JobEnd>, Problem> {
    let mut all: Option<JobEnd> = None;
    for task in tasks(order) {
        let Some(end) = read_json::<JobEnd>(&folder.join(end_file(task)))? else {
            return Ok(None);
        };
        all = Some(match all {
            None => end,
            Some(all) => JobEnd {
                stopped: match (all.stopped, end.stopped) {
                    (Some(Stop::Time), _) | (_, Some(Stop::Time)) => Some(Stop::Time),
                    (one, other) => one.or(other),
                },
                nodes: all.nodes.into_iter().map(|node| both(node, &end)).collect(),
                ..all
            },
        });
    }
    Ok(all)
}

/// What became of a node in two tasks.
fn both(node: NodeEnd, other: &JobEnd) -> NodeEnd {
    let other = other.nodes.iter().find(|other| other.key == node.key);
    NodeEnd {
        made: node.made && other.is_some_and(|other| other.made),
        error: node
            .error
            .or_else(|| other.and_then(|other| other.error.clone())),
        key: node.key,
    }
}

/// Into how many parts the newest divided try of a job divided its work.
pub(super) fn divided(job: &Path) -> Result<Option<u32>, Problem> {
    for number in tries(job)?.into_iter().rev() {
        if let Some(shards) = order(&try_folder(job, number))?.and_then(|order| order.shards) {
            return Ok(Some(shards.of));
        }
    }
    Ok(None)
}

/// The parts of a job that no task has made yet.
pub(super) fn shards_left(job: &Path, of: u32) -> Result<Vec<u32>, Problem> {
    let mut left: Vec<u32> = (0..of).collect();
    for number in tries(job)? {
        let folder = try_folder(job, number);
        let Some(shards) = order(&folder)?.and_then(|order| order.shards) else {
            continue;
        };
        for task in shards.tasks {
            let is_left = shards.of == of && left.contains(&task);
            if is_left
                && let Some(end) = read_json::<JobEnd>(&folder.join(end_file(Some(task))))?
                && end.nodes.iter().all(|node| node.made)
            {
                left.retain(|&other| other != task);
            }
        }
    }
    Ok(left)
}

/// The log of a try; of several tasks the first that has not ended well.
pub(super) fn log(folder: &Path, order: &WorkOrder) -> PathBuf {
    let ended_well = |task: Option<u32>| {
        let end: Option<JobEnd> = read_json(&folder.join(end_file(task))).ok().flatten();
        end.is_some_and(|end| end.nodes.iter().all(|node| node.made))
    };
    let tasks = tasks(order);
    let task = tasks.iter().copied().find(|&task| !ended_well(task));
    match task.or_else(|| tasks.first().copied()).flatten() {
        Some(task) => folder.join(format!("log-{task}.txt")),
        None => folder.join(LOG),
    }
}

/// Numbers of the tries in the folder of a job, in order.
pub(super) fn tries(job: &Path) -> Result<Vec<u32>, Problem> {
    let names = names(job)?.into_iter();
    let mut numbers: Vec<u32> = names
        .filter_map(|name| name.strip_prefix(TRY)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Folder of a try.
pub(super) fn try_folder(job: &Path, number: u32) -> PathBuf {
    job.join(format!("{TRY}{number}"))
}

/// How the tries of a job were lost since one was the last.
pub(super) fn history(job: &Path) -> Result<Vec<TryEnd>, Problem> {
    let mut ends = Vec::new();
    for number in tries(job)? {
        if let Some(over) = read_json::<Over>(&try_folder(job, number).join(OVER))? {
            ends.extend(over.lost);
            if over.last {
                ends.clear();
            }
        }
    }
    Ok(ends)
}

pub(super) fn submitted(folder: &Path, submitted: &Submitted) -> Result<(), Problem> {
    write_json(&folder.join(SUBMITTED), submitted)
}

pub(super) fn over(folder: &Path, over: &Over) -> Result<(), Problem> {
    write_json(&folder.join(OVER), over)
}

fn names(folder: &Path) -> Result<Vec<String>, Problem> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.with_context(|| format!("cannot list `{}`", folder.display()))?,
    };
    let mut names: Vec<String> = listed
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}
