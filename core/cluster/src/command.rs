//! Any queue through three commands of the profile: PBS, LSF, or one that a group made for itself.

use std::collections::BTreeMap;

use driftgauge_problem::Problem;
use serde::{Deserialize, Serialize};

use crate::call::shell;
use crate::queue::{Answer, JobId, Listed, Queue, Refusal, Submission};
use crate::state::{End, State};
use crate::template::Template;

/// The commands of a queue that is not Slurm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Submits `{script}` and prints the id of the job, and nothing else.
    pub submit: String,
    /// Prints a line for each job of the user: its id, its state, and its name where the queue tells it.
    pub status: String,
    /// Takes back the job `{id}`, or all `{ids}`.
    pub cancel: String,
    /// What the state words of the queue mean.
    #[serde(default)]
    pub states: BTreeMap<String, String>,
}

/// `EX_TEMPFAIL`: a submission that may succeed later.
const LATER: i32 = 75;

/// Places of `submit`.
const SUBMIT: [&str; 7] = [
    "name",
    "script",
    "log",
    "cpus",
    "memory_mb",
    "gpus",
    "minutes",
];

/// A queue behind commands.
#[derive(Debug)]
pub struct CommandQueue {
    submit: Template,
    status: String,
    cancel: Template,
    states: BTreeMap<String, State>,
}

impl CommandQueue {
    /// Reads the commands.
    ///
    /// # Errors
    /// When a place or a state is none, and when what is needed has no place.
    pub fn new(commands: &Commands) -> Result<Self, Problem> {
        let submit = Template::read("commands.submit", &commands.submit, &SUBMIT)?;
        if !submit.has("script") {
            let message = "`commands.submit` has no `{script}`, so that nothing would be run";
            return Err(Problem::new("bad-profile", message).of_input());
        }
        let cancel = Template::read("commands.cancel", &commands.cancel, &["id", "ids"])?;
        if !cancel.has("id") && !cancel.has("ids") {
            let message = "`commands.cancel` has neither `{id}` nor `{ids}`";
            return Err(Problem::new("bad-profile", message).of_input());
        }
        let status = Template::read("commands.status", &commands.status, &[])?.fill(&[]);
        let mut states = BTreeMap::new();
        for (word, meaning) in &commands.states {
            let Some(state) = State::named(meaning) else {
                let message =
                    format!("`commands.states` calls `{word}` `{meaning}`, which is no state");
                let help = format!("the states are {}", State::NAMES);
                return Err(Problem::new("bad-profile", message).help(help).of_input());
            };
            states.insert(word.clone(), state);
        }
        Ok(Self {
            submit,
            status,
            cancel,
            states,
        })
    }

    fn state(&self, word: &str) -> State {
        let known = self.states.get(word).cloned();
        let known = known.or_else(|| State::named(word));
        known.unwrap_or_else(|| State::Unknown(word.to_owned()))
    }

    /// A line of `status`: an id, a state, and a name.
    fn listed(&self, line: &str) -> Result<Listed, Problem> {
        let mut words = line.split_whitespace();
        let (Some(id), Some(state)) = (words.next(), words.next()) else {
            let message = format!("`commands.status` wrote `{line}`: an id and a state are needed");
            return Err(Problem::new("bad-status", message));
        };
        Ok(Listed {
            id: JobId(id.to_owned()),
            state: self.state(state),
            name: words.next().map(str::to_owned),
            reason: words.collect::<Vec<_>>().join(" "),
        })
    }
}

impl Queue for CommandQueue {
    fn check(&self) -> Answer<'_, Result<(), Problem>> {
        Box::pin(async move {
            let said = shell(&self.status).await?;
            match said.code {
                // The shell found no such program, or may not run it.
                Some(126 | 127) => {
                    let message = format!("`commands.status` cannot be run: {}", said.complaint());
                    Err(Problem::new("no-queue", message))
                }
                _ => Ok(()),
            }
        })
    }

    fn submit<'a>(&'a self, job: Submission<'a>) -> Answer<'a, Result<JobId, Refusal>> {
        Box::pin(async move {
            let resources = job.resources;
            let number = |number: Option<u64>| vec![number.unwrap_or_default().to_string()];
            let line = self.submit.fill(&[
                ("name", vec![job.name.to_owned()]),
                ("script", vec![job.script.display().to_string()]),
                ("log", vec![job.log.display().to_string()]),
                ("cpus", number(resources.cpus.map(u64::from))),
                ("gpus", number(resources.gpus.map(u64::from))),
                (
                    "memory_mb",
                    number(resources.memory.map(|memory| memory.mebibytes())),
                ),
                ("minutes", number(resources.time.map(|time| time.minutes()))),
            ]);
            let said = shell(&line).await.map_err(Refusal::Later)?;
            if said.code != Some(0) {
                let message = format!(
                    "`commands.submit` refused job `{}`: {}",
                    job.name,
                    said.complaint()
                );
                let problem = Problem::new("not-submitted", message);
                return Err(match said.code {
                    Some(LATER) | None => Refusal::Later(problem),
                    _ => Refusal::Never(problem.help(format!("the command was: {line}"))),
                });
            }
            let mut words = said.output.split_whitespace();
            match (words.next(), words.next()) {
                (Some(id), None) => Ok(JobId(id.to_owned())),
                _ => {
                    let message = format!(
                        "`commands.submit` wrote `{}`, which is no id of a job",
                        said.output.trim()
                    );
                    let help = "let it print one word, for example through `| awk '{print $NF}'`";
                    Err(Refusal::Never(
                        Problem::new("not-submitted", message).help(help),
                    ))
                }
            }
        })
    }

    fn test<'a>(&'a self, _job: Submission<'a>) -> Answer<'a, Result<String, Problem>> {
        Box::pin(async { Ok("not asked: a `command` queue has no test".to_owned()) })
    }

    fn list(&self) -> Answer<'_, Result<Vec<Listed>, Problem>> {
        Box::pin(async move {
            let said = shell(&self.status).await?;
            if said.code != Some(0) {
                let message = format!("`commands.status` failed: {}", said.complaint());
                return Err(Problem::new("queue-silent", message));
            }
            let lines = said.output.lines().filter(|line| !line.trim().is_empty());
            lines.map(|line| self.listed(line)).collect()
        })
    }

    fn ended<'a>(&'a self, _id: &'a JobId) -> Answer<'a, Option<End>> {
        Box::pin(async { None })
    }

    fn cancel<'a>(&'a self, ids: &'a [JobId]) -> Answer<'a, Result<(), Problem>> {
        Box::pin(async move {
            let all = |ids: &[JobId]| ids.iter().map(|id| id.0.clone()).collect::<Vec<_>>();
            let lines: Vec<String> = if self.cancel.has("id") {
                let each = ids.iter();
                each.map(|id| {
                    self.cancel
                        .fill(&[("id", vec![id.0.clone()]), ("ids", all(ids))])
                })
                .collect()
            } else {
                vec![self.cancel.fill(&[("ids", all(ids))])]
            };
            for line in lines {
                let said = shell(&line).await?;
                if said.code != Some(0) {
                    let message = format!("`{line}` failed: {}", said.complaint());
                    return Err(Problem::new("not-cancelled", message));
                }
            }
            Ok(())
        })
    }
}
