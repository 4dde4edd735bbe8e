//! Slurm, through its programs and their oldest, steadiest output. Accounting is used where there is some, and never needed.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use driftgauge_problem::Problem;

use crate::call::{Said, call};
use crate::queue::{Answer, JobId, Listed, Queue, Refusal, Submission};
use crate::state::{End, State};

/// The queue of the cluster on which this runs.
#[derive(Debug)]
pub struct Slurm;

/// What `sbatch` says when the job may be taken later: the controller is away, or a limit of jobs is reached.
const LATER: [&str; 8] = [
    "unable to contact slurm controller",
    "socket timed out",
    "connection refused",
    "connection timed out",
    "temporarily unable",
    "resource temporarily unavailable",
    "zero bytes were transmitted",
    "maxsubmitjob",
];

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|&word| word.to_owned()).collect()
}

fn failed(program: &str, said: &Said) -> Problem {
    let message = format!("`{program}` failed: {}", said.complaint());
    Problem::new("queue-silent", message)
}

impl Slurm {
    fn refused(job: &Submission<'_>, said: &Said) -> Refusal {
        let complaint = said.complaint();
        let message = format!("`sbatch` refused job `{}`: {complaint}", job.name);
        let problem = Problem::new("not-submitted", message);
        let lower = complaint.to_lowercase();
        if said.code.is_none() || LATER.iter().any(|phrase| lower.contains(phrase)) {
            return Refusal::Later(problem);
        }
        let mut help = format!(
            "it asked for {}; the script is `{}`",
            job.resources,
            job.script.display()
        );
        if lower.contains("job array specification") {
            help.push_str("; this cluster takes smaller arrays: `max_jobs`, or a longer `shard`, makes fewer tasks");
        }
        Refusal::Never(problem.help(help))
    }
}

impl Queue for Slurm {
    fn check(&self) -> Answer<'_, Result<(), Problem>> {
        Box::pin(async {
            for program in ["sbatch", "squeue", "scancel"] {
                call(program, &words(&["--version"])).await.map_err(|problem| {
                    let help = "run on a login node of the cluster, or load the module that has Slurm's programs";
                    problem.help(help)
                })?;
            }
            Ok(())
        })
    }

    fn submit<'a>(&'a self, job: Submission<'a>) -> Answer<'a, Result<JobId, Refusal>> {
        Box::pin(async move {
            let mut arguments = words(&["--parsable"]);
            arguments.push(job.script.display().to_string());
            let said = call("sbatch", &arguments).await.map_err(|problem| {
                if problem.code == "no-queue" {
                    Refusal::Never(problem)
                } else {
                    Refusal::Later(problem)
                }
            })?;
            if said.code != Some(0) {
                return Err(Self::refused(&job, &said));
            }
            submitted(&said.output).ok_or_else(|| {
                let message = format!("`sbatch` wrote `{}`, which is no id", said.output.trim());
                Refusal::Later(Problem::new("not-submitted", message))
            })
        })
    }

    fn test<'a>(&'a self, job: Submission<'a>) -> Answer<'a, Result<String, Problem>> {
        Box::pin(async move {
            let mut arguments = words(&["--test-only"]);
            arguments.push(job.script.display().to_string());
            let said = call("sbatch", &arguments).await?;
            if said.code == Some(0) {
                Ok(said.complaint())
            } else {
                Err(Self::refused(&job, &said).problem())
            }
        })
    }

    fn list(&self) -> Answer<'_, Result<Vec<Listed>, Problem>> {
        Box::pin(async {
            let arguments = words(&["-h", "--me", "-t", "all", "-o", "%i|%T|%j|%r|%N"]);
            let said = call("squeue", &arguments).await?;
            if said.code != Some(0) {
                return Err(failed("squeue", &said));
            }
            Ok(whole(said.output.lines().filter_map(listed)))
        })
    }

    fn ended<'a>(&'a self, id: &'a JobId) -> Answer<'a, Option<End>> {
        Box::pin(async move {
            // Where there is no accounting this fails, and of an unknown id it says nothing.
            let arguments = words(&["-n", "-P", "-X", "-D", "-o", "JobID,State", "-j", &id.0]);
            let said = call("sacct", &arguments).await.ok()?;
            match said.code {
                Some(0) => accounted(&said.output),
                _ => None,
            }
        })
    }

    fn cancel<'a>(&'a self, ids: &'a [JobId]) -> Answer<'a, Result<(), Problem>> {
        Box::pin(async move {
            // A command line has an end.
            for ids in ids.chunks(500) {
                let mut arguments = words(&["--quiet"]);
                arguments.extend(ids.iter().map(|id| id.0.clone()));
                let said = call("scancel", &arguments).await?;
                if said.code != Some(0) && !said.complaint().contains("Invalid job id") {
                    return Err(failed("scancel", &said));
                }
            }
            Ok(())
        })
    }
}

/// The id that `sbatch --parsable` wrote: `ID` or `ID;CLUSTER`. A wrapper of it, or a banner, may have written lines before.
fn submitted(output: &str) -> Option<JobId> {
    let lines = output.lines().rev().map(str::trim);
    let mut ids = lines.filter_map(|line| {
        let id = line.split(';').next()?;
        let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        is_id.then(|| JobId(id.to_owned()))
    });
    ids.next()
}

/// The id of a whole array, of which `17_3` and `17_[4-9%2]` are parts.
fn base(id: &str) -> &str {
    id.split('_').next().unwrap_or(id)
}

