//! A profile: how a cluster is used, written once by its user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftgauge_problem::{Context as _, Problem};
use driftgauge_ranges::Span;
use serde::{Deserialize, Serialize};

use crate::command::{CommandQueue, Commands};
use crate::extra;
use crate::queue::Queue;
use crate::resources::{Asked, RECKONED, Reckoned, Resources, Task};
use crate::slurm::Slurm;

/// A controller serves a whole cluster: it is asked no more often than this unless a profile says so.
const POLL: Duration = Duration::from_secs(15);

/// How long what a job wrote may stay unseen: a minute of remembered folders on NFS, and some.
const GRACE: Duration = Duration::from_secs(75);

/// Which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutorKind {
    /// Slurm.
    Slurm,
    /// Any other, through three commands.
    Command,
}

/// A profile as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Which queue.
    pub executor: ExecutorKind,
    /// Slurm's partition.
    #[serde(default)]
    pub partition: Option<String>,
    /// Slurm's account.
    #[serde(default)]
    pub account: Option<String>,
    /// Slurm's quality of service.
    #[serde(default)]
    pub qos: Option<String>,
    /// Cores of a job.
    #[serde(default)]
    pub cpus: Option<u32>,
    /// Memory of a job.
    #[serde(default)]
    pub memory: Option<driftgauge_ranges::Memory>,
    /// GPUs of a job.
    #[serde(default)]
    pub gpus: Option<u32>,
    /// Time limit of a job.
    #[serde(default)]
    pub time: Option<Span>,
    /// Features of a job's node.
    #[serde(default)]
    pub constraint: Option<String>,
    /// What jobs of a kind ask for instead.
    #[serde(default)]
    pub kinds: BTreeMap<String, Resources>,
    /// Lines of the shell before the program starts: `module load ...`.
    #[serde(default)]
    pub prologue: Option<String>,
    /// An image of Apptainer in which the program runs.
    #[serde(default)]
    pub container: Option<PathBuf>,
    /// The program on the nodes, where it is not the one that submits.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// More options of `sbatch`, each with its dashes.
    #[serde(default)]
    pub extra: Vec<String>,
    /// Jobs in the queue at a time.
    #[serde(default)]
    pub max_jobs: Option<usize>,
    /// How long a job that answers should take: what is foreseen to take longer is divided among the tasks of an array.
    #[serde(default)]
    pub shard: Option<Span>,
    /// How often the queue is asked.
    #[serde(default)]
    pub poll: Option<Span>,
    /// How long what a job wrote may stay unseen on the shared file system.
    #[serde(default)]
    pub grace: Option<Span>,
    /// The three commands of `executor: command`.
    #[serde(default)]
    pub commands: Option<Commands>,
}

impl Profile {
    /// Slurm as it was set up, with nothing said.
    #[must_use]
    pub fn slurm() -> Self {
        Self {
            executor: ExecutorKind::Slurm,
            partition: None,
            account: None,
            qos: None,
            cpus: None,
            memory: None,
            gpus: None,
            time: None,
            constraint: None,
            kinds: BTreeMap::new(),
            prologue: None,
            container: None,
            program: None,
            extra: Vec::new(),
            max_jobs: None,
            shard: None,
            poll: None,
            grace: None,
            commands: None,
        }
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// When the file cannot be read, and for anything in it that is not known.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the profile `{}`", path.display()))
            .map_err(Problem::of_input)?;
        Self::read(&text)
            .with_context(|| format!("the profile `{}`", path.display()))
            .map_err(Problem::of_input)
    }

