//! A session as jobs make it: one after the other, until its nodes are there.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftgauge_cluster::{
    Array, Followed, JobEnd, JobId, NodeEnd, Prepared, Said, Shards, TryEnd, Work, WorkOrder,
    events_file, write_json,
};
use driftgauge_problem::{Context as _, Problem};
use driftgauge_record::files::events::{EventLine, EventRecord};
use driftgauge_store::Digest;

use super::Shared;
use super::record::{self, Over, Submitted};
use crate::context::{Context, Finished};
use crate::event::Event;
use crate::exec::process::KILLED;

/// Lines of a job's log that an error shows.
const TAIL: usize = 12;

/// The name of the jobs that make nodes: the same for every driver of the run.
pub(super) fn name_of(run: &str, keys: &[String]) -> String {
    let all = Digest::of(keys.join(" ").as_bytes());
    format!("{run}-{}", all.short())
}

/// Nodes that one job makes.
pub(super) struct Session {
    shared: Arc<Shared>,
    context: Arc<Context>,
    nodes: Vec<usize>,
    /// Folder of its tries.
    folder: PathBuf,
    name: String,
    /// Into how many parts its work is divided.
    shards: u32,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        context: Arc<Context>,
        (nodes, name): (Vec<usize>, String),
        shards: u32,
    ) -> Self {
        let folder = shared.settings.folder.join(&name);
        // What an earlier driver divided stays divided so.
        let divided = record::divided(&folder).ok().flatten();
        Self {
            shards: divided.unwrap_or(shards),
            folder,
            shared,
            context,
            nodes,
            name,
        }
    }

    /// The parts of its work that the next try makes; `None` where one job makes all that is left.
    fn array(&self) -> Result<Option<Array>, Problem> {
        if self.shards < 2 {
            return Ok(None);
        }
        let tasks = record::shards_left(&self.folder, self.shards)?;
        Ok((tasks.len() > 1).then_some(Array { tasks }))
    }

    /// What a try says of its end.
    fn end(&self, number: u32) -> Option<(WorkOrder, JobEnd)> {
        let folder = record::try_folder(&self.folder, number);
        let order = record::order(&folder).ok()??;
        let end = record::end(&folder, &order).ok()??;
        Some((order, end))
    }

    /// The log of a try.
    fn log(&self, number: u32) -> PathBuf {
        let folder = record::try_folder(&self.folder, number);
        match record::order(&folder) {
            Ok(Some(order)) => record::log(&folder, &order),
            _ => folder.join(record::LOG),
        }
    }

    /// Its nodes, which go on in their job or in the next run.
    pub(super) fn interrupted(&self) -> Finished {
        let nodes = self.nodes.iter();
        nodes
            .map(|&node| (node, Err("interrupted".into())))
            .collect()
    }

    /// What became of the nodes.
    pub(super) async fn finish(&self, followed: Followed) -> Finished {
        let (number, problem) = match followed {
            Followed::There => {
                let nodes = self.nodes.iter();
                return nodes.map(|&node| (node, self.there(node))).collect();
            }
            Followed::Ended(number) => (number, None),
            Followed::GivenUp(number, problem) => (number, Some(problem)),
            Followed::Refused(problem) => {
                let nodes = self.nodes.iter();
                return nodes.map(|&node| (node, Err(problem.clone()))).collect();
            }
        };
        self.tell_events(number);
        let folder = record::try_folder(&self.folder, number);
        let since = Instant::now();
        let grace = self.shared.desk.pace().grace;
        let mut found: BTreeMap<usize, Result<(), Problem>> = BTreeMap::new();
        loop {
            let end = self.end(number).map(|(_, end)| end);
            for &node in &self.nodes {
                if !found.contains_key(&node)
                    && let Some(result) = self.result(node, end.as_ref())
                {
                    found.insert(node, result);
                }
            }
            // What was said to be there may stay unseen for a while.
            if found.len() == self.nodes.len() || problem.is_some() || since.elapsed() > grace {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if problem.is_none() {
            // Where it cannot be written, the next driver looks at this job once more.
            let _ = record::over(
                &folder,
                &Over {
                    lost: None,
                    last: true,
                },
            );
        }
        let missing = problem.unwrap_or_else(|| {
            Problem::failed("its job ended, and what it made is not in the store")
        });
        let log = self.log(number);
        let with_log = |problem: Problem| problem.followed(&log_of(&log));
        let nodes = self.nodes.iter().map(|&node| {
            let result = found.remove(&node).unwrap_or_else(|| Err(missing.clone()));
            (node, result.map_err(with_log))
        });
        nodes.collect()
    }

    /// What is known of a node: that its artifact is there, or why its job did not make it.
    fn result(&self, node: usize, end: Option<&JobEnd>) -> Option<Result<(), Problem>> {
        let key = self.context.plan.nodes[node].key.as_ref()?;
        match self.context.store.get_fresh(key) {
            Ok(Some(_)) => return Some(Ok(())),
            Ok(None) => {}
            Err(error) => return Some(Err(error.into())),
        }
        let said = end?.nodes.iter().find(|end| end.key == key.as_str())?;
        said.error.clone().map(Err)
    }

    /// That a node was there before anything was submitted for it.
    fn there(&self, node: usize) -> Result<(), Problem> {
        let missing = || Err(Problem::failed("what was in the store is gone"));
        self.result(node, None).unwrap_or_else(missing)
    }

    /// What happened in a try, as if it had happened here.
    fn tell_events(&self, number: u32) {
        let folder = record::try_folder(&self.folder, number);
        let order = record::order(&folder).ok().flatten();
        let tasks = order.map_or_else(|| vec![None], |order| record::tasks(&order));
        let texts = tasks
            .into_iter()
            .map(|task| fs::read_to_string(folder.join(events_file(task))).unwrap_or_default());
        let text: String = texts.collect();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<EventLine>(line).ok());
        for line in lines {
            match line.event {
                EventRecord::Note { node, text } => self.context.note(&node, text),
                EventRecord::Loaded { nodes, seconds } => {
                    self.context
                        .observer
                        .observe(&Event::Loaded { nodes, seconds });
                }
                _ => {}
            }
        }
    }

    fn keys(&self) -> impl Iterator<Item = &Digest> {
        let nodes = self.nodes.iter();
        nodes.filter_map(|&node| self.context.plan.nodes[node].key.as_ref())
    }
}