/// Jobs, and arrays as one job each.
fn whole(lines: impl Iterator<Item = Listed>) -> Vec<Listed> {
    let mut order = Vec::new();
    let mut jobs: HashMap<JobId, Listed> = HashMap::new();
    for line in lines {
        let id = JobId(base(&line.id.0).to_owned());
        match jobs.entry(id.clone()) {
            Entry::Vacant(entry) => {
                order.push(id.clone());
                entry.insert(Listed { id, ..line });
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                let (state, reason) = match known.state.clone().with(line.state.clone()) {
                    state if state == known.state => (state, known.reason.clone()),
                    state => (state, line.reason),
                };
                known.state = state;
                known.reason = reason;
            }
        }
    }
    order.iter().filter_map(|id| jobs.remove(id)).collect()
}

/// What accounting keeps of a job: a line for each time that it, or a task of it, was begun.
fn accounted(output: &str) -> Option<End> {
    let mut last: BTreeMap<&str, State> = BTreeMap::new();
    for (id, state) in output.lines().filter_map(|line| line.split_once('|')) {
        last.insert(id, State::of_slurm(state.trim()));
    }
    match last.into_values().reduce(State::with)? {
        State::Over(end) => Some(end),
        _ => None,
    }
}

/// A line of `squeue`. Names are ours and have no bar in them; others' lines may be anything, and are passed over.
fn listed(line: &str) -> Option<Listed> {
    let mut parts = line.split('|');
    let (id, state, name) = (parts.next()?, parts.next()?, parts.next()?);
    let reason = parts.next().unwrap_or_default();
    let node = parts.next().unwrap_or_default();
    let reason = match reason {
        "None" | "" => node,
        reason => reason,
    };
    Some(Listed {
        id: JobId(id.to_owned()),
        name: Some(name.to_owned()),
        state: State::of_slurm(state),
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_squeue_are_jobs() {
        let job = listed("17|RUNNING|dg-a-b|None|n3").unwrap();
        assert_eq!(
            (
                job.id.0.as_str(),
                job.name.as_deref(),
                job.state,
                job.reason.as_str()
            ),
            ("17", Some("dg-a-b"), State::Running, "n3")
        );
        let waiting = listed("18|PENDING|dg-a-c|Priority|").unwrap();
        assert_eq!(
            (waiting.state, waiting.reason.as_str()),
            (State::Waiting, "Priority")
        );
        assert!(listed("slurm_load_jobs error").is_none());
    }

    #[test]
    fn the_id_of_a_job_is_found_among_what_a_wrapper_wrote() {
        let id = |output: &str| submitted(output).map(|id| id.0);
        for output in [
            "123\n",
            "123;nautilus\n",
            "Welcome to the cluster\n\n123\n",
            "*** 2 notices ***\n123;nautilus\n\n",
        ] {
            assert_eq!(id(output).as_deref(), Some("123"), "{output}");
        }
        assert_eq!(id("Submitted batch job\n"), None);
        assert_eq!(id(""), None);
    }

    #[test]
    fn what_may_be_taken_later_is_told_from_what_never_will() {
        let resources = crate::resources::Resources::default();
        let job = Submission {
            name: "dg-a.1",
            script: std::path::Path::new("script.sh"),
            log: std::path::Path::new("log.txt"),
            resources: &resources,
            array: None,
        };
        let refused = |error: &str| {
            let said = Said {
                code: Some(1),
                output: String::new(),
                error: error.to_owned(),
            };
            Slurm::refused(&job, &said)
        };
        for later in [
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        ] {
            assert!(matches!(refused(later), Refusal::Later(_)), "{later}");
        }
        let never =
            refused("sbatch: error: Batch job submission failed: Invalid job array specification");
        assert!(matches!(&never, Refusal::Never(_)));
        let help = never.problem().help.unwrap_or_default();
        assert!(help.contains("smaller arrays"), "{help}");
    }

    #[test]
    fn an_array_is_one_job() {
        // As Slurm 22.05 wrote it.
        let text = "9_[6-8%2]|PENDING|dg-arr.1|JobArrayTaskLimit|\n9_0|COMPLETED|dg-arr.1|None|n2\n9_2|FAILED|dg-arr.1|NonZeroExitCode|n2\n9_5|RUNNING|dg-arr.1|None|n2\n10|PENDING|dg-b.1|Priority|\n";
        let jobs = whole(text.lines().filter_map(listed));
        let states: Vec<_> = jobs
            .iter()
            .map(|job| (job.id.0.as_str(), job.state.clone()))
            .collect();
        assert_eq!(states, [("9", State::Running), ("10", State::Waiting)]);
        let over = "9_0|COMPLETED|a|None|\n9_2|TIMEOUT|a|None|\n9_5|COMPLETED|a|None|\n";
        let jobs = whole(over.lines().filter_map(listed));
        assert_eq!(jobs[0].state, State::Over(End::TimedOut));
    }

    #[test]
    fn accounting_tells_of_the_last_time_that_a_job_was_begun() {
        assert_eq!(
            accounted("7|NODE_FAIL\n7|COMPLETED\n"),
            Some(End::Completed)
        );
        assert_eq!(
            accounted("7_0|COMPLETED\n7_1|CANCELLED by 1000\n7_1|COMPLETED\n7_2|OUT_OF_MEMORY\n"),
            Some(End::OutOfMemory)
        );
        assert_eq!(accounted("7_0|COMPLETED\n7_1|RUNNING\n"), None);
        assert_eq!(accounted(""), None);
    }
}
