//! Slurm, through its programs and their oldest, steadiest output. Accounting is used where there is some, and never needed.

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
        let help = format!(
            "it asked for {}; the script is `{}`",
            job.resources,
            job.script.display()
        );
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
            // `ID` or `ID;CLUSTER`.
            let id = said.output.trim().split(';').next().unwrap_or_default();
            if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
                let message = format!("`sbatch` wrote `{}`, which is no id", said.output.trim());
                return Err(Refusal::Later(Problem::new("not-submitted", message)));
            }
            Ok(JobId(id.to_owned()))
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
            Ok(said.output.lines().filter_map(listed).collect())
        })
    }

    fn ended<'a>(&'a self, id: &'a JobId) -> Answer<'a, Option<End>> {
        Box::pin(async move {
            // Where there is no accounting this fails, and of an unknown id it says nothing.
            let arguments = words(&["-n", "-P", "-X", "-D", "-o", "State", "-j", &id.0]);
            let said = call("sacct", &arguments).await.ok()?;
            let last = said.output.lines().next_back()?;
            match State::of_slurm(last.trim()) {
                State::Over(end) if said.code == Some(0) => Some(end),
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
}