impl Work for Session {
    fn is_done(&self) -> bool {
        let store = &self.context.store;
        // One that is damaged is made again.
        self.keys()
            .all(|key| store.is_finished(key) && store.get(key).is_ok_and(|found| found.is_some()))
    }

    fn progress(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        for key in self.keys() {
            self.context.store.contains(key).hash(&mut hash);
            saved(&self.context.store.partial_dir(key), &mut hash);
        }
        hash.finish()
    }

    fn tries(&self) -> Vec<TryEnd> {
        record::history(&self.folder).unwrap_or_default()
    }

    fn prepare(&self, doubled: u32) -> Result<Prepared, Problem> {
        let number = record::tries(&self.folder)?
            .last()
            .map_or(1, |last| last + 1);
        let folder = record::try_folder(&self.folder, number);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        let array = self.array()?;
        let asked = self.shared.asked(&self.context, &self.nodes, self.shards);
        let mut resources = asked.resources;
        for _ in 0..doubled {
            resources.memory = resources.memory.map(driftgauge_ranges::Memory::doubled);
        }
        let name = format!("{}.{number}", self.name);
        let text = self
            .shared
            .script(&name, &folder, &resources, array.as_ref());
        let script = folder.join(record::SCRIPT);
        fs::write(&script, text).with_context(|| format!("cannot write `{}`", script.display()))?;
        let nodes = self.nodes.iter();
        let order = WorkOrder {
            cpus: resources.cpus,
            keys: self.keys().map(|key| key.as_str().to_owned()).collect(),
            nodes: nodes
                .map(|&node| self.context.plan.nodes[node].id.clone())
                .collect(),
            shards: array.as_ref().map(|array| Shards {
                of: self.shards,
                tasks: array.tasks.clone(),
            }),
            ..self.shared.settings.order.clone()
        };
        write_json(&folder.join(record::WORK), &order)?;
        Ok(Prepared {
            number,
            name,
            script,
            log: folder.join(record::LOG),
            resources,
            array,
        })
    }

