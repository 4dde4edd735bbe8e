//! The jobs of a run as its folder has them: `jobs/<name>/try-<n>/`, written before the queue is asked, so that the next driver finds
//! what a dead one left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driftgauge_cluster::{JobEnd, JobId, TryEnd, WorkOrder, read_json, write_json};
use driftgauge_problem::{Context as _, Problem};
use serde::{Deserialize, Serialize};

/// What a job is told.
pub(super) const WORK: &str = "work.json";
/// What the queue runs.
pub(super) const SCRIPT: &str = "script.sh";
/// What the job says.
pub(super) const LOG: &str = "log.txt";
/// What happened in it.
pub(super) const EVENTS: &str = "events.jsonl";
/// How it says that it ended.
pub(super) const END: &str = "end.json";
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

    /// Where it says what it does.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join(LOG)
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
            order,
            submitted: read_json(&folder.join(SUBMITTED))?,
            over: read_json(&folder.join(OVER))?,
            end: read_json(&folder.join(END))?,
            folder,
        });
    }
    Ok(jobs)
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