    /// Reads the text of a profile.
    ///
    /// # Errors
    /// For anything that is not known.
    pub fn read(text: &str) -> Result<Self, Problem> {
        let profile: Self = serde_yaml::from_str(text).map_err(|error| {
            Problem::new("bad-profile", error.to_string().trim_end().to_owned())
        })?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), Problem> {
        let wrong = |message: String| Err(Problem::new("bad-profile", message).of_input());
        for kind in self.kinds.keys() {
            if !Task::ALL.iter().any(|task| task.as_str() == kind) {
                let known: Vec<&str> = Task::ALL.iter().map(|task| task.as_str()).collect();
                return wrong(format!(
                    "`kinds` has no `{kind}`; there are {}",
                    known.join(", ")
                ));
            }
        }
        match (self.executor, &self.commands) {
            (ExecutorKind::Slurm, Some(_)) => {
                return wrong("`commands` belong to `executor: command`".to_owned());
            }
            (ExecutorKind::Command, None) => {
                return wrong(
                    "`executor: command` needs `commands` with `submit`, `status` and `cancel`"
                        .to_owned(),
                );
            }
            (ExecutorKind::Command, Some(commands)) => {
                for (key, is_there) in [
                    ("partition", self.partition.is_some()),
                    ("account", self.account.is_some()),
                    ("qos", self.qos.is_some()),
                    ("extra", !self.extra.is_empty()),
                    ("shard", self.shard.is_some()),
                ] {
                    if is_there {
                        let instead = match key {
                            "shard" => "a queue behind commands has no arrays",
                            _ => "of `executor: command` it stands in `commands.submit`",
                        };
                        return wrong(format!("`{key}` is Slurm's; {instead}"));
                    }
                }
                CommandQueue::new(commands)?;
            }
            (ExecutorKind::Slurm, None) => {
                if self.poll().as_millis() < 1000 {
                    return wrong(
                        "`poll` of less than a second keeps Slurm's controller busy".to_owned(),
                    );
                }
            }
        }
        for option in &self.extra {
            if let Some(complaint) = extra::complaint(option) {
                return wrong(complaint);
            }
        }
        let constraints = self
            .kinds
            .values()
            .filter_map(|kind| kind.constraint.as_ref());
        let words = [&self.partition, &self.account, &self.qos, &self.constraint];
        let words = words.into_iter().flatten().chain(&self.extra);
        // Such a word becomes a line of the script.
        if let Some(word) = words
            .chain(constraints)
            .find(|word| word.contains(['\n', '\r']))
        {
            return wrong(format!("`{}` has more than one line", word.escape_debug()));
        }
        if self.max_jobs == Some(0) {
            return wrong("`max_jobs: 0` lets no job in".to_owned());
        }
        Ok(())
    }

    /// The queue that it describes.
    ///
    /// # Errors
    /// When its commands cannot be used.
    pub fn queue(&self) -> Result<Box<dyn Queue>, Problem> {
        Ok(match &self.commands {
            Some(commands) => Box::new(CommandQueue::new(commands)?),
            None => Box::new(Slurm),
        })
    }

    /// What a job asks for: what its model says, else what the profile says of its kind and of all, else what was reckoned.
    #[must_use]
    pub fn asked(&self, task: Task, of_model: &Resources, reckoned: &Reckoned) -> Asked {
        let of_all = Resources {
            cpus: self.cpus,
            memory: self.memory,
            gpus: self.gpus,
            time: self.time,
            constraint: self.constraint.clone(),
        };
        let of_kind = self.kinds.get(task.as_str()).cloned().unwrap_or_default();
        let usual = task.usual();
        let mut layers = vec![
            ("spec".to_owned(), of_model),
            (format!("`{}` of the profile", task.as_str()), &of_kind),
        ];
        // The run itself needs no GPU, and no node of a kind.
        if task != Task::Driver {
            layers.push(("profile".to_owned(), &of_all));
        }
        layers.push((RECKONED.to_owned(), &reckoned.resources));
        layers.push(("usual".to_owned(), &usual));
        Asked::of(&layers, reckoned)
    }

    /// From how long an estimate on the answers of a model are divided among jobs; `None` where they never are.
    #[must_use]
    pub fn shard(&self) -> Option<Duration> {
        match self.executor {
            ExecutorKind::Slurm => self.shard.map(Span::duration),
            ExecutorKind::Command => None,
        }
    }

    /// How often the queue is asked.
    #[must_use]
    pub fn poll(&self) -> Duration {
        self.poll.map_or(POLL, Span::duration)
    }