    fn submitted(&self, number: u32, id: &JobId) -> Result<(), Problem> {
        self.tell(format!("job {id} was submitted"));
        let submitted = Submitted {
            id: id.clone(),
            progress: self.progress(),
        };
        record::submitted(&record::try_folder(&self.folder, number), &submitted)
    }

    fn said(&self, number: u32) -> Option<Said> {
        let (order, end) = self.end(number)?;
        let all_made = end.nodes.iter().all(|node| node.made);
        Some(match end.stopped {
            Some(stop) => Said::Stopped(stop),
            None if end.nodes.iter().any(was_killed) => Said::OutOfMemory,
            // All parts are made, and none of those who made them saw all the others.
            None if order.shards.is_some() && all_made && !self.is_done() => return None,
            None => Said::Ended,
        })
    }

    fn lacked_memory(&self, number: u32) -> bool {
        tells_of_memory(&end_of(&self.log(number)))
    }

    fn over(&self, number: u32, end: TryEnd, given_up: bool) -> Result<(), Problem> {
        if !given_up {
            self.tell_events(number);
        }
        let over = Over {
            lost: Some(end),
            last: given_up,
        };
        record::over(&record::try_folder(&self.folder, number), &over)
    }

    fn tell(&self, text: String) {
        if let Some(&node) = self.nodes.first() {
            let planned = &self.context.plan.nodes[node];
            let text = match self.nodes.len() {
                1 => text,
                n => format!("{text}, for {n} nodes"),
            };
            self.context.note(&planned.id, text);
        }
    }
}

/// Whether the system killed a process of a node, which it does when memory runs out.
fn was_killed(end: &NodeEnd) -> bool {
    !end.made && end.error.as_ref().is_some_and(|error| error.code == KILLED)
}

/// What a folder of unfinished work holds that the next try goes on from: answers in journals, and checkpoints.
fn saved(folder: &Path, hash: &mut DefaultHasher) {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    for file in files {
        let text = file.to_string_lossy();
        let length = fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let counts = text.contains("/checkpoints/") || text.contains("/journal");
        if counts && length > 0 {
            (text, length).hash(hash);
        }
    }
}

/// The last lines of a log.
fn end_of(path: &Path) -> Vec<String> {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    last.iter().map(|&line| line.to_owned()).collect()
}

/// Whether the queue itself has written at the end of a log that a job took too much memory.
fn tells_of_memory(lines: &[String]) -> bool {
    let of_queue = lines.iter().filter(|line| {
        let is_named = ["slurmstepd", "PBS:", "TERM_MEMLIMIT"];
        is_named.iter().any(|name| line.contains(name))
    });
    let mut of_queue = of_queue.map(|line| line.to_lowercase());
    of_queue.any(|line| {
        let words = [
            "memory limit",
            "oom",
            "out of memory",
            "out-of-memory",
            "memlimit",
            "mem ",
        ];
        words.iter().any(|word| line.contains(word))
    })
}

/// Where a job's log is, and how it ends.
fn log_of(path: &Path) -> String {
    let tail = end_of(path).join("\n  ");
    if tail.is_empty() {
        format!("\nlog of the job: `{}` (empty)", path.display())
    } else {
        format!(
            "\nlog of the job: `{}`, which ends:\n  {tail}",
            path.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_ends_a_job_for_its_memory_says_so_in_the_log() {
        for (line, tells) in [
            // As Slurm 22.05 wrote it.
            (
                "slurmstepd-n1: error: StepId=1.batch exceeded memory limit (226484224 > 52428800), being killed",
                true,
            ),
            (
                "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch. Some of the step tasks have been OOM Killed.",
                true,
            ),
            (
                "=>> PBS: job killed: mem 2097152kb exceeded limit 1048576kb",
                true,
            ),
            (
                "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.",
                true,
            ),
            (
                "slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***",
                false,
            ),
            ("the model has no memory limit", false),
        ] {
            assert_eq!(tells_of_memory(&[line.to_owned()]), tells, "{line}");
        }
    }
}