    /// How long what a job wrote may stay unseen.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace.map_or(GRACE, Span::duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearer_counts() {
        let profile = Profile::read(
            "executor: slurm\ncpus: 8\ngpus: 1\ntime: 2h\nkinds:\n  training: {time: 1d, memory: 64G}\n  driver: {time: 3d}\n",
        )
        .unwrap();
        let of_model = Resources {
            gpus: Some(2),
            ..Resources::default()
        };
        let reckoned = Reckoned {
            resources: Resources {
                memory: "1G".parse().ok(),
                time: "35m".parse().ok(),
                ..Resources::default()
            },
            memory: "from the weights".to_owned(),
            time: "3 times the estimate".to_owned(),
        };
        let asked = |task| profile.asked(task, &of_model, &reckoned);
        let resources = |task| asked(task).resources.to_string();
        assert_eq!(resources(Task::Training), "8 cpus, 2 gpus, 64G, 1d");
        assert_eq!(resources(Task::Judging), "8 cpus, 2 gpus, 1G, 2h");
        let driver = profile.asked(Task::Driver, &Resources::default(), &Reckoned::default());
        assert_eq!(driver.resources.to_string(), "1 cpu, 4G, 3d");
        assert_eq!(
            asked(Task::Training).to_string(),
            "8 cpus (profile), 2 gpus (spec), 64G (`training` of the profile), 1d (`training` of the profile)"
        );
        assert_eq!(
            asked(Task::Judging).to_string(),
            "8 cpus (profile), 2 gpus (spec), 1G (from the weights), 2h (profile)"
        );
        let without = Profile::slurm().asked(Task::Scoring, &Resources::default(), &reckoned);
        assert_eq!(
            without.to_string(),
            "4 cpus (usual), 1G (from the weights), 35m (3 times the estimate)"
        );
    }

    #[test]
    fn options_that_something_rests_on_are_refused_with_what_to_write_instead() {
        for (option, said) in [
            ("--time=5", "`time`"),
            ("-t5", "`time`"),
            ("--mem=4G", "`memory`"),
            ("-c 4", "`cpus`"),
            ("--partition=x", "`partition`"),
            ("-M other", "`SLURM_CLUSTERS`"),
            ("--clusters=other", "one cluster"),
            ("--array=1-3", "`shard`"),
            ("--job-name=x", "found again"),
            ("--signal=USR2", "save"),
            ("--wait", "waits"),
            ("--test-only", "submits nothing"),
        ] {
            let error = Profile::read(&format!("executor: slurm\nextra: [\"{option}\"]\n"))
                .unwrap_err()
                .message;
            let named = error.contains(&format!("`{option}` of `extra`"));
            assert!(named && error.contains(said), "{option}: {error}");
        }
        for option in [
            "--exclusive",
            "--mem-per-cpu=4G",
            "--nice=100",
            "--mail-type=END",
            "-w node1",
        ] {
            let profile = Profile::read(&format!("executor: slurm\nextra: [\"{option}\"]\n"));
            assert!(profile.is_ok(), "{option}: {profile:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let commands = "commands: {submit: 'q {script}', status: s, cancel: 'c {id}'";
        for (text, said) in [
            ("executor: slurm\npartitoin: gpu\n".to_owned(), "partitoin"),
            ("executor: pbs\n".to_owned(), "pbs"),
            ("executor: slurm\nmemory: 16\n".to_owned(), "memory"),
            (
                "executor: slurm\nkinds: {train: {cpus: 1}}\n".to_owned(),
                "`kinds` has no `train`",
            ),
            ("executor: command\n".to_owned(), "needs `commands`"),
            (
                format!("executor: command\n{commands}, stats: x}}\n"),
                "stats",
            ),
            (
                format!("executor: command\nqos: x\n{commands}}}\n"),
                "`qos` is Slurm's",
            ),
            (
                format!("executor: command\nshard: 30m\n{commands}}}\n"),
                "no arrays",
            ),
            ("executor: slurm\nshard: 0s\n".to_owned(), "`0s`"),
            (
                format!("executor: slurm\n{commands}}}\n"),
                "belong to `executor: command`",
            ),
            (
                format!("executor: command\n{commands}, states: {{R: runs}}}}\n"),
                "`runs`",
            ),
            (
                "executor: command\ncommands: {submit: 'q {file}', status: s, cancel: 'c {id}'}\n"
                    .to_owned(),
                "`{file}`",
            ),
            (
                "executor: command\ncommands: {submit: 'q', status: s, cancel: 'c {id}'}\n"
                    .to_owned(),
                "`{script}`",
            ),
            (
                "executor: slurm\nextra: [exclusive]\n".to_owned(),
                "no dashes",
            ),
            (
                "executor: slurm\nextra: [\"--a\\n#SBATCH --b\"]\n".to_owned(),
                "more than one line",
            ),
            ("executor: slurm\npoll: 100ms\n".to_owned(), "controller"),
            (
                "executor: slurm\nmax_jobs: 0\n".to_owned(),
                "lets no job in",
            ),
        ] {
            let error = Profile::read(&text).unwrap_err().message;
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}
